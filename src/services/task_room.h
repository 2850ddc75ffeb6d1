// How many tasks of each type an engine may run besides those that it does. Not thread-safe.
#pragma once

#include <cstddef>
#include <vector>

#include "holdfast/task_engine.h"

namespace holdfast {

class TaskRoom {
 public:
  TaskRoom(std::size_t max_running, TaskResources resources, const std::vector<TaskType>& types);

  /// Of the type with this index.
  std::size_t for_type(std::size_t type) const;
  std::size_t free() const { return max_running_ - running_; }
  void take(std::size_t type);
  void give_back(std::size_t type);

 private:
  struct OfType {
    TaskResources cost;
    std::size_t max_running = 0;
    std::size_t running = 0;
  };
  std::size_t max_running_;
  std::size_t running_ = 0;
  TaskResources free_;
  std::vector<OfType> types_;
};

}  // namespace holdfast
