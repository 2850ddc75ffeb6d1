// Task engines in the process of the test, on the store that the program under test works with.
#pragma once

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include "holdfast/open.h"
#include "holdfast/store.h"
#include "holdfast/task_engine.h"

namespace holdfast::e2e {

inline std::shared_ptr<Store> store_in(const std::string& store_file) {
  return Store::open(open_backend("sqlite:" + store_file));
}

/// Runs the tasks of a type until they are dead: each has two attempts, which fail with the text "broken".
inline void fail_all_tasks(const std::string& store_file, const std::string& type) {
  const std::shared_ptr<Store> store = store_in(store_file);
  const Tasks tasks(store->database("agents"));
  const std::size_t count = tasks.list(TaskState::waiting, type).items.size();
  const auto fail = [](TaskWork&) -> bool { throw std::runtime_error("broken"); };
  const auto at_once = [](std::uint32_t) { return std::chrono::milliseconds(0); };
  TaskEngine engine(tasks, {{.name = type, .run = fail, .max_failures = 1, .retry_wait = at_once}});
  while (engine.metrics().failed < 2 * count) std::this_thread::yield();
  engine.stop(std::chrono::minutes(1));
}

}  // namespace holdfast::e2e
