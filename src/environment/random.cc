#include <errno.h>
#include <sys/random.h>

#include <mutex>

#include "environment/xoshiro.h"
#include "holdfast/environment.h"
#include "holdfast/error.h"

namespace holdfast {
namespace {

class SystemRandom final : public Random {
 public:
  // Not buffered: a forked process must not draw the numbers that its parent draws.
  std::uint64_t next() override {
    std::uint64_t number = 0;
    for (;;) {
      const ssize_t got = getrandom(&number, sizeof number, 0);
      if (got == static_cast<ssize_t>(sizeof number)) return number;
      if (got < 0 && errno != EINTR) {
        throw Error(Code::unavailable,
                    "the operating system gives no random numbers; allow getrandom() in its sandbox");
      }
    }
  }
};

class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : generator_(seed) {}
  std::uint64_t next() override {
    const std::lock_guard guard(mutex_);
    return generator_();
  }

 private:
  std::mutex mutex_;
  Xoshiro256 generator_;
};

}  // namespace

std::shared_ptr<Random> system_random() { return std::make_shared<SystemRandom>(); }
std::shared_ptr<Random> seeded_random(std::uint64_t seed) { return std::make_shared<SeededRandom>(seed); }

}  // namespace holdfast
