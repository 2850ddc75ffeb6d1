// What is particular to the memory backend; the contract itself is proved by the conformance suite.
#include "backends/memory/memory_backend.h"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <thread>

#include "contract/validate.h"

namespace holdfast {
namespace {

Environment environment() { return {std::make_shared<ManualClock>(), seeded_random(1), nullptr}; }

/// One group of one batch, sent by a session of its own.
Group commit(Backend& backend, View database, std::uint64_t history, std::vector<Write> writes) {
  Group group;
  group.database = Bytes(database);
  group.history = history;
  group.session = {7, 7};
  static std::uint64_t number = 0;
  group.number = ++number;
  group.now_ms = 1'000;
  group.batches.push_back({{}, std::move(writes)});
  group.content_hash = content_hash(group.batches);
  backend.commit({&group, 1});
  return group;
}

ReadAnswer read(Backend& backend, View database, View key) {
  ReadRequest request;
  request.now_ms = 1'000;
  const std::array gets = {key};
  request.gets = gets;
  return backend.read(database, request);
}

TEST(MemoryBackend, gives_back_what_was_committed) {
  const auto backend = memory_backend(environment());
  const Group group = commit(*backend, "db", 0, {Write::put("key", "value")});
  ASSERT_FALSE(group.error);
  const ReadAnswer answer = read(*backend, "db", "key");
  ASSERT_EQ(answer.gets.size(), 1u);
  EXPECT_EQ(answer.gets[0], (Entry{"key", "value", 1, std::nullopt}));
  EXPECT_EQ(answer.at, group.at);
}

TEST(MemoryBackend, keeps_nothing_beyond_its_own_life) {
  const Environment shared = environment();
  commit(*memory_backend(shared), "db", 0, {Write::put("key", "value")});
  EXPECT_TRUE(memory_backend(shared)->databases({}, {}, 10, {}).empty());
}

TEST(MemoryBackend, stores_of_one_process_share_nothing) {
  const auto one = memory_backend(environment());
  const auto other = memory_backend(environment());
  commit(*one, "db", 0, {Write::put("key", "value")});
  EXPECT_FALSE(read(*other, "db", "key").gets[0]);
}

TEST(MemoryBackend, spreads_databases_over_lanes_that_never_change) {
  const auto backend = memory_backend(environment());
  std::set<std::size_t> lanes;
  for (int i = 0; i < 100; ++i) {
    const Bytes name = "db" + std::to_string(i);
    EXPECT_EQ(backend->lane(name), backend->lane(name));
    lanes.insert(backend->lane(name));
  }
  EXPECT_GT(lanes.size(), 1u);
}

TEST(MemoryBackend, wait_ends_at_the_deadline_of_the_injected_clock) {
  const auto clock = std::make_shared<ManualClock>();
  const auto backend = memory_backend({clock, seeded_random(1), nullptr});
  const Cursor cursor{"db", {}};
  const Deadline deadline = clock->steady_now() + std::chrono::hours(1);
  std::thread waiter([&] { EXPECT_TRUE(backend->wait({&cursor, 1}, deadline).empty()); });
  clock->advance(std::chrono::hours(2));
  waiter.join();
}

TEST(MemoryBackend, factory_opens_a_store_and_has_no_options) {
  const BackendFactory factory = memory_factory();
  EXPECT_EQ(factory.scheme, "memory");
  EXPECT_TRUE(factory.options.empty());
  const Options none("memory:", factory.options, {});
  const auto backend = factory.open(Url::parse("memory:"), none, environment());
  EXPECT_EQ(backend->traits().name, "memory");
  EXPECT_EQ(backend->traits().durability, Durability::process);
  EXPECT_FALSE(backend->traits().shared_by_processes);
}

}  // namespace
}  // namespace holdfast
