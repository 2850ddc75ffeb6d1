// Input that Ctrl-C ends, whenever it comes. Each case is a process of its own, since a signal is for all of
// one.
#include "cli/input.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <string>
#include <thread>

#include "cli/exit.h"
#include "cli/interrupt.h"
#include "holdfast/error.h"

namespace holdfast::cli {
namespace {

constexpr int kInterrupted = 3;

/// A standard input that nobody writes to and nobody closes.
std::array<int, 2> silent_input() {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0 || dup2(ends[0], STDIN_FILENO) != STDIN_FILENO) _exit(1);
  // A wait that is never ended ends the test all the same.
  alarm(60);
  return ends;
}

[[noreturn]] void read_to_the_end() {
  try {
    read_whole("-", 1'000);
  } catch (const Interrupted&) {
    _exit(kInterrupted);
  }
  _exit(0);
}

TEST(InputDeathTest, AnInterruptBeforeTheReadEndsIt) {
  EXPECT_EXIT(
      {
        silent_input();
        listen_for_interrupts();
        raise(SIGINT);
        read_to_the_end();
      },
      testing::ExitedWithCode(kInterrupted), "");
}

TEST(InputDeathTest, AnInterruptThatAnotherThreadTakesEndsARead) {
  EXPECT_EXIT(
      {
        silent_input();
        listen_for_interrupts();
        std::thread other([] { pthread_kill(pthread_self(), SIGTERM); });
        other.detach();
        read_to_the_end();
      },
      testing::ExitedWithCode(kInterrupted), "");
}

TEST(InputDeathTest, WhatIsThereIsReadWithoutWaitingForMore) {
  EXPECT_EXIT(
      {
        const auto ends = silent_input();
        if (write(ends[1], "abc", 3) != 3) _exit(1);
        std::string text(100, ' ');
        Input input("-");
        text.resize(input.read(text.data(), text.size()));
        _exit(text == "abc" ? kInterrupted : 1);
      },
      testing::ExitedWithCode(kInterrupted), "");
}

TEST(InterruptDeathTest, WhatMayBeEndedAtAnyMomentEndsAtOnce) {
  EXPECT_EXIT(
      {
        listen_for_interrupts();
        end_at_once_when_interrupted("nothing was changed");
        raise(SIGTERM);
        _exit(0);
      },
      testing::ExitedWithCode(kExitInterrupted), "nothing was changed");
}

TEST(Input, AFileThatIsNotThereIsAnErrorThatNamesIt) {
  try {
    Input input("/nowhere/at all");
    FAIL() << "it was opened";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::not_found);
    EXPECT_NE(std::string(error.what()).find("/nowhere/at all"), std::string::npos);
  }
}

TEST(Input, AFolderCannotBeRead) { EXPECT_THROW(read_whole("/", 1'000), Error); }

TEST(Input, MoreThanTheLimitIsRefused) {
  EXPECT_THROW(read_whole("/dev/zero", 100'000), UsageError);
  EXPECT_EQ(read_whole("/dev/null", 0), "");
}

}  // namespace
}  // namespace holdfast::cli
