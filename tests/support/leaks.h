// Whether a process keeps something of what it has let go.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

namespace holdfast::testing_support {

/// Memory of a process that it shares with nobody, in bytes; nothing if it is not one of this machine.
inline std::optional<std::uint64_t> private_bytes(const std::string& process = "self") {
  std::ifstream status("/proc/" + process + "/status");
  for (std::string word; status >> word;) {
    std::uint64_t kib = 0;
    if (word == "RssAnon:" && status >> kib) return kib << 10;
  }
  return std::nullopt;
}

inline std::int64_t open_descriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                       std::filesystem::directory_iterator{});
}

/// The address sanitizer keeps what is freed for a while, and finds by itself what nobody points to.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool kKeepsFreedMemory = true;
#else
inline constexpr bool kKeepsFreedMemory = false;
#endif
#else
inline constexpr bool kKeepsFreedMemory = false;
#endif

/// `reconnect`, called that often, leaves no descriptor and no memory behind. What is kept for the next time
/// is there after the first hundred calls; the memory of 10,000 is allowed to be 8 MiB more then, which is
/// 800 bytes each.
template <class Reconnect>
void expect_no_leak(std::uint64_t times, const Reconnect& reconnect) {
  std::int64_t descriptors = 0;
  std::uint64_t memory_bytes = 0;
  for (std::uint64_t i = 0; i < times; ++i) {
    if (i == std::min<std::uint64_t>(100, times / 2)) {
      descriptors = open_descriptors();
      memory_bytes = private_bytes().value_or(0);
    }
    reconnect();
    if (testing::Test::HasFatalFailure()) return;
  }
  std::printf("%llu reconnects: descriptors %lld, then %lld; memory %llu KiB, then %llu KiB\n",
              static_cast<unsigned long long>(times), static_cast<long long>(descriptors),
              static_cast<long long>(open_descriptors()), static_cast<unsigned long long>(memory_bytes >> 10),
              static_cast<unsigned long long>(private_bytes().value_or(0) >> 10));
  EXPECT_LE(open_descriptors(), descriptors + 1);
  if (kKeepsFreedMemory) return;
  EXPECT_LE(private_bytes().value_or(0), memory_bytes + (std::uint64_t{8} << 20));
}

}  // namespace holdfast::testing_support
