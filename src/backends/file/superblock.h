// The file STORE of a folder: says that the folder is a store, and which.
#pragma once

#include <string>

#include "backends/file/format.h"
#include "holdfast/environment.h"

namespace holdfast::file {

/// Whether the folder has a superblock.
bool has_superblock(FileSystem& files, const std::string& folder);
/// Throws corruption or capability_missing.
Superblock read_superblock(FileSystem& files, const std::string& folder);
/// Replaces it atomically and durably.
void write_superblock(FileSystem& files, const std::string& folder, const Superblock& superblock);
/// Makes an empty folder a store; throws invalid_argument if it holds anything else.
Superblock create_superblock(FileSystem& files, const std::string& folder, Random& random);

}  // namespace holdfast::file
