// What a run of a test takes from its environment.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "holdfast/environment.h"

namespace holdfast::testing_support {

/// A number from the environment; nothing if it is not set or empty.
inline std::optional<std::uint64_t> setting(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr || *text == '\0') return std::nullopt;
  return std::strtoull(text, nullptr, 10);
}

/// A number from the environment, or `otherwise`.
inline std::uint64_t setting(const char* name, std::uint64_t otherwise) {
  return setting(name).value_or(otherwise);
}

/// HOLDFAST_SEED, or a random seed. Prints it, so that the run can be replayed.
inline std::uint64_t seed_of_this_run() {
  const auto given = setting("HOLDFAST_SEED");
  const std::uint64_t seed = given ? *given : system_random()->next();
  std::printf("HOLDFAST_SEED=%llu\n", static_cast<unsigned long long>(seed));
  return seed;
}

}  // namespace holdfast::testing_support
