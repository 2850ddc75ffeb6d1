#include "fuzz/fuzzed_store.h"

#include <cstdlib>
#include <utility>
#include <vector>

#include "contract/validate.h"

namespace holdfast::fuzz {
namespace {

constexpr UnixMs kNowMs = 1'700'000'000'000;
constexpr std::uint64_t kToken = 7;

/// Writes to a store as an engine would, in one session for each database.
class Writer {
 public:
  explicit Writer(Backend& backend) : backend_(backend) {}

  void commit(const std::string& database, std::vector<Batch> batches, std::uint64_t token = 0) {
    Group group;
    group.database = database;
    group.session = {1, 2};
    group.number = ++number_;
    group.now_ms = kNowMs;
    group.token = token;
    group.deadline = Deadline::max();
    group.batches = std::move(batches);
    group.content_hash = content_hash(group.batches);
    backend_.commit({&group, 1});
    if (group.error) std::abort();
  }
  void import(const std::string& database) {
    const Fence importing{Fence::State::importing, kToken, {}, {}, 0};
    if (!backend_.fence(database, {}, importing, Deadline::max())) std::abort();
    Write write = Write::put("imported", "v");
    write.version = 77;
    commit(database, {{{}, {write}}}, kToken);
  }
  void freeze(const std::string& database) {
    const Fence frozen{Fence::State::frozen, kToken, {}, {}, 0};
    if (!backend_.fence(database, {}, frozen, Deadline::max())) std::abort();
  }
  void drop(const std::string& database) {
    ReadRequest request;
    request.now_ms = kNowMs;
    request.deadline = Deadline::max();
    const std::uint64_t history = backend_.read(database, request).at.history;
    if (!backend_.drop(database, history, Deadline::max())) std::abort();
  }

 private:
  Backend& backend_;
  std::uint64_t number_ = 0;
};

void live(Backend& backend, Writer& writer, const std::string& part) {
  for (int i = 0; i < 10; ++i) {
    const std::string database = "fuzz/" + std::to_string(i % 5);
    const std::string key = part + "/" + std::to_string(i);
    const std::string value(i == 7 ? 3'000 : 20, 'v');
    writer.commit(database, {{{}, {Write::put(key, value, kNowMs + 5), Write::put("gone", "v")}},
                             {{Check::absent(key + "x")}, {Write::put_stamped("log/", "/end", "")}},
                             {{Check::has_version("nowhere", 1)}, {Write::erase("kept")}}});
    writer.commit(database, {{{}, {Write::erase("gone")}}});
  }
  writer.commit(part + "/dropped", {{{}, {Write::put("key", "v")}}});
  writer.drop(part + "/dropped");
  writer.import(part + "/imported");
  writer.commit(part + "/frozen", {{{}, {Write::put("key", "v")}}});
  writer.freeze(part + "/frozen");
  backend.compact("fuzz/1", 3, Deadline::max());
}

}  // namespace

Url store_url() { return Url::parse("file:///store?segment_size_bytes=65536"); }

Environment environment_on(const std::shared_ptr<SimulatedFileSystem>& files) {
  return {std::make_shared<ManualClock>(), seeded_random(1), files};
}

std::unique_ptr<FileStore> open_store(const Environment& environment) {
  const BackendFactory factory = file_factory();
  return open_file_store(store_url(), Options("file:", factory.options, store_url().options), environment);
}

std::shared_ptr<SimulatedFileSystem> intact_store() {
  const auto files = SimulatedFileSystem::make({});
  const auto store = open_store(environment_on(files));
  Writer writer(*store);
  live(*store, writer, "checkpointed");
  store->checkpoint();
  live(*store, writer, "logged");
  auto copy = files->clone(1);
  copy->process_kill();
  return copy;
}

}  // namespace holdfast::fuzz
