#include "environment/back_off.h"

#include <gtest/gtest.h>

#include <vector>

namespace holdfast {
namespace {

using std::chrono::milliseconds;

/// Whoever waits on it finds that the time has come.
class JumpingClock final : public Clock {
 public:
  UnixMs now_ms() override { return 1'700'000'000'000 + now_.count(); }
  Deadline steady_now() override { return Deadline(std::chrono::hours(1)) + now_; }
  std::int64_t boot_time_ms() override { return now_.count(); }
  void wait_until(std::condition_variable&, std::unique_lock<std::mutex>&, Deadline deadline) override {
    now_ = std::max(now_, std::chrono::ceil<milliseconds>(deadline - Deadline(std::chrono::hours(1))));
  }
  void advance(milliseconds by) { now_ += by; }

 private:
  milliseconds now_{0};
};

class BackOffs : public testing::Test {
 protected:
  Deadline in(milliseconds time) { return clock_->steady_now() + time; }
  milliseconds elapsed() { return milliseconds(clock_->boot_time_ms()); }

  /// Fails, and notes when.
  int fail(Code code = Code::unavailable) {
    attempts_.push_back(elapsed());
    throw Error(code, "attempt " + std::to_string(attempts_.size()));
  }
  /// The message of what run() throws.
  std::string run_failing(Deadline deadline, Code code = Code::unavailable) {
    try {
      back_off_.run(deadline, [&] { return fail(code); });
    } catch (const Error& error) {
      return error.what();
    }
    return "nothing was thrown";
  }
  std::vector<milliseconds> pauses() const {
    std::vector<milliseconds> between;
    for (std::size_t i = 1; i < attempts_.size(); ++i) between.push_back(attempts_[i] - attempts_[i - 1]);
    return between;
  }

  const std::shared_ptr<JumpingClock> clock_ = std::make_shared<JumpingClock>();
  BackOff back_off_{clock_, seeded_random(7)};
  std::vector<milliseconds> attempts_;
};

TEST_F(BackOffs, give_what_the_attempt_returns_at_once) {
  EXPECT_EQ(back_off_.run(in(milliseconds(100)), [] { return 42; }), 42);
  EXPECT_EQ(elapsed(), milliseconds(0));
}

TEST_F(BackOffs, repeat_what_is_unavailable_until_it_is_not) {
  int left = 3;
  EXPECT_EQ(back_off_.run(in(milliseconds(10'000)), [&] { return left-- > 0 ? fail() : 42; }), 42);
  EXPECT_EQ(attempts_.size(), 3u);
}

TEST_F(BackOffs, wait_longer_after_each_failure_up_to_a_limit) {
  for (int i = 0; i < 4; ++i) run_failing(in(milliseconds(100'000)));
  milliseconds most = BackOff::kFirstPause;
  for (const milliseconds pause : pauses()) {
    EXPECT_GE(pause, most / 2);
    EXPECT_LE(pause, most / 2 + most);
    most = std::min(most * 2, BackOff::kLongestPause);
  }
  EXPECT_EQ(most, BackOff::kLongestPause);
}

TEST_F(BackOffs, give_up_after_a_few_attempts_with_the_last_error) {
  EXPECT_EQ(run_failing(in(milliseconds(100'000))), "attempt " + std::to_string(BackOff::kAttempts));
}

TEST_F(BackOffs, repeat_nothing_that_time_does_not_cure) {
  EXPECT_EQ(run_failing(in(milliseconds(100'000)), Code::permission_denied), "attempt 1");
}

TEST_F(BackOffs, begin_anew_after_a_success) {
  for (int i = 0; i < 3; ++i) run_failing(in(milliseconds(100'000)));
  back_off_.run(in(milliseconds(100'000)), [] { return 0; });
  const milliseconds before = elapsed();
  attempts_.clear();
  run_failing(in(milliseconds(100'000)));
  EXPECT_EQ(attempts_[0], before);
  EXPECT_LE(pauses()[0], BackOff::kFirstPause * 3 / 2);
}

TEST_F(BackOffs, tell_who_cannot_wait_long_enough_what_others_have_found) {
  for (int i = 0; i < 3; ++i) run_failing(in(milliseconds(100'000)));
  const std::size_t before = attempts_.size();
  const Deadline deadline = in(milliseconds(1));
  EXPECT_EQ(run_failing(deadline), "attempt " + std::to_string(before));
  EXPECT_EQ(clock_->steady_now(), deadline);
  EXPECT_EQ(attempts_.size(), before);
}

TEST_F(BackOffs, attempt_nothing_after_the_deadline_once_it_has_failed) {
  const auto slow = [&]() -> int {
    clock_->advance(milliseconds(200));
    return fail();
  };
  EXPECT_THROW(back_off_.run(in(milliseconds(100)), slow), Error);
  EXPECT_EQ(attempts_.size(), 1u);
}

TEST_F(BackOffs, let_nobody_wait_because_somebody_had_too_little_time) {
  const auto late = [&]() -> int {
    clock_->advance(milliseconds(50));
    throw Error(Code::timeout, "too late");
  };
  EXPECT_THROW(back_off_.run(in(milliseconds(50)), late), Error);
  const milliseconds before = elapsed();
  EXPECT_EQ(back_off_.run(in(milliseconds(100)), [] { return 42; }), 42);
  EXPECT_EQ(elapsed(), before);
  EXPECT_THROW(back_off_.run(in(milliseconds(100)), late), Error) << "the server took its whole time";
  EXPECT_EQ(back_off_.run(in(milliseconds(100)), [] { return 42; }), 42);
  EXPECT_GT(elapsed(), before + milliseconds(50));
}

TEST_F(BackOffs, count_failures_of_one_moment_as_one) {
  // While an attempt is under way another one begins and fails; then it fails, too.
  bool is_first = true;
  const auto both = [&]() -> int {
    if (is_first) {
      is_first = false;
      run_failing(in(milliseconds(0)));
    }
    return fail();
  };
  EXPECT_THROW(back_off_.run(in(milliseconds(100'000)), both), Error);
  EXPECT_EQ(pauses()[0], milliseconds(0));
  EXPECT_LE(pauses()[1], BackOff::kFirstPause * 3 / 2);
}

}  // namespace
}  // namespace holdfast
