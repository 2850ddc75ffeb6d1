#include "cli/line_reader.h"

#include <utility>

#include "holdfast/error.h"

namespace holdfast::cli {
namespace {

constexpr std::size_t kLineBytes = std::size_t{16} << 20;
constexpr std::size_t kReadBytes = std::size_t{1} << 18;

}  // namespace

LineReader::LineReader(const std::string& path, std::string how_to_go_on)
    : input_(path, std::move(how_to_go_on)) {}

std::optional<std::string> LineReader::next(bool is_lenient) {
  std::size_t searched = at_;
  for (;;) {
    const std::size_t end = buffer_.find('\n', searched);
    if (end != std::string::npos) {
      std::string line = buffer_.substr(at_, end - at_);
      offset_ += line.size() + 1;
      at_ = end + 1;
      ++number_;
      return line;
    }
    if (buffer_.size() - at_ > kLineBytes) {
      throw Error(Code::invalid_argument, "line " + std::to_string(number_ + 1) + ": it has more than " +
                                              std::to_string(kLineBytes) + " bytes");
    }
    buffer_.erase(0, at_);
    at_ = 0;
    searched = buffer_.size();
    buffer_.resize(searched + kReadBytes);
    const std::size_t size = input_.read(buffer_.data() + searched, kReadBytes);
    buffer_.resize(searched + size);
    if (size > 0) continue;
    if (buffer_.empty() || !is_lenient) return std::nullopt;
    offset_ += buffer_.size();
    ++number_;
    return std::exchange(buffer_, {});
  }
}

}  // namespace holdfast::cli
