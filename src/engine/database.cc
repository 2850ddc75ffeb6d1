#include <functional>
#include <utility>

#include "contract/validate.h"
#include "engine/service_keys.h"
#include "engine/transaction.h"
#include "holdfast/store.h"

namespace holdfast {
namespace {

void validate_service_keys(const Batch& batch) {
  for (const Check& check : batch.checks) {
    if (check.kind != Check::Kind::unchanged) validate_service_key(check.key);
  }
  for (const Write& write : batch.writes) {
    if (!write.key.empty() || write.kind != Write::Kind::put_stamped) validate_service_key(write.key);
  }
}

}  // namespace

Database::Database(std::shared_ptr<Engine> engine, std::shared_ptr<EngineDatabase> database)
    : engine_(std::move(engine)), database_(std::move(database)) {}

const Bytes& Database::name() const { return database_->name(); }

const Traits& Database::traits() const { return engine_->backend().traits_of(database_->name()); }

std::optional<Entry> Database::get(View key) const {
  const Engine::Call call(*engine_);
  validate_service_key(key);
  ReadAnswer answer = engine_->read(*database_, {.gets = {&key, 1}});
  return std::move(answer.gets.front());
}

std::vector<std::optional<Entry>> Database::get_page(std::span<const Bytes> keys) const {
  const Engine::Call call(*engine_);
  validate_gets(keys.size());
  for (const Bytes& key : keys) validate_service_key(key);
  const std::vector<View> views(keys.begin(), keys.end());
  return std::move(engine_->read(*database_, {.gets = views}).gets);
}

std::vector<std::optional<Entry>> Database::get(std::span<const Bytes> keys) const {
  std::vector<std::optional<Entry>> entries = get_page(keys);
  if (entries.size() == keys.size()) return entries;
  // More than one answer holds: further calls check what the first ones said, as in a transaction.
  run_transaction(
      *engine_, *database_, [&](Transaction& transaction) { entries = transaction.get(keys); }, {},
      KeySpace::service);
  return entries;
}

Page Database::scan(const Range& range, const ScanOptions& options) const {
  const Engine::Call call(*engine_);
  validate_scan(range, options);
  const std::vector<Scan> scans = visible_scans(range, options, KeySpace::service);
  return join_pages(engine_->read(*database_, {.scans = scans}).pages, options.limit);
}

Outcome Database::commit(Batch batch, Deadline deadline) {
  const Engine::Call call(*engine_);
  validate_service_keys(batch);
  return engine_->commit(*database_, std::move(batch), deadline);
}

void Database::submit(Batch batch, CommitDone done, Deadline deadline) {
  const Engine::Call call(*engine_);
  validate_service_keys(batch);
  engine_->submit(database_, std::move(batch), std::move(done), deadline);
}

void Database::submit_transaction(const std::function<void(Transaction&)>& body, CommitDone done,
                                  Deadline deadline) {
  holdfast::submit_transaction(*engine_, database_, body, std::move(done), deadline);
}

Seq Database::put(View key, View value, std::optional<UnixMs> expires_at_ms) {
  Batch batch;
  batch.writes.push_back(Write::put(key, value, expires_at_ms));
  return commit(std::move(batch)).seq;
}

Seq Database::erase(View key) {
  Batch batch;
  batch.writes.push_back(Write::erase(key));
  return commit(std::move(batch)).seq;
}

Position Database::run(const std::function<void(Transaction&)>& body, Deadline deadline) {
  return run_transaction(*engine_, *database_, body, deadline, KeySpace::service);
}

Position Database::position() const {
  const Engine::Call call(*engine_);
  return engine_->read(*database_, {}).at;
}

Changes Database::changes(Position since, const Range& range, std::size_t limit, bool keys_only) const {
  const Engine::Call call(*engine_);
  validate_scan(range, {.limit = limit});
  Changes changes = engine_->backend().changes(database_->name(), {.since = since,
                                                                   .range = range,
                                                                   .limit = limit,
                                                                   .keys_only = keys_only,
                                                                   .deadline = engine_->deadline({})});
  if (hides_engine_keys(range)) {
    std::erase_if(changes.items, [](const Change& change) { return change.key.starts_with('!'); });
  }
  return changes;
}

}  // namespace holdfast
