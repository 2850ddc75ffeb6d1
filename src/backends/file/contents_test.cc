// Reads beside writers that create and remove databases; records and blocks that are well-formed and make no
// sense.
#include "backends/file/contents.h"

#include <atomic>
#include <thread>
#include <vector>

#include "backends/file/checkpoint_reader.h"
#include "backends/file/store_fixture.h"

namespace holdfast::file {
namespace {

class FileContents : public StoreFixture {};

TEST_F(FileContents, are_read_while_databases_are_dropped_and_created) {
  open();
  put("steady", "key", "stays");
  std::atomic<bool> stop = false;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> readers;
  for (int reader = 0; reader < 2; ++reader) {
    readers.emplace_back([&] {
      while (!stop) {
        if (get("steady", "key") != "stays") ++wrong;
        if (get("fleeting", "key").value_or("comes") != "comes") ++wrong;
      }
    });
  }
  for (int round = 0; round < 200; ++round) {
    put("fleeting", "key", "comes");
    EXPECT_TRUE(backend().drop("fleeting", head("fleeting").history, {}));
    EXPECT_FALSE(get("fleeting", "key"));
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
}

/// The code of the error with which a record is refused.
std::optional<Code> refusal_of_record(const AlignedBuffer& record) {
  Contents contents;
  try {
    contents.apply(record.view(), {1, 4096, record.view()}, 1);
  } catch (const Error& error) {
    return error.code();
  }
  return std::nullopt;
}

/// The same for a record that creates a database by one group of two commits
/// and then has a write of each of `commits`.
std::optional<Code> refusal_of_writes(const std::vector<std::uint64_t>& commits) {
  AlignedBuffer record;
  GroupEncoder encoder(record);
  GroupItem item;
  item.database = "db";
  item.history = 1;
  item.creates = true;
  encoder.begin(item, {{1, {}}, {2, {}}});
  for (const std::uint64_t commit : commits) encoder.put(commit, "key", {}, {}, "value", {}, 0);
  encoder.end();
  return refusal_of_record(record);
}

TEST(FileRecord, is_refused_if_a_write_is_of_a_commit_that_the_group_does_not_have) {
  EXPECT_EQ(refusal_of_writes({0, 1}), std::nullopt);
  EXPECT_EQ(refusal_of_writes({0, 2}), Code::corruption);
  EXPECT_EQ(refusal_of_writes({0, UINT64_MAX}), Code::corruption);
}

TEST(FileRecord, is_refused_if_its_group_has_more_batches_than_a_group_may_have) {
  const auto refusal_of_outcomes = [](std::size_t outcomes) {
    AlignedBuffer record;
    GroupEncoder encoder(record);
    GroupItem item;
    item.database = "db";
    item.history = 1;
    item.creates = true;
    encoder.begin(item, std::vector<Outcome>(outcomes, Outcome{0, 0}));
    encoder.end();
    return refusal_of_record(record);
  };
  EXPECT_EQ(refusal_of_outcomes(limits::kGroupBatches), std::nullopt);
  EXPECT_EQ(refusal_of_outcomes(limits::kGroupBatches + 1), Code::corruption);
}

TEST(FileRecord, is_refused_if_its_writes_are_not_in_the_order_of_commits) {
  EXPECT_EQ(refusal_of_writes({1, 0}), Code::corruption);
}

/// The code of the error with which a checkpoint of one block is refused.
std::optional<Code> refusal_of_block(const AlignedBuffer& block) {
  Contents contents;
  CheckpointLoader loader(contents, 1);
  try {
    loader.load({0, 4096, block.view()});
  } catch (const Error& error) {
    return error.code();
  }
  return std::nullopt;
}

void put_name(AlignedBuffer& block, View database) {
  block.put8(static_cast<std::uint8_t>(BlockItem::database));
  block.put_bytes(database);
}

TEST(FileCheckpointBlock, is_refused_if_rows_of_the_change_log_are_out_of_order) {
  const auto put_row = [](AlignedBuffer& block, Seq seq) {
    block.put8(static_cast<std::uint8_t>(BlockItem::log_row));
    block.put_number(seq);
    block.put_bytes("key");
  };
  AlignedBuffer block;
  put_name(block, "db");
  put_row(block, 5);
  put_row(block, 5);
  EXPECT_EQ(refusal_of_block(block), std::nullopt);
  put_row(block, 4);
  EXPECT_EQ(refusal_of_block(block), Code::corruption);
}

TEST(FileCheckpointBlock, gives_no_head_if_the_head_makes_no_sense) {
  AlignedBuffer block;
  put_name(block, "db");
  block.put8(static_cast<std::uint8_t>(BlockItem::head));
  Head head;
  head.history = 7;
  head.fence.state = static_cast<Fence::State>(9);
  encode_head(block, head);
  block.put_number(1);
  Contents contents;
  CheckpointLoader loader(contents, 1);
  EXPECT_THROW(loader.load({0, 4096, block.view()}), Error);
  EXPECT_FALSE(contents.find("db")->head().exists())
      << "what is not known cannot be written again by a repair";
}

TEST(FileCheckpointBlock, is_refused_if_it_comes_back_to_a_database) {
  AlignedBuffer block;
  put_name(block, "a");
  put_name(block, "b");
  EXPECT_EQ(refusal_of_block(block), std::nullopt);
  put_name(block, "a");
  EXPECT_EQ(refusal_of_block(block), Code::corruption);
}

}  // namespace
}  // namespace holdfast::file
