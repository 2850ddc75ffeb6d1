#include "backends/file/lane.h"

#include <algorithm>

#include "backends/file/crc32c.h"
#include "contract/answer.h"
#include "contract/assert.h"
#include "contract/canary.h"
#include "contract/head.h"

namespace holdfast::file {
namespace {

// Groups that go beyond this are written as a further record.
constexpr std::size_t kRecordBytes = 16u << 20;

/// The error of a commit, or of a call like one, that was certainly not applied.
Error not_applied(const Error& error) {
  const Retry retry = error.retry() == Retry::unknown_outcome ? Retry::backoff : error.retry();
  return {error.code(), retry, std::string("nothing was committed: ") + error.what()};
}

}  // namespace

std::size_t lane_of(View database) { return crc32c(database) % kLanes; }

Lane::Lane(LaneOptions options, const Environment& environment, LaneRequests requests)
    : options_(std::move(options)),
      environment_(environment),
      requests_(std::move(requests)),
      turn_(environment_.clock),
      log_(options_.log, environment, files_),
      deputy_(turn_, environment_.clock) {
  checkpoint_ = recover_lane(options_, environment_, contents_, files_, log_);
  checkpoint_at_bytes_ = std::max(options_.checkpoint_size_bytes, checkpoint_.size_bytes);
}

bool Lane::commit_in_turn(std::span<Group> groups) {
  const std::uint64_t before = log_.last_sequence();
  begin_record();
  for (Group& group : groups) {
    if (lane_of(group.database) != options_.log.lane) continue;
    group.outcomes.clear();
    group.error.reset();
    const bool is_pending = std::any_of(pending_.begin(), pending_.end(), [&](const Pending& pending) {
      return pending.group->database == group.database;
    });
    if (is_pending || record_.size() > kRecordBytes) write_pending();
    try {
      judge(group);
    } catch (const Error& error) {
      group.error = error;
    }
  }
  write_pending();
  ask_for_work();
  return log_.last_sequence() != before;
}

void Lane::judge(Group& group) {
  const Database* database = contents_.find_as_writer(group.database);
  const SessionRecord* last = database == nullptr ? nullptr : database->sessions().find(group.session);
  if (judge_session(last, group) == SessionVerdict::recorded) {
    group.outcomes = last->outcomes;
    group.at = last->at;
    return;
  }
  static const Database kNothing{Bytes()};
  const Database& state = database == nullptr ? kNothing : *database;
  const Head& head = state.head();
  const UnixMs time_ms = admit_commit(head, group);
  const bool importing = head.fence.state == Fence::State::importing;
  Seq seq = head.seq;
  std::size_t applied = 0;
  group.outcomes.resize(group.batches.size());
  for (std::size_t i = 0; i < group.batches.size(); ++i) {
    const std::vector<Check>& checks = group.batches[i].checks;
    Outcome& outcome = group.outcomes[i];
    for (std::size_t c = 0; c < checks.size() && !outcome.failed_check; ++c) {
      if (!state.holds(checks[c], time_ms)) outcome.failed_check = c;
    }
    if (!outcome.committed()) continue;
    ++applied;
    if (!importing) outcome.seq = ++seq;
  }
  group.at = head.position();
  if (!must_record(group, applied)) return;
  if (log_.in_doubt()) {
    try {
      end_doubt();
    } catch (const Error& error) {
      group.outcomes.clear();
      // The record in doubt may hold the first copy of a retried group.
      throw group.retry ? error.with_unknown_outcome() : not_applied(error);
    }
  }
  const std::uint64_t history = importing || head.history != 0 ? head.history : new_history();
  encode(group, head, history, time_ms);
  pending_.push_back({&group, {history, seq}});
}

void Lane::encode(const Group& group, const Head& head, std::uint64_t history, UnixMs time_ms) {
  const Database* database = contents_.find_as_writer(group.database);
  GroupItem item;
  item.database = group.database;
  item.history = history;
  item.base_seq = head.seq;
  item.time_ms = time_ms;
  item.creates = !head.exists();
  item.importing = head.fence.state == Fence::State::importing;
  item.session = group.session;
  item.number = group.number;
  item.content_hash = group.content_hash;
  GroupEncoder encoder(record_);
  encoder.begin(item, group.outcomes);
  std::uint64_t commit = 0;
  for (std::size_t i = 0; i < group.batches.size(); ++i) {
    if (!group.outcomes[i].committed()) continue;
    for (const Write& write : group.batches[i].writes) {
      switch (write.kind) {
        case Write::Kind::put:
          encoder.put(commit, write.key, {}, {}, write.value, write.expires_at_ms, write.version);
          break;
        case Write::Kind::put_stamped:
          encoder.put(commit, write.key, stamp(group.outcomes[i].seq), write.suffix, write.value,
                      write.expires_at_ms, 0);
          break;
        case Write::Kind::erase:
        case Write::Kind::reap: {
          const std::optional<Stored> stored =
              database == nullptr ? std::nullopt : database->index().find(write.key);
          const bool goes = stored && (write.kind == Write::Kind::erase || stored->expires_at_ms <= time_ms);
          if (goes) encoder.erase(commit, write.key);
          break;
        }
      }
    }
    ++commit;
  }
  encoder.end();
}

void Lane::write_pending() {
  if (!pending_.empty()) {
    try {
      write_record();
      for (const Pending& pending : pending_) pending.group->at = pending.at;
    } catch (const Error& error) {
      for (const Pending& pending : pending_) {
        pending.group->outcomes.clear();
        pending.group->error = error;
      }
    }
  }
  begin_record();
}

void Lane::write_record() {
  const std::size_t size = record_.size();
  if (canary(20, 'f'))
    contents_.apply(record_.view(kFrameBytes, size - kFrameBytes), {}, log_.last_sequence() + 1);
  LogWriter::Place place;
  try {
    place = log_.append(record_);
  } catch (const Error& error) {
    if (!log_.in_doubt()) throw not_applied(error);
    try {
      end_doubt();
    } catch (const Error& second) {
      throw second.with_unknown_outcome();
    }
    throw not_applied(error);
  }
  const View body = record_.view(kFrameBytes, size - kFrameBytes);
  contents_.apply(body, ValuePlace{place.file, place.offset, body}, place.sequence);
}

void Lane::end_doubt() {
  if (log_.in_doubt()) log_.repair();
}

void Lane::compact_in_turn(View name, Seq before) {
  Head head = head_of(name);
  const Seq floor = raised_floor(head, before);
  if (!head.exists() || floor == head.floor) return;
  while (canary(16, 'f') && contents_.find_as_writer(name)->trim_log(floor)) continue;
  if (!canary(16, 'f')) head.floor = floor;
  end_doubt();
  begin_record();
  encode_head_item(record_, name, head);
  write_record();
}

bool Lane::fence_in_turn(View name, const Fence& expected, const Fence& next) {
  const Head head = head_of(name);
  const std::optional<Head> after = apply_fence(head, expected, next);
  if (!after) return false;
  if (head.exists() && after->fence == head.fence) return true;
  end_doubt();
  begin_record();
  encode_head_item(record_, name, *after);
  write_record();
  return true;
}

bool Lane::drop_in_turn(View name, std::uint64_t history) {
  const Head head = head_of(name);
  if (!head.exists() || head.history != history) return false;
  end_doubt();
  begin_record();
  encode_drop_item(record_, name, history);
  write_record();
  return true;
}

void Lane::change_histories() {
  const std::lock_guard lock(turn_);
  for (const std::shared_ptr<Database>& database : contents_.databases()) {
    Head head = database->head();
    if (head.history == 0) continue;
    head.history = new_history();
    begin_record();
    encode_head_item(record_, database->name(), head);
    write_record();
  }
  log_.sync();
}

Head Lane::head_of(View name) const {
  const Database* database = contents_.find_as_writer(name);
  return database == nullptr ? Head{} : database->head();
}

std::uint64_t Lane::new_history() {
  std::uint64_t history = 0;
  while (history == 0) history = environment_.random->next();
  return history;
}

void Lane::begin_record() {
  record_.clear();
  record_.extend(kFrameBytes);
  pending_.clear();
}

void Lane::ask_for_work() {
  const std::uint64_t spare_bytes = log_.wanted_spare_bytes();
  if (spare_bytes != 0) requests_.prepare(options_.log.lane, spare_bytes);
  if (!checkpoint_is_asked_ && log_.written_bytes() >= checkpoint_at_bytes_) {
    checkpoint_is_asked_ = true;
    requests_.checkpoint(options_.log.lane);
  }
}

}  // namespace holdfast::file
