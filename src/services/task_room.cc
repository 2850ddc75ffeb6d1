#include "services/task_room.h"

#include <algorithm>
#include <utility>

namespace holdfast {

TaskRoom::TaskRoom(std::size_t max_running, TaskResources resources, const std::vector<TaskType>& types)
    : max_running_(max_running), free_(std::move(resources)) {
  for (const TaskType& type : types) {
    types_.push_back({.cost = type.cost, .max_running = type.max_running});
    std::erase_if(types_.back().cost, [](const auto& each) { return each.second == 0; });
    // So that there is an entry for whatever is asked for.
    for (const auto& [name, amount] : types_.back().cost) free_.try_emplace(name, 0);
  }
}

std::size_t TaskRoom::for_type(std::size_t type) const {
  const OfType& of = types_[type];
  std::size_t room = free();
  if (of.max_running > 0) room = std::min(room, of.max_running - of.running);
  for (const auto& [name, amount] : of.cost) {
    room = static_cast<std::size_t>(std::min<std::uint64_t>(room, free_.at(name) / amount));
  }
  return room;
}

void TaskRoom::take(std::size_t type) {
  ++running_;
  ++types_[type].running;
  for (const auto& [name, amount] : types_[type].cost) free_.at(name) -= amount;
}

void TaskRoom::give_back(std::size_t type) {
  --running_;
  --types_[type].running;
  for (const auto& [name, amount] : types_[type].cost) free_.at(name) += amount;
}

}  // namespace holdfast
