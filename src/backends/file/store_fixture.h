// What the tests of the file engine share: a store on a simulated disk, and short ways to write to it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backends/file/file_backend.h"
#include "backends/file/lane.h"
#include "contract/validate.h"
#include "tests/support/simulated_file_system.h"

namespace holdfast::file {

class StoreFixture : public testing::Test {
 protected:
  StoreFixture() { new_disk(1); }

  void new_disk(std::uint64_t seed, bool direct_io = true) {
    close();
    files_ = SimulatedFileSystem::make({seed, direct_io});
    environment_.clock = std::make_shared<ManualClock>();
    environment_.random = seeded_random(seed);
    environment_.files = files_;
  }
  /// From the next open() on the store uses `files`, which leads to files().
  void put_before_disk(std::shared_ptr<FileSystem> files) { environment_.files = std::move(files); }
  void open(const std::string& options = {}) {
    backend_.reset();
    backend_ = open_store(options);
  }
  void open_another() { open_store({}); }
  void close() { backend_.reset(); }
  void power_cut() {
    files_->power_off();
    backend_.reset();
    files_->power_cycle();
    files_->clear_faults();
  }
  void kill_process() {
    files_->power_off();
    backend_.reset();
    files_->process_kill();
    files_->clear_faults();
  }
  /// Runs `life` on a new disk once for every call that it makes, with the power going in that call;
  /// `life` counts what was acknowledged. Afterwards `judge` sees the store opened again.
  template <class Life, class Judge>
  void cut_power_at_every_call(Life&& life, Judge&& judge) {
    int acknowledged = 0;
    life(acknowledged);
    close();
    const std::uint64_t calls = files().calls();
    for (std::uint64_t call = 1; call <= calls; ++call) {
      SCOPED_TRACE("call " + std::to_string(call));
      new_disk(call);
      files().power_loss_at(call);
      acknowledged = 0;
      try {
        life(acknowledged);
      } catch (const Error&) {
        EXPECT_TRUE(files().power_is_lost());
      }
      power_cut();
      open();
      judge(acknowledged);
    }
  }
  CheckReport check() { return factory_.check(url({}), options({}), environment_); }
  CheckReport repair() { return factory_.repair(url({}), options({}), environment_); }

  void checkpoint() { backend_->checkpoint(); }

  Backend& backend() { return *backend_; }
  SimulatedFileSystem& files() { return *files_; }
  ManualClock& clock() { return static_cast<ManualClock&>(*environment_.clock); }
  const Environment& environment() const { return environment_; }
  static std::string folder() { return "/data/store"; }

  /// Paths of the files of the database's lane that begin with `kind`, in order.
  std::vector<std::string> files_of(View database, const std::string& kind) {
    const std::string prefix = folder() + "/" + kind + "-" + std::to_string(lane_of(database)) + "-";
    std::vector<std::string> found;
    for (const std::string& path : files_->paths()) {
      if (path.starts_with(prefix)) found.push_back(path);
    }
    return found;
  }
  std::vector<std::string> logs_of(View database) { return files_of(database, "log"); }
  std::string only_log(View database) {
    const std::vector<std::string> logs = logs_of(database);
    EXPECT_EQ(logs.size(), 1u);
    return logs.at(0);
  }

  Group group_of(View database, std::vector<Write> writes) {
    Group group;
    group.database = database;
    group.history = backend_ ? head(database).history : 0;
    group.session = {1, std::hash<View>{}(database)};
    group.number = ++number_;
    group.now_ms = environment_.clock->now_ms();
    group.batches.push_back({{}, std::move(writes)});
    group.content_hash = content_hash(group.batches);
    return group;
  }
  Group blind_put(View database, View key, View value) {
    return group_of(database, {Write::put(key, value)});
  }
  void commit(Group group) {
    backend_->commit({&group, 1});
    EXPECT_FALSE(group.error) << group.error->what();
  }
  void put(View database, View key, View value, std::optional<UnixMs> expires_at_ms = {}) {
    commit(group_of(database, {Write::put(key, value, expires_at_ms)}));
  }
  void erase(View database, View key) { commit(group_of(database, {Write::erase(key)})); }

  std::optional<Bytes> get(View database, View key) {
    ReadRequest request;
    request.gets = {&key, 1};
    request.now_ms = environment_.clock->now_ms();
    ReadAnswer answer = backend_->read(database, request);
    if (!answer.gets.at(0)) return std::nullopt;
    return answer.gets[0]->value;
  }
  Position head(View database) {
    ReadRequest request;
    request.now_ms = environment_.clock->now_ms();
    return backend_->read(database, request).at;
  }

  /// Everything that can be asked of a database, as text: for comparing states.
  std::string state_of(View database) {
    std::string text;
    const Scan scan{Range::all(), {.limit = limits::kScanEntries}};
    ReadRequest request;
    request.scans = {&scan, 1};
    request.now_ms = environment_.clock->now_ms();
    const ReadAnswer answer = backend_->read(database, request);
    text += "at " + std::to_string(answer.at.history) + "/" + std::to_string(answer.at.seq) + " time " +
            std::to_string(answer.time_ms) + " floor " + std::to_string(answer.floor) + "\n";
    for (const Entry& entry : answer.pages.at(0).entries) {
      text += entry.key + "=" + std::to_string(std::hash<Bytes>{}(entry.value)) + "@" +
              std::to_string(entry.version) + "/" + std::to_string(entry.expires_at_ms.value_or(0)) + "\n";
    }
    ChangesRequest changes;
    changes.since = {answer.at.history, answer.floor};
    changes.limit = limits::kScanEntries;
    for (const Change& change : backend_->changes(database, changes).items) {
      text +=
          "changed " + change.key + "@" + std::to_string(change.version) + (change.erased ? " erased" : "") +
          (change.entry ? " expires " + std::to_string(change.entry->expires_at_ms.value_or(0)) : "") + "\n";
    }
    return text;
  }

  template <class Call>
  std::optional<Code> code_of(Call&& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.code();
    }
    return std::nullopt;
  }
  template <class Call>
  std::string message_of(Call&& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.what();
    }
    return {};
  }

 private:
  Url url(const std::string& options) const { return Url::parse("file://" + folder() + options); }
  Options options(const std::string& text) const { return {"file:", factory_.options, url(text).options}; }
  std::unique_ptr<FileStore> open_store(const std::string& text) {
    return open_file_store(url(text), options(text), environment_);
  }

  const BackendFactory factory_ = file_factory();
  std::shared_ptr<SimulatedFileSystem> files_;
  Environment environment_;
  std::unique_ptr<FileStore> backend_;
  std::uint64_t number_ = 0;
};

}  // namespace holdfast::file
