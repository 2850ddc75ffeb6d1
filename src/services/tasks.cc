#include "holdfast/tasks.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "holdfast/error.h"
#include "services/keys.h"
#include "services/lister.h"
#include "services/tasks_impl.h"

namespace holdfast {
namespace {

constexpr std::size_t kTrimmedPerCommit = 500;

/// Takes a transaction back whose `extra` has said so.
struct NothingToDo : std::exception {};

void each_task_entry(const Database& database, const Bytes& prefix, bool keys_only,
                     const std::function<void(const Entry&)>& look) {
  Range range = Range::prefix(prefix);
  for (bool is_more = true; is_more;) {
    const Page page = database.scan(range, {.limit = limits::kScanEntries, .keys_only = keys_only});
    for (const Entry& entry : page.entries) look(entry);
    is_more = page.more && !page.entries.empty();
    if (is_more) range.begin = page.entries.back().key + '\0';
  }
}

}  // namespace

std::optional<TaskId> Tasks::Impl::add(View type, const NewTask& task, const TaskExtra& extra, View added_by,
                                       Deadline deadline) {
  try {
    return database.transact(
        [&](Transaction& transaction) {
          std::optional<TaskId> id = moves.add(transaction, type, task, added_by);
          if (id && extra && !extra(*id, transaction)) throw NothingToDo();
          return id;
        },
        deadline);
  } catch (const NothingToDo&) {
    return std::nullopt;
  }
}

std::vector<TaskSession> Tasks::Impl::sessions() const {
  const Bytes prefix = keys().sessions();
  std::vector<TaskSession> sessions;
  each_task_entry(database, prefix, false, [&](const Entry& entry) {
    sessions.push_back(parse_session(View(entry.key).substr(prefix.size()), entry.value));
  });
  return sessions;
}

Tasks::Tasks(Database database, const TasksOptions& options)
    : impl_(std::make_shared<Impl>(std::move(database), options)) {}

std::optional<TaskId> Tasks::add(View type, const NewTask& task, const TaskExtra& extra, Deadline deadline) {
  return impl_->add(type, task, extra, {}, deadline);
}

std::optional<TaskId> Tasks::add(Transaction& transaction, View type, const NewTask& task) const {
  return impl_->moves.add(transaction, type, task, {});
}

std::optional<Task> Tasks::get(View id) const {
  validate_task_id(id);
  const Bytes keys[] = {impl_->keys().task(id), impl_->keys().dead(id)};
  for (const std::optional<Entry>& entry : impl_->database.get(keys)) {
    if (entry) return parse_task(id, entry->value);
  }
  return std::nullopt;
}

std::optional<Task> Tasks::get(Transaction& transaction, View id) const {
  validate_task_id(id);
  const Bytes keys[] = {impl_->keys().task(id), impl_->keys().dead(id)};
  for (const std::optional<Entry>& entry : transaction.get(keys)) {
    if (entry) return parse_task(id, entry->value);
  }
  return std::nullopt;
}

Listing<Task> Tasks::list(TaskState state, const std::optional<Bytes>& type,
                          const ListOptions& options) const {
  if (type) validate_task_type(*type);
  const TaskKeys& keys = impl_->keys();
  Listing<Task> listing;
  if (state == TaskState::dead) {
    listing.cursor = list_range(impl_->database, Range::prefix(keys.dead()), keys.dead(), options,
                                [&](View id, Entry& entry) -> std::size_t {
                                  Task task = parse_task(id, entry.value);
                                  if (type && task.type != *type) return 0;
                                  listing.items.push_back(std::move(task));
                                  return entry.value.size();
                                });
    return listing;
  }
  const bool is_waiting = state == TaskState::waiting;
  const Bytes prefix = is_waiting ? keys.waiting() : keys.running();
  Bytes range = prefix;
  if (type) range = is_waiting ? keys.waiting(*type) : keys.running(*type);
  std::vector<Bytes> places;
  listing.cursor =
      list_range(impl_->database, Range::prefix(range), prefix, options, [&](View place, const Entry& entry) {
        places.emplace_back(place);
        return entry.key.size();
      });
  std::vector<Bytes> task_keys;
  task_keys.reserve(places.size());
  for (const Bytes& place : places) task_keys.push_back(keys.task(task_id_of(place)));
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < places.size();) {
    const std::span rest = std::span(task_keys).subspan(i);
    for (const std::optional<Entry>& entry : impl_->database.get_page(rest)) {
      const Bytes& place = places[i++];
      if (!entry) continue;
      bytes += entry->value.size();
      Task task = parse_task(task_id_of(place), entry->value);
      if (task.state == state) listing.items.push_back(std::move(task));
    }
    if (bytes < limits::kAnswerBytes || i == places.size()) continue;
    listing.cursor = to_cursor(places[i - 1]);
    break;
  }
  return listing;
}

std::vector<TaskAttempt> Tasks::history(View id) const {
  validate_task_id(id);
  std::vector<TaskAttempt> attempts;
  each_task_entry(impl_->database, impl_->keys().attempts(id), false,
                  [&](const Entry& entry) { attempts.push_back(parse_attempt(entry.value)); });
  return attempts;
}

