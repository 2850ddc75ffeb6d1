#include "environment/read_file.h"

#include "holdfast/error.h"

namespace holdfast {

std::string read_file(FileSystem& files, const std::string& path, std::size_t limit_bytes) {
  const auto file = files.open(path, FileMode::read);
  const std::uint64_t size_bytes = file->size_bytes();
  if (size_bytes > limit_bytes) {
    throw Error(Code::invalid_argument, "the file " + path + " has " + std::to_string(size_bytes) +
                                            " bytes; the maximum is " + std::to_string(limit_bytes));
  }
  std::string text(size_bytes, '\0');
  text.resize(file->read(0, text.data(), text.size()));
  return text;
}

}  // namespace holdfast
