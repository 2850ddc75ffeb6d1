#include "services/tasks_moves.h"

#include <algorithm>
#include <utility>

#include "holdfast/error.h"

namespace holdfast {

std::optional<Task> TaskMoves::find(Transaction& transaction, View id) const {
  const std::optional<Entry> entry = transaction.get(keys_.task(id));
  if (!entry) return std::nullopt;
  return parse_task(id, entry->value);
}

void TaskMoves::put_waiting(Transaction& transaction, Task task, UnixMs due_at_ms) const {
  task.state = TaskState::waiting;
  task.due_at_ms = due_at_ms;
  task.session.clear();
  task.started_at_ms = 0;
  transaction.put(keys_.task(task.id), text_of(task));
  transaction.put(keys_.waiting(task.type, due_at_ms, task.id), {});
}

void TaskMoves::free_unique_key(Transaction& transaction, const Task& task) const {
  if (!task.unique_key.empty()) transaction.erase(keys_.unique(task.type, task.unique_key));
}

void TaskMoves::bury(Transaction& transaction, Task task) const {
  task.state = TaskState::dead;
  task.died_at_ms = transaction.now();
  task.session.clear();
  task.started_at_ms = 0;
  free_unique_key(transaction, task);
  transaction.erase(keys_.task(task.id));
  transaction.put(keys_.dead(task.id), text_of(task));
}

std::optional<TaskId> TaskMoves::add(Transaction& transaction, View type, const NewTask& task,
                                     View added_by) const {
  validate_new_task(type, task);
  Task added;
  added.id = new_task_id(transaction.now(), *random_);
  if (!task.unique_key.empty()) {
    const Bytes key = keys_.unique(type, task.unique_key);
    if (transaction.get(key)) return std::nullopt;
    transaction.put(key, added.id);
  }
  added.type = type;
  added.body = task.body;
  added.added_at_ms = transaction.now();
  added.added_by = added_by;
  added.previous = task.previous;
  added.unique_key = task.unique_key;
  put_waiting(transaction, added, transaction.now() + task.delay.count());
  return added.id;
}

Claimed TaskMoves::claim(Transaction& transaction, const ClaimRules& rules,
                         std::span<const TaskId> ids) const {
  const std::optional<Entry> session = transaction.get(keys_.session(rules.session));
  if (!session || parse_session(rules.session, session->value).is_over) return {.is_session_over = true};
  std::size_t room = rules.room;
  if (rules.max_running_total > 0) {
    const Page running = transaction.scan(Range::prefix(keys_.running(rules.type)),
                                          {.limit = rules.max_running_total, .keys_only = true});
    room = std::min(room, rules.max_running_total - running.entries.size());
    if (room == 0) return {};
  }
  std::vector<Bytes> task_keys;
  task_keys.reserve(ids.size());
  for (const TaskId& id : ids) task_keys.push_back(keys_.task(id));
  const std::vector<std::optional<Entry>> entries = transaction.get(task_keys);
  Claimed claimed;
  for (std::size_t i = 0; i < ids.size() && claimed.tasks.size() < room; ++i) {
    if (!entries[i]) continue;
    Task task = parse_task(ids[i], entries[i]->value);
    if (task.state != TaskState::waiting || task.due_at_ms > transaction.now()) continue;
    transaction.erase(keys_.waiting(task.type, task.due_at_ms, task.id));
    // A crash may have used up the last one, and who noticed it need not know the type.
    if (rules.max_failures > 0 && task.retries > rules.max_failures) {
      bury(transaction, std::move(task));
      continue;
    }
    task.state = TaskState::running;
    ++task.attempts;
    task.session = rules.session;
    task.started_at_ms = transaction.now();
    transaction.put(keys_.task(task.id), text_of(task));
    transaction.put(keys_.running(task.type, task.id), task.session);
    claimed.tasks.push_back(std::move(task));
  }
  return claimed;
}

bool TaskMoves::is_owned(Transaction& transaction, const Task& running) const {
  const std::optional<Task> task = find(transaction, running.id);
  return task && task->state == TaskState::running && task->session == running.session &&
         task->attempts == running.attempts;
}

bool TaskMoves::end(Transaction& transaction, const Task& running, const AttemptEnd& end) const {
  if (!is_owned(transaction, running)) return false;
  finish(transaction, running, end);
  return true;
}

void TaskMoves::finish(Transaction& transaction, Task task, const AttemptEnd& end) const {
  const UnixMs now_ms = transaction.now();
  const TaskAttempt attempt{.task = task.id,
                            .type = task.type,
                            .number = task.attempts,
                            .session = task.session,
                            .started_at_ms = task.started_at_ms,
                            .ended_at_ms = now_ms,
                            .result = end.result,
                            .error = task_error(end.error)};
  transaction.put(keys_.attempt(task.id, attempt.number), text_of(attempt));
  transaction.put(keys_.ended(attempt), {});
  transaction.erase(keys_.running(task.type, task.id));
  if (!attempt.error.empty()) task.error = attempt.error;
  switch (end.result) {
    case AttemptResult::done:
      free_unique_key(transaction, task);
      transaction.erase(keys_.task(task.id));
      return;
    case AttemptResult::failed:
      if (end.max_failures > 0 && task.retries >= end.max_failures) {
        ++task.retries;
        return bury(transaction, std::move(task));
      }
      ++task.retries;
      return put_waiting(transaction, std::move(task), now_ms + end.wait.count());
    case AttemptResult::lost:
      ++task.retries;
      return put_waiting(transaction, std::move(task), now_ms);
    case AttemptResult::deferred:
      return put_waiting(transaction, std::move(task), now_ms + end.wait.count());
    case AttemptResult::released:
      return put_waiting(transaction, std::move(task), now_ms);
  }
}

bool TaskMoves::cancel(Transaction& transaction, View id) const {
  const std::optional<Task> task = find(transaction, id);
  if (!task) return false;
  transaction.erase(task->state == TaskState::running ? keys_.running(task->type, id)
                                                      : keys_.waiting(task->type, task->due_at_ms, id));
  free_unique_key(transaction, *task);
  transaction.erase(keys_.task(id));
  return true;
}

bool TaskMoves::revive(Transaction& transaction, View id) const {
  const std::optional<Entry> entry = transaction.get(keys_.dead(id));
  if (!entry) return false;
  Task task = parse_task(id, entry->value);
  if (!task.unique_key.empty()) {
    const Bytes key = keys_.unique(task.type, task.unique_key);
    if (transaction.get(key)) {
      throw Error(Code::already_exists, "a dead task is to be revived, but another one has its unique key");
    }
    transaction.put(key, task.id);
  }
  transaction.erase(keys_.dead(id));
  task.retries = 0;
  task.died_at_ms = 0;
  put_waiting(transaction, std::move(task), transaction.now());
  return true;
}

// ---- Sessions

void TaskMoves::begin_session(Transaction& transaction, View id, std::chrono::milliseconds lease) const {
  const UnixMs now_ms = transaction.now();
  transaction.put(keys_.session(id),
                  text_of(TaskSession{
                      .id = Bytes(id), .started_at_ms = now_ms, .lease_ends_at_ms = now_ms + lease.count()}));
}

bool TaskMoves::keep_session(Transaction& transaction, View id, std::chrono::milliseconds lease) const {
  const std::optional<Entry> entry = transaction.get(keys_.session(id));
  if (!entry) return false;
  TaskSession session = parse_session(id, entry->value);
  if (session.is_over) return false;
  session.lease_ends_at_ms = transaction.now() + lease.count();
  transaction.put(keys_.session(id), text_of(session));
  return true;
}

void TaskMoves::end_session(Transaction& transaction, View id) const { transaction.erase(keys_.session(id)); }

bool TaskMoves::bury_session(Transaction& transaction, View id) const {
  const std::optional<Entry> entry = transaction.get(keys_.session(id));
  if (!entry) return false;
  TaskSession session = parse_session(id, entry->value);
  if (session.is_over) return true;
  if (session.lease_ends_at_ms > transaction.now()) return false;
  session.is_over = true;
  transaction.put(keys_.session(id), text_of(session));
  return true;
}

std::size_t TaskMoves::take_over(Transaction& transaction, View session, std::span<const TaskId> ids) const {
  std::vector<Bytes> task_keys;
  task_keys.reserve(ids.size());
  for (const TaskId& id : ids) task_keys.push_back(keys_.task(id));
  const std::vector<std::optional<Entry>> entries = transaction.get(task_keys);
  std::size_t taken = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (!entries[i]) continue;
    const Task task = parse_task(ids[i], entries[i]->value);
    if (task.state != TaskState::running || task.session != session) continue;
    finish(transaction, task,
           {.result = AttemptResult::lost, .error = "the session that ran it has ended without a word"});
    ++taken;
  }
  return taken;
}

}  // namespace holdfast
