// The functions that the server runs: one call is atomic there. They are loaded once per server, as a library
// whose name holds a hash of its text, so that processes of different versions do not disturb one another.
#pragma once

#include <string>

#include "holdfast/types.h"

namespace holdfast::redis {

/// "holdfast_1a2b3c4d"
const std::string& library_name();
/// The name that FCALL takes: get, read, commit, commit_erases (for groups that only free memory), changes,
/// adopt, compact, fence, drop, expired, probe.
std::string function_name(View function);
/// What FUNCTION LOAD takes.
std::string library_source();

// The parts of its text, in Lua, in this order.
//
// The keys of a database, in this order: head, entries, order, log, expiry, sessions, names, due
// (key_names.h). An entry is "<version> <expiry or -> <value>". A log row of the commits up to seq N is the
// stream entry N-i, with the fields N - seq and the values key. Every function reads and judges first and
// writes then: a script that fails half-way keeps what it did.
//
// Keys are compared by byte(): the `<` of Lua strings follows the locale of the server. Seqs and expiries are
// below 2^53, which a number of Lua holds exactly; other numbers are compared as text.
View shared_functions();
View reading_functions();
View committing_functions();
View keeping_functions();

}  // namespace holdfast::redis
