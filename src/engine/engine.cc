#include "engine/engine.h"

#include <algorithm>

#include "contract/validate.h"
#include "engine/batch_rules.h"
#include "engine/transaction.h"

namespace holdfast {

Engine::Engine(std::unique_ptr<Backend> backend, StoreOptions options)
    : options_(std::move(options)), backend_(std::move(backend)), traits_(backend_->traits()) {
  options_.environment = options_.environment.completed();
  parts_ = std::make_unique<EngineParts>(*this);
}

Engine::~Engine() { close(); }

UnixMs Engine::now_ms() {
  const UnixMs now = clock().now_ms();
  UnixMs newest = newest_now_ms_.load(std::memory_order_relaxed);
  while (now > newest) {
    if (newest_now_ms_.compare_exchange_weak(newest, now, std::memory_order_relaxed)) return now;
  }
  return newest;
}

Deadline Engine::deadline(Deadline given) {
  return given == Deadline{} ? clock().steady_now() + options_.timeout : given;
}

std::shared_ptr<EngineDatabase> Engine::database(View name) {
  validate_database_name(name);
  const Call call(*this);
  const std::scoped_lock lock(registry_mutex_);
  const auto found = databases_.find(name);
  if (found != databases_.end()) return found->second;
  if (databases_.size() >= forget_at_) forget_unused();
  auto database = std::make_shared<EngineDatabase>(Bytes(name), committer_of(name));
  databases_.emplace(Bytes(name), database);
  return database;
}

std::shared_ptr<Committer> Engine::committer_of(View name) {
  std::shared_ptr<Committer>& committer = committers_[backend_->lane(name)];
  if (!committer) committer = std::make_shared<Committer>(*this);
  return committer;
}

std::vector<std::shared_ptr<Committer>> Engine::committers() {
  const std::scoped_lock lock(registry_mutex_);
  std::vector<std::shared_ptr<Committer>> all;
  all.reserve(committers_.size());
  for (const auto& [lane, committer] : committers_) all.push_back(committer);
  return all;
}

// A database that no handle names and no group is in flight for can be made anew at any time; it only takes
// another session then.
void Engine::forget_unused() {
  std::erase_if(databases_, [](const auto& known) {
    return known.second.use_count() == 1 && !known.second->commit_queue().has_group_in_flight;
  });
  std::erase_if(committers_, [](const auto& known) { return known.second.use_count() == 1; });
  forget_at_ = std::max<std::size_t>(1'024, 2 * databases_.size());
}

Database Engine::handle(View name) { return {shared_from_this(), database(name)}; }

ReadAnswer Engine::read(EngineDatabase& database, ReadRequest request) {
  request.now_ms = now_ms();
  request.clock_skew_limit_ms = clock_skew_limit_ms();
  request.deadline = deadline(request.deadline);
  ReadAnswer answer = backend_->read(database.name(), request);
  database.learn_history(answer.at.history);
  return answer;
}

Outcome Engine::commit(EngineDatabase& database, Batch batch, Deadline given) {
  keep_last_writes(batch);
  validate_batch(batch, true);
  if (const auto index = contradicted_check(batch)) return {.seq = 0, .failed_check = index};
  return database.committer().commit(database, std::move(batch), 0, deadline(given)).outcome;
}

void Engine::submit(const std::shared_ptr<EngineDatabase>& database, Batch batch, CommitDone done,
                    Deadline given) {
  keep_last_writes(batch);
  validate_batch(batch, true);
  if (const auto index = contradicted_check(batch)) return done({{.seq = 0, .failed_check = index}, {}});
  submit_valid(database, std::move(batch), 0, std::move(done), deadline(given));
}

void Engine::submit_valid(const std::shared_ptr<EngineDatabase>& database, Batch batch, std::uint64_t history,
                          CommitDone done, Deadline deadline) {
  parts_->timekeeper().start();
  database->committer().submit(database, std::move(batch), history, deadline, std::move(done));
  parts_->timekeeper().expect(deadline);
}

Deadline Engine::answer_late() {
  Deadline next = Deadline::max();
  for (const auto& committer : committers()) next = std::min(next, committer->answer_late());
  return next;
}

void Engine::transact(EngineDatabase& database, const std::function<void(Transaction&)>& body,
                      Deadline deadline) {
  run_transaction(*this, database, body, deadline, KeySpace::engine);
}

void Engine::close() {
  parts_->stop_sweeper();
  gate_.close();
  const std::scoped_lock lock(closing_mutex_);
  if (!backend_) return;
  const auto all = committers();
  for (const auto& committer : all) committer->close();
  parts_->close();
  backend_->wake();
  for (const auto& committer : all) committer->join();
  gate_.drain();
  backend_.reset();
}

}  // namespace holdfast
