// Small files that are read at once.
#pragma once

#include <cstddef>
#include <string>

#include "holdfast/environment.h"

namespace holdfast {

/// The whole file. Throws not_found, permission_denied, or invalid_argument if it has more than
/// `limit_bytes`.
std::string read_file(FileSystem& files, const std::string& path, std::size_t limit_bytes = 1u << 20);

}  // namespace holdfast
