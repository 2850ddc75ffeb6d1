// A task engine whose tasks fail, for suites that look at what is left of them.
#pragma once

#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>

#include "holdfast/task_engine.h"

namespace holdfast::testing_support {

/// Runs the tasks of a type until they are dead: each has two attempts, which fail with the text "broken".
inline void fail_all_tasks(const Tasks& tasks, const std::string& type) {
  const std::size_t count = tasks.list(TaskState::waiting, type).items.size();
  const auto fail = [](TaskWork&) -> bool { throw std::runtime_error("broken"); };
  const auto at_once = [](std::uint32_t) { return std::chrono::milliseconds(0); };
  TaskEngine engine(tasks, {{.name = type, .run = fail, .max_failures = 1, .retry_wait = at_once}});
  while (engine.metrics().failed < 2 * count) std::this_thread::yield();
  engine.stop(std::chrono::minutes(1));
}

}  // namespace holdfast::testing_support
