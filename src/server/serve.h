// The program `holdfast serve`, but for the parsing of its arguments.
#pragma once

#include <iosfwd>

#include "holdfast/environment.h"
#include "server/config.h"

namespace holdfast::server {

/// Opens the store, listens, tells on `out` where and what to try, and returns when SIGTERM or SIGINT has
/// come and the requests in flight are answered; a second signal cuts them. 0, or 1 if some had to be cut.
/// SIGHUP reads the token file again. Throws Error if it cannot begin. Takes over these signals for the
/// process.
int serve(const ServerConfig& config, std::ostream& out, const Environment& environment = {});

}  // namespace holdfast::server
