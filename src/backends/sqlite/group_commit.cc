#include "backends/sqlite/group_commit.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>

#include "contract/answer.h"

namespace holdfast::sqlite {
namespace {

/// Whether judging each batch after the writes of those before it gives what judging all on the state before
/// the group does. The engine sends only such groups; where that is not plain to see here, it is not assumed.
bool is_sequential(const Group& group) {
  if (group.batches.size() == 1) return true;
  absl::flat_hash_map<View, std::size_t> writer_of;
  for (std::size_t i = 0; i < group.batches.size(); ++i) {
    for (const Write& write : group.batches[i].writes) {
      if (write.kind == Write::Kind::put_stamped) return false;
      const auto [writer, is_first] = writer_of.try_emplace(write.key, i);
      if (!is_first && writer->second != i) writer->second = group.batches.size();
    }
  }
  for (std::size_t i = 0; i < group.batches.size(); ++i) {
    for (const Check& check : group.batches[i].checks) {
      if (check.kind == Check::Kind::unchanged) return false;
      const auto writer = writer_of.find(check.key);
      if (writer != writer_of.end() && writer->second != i) return false;
    }
  }
  return true;
}

}  // namespace

bool GroupCommit::apply(Group& group) {
  log_.discard();
  std::optional<DatabaseRow> found = databases_.find(group.database);
  std::optional<SessionRecord> last;
  if (found) last = sessions_.find(*found, group.session);
  if (judge_session(last ? &*last : nullptr, group) == SessionVerdict::recorded) {
    group.outcomes = std::move(last->outcomes);
    group.at = last->at;
    return false;
  }
  DatabaseRow row = found.value_or(DatabaseRow{});
  const UnixMs time_ms = admit_commit(row.head, group);
  const bool importing = row.head.fence.state == Fence::State::importing;
  const bool at_once = found && !importing && is_sequential(group);
  const std::size_t applied = at_once ? judge_and_write(group, row, time_ms) : judge(group, row, time_ms);
  group.at = row.head.position();
  if (!must_record(group, applied)) return false;

  row.head.time_ms = time_ms;
  if (!found) {
    while (row.head.history == 0) row.head.history = random_->next();
    databases_.insert(group.database, row);
  }
  if (!at_once) write(group, row, time_ms);
  log_.flush(row.id);
  group.at = row.head.position();
  const SessionRecord record{group.number, group.content_hash, group.outcomes, group.at, time_ms};
  sessions_.save(row, group.session, record, !last);
  databases_.advance(row);
  return true;
}

std::size_t GroupCommit::judge(Group& group, const DatabaseRow& row, UnixMs time_ms) {
  const bool importing = row.head.fence.state == Fence::State::importing;
  std::size_t applied = 0;
  group.outcomes.clear();
  group.outcomes.reserve(group.batches.size());
  Seq seq = row.head.seq;
  for (const Batch& batch : group.batches) {
    Outcome outcome;
    outcome.failed_check = judge_.first_failed(row.id, row.head.floor, batch.checks, time_ms);
    if (outcome.committed()) ++applied;
    if (outcome.committed() && !importing) outcome.seq = ++seq;
    group.outcomes.push_back(outcome);
  }
  return applied;
}

void GroupCommit::write(const Group& group, DatabaseRow& row, UnixMs time_ms) {
  const bool importing = row.head.fence.state == Fence::State::importing;
  for (std::size_t i = 0; i < group.batches.size(); ++i) {
    if (!group.outcomes[i].committed()) continue;
    const Seq seq = group.outcomes[i].seq;
    write_batch(row.id, group.batches[i], nullptr, seq, time_ms);
    if (!importing) row.head.seq = seq;
  }
}

std::size_t GroupCommit::judge_and_write(Group& group, DatabaseRow& row, UnixMs time_ms) {
  const Seq before = row.head.seq;
  group.outcomes.clear();
  group.outcomes.reserve(group.batches.size());
  for (const Batch& batch : group.batches) {
    Outcome outcome;
    outcome.failed_check = judge_and_write(batch, row, row.head.seq + 1, time_ms);
    if (outcome.committed()) outcome.seq = ++row.head.seq;
    group.outcomes.push_back(outcome);
  }
  return row.head.seq - before;
}

std::optional<std::size_t> GroupCommit::judge_and_write(const Batch& batch, const DatabaseRow& row, Seq seq,
                                                        UnixMs time_ms) {
  const Write* fused = nullptr;
  if (!batch.checks.empty()) {
    // Only the last check can be judged by writing: when one after it fails nothing must have been written.
    const std::span<const Check> checks = batch.checks;
    const Check& last = checks.back();
    const std::optional<std::size_t> failed =
        judge_.first_failed(row.id, row.head.floor, checks.first(checks.size() - 1), time_ms);
    if (failed) return failed;
    const auto write = std::find_if(batch.writes.begin(), batch.writes.end(),
                                    [&](const Write& each) { return each.key == last.key; });
    if (write != batch.writes.end() && try_fused(row.id, last, *write, seq, time_ms)) {
      fused = &*write;
    } else if (judge_.first_failed(row.id, row.head.floor, checks.last(1), time_ms)) {
      return checks.size() - 1;
    }
  }
  write_batch(row.id, batch, fused, seq, time_ms);
  return std::nullopt;
}

bool GroupCommit::try_fused(std::int64_t database, const Check& check, const Write& write, Seq seq,
                            UnixMs time_ms) {
  const bool puts = write.kind == Write::Kind::put;
  if (check.kind == Check::Kind::version && puts) {
    return entries_.try_put_if_version(database, check.key, check.version, time_ms, write.value, seq,
                                       write.expires_at_ms);
  }
  if (check.kind == Check::Kind::absent && puts) {
    return entries_.try_put_if_absent(database, check.key, write.value, seq, write.expires_at_ms);
  }
  if (check.kind == Check::Kind::version && write.kind == Write::Kind::erase) {
    return entries_.try_erase_if_version(database, check.key, check.version, time_ms);
  }
  return false;
}

void GroupCommit::write_batch(std::int64_t database, const Batch& batch, const Write* written, Seq seq,
                              UnixMs time_ms) {
  changed_.clear();
  for (const Write& write : batch.writes) {
    Bytes key = written_key(write, seq);
    if (&write == written || write_one(database, write, key, seq, time_ms))
      changed_.push_back(std::move(key));
  }
  // Commits of an import have no seq and are not logged.
  if (seq != 0 && !changed_.empty()) log_.append(database, seq, changed_);
}

bool GroupCommit::write_one(std::int64_t database, const Write& write, View key, Seq seq, UnixMs time_ms) {
  switch (write.kind) {
    case Write::Kind::put:
    case Write::Kind::put_stamped:
      entries_.put(database, key, write.value, write.version != 0 ? write.version : seq, write.expires_at_ms);
      return true;
    case Write::Kind::erase:
      return entries_.erase(database, key);
    case Write::Kind::reap:
      return entries_.reap(database, key, time_ms);
  }
  return false;
}

bool GroupCommit::recall(Group& group) {
  const std::optional<DatabaseRow> row = databases_.find(group.database);
  if (!row) return false;
  std::optional<SessionRecord> last = sessions_.find(*row, group.session);
  if (!last || last->number != group.number || last->content_hash != group.content_hash) return false;
  group.outcomes = std::move(last->outcomes);
  group.at = last->at;
  return true;
}

}  // namespace holdfast::sqlite
