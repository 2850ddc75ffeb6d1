// Which thread does a lane's work, and how long those who asked for it wait.
#include <algorithm>
#include <chrono>
#include <utility>

#include "backends/file/lane.h"
#include "holdfast/error.h"

namespace holdfast::file {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// A disk that takes as long as this for one write is not trusted ...
constexpr milliseconds kSlowWrite{250};
/// ... for this long.
constexpr seconds kSlowTime{10};

/// A default-constructed deadline is none.
Deadline given(Deadline deadline) { return deadline == Deadline{} ? Deadline::max() : deadline; }

Error too_late(bool was_begun) {
  if (was_begun) {
    return {Code::timeout, Retry::unknown_outcome,
            "the deadline passed while the disk had not answered yet; it may be done later"};
  }
  return {Code::timeout, Retry::backoff,
          "the deadline passed while the disk was busy with what came before; nothing was done: check the "
          "disk, or try again with a later deadline"};
}

void refuse(Group& group, const Error& error) {
  group.outcomes.clear();
  // Its first copy may be what the disk is busy with.
  group.error = group.retry ? error.with_unknown_outcome() : error;
}

}  // namespace

template <class Work>
auto Lane::measured(Work&& work) {
  const Deadline begin = environment_.clock->steady_now();
  const auto result = work();
  const Deadline end = environment_.clock->steady_now();
  if (end - begin >= kSlowWrite) slow_until_ = end + kSlowTime;
  return result;
}

Lane::Demand Lane::demand_of(std::span<const Group> groups) const {
  constexpr std::uint64_t kGroupOverhead = 2 * kDurableAlignment;
  constexpr std::uint64_t kWriteOverhead = 64;
  Demand demand;
  for (const Group& group : groups) {
    if (lane_of(group.database) != options_.log.lane) continue;
    demand.deadline = std::min(demand.deadline, given(group.deadline));
    demand.record_bytes += kGroupOverhead;
    for (const Batch& batch : group.batches) {
      demand.record_bytes += kWriteOverhead;
      for (const Write& write : batch.writes) {
        demand.record_bytes += write.key.size() + write.suffix.size() + write.value.size() + kWriteOverhead;
      }
    }
  }
  return demand;
}

bool Lane::may_write_here(const Demand& demand) const {
  return !options_.strict_deadlines && !log_.in_doubt() && log_.has_room_for(demand.record_bytes) &&
         environment_.clock->steady_now() >= slow_until_;
}

void Lane::commit(std::span<Group> groups) {
  const Demand demand = demand_of(groups);
  if (!turn_.try_lock_until(demand.deadline)) {
    for (Group& group : groups) {
      if (lane_of(group.database) == options_.log.lane) refuse(group, too_late(false));
    }
    return;
  }
  std::unique_lock turn(turn_, std::adopt_lock);
  if (!may_write_here(demand)) {
    turn.unlock();
    commit_by_deputy(groups, demand.deadline);
    return;
  }
  const bool is_changed = measured([&] { return commit_in_turn(groups); });
  turn.unlock();
  if (is_changed) requests_.changed();
}

void Lane::commit_by_deputy(std::span<Group> groups, Deadline deadline) {
  std::vector<Group*> mine;
  // Copies, since the caller may go before they are written.
  const auto copies = std::make_shared<std::vector<Group>>();
  for (Group& group : groups) {
    if (lane_of(group.database) != options_.log.lane) continue;
    mine.push_back(&group);
    copies->push_back(group);
  }
  try {
    by_deputy(
        [this, copies] {
          if (measured([&] { return commit_in_turn(*copies); })) requests_.changed();
        },
        deadline);
  } catch (const Error& error) {
    for (Group* group : mine) refuse(*group, error);
    return;
  }
  for (std::size_t i = 0; i < mine.size(); ++i) {
    mine[i]->outcomes = std::move((*copies)[i].outcomes);
    mine[i]->at = (*copies)[i].at;
    mine[i]->error = std::move((*copies)[i].error);
  }
}

void Lane::by_deputy(std::function<void()> task, Deadline deadline) {
  const Deputy::End end = deputy_.run(std::move(task), given(deadline));
  if (end != Deputy::End::done) throw too_late(end == Deputy::End::under_way);
}

void Lane::compact(View name, Seq before, Deadline deadline) {
  by_deputy([this, name = Bytes(name), before] { compact_in_turn(name, before); }, deadline);
  // Nobody sees the rows any more. Those that are left at the deadline are freed by the next compaction.
  while (turn_.try_lock_until(given(deadline))) {
    std::unique_lock turn(turn_, std::adopt_lock);
    if (!free_log_rows(name)) return;
    turn.unlock();
    requests_.between_steps();
  }
}

bool Lane::free_log_rows(View name) {
  Database* const database = contents_.find_as_writer(name);
  if (database == nullptr) return false;
  const std::unique_lock lock(database->lock);
  return database->trim_log(database->head().floor);
}

bool Lane::fence(View name, const Fence& expected, const Fence& next, Deadline deadline) {
  const auto is_done = std::make_shared<bool>(false);
  by_deputy(
      [this, is_done, name = Bytes(name), expected, next] {
        *is_done = fence_in_turn(name, expected, next);
        if (*is_done) requests_.changed();
      },
      deadline);
  return *is_done;
}

bool Lane::drop(View name, std::uint64_t history, Deadline deadline) {
  const auto is_done = std::make_shared<bool>(false);
  by_deputy(
      [this, is_done, name = Bytes(name), history] {
        *is_done = drop_in_turn(name, history);
        if (*is_done) requests_.changed();
      },
      deadline);
  return *is_done;
}

}  // namespace holdfast::file
