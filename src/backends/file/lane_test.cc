#include "backends/file/lane.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

#include "contract/validate.h"
#include "tests/support/simulated_file_system.h"

namespace holdfast::file {
namespace {

class FileLane : public testing::Test {
 protected:
  FileLane() {
    disk_->create_folder("store");
    environment_.files = disk_;
    environment_.random = seeded_random(1);
    LaneOptions options;
    options.log = {"store", 7, lane_of("agents"), true, 1u << 20};
    options.checkpoint_size_bytes = 1u << 30;
    LaneRequests requests;
    requests.prepare = [](std::size_t, std::uint64_t) {};
    requests.checkpoint = [](std::size_t) {};
    requests.changed = [] {};
    requests.between_steps = [this] { between_steps_(); };
    lane_ = std::make_unique<Lane>(options, environment_.completed(), requests);
  }

  Lane& lane() { return *lane_; }
  const Database& agents() { return *lane_->contents().find("agents"); }

  void put(std::vector<Write> writes) {
    Group group;
    group.database = "agents";
    group.session = {1, 1};
    group.number = ++number_;
    group.batches.push_back({{}, std::move(writes)});
    group.content_hash = content_hash(group.batches);
    lane_->commit({&group, 1});
    ASSERT_FALSE(group.error) << group.error->what();
  }
  /// One commit with so many rows of 2,000 bytes.
  void put_rows(std::size_t rows) {
    std::vector<Write> writes;
    for (std::size_t i = 0; i < rows; ++i) {
      Bytes key = std::to_string(i);
      key.resize(2'000, '.');
      writes.push_back(Write::put(key, "v"));
    }
    put(std::move(writes));
  }
  /// Rows of the change log that are in memory, seen or not.
  std::size_t rows() {
    std::size_t rows = 0;
    const std::shared_lock lock(agents().lock);
    agents().log().visit_after(0, [&](Seq, View) { return ++rows > 0; });
    return rows;
  }

  std::function<void()> between_steps_ = [] {};

 private:
  std::shared_ptr<SimulatedFileSystem> disk_ = SimulatedFileSystem::make({});
  Environment environment_;
  std::unique_ptr<Lane> lane_;
  std::uint64_t number_ = 0;
};

TEST_F(FileLane, frees_a_large_change_log_in_steps_between_which_others_read_and_commit) {
  for (int i = 0; i < 6; ++i) put_rows(1'000);
  const std::size_t before = rows();
  ASSERT_EQ(before, 6'000u);
  std::vector<std::size_t> left;
  between_steps_ = [&] {
    left.push_back(rows());
    put({Write::put("between", "v")});
    EXPECT_EQ(agents().head().floor, 6u) << "the floor is there before the rows go";
  };
  lane().compact("agents", 6, {});
  ASSERT_GE(left.size(), 4u);
  constexpr std::size_t kStepRows = 2 * 16 * 65'536 / 2'000;
  std::size_t previous = before;
  for (const std::size_t rows : left) {
    EXPECT_LT(rows, previous);
    EXPECT_LE(previous - rows, kStepRows) << "a step is bounded";
    previous = rows;
  }
  EXPECT_EQ(agents().head().seq, 6 + left.size());
  EXPECT_LT(rows(), 100u) << "what shares a chunk with newer rows stays";
}

TEST_F(FileLane, frees_in_the_next_compaction_what_one_has_left_at_its_deadline) {
  for (int i = 0; i < 3; ++i) put_rows(1'000);
  struct Stop {};
  between_steps_ = [] { throw Stop(); };
  EXPECT_THROW(lane().compact("agents", 3, {}), Stop);
  EXPECT_GT(rows(), 1'000u);
  between_steps_ = [] {};
  lane().compact("agents", 3, {});
  EXPECT_LT(rows(), 100u);
}

}  // namespace
}  // namespace holdfast::file
