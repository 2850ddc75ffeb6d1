#include "cli/interrupt.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <utility>

#include "cli/exit.h"

namespace holdfast::cli {
namespace {

volatile std::sig_atomic_t interrupt_count = 0;
// Becomes readable with the first interrupt, for good. A flag alone is not enough: the signal may come
// between a look at it and the wait for input, or to another thread than the one that waits.
std::array<int, 2> wake = {-1, -1};

// Set once and never freed, as the handler may read it at any time.
std::atomic<const std::string*> words_at_end = nullptr;

void on_interrupt(int number) {
  const int error = errno;
  interrupt_count = interrupt_count + 1;
  if (const std::string* words = words_at_end) {
    [[maybe_unused]] const ssize_t said = write(STDERR_FILENO, words->data(), words->size());
    _exit(kExitInterrupted);
  }
  if (interrupt_count > 1) _exit(128 + number);
  [[maybe_unused]] const ssize_t written = write(wake[1], "", 1);
  errno = error;
}

}  // namespace

void listen_for_interrupts() {
  // Without a pipe Ctrl-C is noticed all the same, only later.
  if (wake[0] < 0 && pipe2(wake.data(), O_CLOEXEC | O_NONBLOCK) != 0) wake = {-1, -1};
  struct sigaction action{};
  action.sa_handler = on_interrupt;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  struct sigaction ignore{};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &ignore, nullptr);
}

bool interrupted() { return interrupt_count > 0; }

void end_at_once_when_interrupted(std::string last_words) {
  static const std::string kept = std::move(last_words);
  words_at_end = &kept;
}

bool wait_for_input(int descriptor) {
  std::array<pollfd, 2> waiting{{{descriptor, POLLIN, 0}, {wake[0], POLLIN, 0}}};
  while (!interrupted()) {
    if (poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) return true;
    if (waiting[1].revents != 0) return false;
    if (waiting[0].revents != 0) return true;
  }
  return false;
}

}  // namespace holdfast::cli
