#include "engine/engine_parts.h"

#include "engine/digest.h"
#include "engine/engine.h"
#include "holdfast/store.h"

namespace holdfast {

EngineParts::EngineParts(Engine& engine)
    : engine_(engine),
      watches_(std::make_shared<WatchHub>(engine)),
      logs_(engine),
      sweeper_(engine, logs_),
      timekeeper_(engine) {}

Objects& EngineParts::objects(const std::shared_ptr<EngineDatabase>& database) {
  if (Objects* own = engine_.backend().objects()) return *own;
  const std::scoped_lock lock(objects_mutex_);
  return objects_.try_emplace(database->name(), engine_, database).first->second;
}

void EngineParts::start() {
  if (engine_.options().sweeper) sweeper_.start();
}

void EngineParts::close() {
  sweeper_.close();
  timekeeper_.close();
  watches_->close();
}

Watch Database::watch(const Range& range, Position since) {
  const Engine::Call call(*engine_);
  return engine_->parts().watches().watch(database_, range, since);
}

Digest Database::digest(Deadline deadline) const {
  const Engine::Call call(*engine_);
  return digest_of(*engine_, *database_, {.deadline = deadline});
}

void Database::pin(View consumer, Seq seq, UnixMs expires_at_ms) {
  const Engine::Call call(*engine_);
  engine_->parts().logs().pin(*database_, consumer, seq, expires_at_ms);
}

void Database::unpin(View consumer) {
  const Engine::Call call(*engine_);
  engine_->parts().logs().unpin(*database_, consumer);
}

Seq Database::compact(Seq before) {
  const Engine::Call call(*engine_);
  return engine_->parts().logs().compact(*database_, before);
}

Objects& Database::objects() const {
  const Engine::Call call(*engine_);
  return engine_->parts().objects(database_);
}

Objects& Store::objects(View database) {
  const Engine::Call call(*engine_);
  return engine_->parts().objects(engine_->database(database));
}

SweepReport Store::sweep() {
  const Engine::Call call(*engine_);
  return engine_->parts().sweeper().sweep();
}

void Store::on_wake(View service, std::function<void(const Bytes& database)> callback) {
  const Engine::Call call(*engine_);
  engine_->parts().sweeper().on_wake(service, std::move(callback));
}

}  // namespace holdfast
