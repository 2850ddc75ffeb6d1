// Faults and misuse. Expected outcomes (no such key, a failed check, a lost race) are return values, never
// exceptions.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "holdfast/types.h"

namespace holdfast {

/// Stable codes: CLI exit codes, HTTP statuses and error classes of other languages are derived from this
/// list.
enum class Code : std::uint8_t {
  invalid_argument,
  not_found,
  already_exists,
  conflict,
  capability_missing,
  unavailable,
  timeout,
  corruption,
  permission_denied,
  compacted,
  history_changed,
  session_conflict,
  clock_skew,
  moved,
  closed,
  internal,
};

/// What a caller may do about an error. For everything but `unknown_outcome` the operation had no effect and
/// will have none; `unknown_outcome` means that a commit may have been, or may yet be, applied.
enum class Retry : std::uint8_t { never, now, backoff, unknown_outcome };

/// The name of a code as it appears in messages and on the wire: "invalid_argument".
const char* name(Code code);
const char* name(Retry retry);
/// The retry class of §11 for a code.
Retry default_retry(Code code);

/// The one exception type of the house. what() says what went wrong and what to do; it names databases,
/// operations and limits, never keys, values or credentials.
class Error : public std::runtime_error {
 public:
  Error(Code code, const std::string& message) : Error(code, default_retry(code), message) {}
  Error(Code code, Retry retry, const std::string& message);

  Code code() const { return code_; }
  Retry retry() const { return retry_; }
  /// history_changed: the database's present position.
  const Position& at() const { return at_; }
  /// moved: where the database is now.
  const Bytes& place() const { return place_; }

  static Error history_changed(View database, Position at);
  static Error moved(View database, View place);
  /// The same error with a retry class of unknown_outcome: a commit that had been sent (§11).
  Error with_unknown_outcome() const;

 private:
  Code code_;
  Retry retry_;
  Position at_;
  Bytes place_;
};

}  // namespace holdfast
