#include "environment/network_file_system.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <string_view>

#include "environment/posix_error.h"

namespace holdfast {
namespace {

// statfs(2) and linux/magic.h; not all are in the headers of every distribution.
constexpr std::uint32_t kFuse = 0x65735546;
constexpr std::array<std::uint32_t, 15> kNetworkMagics = {
    0x6969,      // NFS
    0x517B,      // SMB
    0xFF534D42,  // CIFS
    0xFE534D42,  // SMB2
    0x01021997,  // 9p
    0x5346414F,  // AFS
    0x6B414653,  // AFS, the kernel's own
    0x00C36400,  // Ceph
    0x0BD00BD0,  // Lustre
    0x01161970,  // GFS2
    0x7461636F,  // OCFS2
    0x73757245,  // Coda
    0x564C,      // NCP
    0x47504653,  // GPFS
    0x19830326,  // BeeGFS
};

constexpr std::array<std::string_view, 35> kNetworkTypes = {
    "nfs",
    "nfs4",
    "smbfs",
    "cifs",
    "smb3",
    "9p",
    "afs",
    "ceph",
    "lustre",
    "gfs",
    "gfs2",
    "ocfs2",
    "coda",
    "ncpfs",
    "gpfs",
    "beegfs",
    "fuse.sshfs",
    "fuse.glusterfs",
    "fuse.ceph",
    "fuse.s3fs",
    "fuse.gcsfuse",
    "fuse.rclone",
    "fuse.goofys",
    "fuse.davfs",
    "fuse.davfs2",
    "fuse.curlftpfs",
    "fuse.juicefs",
    "fuse.mfs",
    "fuse.moosefs",
    "fuse.lizardfs",
    "fuse.seaweedfs",
    "fuse.blobfuse",
    "fuse.blobfuse2",
    "fuse.mount-s3",
    "fuse.smbnetfs",
};

/// The type of the file system with this device number, or "".
std::string mounted_type(dev_t device) {
  const std::string wanted = std::to_string(major(device)) + ":" + std::to_string(minor(device));
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    std::string id;
    std::string parent;
    std::string number;
    words >> id >> parent >> number;
    if (number != wanted) continue;
    // Optional fields of any number end with a single hyphen; the type follows.
    for (std::string word; words >> word;) {
      if (word == "-") return words >> word ? word : "";
    }
  }
  return "";
}

}  // namespace

bool is_network_type(const std::string& type) {
  return std::find(kNetworkTypes.begin(), kNetworkTypes.end(), type) != kNetworkTypes.end();
}

bool lies_on_network_file_system(const std::string& path) {
  struct statfs system{};
  if (statfs(path.c_str(), &system) != 0) throw posix_error(errno, "look at", path);
  const auto magic = static_cast<std::uint32_t>(system.f_type);
  if (magic != kFuse) {
    return std::find(kNetworkMagics.begin(), kNetworkMagics.end(), magic) != kNetworkMagics.end();
  }
  // FUSE serves local disks too; only the mount table tells which it is.
  struct stat status{};
  if (stat(path.c_str(), &status) != 0) throw posix_error(errno, "look at", path);
  return is_network_type(mounted_type(status.st_dev));
}

}  // namespace holdfast
