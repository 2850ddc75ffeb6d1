#include "holdfast/store.h"

#include <utility>

#include "engine/engine.h"

namespace holdfast {
namespace {

constexpr char kEngineDatabases = '!';

}  // namespace

std::shared_ptr<Store> Store::open(std::unique_ptr<Backend> backend, StoreOptions options) {
  auto engine = std::make_shared<Engine>(std::move(backend), std::move(options));
  engine->parts().start();
  return std::shared_ptr<Store>(new Store(std::move(engine)));
}

Store::Store(std::shared_ptr<Engine> engine) : engine_(std::move(engine)) {}

Store::~Store() { close(); }

Database Store::database(View name) {
  if (name.starts_with(kEngineDatabases)) {
    throw Error(Code::invalid_argument, "databases beginning with '!' belong to the engine");
  }
  return engine_->handle(name);
}

std::vector<Bytes> Store::databases(View prefix, View after, std::size_t limit) const {
  const Engine::Call call(*engine_);
  const Deadline deadline = engine_->deadline({});
  std::vector<Bytes> names;
  Bytes last(after);
  while (names.size() < limit) {
    const std::size_t asked = limit - names.size();
    std::vector<Bytes> page = engine_->backend().databases(prefix, last, asked, deadline);
    if (!page.empty()) last = page.back();
    const bool is_last = page.size() < asked;
    for (Bytes& name : page) {
      if (!name.starts_with(kEngineDatabases)) names.push_back(std::move(name));
    }
    if (is_last) break;
  }
  return names;
}

bool Store::drop(View name) {
  const Engine::Call call(*engine_);
  const auto database = engine_->database(name);
  const Deadline deadline = engine_->deadline({});
  for (;;) {
    const std::uint64_t history = engine_->read(*database, {.deadline = deadline}).at.history;
    if (history == 0) return false;
    const bool dropped = engine_->backend().drop(name, history, deadline);
    database->forget_history();
    if (dropped) return true;
  }
}

const Traits& Store::traits() const { return engine_->traits(); }

void Store::close() { engine_->close(); }

}  // namespace holdfast
