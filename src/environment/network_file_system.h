// Whether a path lies on a file system of another machine.
#pragma once

#include <string>

namespace holdfast {

/// `path` must exist. Throws like FileSystem.
bool lies_on_network_file_system(const std::string& path);

/// By the name that the kernel gives a type of file system: "ext4", "nfs4", "fuse.sshfs".
bool is_network_type(const std::string& type);

}  // namespace holdfast
