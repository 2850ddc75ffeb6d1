// postgres: a schema of a PostgreSQL database, shared by any number of processes and machines.
// docs/backends/postgres.md says what it promises and when not to use it.
#pragma once

#include "contract/url.h"

namespace holdfast {

/// "postgres://user@host/dbname?schema=holdfast" and, the same, "postgresql://...".
BackendFactory postgres_factory(const std::string& scheme = "postgres");

}  // namespace holdfast
