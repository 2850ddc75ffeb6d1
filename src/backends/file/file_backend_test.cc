#include "backends/file/file_backend.h"

#include <gtest/gtest.h>

#include "backends/file/aligned_buffer.h"
#include "backends/file/crc32c.h"
#include "backends/file/format.h"
#include "backends/file/store_fixture.h"

namespace holdfast::file {
namespace {

class FileBackend : public StoreFixture {};

TEST_F(FileBackend, keeps_what_was_acknowledged_when_the_power_goes) {
  open();
  put("agents", "a", "1");
  put("agents", "b", "2");
  erase("agents", "a");
  const Position before = head("agents");
  power_cut();
  open();
  EXPECT_EQ(get("agents", "a"), std::nullopt);
  EXPECT_EQ(get("agents", "b"), "2");
  EXPECT_EQ(head("agents"), before);
  EXPECT_TRUE(backend().traits().keeps_acknowledged);
}

TEST_F(FileBackend, keeps_what_was_acknowledged_when_the_process_is_killed_although_it_is_not_durable) {
  open("?durable=false");
  put("agents", "a", "1");
  const Position before = head("agents");
  kill_process();
  open("?durable=false");
  EXPECT_EQ(get("agents", "a"), "1");
  EXPECT_EQ(head("agents"), before);
  EXPECT_FALSE(backend().traits().keeps_acknowledged);
  EXPECT_EQ(backend().traits().durability, Durability::process);
}

TEST_F(FileBackend, changes_all_histories_when_the_power_went_while_it_was_not_durable) {
  open();
  put("agents", "a", "1");
  close();
  open("?durable=false");
  const Position before = head("agents");
  power_cut();
  open("?durable=false");
  const Position after = head("agents");
  EXPECT_NE(after.history, before.history);
  power_cut();
  open();
  EXPECT_NE(head("agents").history, after.history);
  const Position settled = head("agents");
  close();
  open();
  EXPECT_EQ(head("agents"), settled);
  EXPECT_EQ(get("agents", "a"), "1");
}

TEST_F(FileBackend, keeps_histories_when_a_store_that_is_not_durable_was_closed_properly) {
  open("?durable=false");
  put("agents", "a", "1");
  const Position before = head("agents");
  close();
  power_cut();
  open("?durable=false");
  EXPECT_EQ(head("agents"), before);
  EXPECT_EQ(get("agents", "a"), "1");
}

TEST_F(FileBackend, keeps_long_values_on_disk_and_reads_them_back) {
  open();
  const Bytes longer(300'000, 'x');
  const Bytes longest(limits::kValueBytes, 'y');
  put("blobs", "a", longer);
  put("blobs", "b", longest);
  EXPECT_EQ(get("blobs", "a"), longer);
  power_cut();
  open();
  EXPECT_EQ(get("blobs", "a"), longer);
  EXPECT_EQ(get("blobs", "b"), longest);
  const Scan scan{Range::all(), {}};
  ReadRequest request;
  request.scans = {&scan, 1};
  request.now_ms = clock().now_ms();
  const ReadAnswer answer = backend().read("blobs", request);
  ASSERT_EQ(answer.pages.at(0).entries.size(), 2u);
  EXPECT_EQ(answer.pages[0].entries[1].value, longest);
}

TEST_F(FileBackend, refuses_a_long_value_that_was_damaged) {
  open();
  put("blobs", "a", Bytes(5'000, 'x'));
  files().flip_bit(only_log("blobs"), kHeaderBytes + 3'000, 3);
  EXPECT_EQ(code_of([&] { get("blobs", "a"); }), Code::corruption);
}

TEST_F(FileBackend, cuts_the_torn_tail_of_a_crash) {
  open();
  put("agents", "a", "1");
  power_cut();
  const std::string log = only_log("agents");
  files().replace(log, kHeaderBytes + kDurableAlignment, Bytes(2 * kDurableAlignment, 'z'));
  open();
  EXPECT_EQ(get("agents", "a"), "1");
  put("agents", "b", "2");
  power_cut();
  open();
  EXPECT_EQ(get("agents", "a"), "1");
  EXPECT_EQ(get("agents", "b"), "2");
}

TEST_F(FileBackend, names_file_and_offset_when_the_middle_of_the_log_is_damaged) {
  open();
  for (int i = 0; i < 5; ++i) put("agents", "key" + std::to_string(i), "value");
  power_cut();
  const std::string log = only_log("agents");
  files().flip_bit(log, kHeaderBytes + 2 * kDurableAlignment + 40, 1);
  const std::string message = message_of([&] { open(); });
  EXPECT_NE(message.find(log), std::string::npos) << message;
  EXPECT_NE(message.find("offset " + std::to_string(kHeaderBytes + 2 * kDurableAlignment)), std::string::npos)
      << message;
  EXPECT_EQ(code_of([&] { open(); }), Code::corruption);
}

TEST_F(FileBackend, notices_a_log_file_that_is_missing) {
  open("?segment_size_bytes=65536");
  for (int i = 0; i < 40; ++i) put("agents", "key" + std::to_string(i), "value");
  power_cut();
  files().remove(logs_of("agents").at(1));
  EXPECT_EQ(code_of([&] { open(); }), Code::corruption);
}

TEST_F(FileBackend, notices_that_the_newest_log_file_is_missing) {
  for (const int commits : {1, 40}) {
    new_disk(1);
    open("?segment_size_bytes=65536");
    for (int i = 0; i < commits; ++i) put("agents", "key" + std::to_string(i), "value");
    power_cut();
    const std::string newest = logs_of("agents").back();
    files().remove(newest);
    const std::string message = message_of([&] { open(); });
    EXPECT_NE(message.find(newest), std::string::npos) << message;
    EXPECT_EQ(code_of([&] { open(); }), Code::corruption);
  }
}

TEST_F(FileBackend, notices_that_the_newest_log_file_is_missing_after_it_was_closed_before) {
  for (int i = 0; i < 3; ++i) {
    open();
    put("agents", "a", "1");
    close();
  }
  open();
  put("agents", "a", "2");
  power_cut();
  files().remove(only_log("agents"));
  EXPECT_EQ(code_of([&] { open(); }), Code::corruption);
}

TEST_F(FileBackend, notices_that_all_files_of_a_lane_are_missing) {
  open();
  put("agents", "a", "1");
  close();
  files().remove(files_of("agents", "checkpoint").at(0));
  EXPECT_EQ(code_of([&] { open(); }), Code::corruption);
}

TEST_F(FileBackend, notices_that_the_newest_log_file_has_been_cut) {
  open();
  put("agents", "a", "1");
  put("agents", "b", "2");
  power_cut();
  const std::string log = only_log("agents");
  files().truncate_file(log, kHeaderBytes + kDurableAlignment);
  const std::string message = message_of([&] { open(); });
  EXPECT_NE(message.find(log), std::string::npos) << message;
  EXPECT_EQ(code_of([&] { open(); }), Code::corruption);
}

TEST_F(FileBackend, opens_a_folder_of_version_1) {
  open();
  put("agents", "a", "1");
  close();
  open();
  put("agents", "b", "2");
  power_cut();
  // As version 1 wrote them: without what has come since.
  for (const std::string& path : files().paths()) {
    if (path.ends_with("/LOCK") || path.find("/spare-") != std::string::npos) continue;
    const bool is_superblock = path.ends_with("/STORE");
    const std::size_t since = is_superblock ? 29 : 64;
    files().replace(path, since, Bytes(kHeaderBytes - since, '\0'));
    files().replace(path, 8, Bytes(1, '\1'));
    AlignedBuffer checksum;
    checksum.put32(crc32c(View(files().content(path)).substr(16, kHeaderBytes - 16)));
    files().replace(path, 12, checksum.view());
  }
  EXPECT_TRUE(check().ok());
  open();
  EXPECT_EQ(get("agents", "a"), "1");
  EXPECT_EQ(get("agents", "b"), "2");
  put("agents", "c", "3");
  power_cut();
  files().remove(logs_of("agents").back());
  EXPECT_EQ(code_of([&] { open(); }), Code::corruption) << "from now on it is noticed";
}

TEST_F(FileBackend, goes_on_over_many_log_files) {
  open("?segment_size_bytes=65536");
  for (int i = 0; i < 100; ++i) put("agents", "key" + std::to_string(i), "value" + std::to_string(i));
  EXPECT_GT(logs_of("agents").size(), 3u);
  power_cut();
  open();
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(get("agents", "key" + std::to_string(i)), "value" + std::to_string(i));
}

TEST_F(FileBackend, answers_definitely_after_a_write_that_failed_and_goes_on) {
  open();
  put("agents", "a", "1");
  files().fail_call(files().calls() + 1);
  Group group = blind_put("agents", "b", "2");
  backend().commit({&group, 1});
  ASSERT_TRUE(group.error);
  EXPECT_EQ(group.error->retry(), Retry::backoff) << group.error->what();
  EXPECT_EQ(get("agents", "b"), std::nullopt);
  put("agents", "c", "3");
  power_cut();
  open();
  EXPECT_EQ(get("agents", "a"), "1");
  EXPECT_EQ(get("agents", "b"), std::nullopt);
  EXPECT_EQ(get("agents", "c"), "3");
}

TEST_F(FileBackend, does_not_know_the_outcome_while_the_disk_is_broken) {
  open();
  put("agents", "a", "1");
  files().fail_call(files().calls() + 1, 1'000'000);
  Group group = blind_put("agents", "b", "2");
  backend().commit({&group, 1});
  ASSERT_TRUE(group.error);
  EXPECT_EQ(group.error->retry(), Retry::unknown_outcome);
  EXPECT_EQ(get("agents", "a"), "1") << "what was acknowledged can still be read";
  Group other = blind_put("agents", "c", "3");
  backend().commit({&other, 1});
  ASSERT_TRUE(other.error);
  EXPECT_EQ(other.error->retry(), Retry::backoff) << "this one was never sent to the disk";
  files().clear_faults();
  group.retry = true;
  backend().commit({&group, 1});
  EXPECT_FALSE(group.error);
  EXPECT_EQ(get("agents", "b"), "2");
}

TEST_F(FileBackend, reports_a_full_disk_loses_nothing_and_works_again_when_there_is_space) {
  open("?segment_size_bytes=65536");
  put("agents", "a", "1");
  files().set_capacity_bytes(files().used_bytes());
  std::optional<Error> error;
  int committed = 0;
  for (; committed < 100 && !error; ++committed) {
    Group group = blind_put("agents", "key" + std::to_string(committed), "value");
    backend().commit({&group, 1});
    error = group.error;
  }
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), Code::unavailable);
  EXPECT_EQ(error->retry(), Retry::backoff);
  files().set_capacity_bytes(std::nullopt);
  put("agents", "z", "26");
  power_cut();
  open();
  EXPECT_EQ(get("agents", "key" + std::to_string(committed - 2)), "value");
  EXPECT_EQ(get("agents", "z"), "26");
}

TEST_F(FileBackend, answers_definitely_when_the_disk_is_full_although_it_is_not_durable) {
  open("?durable=false");
  put("agents", "a", "1");
  files().set_capacity_bytes(files().used_bytes() + 10'000);
  Group group = blind_put("agents", "b", Bytes(50'000, 'v'));
  backend().commit({&group, 1});
  ASSERT_TRUE(group.error);
  EXPECT_EQ(group.error->code(), Code::unavailable);
  EXPECT_EQ(group.error->retry(), Retry::backoff);
  put("agents", "c", "3");
  files().set_capacity_bytes(std::nullopt);
  put("agents", "b", Bytes(50'000, 'v'));
  kill_process();
  open("?durable=false");
  EXPECT_EQ(get("agents", "b"), Bytes(50'000, 'v'));
  EXPECT_EQ(get("agents", "c"), "3");
}

TEST_F(FileBackend, refuses_a_second_opening) {
  open();
  EXPECT_EQ(code_of([&] { open_another(); }), Code::unavailable);
}

TEST_F(FileBackend, refuses_a_folder_that_holds_something_else) {
  files().create_folder(folder());
  files().put_file(folder() + "/thesis.txt", "chapter one");
  EXPECT_EQ(code_of([&] { open(); }), Code::invalid_argument);
  EXPECT_EQ(files().content(folder() + "/thesis.txt"), "chapter one");
}

TEST_F(FileBackend, refuses_a_foreign_file_among_its_own) {
  open();
  put("agents", "a", "1");
  close();
  files().put_file(folder() + "/thesis.txt", "chapter one");
  const std::string message = message_of([&] { open(); });
  EXPECT_NE(message.find("thesis.txt"), std::string::npos) << message;
}

TEST_F(FileBackend, refuses_a_read_only_folder) {
  open();
  close();
  files().set_read_only(true);
  EXPECT_EQ(code_of([&] { open(); }), Code::permission_denied);
}

TEST_F(FileBackend, refuses_a_network_file_system) {
  files().set_network(true);
  EXPECT_EQ(code_of([&] { open(); }), Code::capability_missing);
}

TEST_F(FileBackend, says_that_a_newer_version_is_needed) {
  open();
  close();
  files().replace(folder() + "/STORE", 8, Bytes(1, '\x7F'));
  EXPECT_EQ(code_of([&] { open(); }), Code::capability_missing);
}

TEST_F(FileBackend, refuses_a_damaged_header) {
  open();
  put("agents", "a", "1");
  power_cut();
  const std::string log = only_log("agents");
  files().flip_bit(log, 20, 0);
  const std::string message = message_of([&] { open(); });
  EXPECT_NE(message.find(log), std::string::npos) << message;
  files().flip_bit(log, 20, 0);
  files().flip_bit(folder() + "/STORE", 20, 0);
  EXPECT_EQ(code_of([&] { open(); }), Code::corruption);
}

TEST_F(FileBackend, refuses_a_log_of_another_store) {
  open();
  put("agents", "a", "1");
  power_cut();
  const std::string log = only_log("agents");
  const std::string theirs = files().content(log);
  files().remove(log);
  files().remove(folder() + "/STORE");
  open();
  put("agents", "a", "2");
  power_cut();
  files().put_file(log, theirs);
  EXPECT_EQ(code_of([&] { open(); }), Code::corruption);
}

TEST_F(FileBackend, lists_databases_in_order_over_all_lanes) {
  open();
  for (const char* name : {"delta", "alpha", "echo", "charlie", "bravo", "agent/1", "agent/2"})
    put(name, "k", "v");
  const Deadline deadline{};
  EXPECT_EQ(backend().databases({}, {}, 3, deadline), (std::vector<Bytes>{"agent/1", "agent/2", "alpha"}));
  EXPECT_EQ(backend().databases({}, "alpha", 2, deadline), (std::vector<Bytes>{"bravo", "charlie"}));
  EXPECT_EQ(backend().databases("agent/", {}, 9, deadline), (std::vector<Bytes>{"agent/1", "agent/2"}));
}

TEST_F(FileBackend, keeps_drops_fences_and_floors_over_a_power_cut) {
  open();
  const Deadline deadline{};
  put("gone", "k", "v");
  put("moved", "k", "v");
  put("short", "k", "1");
  put("short", "k", "2");
  EXPECT_TRUE(backend().drop("gone", head("gone").history, deadline));
  Fence frozen;
  frozen.state = Fence::State::frozen;
  frozen.token = 7;
  EXPECT_TRUE(backend().fence("moved", {}, frozen, deadline));
  backend().compact("short", 1, deadline);
  const Position position = head("short");
  power_cut();
  open();
  EXPECT_EQ(head("gone"), Position{});
  Group group = blind_put("moved", "k", "w");
  backend().commit({&group, 1});
  ASSERT_TRUE(group.error);
  EXPECT_EQ(group.error->code(), Code::unavailable);
  ChangesRequest request;
  request.since = {position.history, 0};
  EXPECT_EQ(code_of([&] { backend().changes("short", request); }), Code::compacted);
}

TEST_F(FileBackend, remembers_sessions_over_a_power_cut) {
  open();
  Group group = blind_put("agents", "a", "1");
  backend().commit({&group, 1});
  power_cut();
  open();
  Group again = group;
  again.retry = true;
  backend().commit({&again, 1});
  EXPECT_FALSE(again.error);
  EXPECT_EQ(again.outcomes, group.outcomes);
  EXPECT_EQ(again.at, group.at);
  EXPECT_EQ(head("agents"), group.at);
}

TEST_F(FileBackend, loses_no_acknowledged_commit_whichever_call_the_power_goes_in) {
  const auto run = [&](int& acknowledged) {
    open("?segment_size_bytes=65536");
    for (int i = 0; i < 24; ++i) {
      Group group = blind_put("agents", "key" + std::to_string(i), Bytes(i % 5 == 0 ? 5'000 : 10, 'v'));
      backend().commit({&group, 1});
      if (group.error) return;
      ++acknowledged;
    }
  };
  cut_power_at_every_call(run, [&](int acknowledged) {
    for (int i = 0; i < acknowledged; ++i) {
      EXPECT_TRUE(get("agents", "key" + std::to_string(i))) << "commit " << i;
    }
    const Seq seq = head("agents").seq;
    EXPECT_TRUE(seq == static_cast<Seq>(acknowledged) || seq == static_cast<Seq>(acknowledged) + 1);
  });
}

}  // namespace
}  // namespace holdfast::file
