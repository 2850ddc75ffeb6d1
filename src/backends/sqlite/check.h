// Reads a whole file and says what is wrong with it. Changes nothing.
#pragma once

#include "backends/sqlite/connection.h"
#include "contract/url.h"

namespace holdfast::sqlite {

/// One snapshot. Cost: several passes over the file. Throws only if it cannot read at all.
CheckReport check_file(Connection& connection);

}  // namespace holdfast::sqlite
