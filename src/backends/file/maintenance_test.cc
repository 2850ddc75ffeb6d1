#include "backends/file/maintenance.h"

#include <gtest/gtest.h>

#include <map>

#include "backends/file/format.h"
#include "backends/file/store_fixture.h"

namespace holdfast::file {
namespace {

class Maintenance : public StoreFixture {
 protected:
  std::map<std::string, std::string> everything() {
    std::map<std::string, std::string> contents;
    for (const std::string& path : files().paths()) contents[path] = files().content(path);
    return contents;
  }
  /// Two databases of one lane.
  std::pair<Bytes, Bytes> neighbours() {
    for (int i = 0;; ++i) {
      const Bytes other = "other" + std::to_string(i);
      if (lane_of(other) == lane_of("agents")) return {"agents", other};
    }
  }
  std::uint64_t record_offset(int number) const { return kHeaderBytes + (number - 1) * kDurableAlignment; }
  static std::string all_of(const std::vector<std::string>& lines) {
    std::string text;
    for (const std::string& line : lines) text += line + "\n";
    return text;
  }
  bool is_kept_aside(const std::string& path, const std::string& content) {
    const std::string name = path.substr(path.rfind('/'));
    for (const char* damaged : {"/damaged-1", "/damaged-2"}) {
      const std::string copy = folder() + damaged + name;
      if (files().exists(copy) && files().content(copy) == content) return true;
    }
    return false;
  }
};

TEST_F(Maintenance, check_reads_a_sound_store_and_changes_nothing) {
  open();
  for (int i = 0; i < 20; ++i) put("agents", "key" + std::to_string(i), Bytes(2'000, 'v'));
  checkpoint();
  put("agents", "more", "v");
  put("others", "key", "v");
  power_cut();
  const auto before = everything();
  const CheckReport report = check();
  EXPECT_TRUE(report.ok()) << all_of(report.problems);
  EXPECT_EQ(report.databases, 2u);
  EXPECT_EQ(report.entries, 22u);
  EXPECT_EQ(report.commits, 22u);
  auto after = everything();
  after.erase(folder() + "/LOCK");
  auto expected = before;
  expected.erase(folder() + "/LOCK");
  EXPECT_EQ(after, expected);
}

TEST_F(Maintenance, check_does_not_take_a_torn_tail_for_damage) {
  open();
  put("agents", "a", "1");
  power_cut();
  files().replace(only_log("agents"), record_offset(2), Bytes(5'000, 'z'));
  EXPECT_TRUE(check().ok());
}

TEST_F(Maintenance, check_names_every_damaged_place) {
  open();
  for (int i = 0; i < 8; ++i) put("agents", "key" + std::to_string(i), "v");
  power_cut();
  const std::string log = only_log("agents");
  files().flip_bit(log, record_offset(2) + 60, 0);
  files().flip_bit(log, record_offset(5) + 60, 0);
  files().put_file(folder() + "/thesis.txt", "chapter one");
  const CheckReport report = check();
  EXPECT_EQ(report.problems.size(), 3u) << all_of(report.problems);
  const std::string text = all_of(report.problems);
  EXPECT_NE(text.find(log + "\", offset " + std::to_string(record_offset(2))), std::string::npos) << text;
  EXPECT_NE(text.find(log + "\", offset " + std::to_string(record_offset(5))), std::string::npos) << text;
  EXPECT_NE(text.find("thesis.txt"), std::string::npos) << text;
}

TEST_F(Maintenance, check_refuses_a_store_that_is_open) {
  open();
  EXPECT_EQ(code_of([&] { check(); }), Code::unavailable);
}

TEST_F(Maintenance, repair_leaves_a_sound_store_alone) {
  open();
  put("agents", "a", "1");
  power_cut();
  const auto before = everything();
  EXPECT_TRUE(repair().ok());
  auto after = everything();
  after.erase(folder() + "/LOCK");
  auto expected = before;
  expected.erase(folder() + "/LOCK");
  EXPECT_EQ(after, expected);
}

TEST_F(Maintenance, repair_saves_what_follows_from_intact_records) {
  const auto [damaged, sound] = neighbours();
  open();
  put(damaged, "a", "1");
  put(sound, "a", "1");
  put(damaged, "b", "2");
  put(damaged, "c", "3");
  put(sound, "b", "2");
  const std::uint64_t old_history = head(sound).history;
  power_cut();
  const std::string log = only_log(damaged);
  files().flip_bit(log, record_offset(3) + 60, 0);
  const std::string content = files().content(log);
  EXPECT_EQ(code_of([&] { open(); }), Code::corruption);
  const CheckReport report = repair();
  EXPECT_FALSE(report.ok());
  EXPECT_NE(all_of(report.lost).find(damaged), std::string::npos) << all_of(report.lost);
  EXPECT_EQ(all_of(report.lost).find(sound), std::string::npos) << all_of(report.lost);
  EXPECT_TRUE(is_kept_aside(log, content));
  EXPECT_TRUE(check().ok());
  open();
  EXPECT_EQ(get(damaged, "a"), "1");
  EXPECT_EQ(get(damaged, "b"), std::nullopt) << "its record is damaged";
  EXPECT_EQ(get(damaged, "c"), std::nullopt) << "without the commit before it there is no such state";
  EXPECT_EQ(get(sound, "a"), "1");
  EXPECT_EQ(get(sound, "b"), "2");
  EXPECT_NE(head(sound).history, old_history) << "nobody knows whose commits the damaged record held";
  put(damaged, "d", "4");
  EXPECT_EQ(head(damaged).seq, 2u);
}

TEST_F(Maintenance, repair_saves_the_intact_blocks_of_a_checkpoint) {
  open();
  for (int i = 0; i < 300; ++i) put("agents", "key" + std::to_string(1000 + i), Bytes(1'000, 'v'));
  put("agents", "long", Bytes(100'000, 'w'));
  close();
  const std::string path = files_of("agents", "checkpoint").at(0);
  files().flip_bit(path, 150'000, 0);
  EXPECT_EQ(code_of([&] { open(); }), Code::corruption);
  const CheckReport report = repair();
  EXPECT_FALSE(report.lost.empty());
  open();
  const Seq seq = head("agents").seq;
  EXPECT_EQ(seq, 301u);
  EXPECT_EQ(get("agents", "long"), Bytes(100'000, 'w'));
  int found = 0;
  for (int i = 0; i < 300; ++i) found += get("agents", "key" + std::to_string(1000 + i)) ? 1 : 0;
  EXPECT_GT(found, 100);
  EXPECT_LT(found, 300);
}

TEST_F(Maintenance, repair_keeps_entries_whose_head_is_lost) {
  open();
  for (int i = 0; i < 300; ++i) put("agents", "key" + std::to_string(1000 + i), Bytes(1'000, 'v'));
  backend().compact("agents", 300, {});
  close();
  files().flip_bit(files_of("agents", "checkpoint").at(0), kHeaderBytes + 60, 0);
  repair();
  open();
  EXPECT_EQ(get("agents", "key1299"), Bytes(1'000, 'v'));
  EXPECT_EQ(head("agents").seq, 300u) << "no entry is newer than the head";
}

TEST_F(Maintenance, repair_reads_a_log_whose_header_is_damaged) {
  open();
  for (int i = 0; i < 5; ++i) put("agents", "key" + std::to_string(i), "v");
  power_cut();
  files().flip_bit(only_log("agents"), 30, 0);
  EXPECT_EQ(code_of([&] { open(); }), Code::corruption);
  repair();
  open();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(get("agents", "key" + std::to_string(i)), "v");
}

TEST_F(Maintenance, repair_goes_on_without_a_newest_log_file_that_is_missing) {
  open("?segment_size_bytes=65536");
  for (int i = 0; i < 40; ++i) put("agents", "key" + std::to_string(i), "v");
  const std::uint64_t old_history = head("agents").history;
  power_cut();
  const std::string newest = logs_of("agents").back();
  files().remove(newest);
  const CheckReport found = check();
  ASSERT_EQ(found.problems.size(), 1u) << all_of(found.problems);
  EXPECT_NE(found.problems[0].find(newest), std::string::npos) << found.problems[0];
  EXPECT_FALSE(repair().lost.empty());
  EXPECT_TRUE(check().ok());
  open();
  EXPECT_EQ(get("agents", "key0"), "v");
  EXPECT_NE(head("agents").history, old_history);
  put("agents", "more", "v");
  power_cut();
  open();
  EXPECT_EQ(get("agents", "more"), "v");
}

TEST_F(Maintenance, repair_saves_the_records_of_a_log_file_that_was_cut) {
  open();
  for (int i = 0; i < 5; ++i) put("agents", "key" + std::to_string(i), "v");
  power_cut();
  files().truncate_file(only_log("agents"), record_offset(3));
  EXPECT_EQ(check().problems.size(), 1u);
  repair();
  open();
  EXPECT_EQ(get("agents", "key1"), "v");
  EXPECT_EQ(get("agents", "key2"), std::nullopt);
}

TEST_F(Maintenance, repair_replaces_a_damaged_or_missing_superblock) {
  for (const bool missing : {false, true}) {
    new_disk(1);
    open();
    put("agents", "a", "1");
    power_cut();
    if (missing) {
      files().remove(folder() + "/STORE");
    } else {
      files().flip_bit(folder() + "/STORE", 20, 0);
    }
    EXPECT_EQ(code_of([&] { open(); }), Code::corruption);
    EXPECT_FALSE(repair().ok());
    open();
    EXPECT_EQ(get("agents", "a"), "1");
  }
}

TEST_F(Maintenance, repair_goes_on_after_a_power_cut_in_any_of_its_calls) {
  const auto damage = [&] {
    open();
    for (int i = 0; i < 6; ++i) put("agents", "key" + std::to_string(i), Bytes(2'000, 'v'));
    power_cut();
    files().flip_bit(only_log("agents"), record_offset(4) + 60, 0);
  };
  damage();
  const std::uint64_t before = files().calls();
  repair();
  const std::uint64_t calls = files().calls() - before;
  for (std::uint64_t call = 1; call <= calls; ++call) {
    new_disk(call);
    damage();
    const std::string log = only_log("agents");
    const std::string content = files().content(log);
    files().power_loss_at(files().calls() + call);
    EXPECT_TRUE(code_of([&] { repair(); })) << "call " << call;
    power_cut();
    repair();
    const bool is_still_there = files().exists(log) && files().content(log) == content;
    EXPECT_TRUE(is_still_there || is_kept_aside(log, content)) << "call " << call;
    open();
    for (int i = 0; i < 3; ++i) EXPECT_EQ(get("agents", "key" + std::to_string(i)), Bytes(2'000, 'v'));
    EXPECT_EQ(get("agents", "key3"), std::nullopt) << "call " << call;
  }
}

TEST_F(Maintenance, removing_a_store_removes_all_its_files_and_no_others) {
  open();
  put("agents", "a", "1");
  power_cut();
  files().put_file("/data/neighbour", "stays");
  remove_folder(folder(), environment());
  EXPECT_EQ(files().paths(), std::vector<std::string>{"/data/neighbour"});
  open();
  EXPECT_EQ(get("agents", "a"), std::nullopt);
}

}  // namespace
}  // namespace holdfast::file
