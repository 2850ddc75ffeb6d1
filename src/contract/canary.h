// Canaries: faults compiled into a second build of the backends and the engine, to prove that the test suites
// catch them (docs/testing.md lists them). In every other build canary() is a constant false and the fault is
// not there at all.
#pragma once

#include <mutex>

namespace holdfast {

#ifdef HOLDFAST_CANARIES
/// Whether the canary with this number and variant ('a', 'b', ...) is the one that is seeded now.
bool canary(int number, char variant = 'a');
/// Seeds one canary; 0 seeds none.
void seed_canary(int number, char variant = 'a');
/// Lets go of a lock for a moment that is long enough for other threads to get in between: the canaries that
/// split what must be done under one lock.
void canary_gap(std::unique_lock<std::mutex>& lock);
#else
constexpr bool canary(int /*number*/, char /*variant*/ = 'a') { return false; }
inline void canary_gap(std::unique_lock<std::mutex>& /*lock*/) {}
#endif

}  // namespace holdfast
