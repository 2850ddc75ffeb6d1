#include "engine/entry_objects.h"

#include <gtest/gtest.h>

#include <string>

#include "engine/engine_keys.h"
#include "engine/engine_test_support.h"
#include "tests/support/code_of.h"

namespace holdfast {
namespace {

using std::chrono::hours;
using testing_support::code_of;

constexpr std::size_t kMiB = std::size_t{1} << 20;

/// Bytes that differ everywhere, so that no piece can stand for another.
Bytes bytes_of(std::size_t size) {
  Bytes bytes(size, '\0');
  std::uint64_t state = 1;
  for (char& byte : bytes) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<char>(state >> 56);
  }
  return bytes;
}

/// Gives `bytes` in pieces of `piece` bytes; calls `before` with how many were given.
ByteSource source_of(Bytes bytes, std::size_t piece, std::function<void(std::size_t)> before = {}) {
  return [bytes = std::move(bytes), piece, before = std::move(before), at = std::size_t{0}]() mutable {
    if (before) before(at);
    Bytes part = bytes.substr(at, piece);
    at += part.size();
    return part;
  };
}

class ObjectEntries : public testing::Test {
 protected:
  Bytes all_of(const ObjectId& id) { return objects.get(id, 0, SIZE_MAX).value_or("nothing"); }
  std::size_t stored_entries() {
    const auto engine = world.engine();
    const Scan scan{Range::prefix("!object/"), {.limit = 10'000, .keys_only = true}};
    return engine->read(*engine->database("db"), {.scans = {&scan, 1}}).pages.front().entries.size();
  }

  TestWorld world;
  std::shared_ptr<Store> store = world.open();
  Objects& objects = store->objects("db");
};

TEST_F(ObjectEntries, give_back_what_was_put_whatever_the_sizes) {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, kMiB - 1, kMiB, kMiB + 1, 4 * kMiB, 9 * kMiB + 7}) {
    const Bytes bytes = bytes_of(size);
    const ObjectId id = objects.put(source_of(bytes, 300'000));
    EXPECT_EQ(id.size(), 32u);
    EXPECT_TRUE(all_of(id) == bytes) << size;
    EXPECT_EQ(objects.stat(id)->size_bytes, size);
  }
}

TEST_F(ObjectEntries, pieces_of_the_source_may_have_any_size) {
  const Bytes bytes = bytes_of(5 * kMiB);
  EXPECT_TRUE(all_of(objects.put(source_of(bytes, 5 * kMiB))) == bytes);
  const Bytes few = bytes_of(100);
  EXPECT_TRUE(all_of(objects.put(source_of(few, 1))) == few);
}

TEST_F(ObjectEntries, a_range_is_cut_where_the_object_ends) {
  const Bytes bytes = bytes_of(10 * kMiB);
  const ObjectId id = objects.put(source_of(bytes, kMiB));
  EXPECT_TRUE(objects.get(id, kMiB - 3, 6).value() == bytes.substr(kMiB - 3, 6));
  EXPECT_TRUE(objects.get(id, 3, 9 * kMiB).value() == bytes.substr(3, 9 * kMiB));
  EXPECT_TRUE(objects.get(id, 10 * kMiB - 1, 100).value() == bytes.substr(10 * kMiB - 1));
  EXPECT_EQ(objects.get(id, 10 * kMiB, 100), "");
  EXPECT_EQ(objects.get(id, 1'000 * kMiB, 100), "");
  EXPECT_EQ(objects.get(id, UINT64_MAX, SIZE_MAX), "");
  EXPECT_EQ(objects.get(id, 5, 0), "");
}

TEST_F(ObjectEntries, an_unknown_object_is_nothing_and_a_wrong_id_is_refused) {
  const ObjectId unknown(32, '0');
  EXPECT_EQ(objects.get(unknown, 0, 1), std::nullopt);
  EXPECT_FALSE(objects.stat(unknown));
  EXPECT_FALSE(objects.erase(unknown));
  EXPECT_EQ(code_of([&] { objects.stat("../x"); }), Code::invalid_argument);
}

TEST_F(ObjectEntries, a_reader_never_sees_half_an_object) {
  const Bytes bytes = bytes_of(9 * kMiB);
  std::size_t seen = 0;
  objects.put(source_of(bytes, kMiB, [&](std::size_t given) {
    for (const ObjectInfo& object : objects.list(INT64_MAX, {}, 10)) {
      ++seen;
      EXPECT_FALSE(object.complete);
      EXPECT_FALSE(objects.stat(object.id)) << given;
      EXPECT_EQ(objects.get(object.id, 0, 1), std::nullopt);
    }
  }));
  EXPECT_GT(seen, 0u);
}

TEST_F(ObjectEntries, an_upload_keeps_few_pieces_in_memory) {
  const Bytes bytes = bytes_of(12 * kMiB);
  objects.put(source_of(bytes, kMiB, [&](std::size_t given) {
    // What was given is stored, but for the pieces of one commit.
    const std::size_t pieces = given / kMiB;
    EXPECT_GE(stored_entries() + kObjectPiecesPerCommit, pieces);
  }));
}

TEST_F(ObjectEntries, a_small_object_is_one_commit) {
  Database db = store->database("db");
  objects.put(source_of(bytes_of(3 * kMiB), kMiB));
  EXPECT_EQ(db.position().seq, 1u);
}

TEST_F(ObjectEntries, erase_leaves_nothing) {
  const ObjectId small = objects.put(source_of(bytes_of(100), 100));
  const ObjectId large = objects.put(source_of(bytes_of(9 * kMiB), kMiB));
  EXPECT_TRUE(objects.erase(large));
  EXPECT_FALSE(objects.stat(large));
  EXPECT_FALSE(objects.erase(large));
  EXPECT_EQ(stored_entries(), 2u) << "the other object";
  EXPECT_TRUE(objects.erase(small));
  EXPECT_EQ(stored_entries(), 0u);
}

TEST_F(ObjectEntries, an_exception_of_the_source_erases_what_was_uploaded) {
  const Bytes bytes = bytes_of(9 * kMiB);
  EXPECT_THROW(objects.put(source_of(bytes, kMiB,
                                     [](std::size_t given) {
                                       if (given == 8 * kMiB) throw std::runtime_error("source");
                                     })),
               std::runtime_error);
  EXPECT_EQ(stored_entries(), 0u);
}

TEST_F(ObjectEntries, erasing_an_upload_that_runs_ends_it) {
  const Bytes bytes = bytes_of(20 * kMiB);
  EXPECT_EQ(code_of([&] {
              objects.put(source_of(bytes, kMiB, [&](std::size_t given) {
                if (given != 10 * kMiB) return;
                EXPECT_TRUE(objects.erase(objects.list(INT64_MAX, {}, 1)[0].id));
              }));
            }),
            Code::unavailable);
  EXPECT_EQ(stored_entries(), 0u);
}

TEST_F(ObjectEntries, an_interrupted_upload_is_collected_by_the_sweeper_after_24_hours) {
  const Bytes bytes = bytes_of(9 * kMiB);
  // The process dies: it is never asked to clean up.
  bool dead = false;
  const auto dying = world.open([&](SharedBackend& backend) {
    backend.before_call = [&](View, View) {
      if (dead) throw Error(Code::unavailable, "dead");
    };
  });
  EXPECT_THROW(dying->objects("db").put(source_of(bytes, kMiB,
                                                  [&](std::size_t given) {
                                                    dead = given == 8 * kMiB;
                                                    if (dead) throw std::runtime_error("killed");
                                                  })),
               std::runtime_error);
  EXPECT_EQ(stored_entries(), 5u);
  world.clock->advance(hours(23));
  store->sweep();
  EXPECT_EQ(stored_entries(), 5u);
  world.clock->advance(hours(1));
  store->sweep();
  EXPECT_EQ(stored_entries(), 0u);
  EXPECT_TRUE(world.backend->expired(INT64_MAX - 1, 10, world.now()).items.size() <= 1)
      << "but for the lease";
}

TEST_F(ObjectEntries, an_upload_of_more_than_24_hours_is_refused_not_torn) {
  const Bytes bytes = bytes_of(9 * kMiB);
  EXPECT_EQ(code_of([&] {
              objects.put(source_of(bytes, kMiB, [&](std::size_t given) {
                if (given != 5 * kMiB) return;
                world.clock->advance(hours(24));
                store->sweep();
              }));
            }),
            Code::unavailable);
  EXPECT_EQ(stored_entries(), 0u);
}

TEST_F(ObjectEntries, list_gives_those_created_before_in_order_of_ids) {
  const ObjectId one = objects.put(source_of("one", 3));
  const ObjectId two = objects.put(source_of("two", 3));
  world.clock->advance(hours(1));
  objects.put(source_of("late", 4));
  const std::vector<ObjectInfo> old = objects.list(world.clock->now_ms(), {}, 10);
  ASSERT_EQ(old.size(), 2u);
  EXPECT_EQ(old[0].id, std::min(one, two));
  EXPECT_EQ(old[1].id, std::max(one, two));
  const std::vector<ObjectInfo> rest = objects.list(world.clock->now_ms(), old[0].id, 10);
  ASSERT_EQ(rest.size(), 1u);
  EXPECT_EQ(rest[0].id, old[1].id);
  EXPECT_EQ(objects.list(world.clock->now_ms(), {}, 1).size(), 1u);
}

TEST_F(ObjectEntries, an_object_that_no_commit_keeps_is_gone_after_24_hours) {
  const ObjectId kept = objects.put(source_of("kept", 4));
  const ObjectId gone = objects.put(source_of(bytes_of(9 * kMiB), kMiB));
  store->database("db").transact([&](Transaction& t) {
    t.put("reference", kept);
    t.keep(kept);
  });
  world.clock->advance(hours(24));
  EXPECT_FALSE(objects.stat(gone));
  store->sweep();
  EXPECT_EQ(all_of(kept), "kept");
  EXPECT_EQ(stored_entries(), 2u);
}

TEST_F(ObjectEntries, an_object_is_kept_as_long_as_the_transaction_says) {
  const ObjectId id = objects.put(source_of("kept", 4));
  store->database("db").transact([&](Transaction& t) { t.keep(id, t.now() + 1'000); });
  world.clock->advance(std::chrono::milliseconds(999));
  EXPECT_EQ(all_of(id), "kept");
  world.clock->advance(std::chrono::milliseconds(1));
  EXPECT_FALSE(objects.stat(id));
  store->sweep();
  EXPECT_EQ(stored_entries(), 0u);
}

TEST_F(ObjectEntries, keeping_what_is_gone_is_refused) {
  const ObjectId id = objects.put(source_of("late", 4));
  world.clock->advance(hours(24));
  EXPECT_EQ(code_of([&] { store->database("db").transact([&](Transaction& t) { t.keep(id); }); }),
            Code::not_found);
}

TEST_F(ObjectEntries, a_released_object_is_gone_with_the_commit) {
  const ObjectId small = objects.put(source_of("small", 5));
  const ObjectId large = objects.put(source_of(bytes_of(65 * kMiB), kMiB));
  Database db = store->database("db");
  db.transact([&](Transaction& t) {
    t.keep(small);
    t.keep(large);
  });
  db.transact([&](Transaction& t) {
    t.release(small);
    t.release(large);
    t.release(ObjectId(32, '0'));
    EXPECT_TRUE(objects.stat(small)) << "not before the commit";
  });
  EXPECT_FALSE(objects.stat(small));
  EXPECT_FALSE(objects.stat(large));
  store->sweep();
  EXPECT_EQ(stored_entries(), 0u);
}

TEST_F(ObjectEntries, a_transaction_may_release_as_many_objects_as_it_has_writes) {
  constexpr std::size_t kObjects = 1'900;
  std::vector<ObjectId> ids;
  for (std::size_t i = 0; i < kObjects; ++i) ids.push_back(objects.put(source_of("small", 5)));
  Database db = store->database("db");
  db.transact([&](Transaction& t) {
    for (const ObjectId& id : ids) t.keep(id);
  });
  db.transact([&](Transaction& t) {
    for (const ObjectId& id : ids) t.release(id);
    for (std::size_t i = kObjects; i < limits::kBatchWrites; ++i) t.put("key" + std::to_string(i), "");
  });
  for (const ObjectId& id : ids) EXPECT_FALSE(objects.stat(id));
  store->sweep();
  EXPECT_EQ(stored_entries(), 0u);
}

TEST_F(ObjectEntries, a_transaction_that_is_not_committed_releases_nothing) {
  const ObjectId id = objects.put(source_of("small", 5));
  EXPECT_THROW(store->database("db").transact([&](Transaction& t) {
    t.release(id);
    throw std::runtime_error("no");
  }),
               std::runtime_error);
  EXPECT_EQ(all_of(id), "small");
}

TEST_F(ObjectEntries, a_missing_piece_is_corruption_not_a_short_answer) {
  const ObjectId id = objects.put(source_of(bytes_of(3 * kMiB), kMiB));
  const auto engine = world.engine();
  engine->commit(*engine->database("db"), {{}, {Write::erase(Bytes(kObjectDataPrefix) + id + "/00000001")}});
  EXPECT_EQ(code_of([&] { objects.get(id, 0, SIZE_MAX); }), Code::corruption);
}

TEST_F(ObjectEntries, fail_with_closed_after_the_store_was_closed) {
  store->close();
  EXPECT_EQ(code_of([&] { objects.stat(ObjectId(32, '0')); }), Code::closed);
}

}  // namespace
}  // namespace holdfast
