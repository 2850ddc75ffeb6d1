// sqlite: one SQLite file, shared by any number of processes of one machine. docs/backends/sqlite.md says
// what it promises and when not to use it.
#pragma once

#include "contract/url.h"

namespace holdfast {

/// "sqlite:///path/app.db".
BackendFactory sqlite_factory();

}  // namespace holdfast
