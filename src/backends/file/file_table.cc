#include "backends/file/file_table.h"

#include <mutex>

#include "backends/file/crc32c.h"
#include "contract/assert.h"
#include "contract/canary.h"
#include "holdfast/error.h"

namespace holdfast::file {

std::uint32_t FileTable::add(std::shared_ptr<const File> file, std::string path) {
  const std::lock_guard lock(mutex_);
  const std::uint32_t number = next_++;
  files_.emplace(number, std::make_shared<const OpenFile>(OpenFile{std::move(file), std::move(path)}));
  return number;
}

void FileTable::remove(std::uint32_t number) {
  const std::lock_guard lock(mutex_);
  files_.erase(number);
}

std::shared_ptr<const OpenFile> FileTable::find(std::uint32_t number) const {
  const std::shared_lock lock(mutex_);
  const auto found = files_.find(number);
  HOLDFAST_ASSERT(found != files_.end());
  return found->second;
}

Bytes read_value(const OpenFile& from, const ValueReference& reference) {
  Bytes value(static_cast<std::size_t>(reference.size_bytes), '\0');
  const std::size_t got = from.file->read(reference.offset, value.data(), value.size());
  if (got != value.size() || (crc32c(value) != reference.checksum && !canary(20, 'i'))) {
    throw Error(Code::corruption, "\"" + from.path + "\", offset " + std::to_string(reference.offset) +
                                      ": a value is damaged; restore the file from a backup, or run repair");
  }
  return value;
}

}  // namespace holdfast::file
