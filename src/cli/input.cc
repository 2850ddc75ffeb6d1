#include "cli/input.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "cli/exit.h"
#include "cli/interrupt.h"
#include "environment/posix_error.h"
#include "holdfast/error.h"

namespace holdfast::cli {
namespace {

constexpr std::size_t kReadBytes = std::size_t{1} << 16;

}  // namespace

Input::Input(const std::string& path, std::string how_to_go_on)
    : descriptor_(path == "-" ? STDIN_FILENO : open(path.c_str(), O_RDONLY | O_CLOEXEC)),
      how_to_go_on_(std::move(how_to_go_on)) {
  if (descriptor_ < 0) throw posix_error(errno, "read", path);
}

Input::~Input() {
  if (descriptor_ != STDIN_FILENO) close(descriptor_);
}

std::size_t Input::read(char* to, std::size_t size_bytes) {
  for (;;) {
    if (!wait_for_input(descriptor_)) throw Interrupted(how_to_go_on_);
    const ssize_t size = ::read(descriptor_, to, size_bytes);
    if (size >= 0) return static_cast<std::size_t>(size);
    // Somebody else may share the input, or have made it one that does not wait.
    if (errno != EINTR && errno != EAGAIN) {
      throw Error(Code::unavailable, std::string("the input cannot be read on: ") + std::strerror(errno));
    }
  }
}

Bytes read_whole(const std::string& path, std::size_t limit_bytes) {
  Input input(path);
  Bytes bytes;
  for (;;) {
    const std::size_t before = bytes.size();
    bytes.resize(before + kReadBytes);
    const std::size_t size = input.read(bytes.data() + before, kReadBytes);
    bytes.resize(before + size);
    if (size == 0) return bytes;
    if (bytes.size() > limit_bytes) {
      throw UsageError("the value has more than " + std::to_string(limit_bytes) +
                       " bytes, the most that is allowed here");
    }
  }
}

}  // namespace holdfast::cli
