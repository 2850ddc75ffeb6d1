// The open files of one lane that values are read from. A file stays open, and its bytes stay readable, as
// long as somebody holds it, even after it was removed from the folder.
//
// Thread-safe.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <memory>
#include <shared_mutex>
#include <string>

#include "backends/file/value_reference.h"
#include "holdfast/file_system.h"

namespace holdfast::file {

struct OpenFile {
  std::shared_ptr<const File> file;
  std::string path;
};

class FileTable {
 public:
  /// The number by which references name the file.
  std::uint32_t add(std::shared_ptr<const File> file, std::string path);
  void remove(std::uint32_t number);
  std::shared_ptr<const OpenFile> find(std::uint32_t number) const;

 private:
  mutable std::shared_mutex mutex_;
  std::uint32_t next_ = 1;
  absl::flat_hash_map<std::uint32_t, std::shared_ptr<const OpenFile>> files_;
};

/// The value, verified. Throws corruption naming file and offset.
Bytes read_value(const OpenFile& from, const ValueReference& reference);

}  // namespace holdfast::file
