#include "backends/postgres/signals.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>

#include "backends/postgres/schema.h"
#include "contract/hex.h"
#include "holdfast/limits.h"

namespace holdfast::postgres {
namespace {

/// How long the thread listens after the last one who waited has gone, in looks.
constexpr int kLooksListenedOn = 20;
constexpr std::chrono::seconds kTimeout{5};
/// A look that begins at the deadline must end within limits::kDeadlineGrace, and nobody can wake one who
/// looks.
constexpr std::chrono::milliseconds kLookTimeout{700};
static_assert(kLookTimeout < limits::kDeadlineGrace);

std::string channel_of(const std::string& schema) {
  return "holdfast_" + hex16(static_cast<std::uint64_t>(lock_number("channel", schema)));
}

}  // namespace

/// Listens and notifies, on a connection of its own. It goes by the machine's clock: it only ever hints.
class Signals::Thread {
 public:
  Thread(Signals& signals, const Settings& settings)
      : signals_(signals),
        settings_(settings),
        channel_(channel_of(settings.schema)),
        // Whoever listens holds the lock shared, so that it can be seen from everywhere.
        tell_{"tell", "SELECT CASE WHEN pg_try_advisory_lock(" + lock() + ") THEN pg_advisory_unlock(" +
                          lock() + ")::text ELSE pg_notify('" + channel_ + "', '')::text END"},
        listen_{"listen", "LISTEN " + channel_},
        hold_{"hold", "SELECT pg_advisory_lock_shared(" + lock() + ")"},
        unlisten_{"unlisten", "UNLISTEN " + channel_},
        release_{"release", "SELECT pg_advisory_unlock_shared(" + lock() + ")"},
        event_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
        thread_([this] { run(); }) {}
  ~Thread() {
    is_stopping_ = true;
    poke();
    thread_.join();
    close(event_);
  }
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;

  void listen() {
    if (!wants_to_listen_.exchange(true)) poke();
  }
  void notify() {
    if (!has_news_.exchange(true)) poke();
  }

 private:
  std::string lock() const { return std::to_string(lock_number("listen", settings_.schema)); }
  void poke() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(event_, &one, sizeof one);
  }

  void run() {
    while (!is_stopping_) {
      try {
        if (has_news_.exchange(false)) {
          ask(tell_);
          pause();
        }
        if (wants_to_listen_ && !is_listening_) {
          ask(listen_);
          ask(hold_);
          is_listening_ = true;
          looks_left_ = kLooksListenedOn;
          signal();  // what was committed before we listened
        }
        sleep_until_something_happens();
      } catch (const Error&) {
        // Those who wait look for themselves; the next one finds out what is wrong.
        connection_.reset();
        is_listening_ = false;
        pause();
        signal();
      }
    }
  }

  void sleep_until_something_happens() {
    std::array<pollfd, 2> waited = {pollfd{event_, POLLIN, 0}, pollfd{-1, POLLIN, 0}};
    if (connection_) waited[1].fd = connection_->socket();
    const int timeout_ms = is_listening_ ? static_cast<int>(kLookEvery.count()) : -1;
    const int ready = poll(waited.data(), waited.size(), timeout_ms);
    std::uint64_t count = 0;
    if ((waited[0].revents & POLLIN) != 0) {
      [[maybe_unused]] const ssize_t got = read(event_, &count, sizeof count);
    }
    if (waited[1].revents != 0 && connection_->take_notifications()) signal();
    if (ready != 0 || !is_listening_) return;
    if (signals_.is_waited_for()) {
      looks_left_ = kLooksListenedOn;
      signal();
    } else if (--looks_left_ == 0) {
      wants_to_listen_ = false;
      is_listening_ = false;
      ask(unlisten_);
      ask(release_);
    }
  }

  /// Coalesces, and keeps a server that is away from being asked without end.
  void pause() const {
    pollfd nothing{-1, 0, 0};
    for (int left = static_cast<int>(kQuiet.count()); left > 0 && !is_stopping_; left -= 10)
      poll(&nothing, 1, 10);
  }

  void ask(const Statement& statement) {
    const Deadline deadline = clock_->steady_now() + kTimeout;
    if (!connection_ || connection_->is_broken()) {
      is_listening_ = false;
      connection_ = std::make_unique<Connection>(settings_, clock_, deadline);
    }
    connection_->run(statement, {}, deadline);
  }

  void signal() { signals_.signal(); }

  Signals& signals_;
  const Settings& settings_;
  const std::string channel_;
  const Statement tell_, listen_, hold_, unlisten_, release_;
  const std::shared_ptr<Clock> clock_ = system_clock();
  std::unique_ptr<Connection> connection_;
  bool is_listening_ = false;
  int looks_left_ = 0;
  std::atomic<bool> is_stopping_ = false, has_news_ = false, wants_to_listen_ = false;
  const int event_;
  std::thread thread_;
};

Signals::Signals(const Settings& settings, std::shared_ptr<Clock> clock)
    : settings_(settings), clock_(std::move(clock)) {}
Signals::~Signals() = default;

std::vector<std::size_t> Signals::wait(const Look& look, Deadline deadline) {
  deadline = effective_deadline(*clock_, deadline);
  std::unique_lock lock(mutex_);
  const std::uint64_t wakes_seen = wakes_;
  ++waiting_;
  const auto leave = [&] {
    if (!lock.owns_lock()) lock.lock();
    --waiting_;
    woken_early_ = false;
  };
  try {
    thread().listen();
    while (true) {
      const std::uint64_t changes_seen = changes_;
      lock.unlock();
      std::vector<std::size_t> behind;
      try {
        behind = look(clock_->steady_now() + kLookTimeout);
      } catch (const Error& error) {
        // A server that does not answer shows nothing new.
        if (error.code() != Code::timeout) throw;
      }
      lock.lock();
      if (!behind.empty() || wakes_ != wakes_seen || woken_early_ || clock_->steady_now() >= deadline) {
        leave();
        return behind;
      }
      if (changes_ == changes_seen) clock_->wait_until(changed_, lock, deadline);
    }
  } catch (...) {
    leave();
    throw;
  }
}

void Signals::wake() {
  const std::lock_guard lock(mutex_);
  ++wakes_;
  if (waiting_ == 0) woken_early_ = true;
  changed_.notify_all();
}

void Signals::notify() {
  const std::lock_guard lock(mutex_);
  ++changes_;
  changed_.notify_all();
  thread().notify();
}

void Signals::signal() {
  const std::lock_guard lock(mutex_);
  ++changes_;
  changed_.notify_all();
}

bool Signals::is_waited_for() {
  const std::lock_guard lock(mutex_);
  return waiting_ > 0;
}

Signals::Thread& Signals::thread() {
  if (!thread_) thread_ = std::make_unique<Thread>(*this, settings_);
  return *thread_;
}

}  // namespace holdfast::postgres