Listing<TaskAttempt> Tasks::history(const ListOptions& options) const {
  const Bytes prefix = impl_->keys().ended();
  Listing<TaskAttempt> listing;
  std::vector<Bytes> keys;
  listing.cursor =
      list_range(impl_->database, Range::prefix(prefix), prefix, options, [&](View, const Entry& entry) {
        keys.push_back(impl_->keys().attempt_of_ended(entry.key));
        return entry.key.size();
      });
  for (std::size_t i = 0; i < keys.size();) {
    for (const std::optional<Entry>& entry : impl_->database.get_page(std::span(keys).subspan(i))) {
      ++i;
      if (entry) listing.items.push_back(parse_attempt(entry->value));
    }
  }
  return listing;
}

std::vector<TaskSession> Tasks::sessions() const { return impl_->sessions(); }

TaskStats Tasks::stats() const {
  const auto count = [&](const Bytes& prefix) {
    std::uint64_t entries = 0;
    each_task_entry(impl_->database, prefix, true, [&](const Entry&) { ++entries; });
    return entries;
  };
  const TaskKeys& keys = impl_->keys();
  return {.waiting = count(keys.waiting()), .running = count(keys.running()), .dead = count(keys.dead())};
}

std::map<Bytes, TaskStats> Tasks::stats_by_type() const {
  std::map<Bytes, TaskStats> types;
  const auto count = [&](const Bytes& prefix, std::uint64_t TaskStats::* number) {
    each_task_entry(impl_->database, prefix, true, [&](const Entry& entry) {
      const View place = View(entry.key).substr(prefix.size());
      ++(types[unescaped_segment(place.substr(0, place.find('/')))].*number);
    });
  };
  const TaskKeys& keys = impl_->keys();
  count(keys.waiting(), &TaskStats::waiting);
  count(keys.running(), &TaskStats::running);
  each_task_entry(impl_->database, keys.dead(), false, [&](const Entry& entry) {
    ++types[parse_task(task_id_of(entry.key), entry.value).type].dead;
  });
  return types;
}

bool Tasks::cancel(View id) {
  return impl_->database.transact([&](Transaction& transaction) { return cancel(transaction, id); });
}

bool Tasks::cancel(Transaction& transaction, View id) const {
  validate_task_id(id);
  return impl_->moves.cancel(transaction, id);
}

bool Tasks::revive(View id) {
  return impl_->database.transact([&](Transaction& transaction) { return revive(transaction, id); });
}

bool Tasks::revive(Transaction& transaction, View id) const {
  validate_task_id(id);
  return impl_->moves.revive(transaction, id);
}

bool Tasks::erase_dead(View id) {
  return impl_->database.transact([&](Transaction& transaction) { return erase_dead(transaction, id); });
}

bool Tasks::erase_dead(Transaction& transaction, View id) const {
  validate_task_id(id);
  const Bytes key = impl_->keys().dead(id);
  if (!transaction.get(key)) return false;
  transaction.erase(key);
  return true;
}

std::uint64_t Tasks::trim(const TaskRetention& retention, std::uint64_t limit) {
  if (retention.max_age.count() < 0) {
    throw Error(Code::invalid_argument, "the age of kept attempts is not negative");
  }
  Database& database = impl_->database;
  const TaskKeys& keys = impl_->keys();
  Range to_remove{keys.ended(), keys.ended()};
  if (retention.max_age.count() > 0) {
    const UnixMs now_ms = database.transact([](Transaction& transaction) { return transaction.now(); });
    to_remove.end = keys.ended(now_ms - retention.max_age.count());
  }
  if (retention.max_attempts > 0) {
    std::uint64_t seen = 0;
    Range kept = Range::prefix(keys.ended());
    for (bool is_more = true; is_more && seen <= retention.max_attempts;) {
      const Page page =
          database.scan(kept, {.limit = limits::kScanEntries, .reverse = true, .keys_only = true});
      const std::uint64_t left = retention.max_attempts - seen;
      // All from the first one that is too many on, backwards.
      if (page.entries.size() > left) {
        to_remove.end = std::max(to_remove.end, page.entries[left].key + '\0');
      }
      seen += page.entries.size();
      if (seen > retention.max_attempts) break;
      is_more = page.more && !page.entries.empty();
      if (is_more) kept.end = page.entries.back().key;
    }
  }
  std::uint64_t removed = 0;
  while (removed < limit && to_remove.begin < to_remove.end) {
    const Page page = database.scan(to_remove, {.limit = kTrimmedPerCommit, .keys_only = true});
    if (page.entries.empty()) break;
    Batch batch;
    for (const Entry& entry : page.entries) {
      batch.writes.push_back(Write::erase(entry.key));
      batch.writes.push_back(Write::erase(keys.attempt_of_ended(entry.key)));
    }
    database.commit(batch);
    removed += page.entries.size();
    to_remove.begin = page.entries.back().key + '\0';
  }
  return removed;
}

}  // namespace holdfast
