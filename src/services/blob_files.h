// Blobs from files and into files, through the injected file system.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "holdfast/file_system.h"
#include "holdfast/objects.h"

namespace holdfast {

/// The bytes of a file from its begin to where it ends when that is reached.
ByteSource file_source(std::shared_ptr<File> file);

/// A new content for a file: written beside it, then put in its place.
class FileReplacement {
 public:
  FileReplacement(FileSystem& files, const std::string& path);
  /// Removes what was written if it was not put in place.
  ~FileReplacement();
  FileReplacement(const FileReplacement&) = delete;
  FileReplacement& operator=(const FileReplacement&) = delete;

  void add(View bytes);
  /// Durable on return.
  void put_in_place();

 private:
  FileSystem& files_;
  const std::string path_;
  std::string part_path_;
  std::unique_ptr<File> file_;
  std::uint64_t size_bytes_ = 0;
};

}  // namespace holdfast
