#include "tests/support/simulated_file_system.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <set>

#include "holdfast/error.h"
#include "tests/support/code_of.h"

namespace holdfast {
namespace {

using testing_support::code_of;

constexpr int kSeeds = 300;

std::shared_ptr<SimulatedFileSystem> make_disk(std::uint64_t seed = 1, bool direct_io = true) {
  auto disk = SimulatedFileSystem::make({seed, direct_io});
  disk->create_folder("/data");
  return disk;
}

/// Memory that direct I/O accepts.
class Blocks {
 public:
  Blocks(std::size_t count, char fill)
      : size_(count * 4096), memory_(std::aligned_alloc(4096, size_), &std::free) {
    std::fill_n(static_cast<char*>(memory_.get()), size_, fill);
  }
  View view() const { return {static_cast<const char*>(memory_.get()), size_}; }

 private:
  std::size_t size_;
  std::unique_ptr<void, decltype(&std::free)> memory_;
};

void put_synced(FileSystem& disk, const std::string& path, View data) {
  const auto file = disk.open(path, FileMode::create);
  file->write(0, data);
  file->sync();
  disk.sync_folder("/data");
}

/// Everything that `path` can hold after a power loss, by many seeds; "gone" if it can be missing.
std::set<std::string> outcomes(const std::string& path, bool direct_io,
                               const std::function<void(SimulatedFileSystem&)>& work) {
  std::set<std::string> seen;
  for (int seed = 1; seed <= kSeeds; ++seed) {
    const auto disk = make_disk(seed, direct_io);
    work(*disk);
    disk->power_cycle();
    seen.insert(disk->exists(path) ? disk->content(path) : "gone");
  }
  return seen;
}

TEST(SimulatedFileSystem, SyncedDataInASyncedFolderSurvivesEveryPowerLoss) {
  EXPECT_EQ(outcomes("/data/a", true, [](auto& disk) { put_synced(disk, "/data/a", "hello"); }),
            (std::set<std::string>{"hello"}));
}

TEST(SimulatedFileSystem, NewFileMayVanishWhenItsFolderWasNotSynced) {
  const auto seen = outcomes("/data/a", true, [](auto& disk) {
    const auto file = disk.open("/data/a", FileMode::create);
    file->write(0, "hello");
    file->sync();
  });
  EXPECT_EQ(seen, (std::set<std::string>{"gone", "hello"}));
}

TEST(SimulatedFileSystem, UnsyncedDataMayBeKeptOrLost) {
  const auto seen = outcomes("/data/a", true, [](auto& disk) {
    put_synced(disk, "/data/a", "old!");
    disk.open("/data/a", FileMode::write)->write(0, "new!");
  });
  EXPECT_EQ(seen, (std::set<std::string>{"old!", "new!"}));
}

TEST(SimulatedFileSystem, LaterWriteMayBeKeptWhereAnEarlierIsLost) {
  const std::string zeros(1024, '0');
  const auto seen = outcomes("/data/a", true, [&](auto& disk) {
    put_synced(disk, "/data/a", zeros);
    const auto file = disk.open("/data/a", FileMode::write);
    file->write(0, std::string(512, '1'));
    file->write(512, std::string(512, '2'));
  });
  EXPECT_TRUE(seen.contains(std::string(512, '0') + std::string(512, '2')));
  EXPECT_TRUE(seen.contains(std::string(512, '1') + std::string(512, '0')));
  EXPECT_TRUE(seen.contains(zeros));
}

TEST(SimulatedFileSystem, UnsyncedWriteIsTornAtSectorsOnly) {
  const auto seen = outcomes("/data/a", true, [&](auto& disk) {
    put_synced(disk, "/data/a", std::string(2048, '0'));
    disk.open("/data/a", FileMode::write)->write(0, std::string(2048, '1'));
  });
  EXPECT_GT(seen.size(), 4u);
  for (const std::string& content : seen) {
    for (std::size_t sector = 0; sector < 4; ++sector) {
      const std::string bytes = content.substr(sector * 512, 512);
      EXPECT_EQ(bytes, std::string(512, bytes[0]));
    }
  }
}

TEST(SimulatedFileSystem, RenameMayBeLostUntilTheFolderIsSynced) {
  const auto work = [](bool sync) {
    return [sync](SimulatedFileSystem& disk) {
      put_synced(disk, "/data/a", "old");
      put_synced(disk, "/data/b", "new");
      disk.rename("/data/b", "/data/a");
      EXPECT_EQ(disk.content("/data/a"), "new");
      if (sync) disk.sync_folder("/data");
    };
  };
  EXPECT_EQ(outcomes("/data/a", true, work(false)), (std::set<std::string>{"old", "new"}));
  EXPECT_EQ(outcomes("/data/a", true, work(true)), (std::set<std::string>{"new"}));
}

TEST(SimulatedFileSystem, RenamedFileHoldsNoMoreThanWhatWasSynced) {
  const auto seen = outcomes("/data/a", true, [](auto& disk) {
    const auto file = disk.open("/data/b", FileMode::create);
    file->write(0, "x");
    disk.rename("/data/b", "/data/a");
    disk.sync_folder("/data");
  });
  EXPECT_TRUE(seen.contains(""));
  EXPECT_TRUE(seen.contains("x"));
  EXPECT_FALSE(seen.contains("gone"));
}

TEST(SimulatedFileSystem, RemovedFileMayComeBackUntilTheFolderIsSynced) {
  const auto seen = outcomes("/data/a", true, [](auto& disk) {
    put_synced(disk, "/data/a", "x");
    disk.remove("/data/a");
  });
  EXPECT_EQ(seen, (std::set<std::string>{"gone", "x"}));
}

TEST(SimulatedFileSystem, DurableWriteSurvivesAndIsNotUndoneByOlderUnsyncedOnes) {
  const Blocks old_block(1, '1');
  const Blocks new_block(1, '2');
  for (const bool direct_io : {true, false}) {
    const auto seen = outcomes("/data/a", direct_io, [&](auto& disk) {
      put_synced(disk, "/data/a", std::string(4096, '0'));
      disk.open("/data/a", FileMode::write)->write(0, old_block.view());
      disk.open("/data/a", FileMode::durable)->write(0, new_block.view());
    });
    EXPECT_EQ(seen, (std::set<std::string>{std::string(new_block.view())}));
  }
}

TEST(SimulatedFileSystem, DurableWriteInFlightWhenThePowerGoesMayBeTorn) {
  const Blocks block(2, '1');
  const auto seen = outcomes("/data/a", true, [&](auto& disk) {
    put_synced(disk, "/data/a", std::string(8192, '0'));
    const auto file = disk.open("/data/a", FileMode::durable);
    disk.power_loss_at(disk.calls() + 1);
    EXPECT_EQ(code_of([&] { file->write(0, block.view()); }), Code::unavailable);
  });
  EXPECT_TRUE(seen.contains(std::string(8192, '0')));
  EXPECT_TRUE(seen.contains(std::string(4096, '1') + std::string(4096, '0')));
  EXPECT_TRUE(seen.contains(std::string(512, '1') + std::string(7680, '0')));
  EXPECT_TRUE(seen.contains(std::string(4096, '0') + std::string(4096, '1')));
}

TEST(SimulatedFileSystem, SyncThatFailedOnceSucceedsLaterWithoutTheData) {
  const auto seen = outcomes("/data/a", true, [](auto& disk) {
    put_synced(disk, "/data/a", "old");
    const auto file = disk.open("/data/a", FileMode::write);
    file->write(0, "new");
    disk.fail_call(disk.calls() + 1);
    EXPECT_EQ(code_of([&] { file->sync(); }), Code::unavailable);
    file->sync();
    EXPECT_EQ(disk.content("/data/a"), "new");
  });
  EXPECT_EQ(seen, (std::set<std::string>{"old"}));
}

TEST(SimulatedFileSystem, WithoutDirectIoAFailedDurableWriteIsSeenButNotKept) {
  bool was_seen = false;
  const auto kept = outcomes("/data/a", false, [&](auto& disk) {
    put_synced(disk, "/data/a", std::string(512, '0'));
    const auto file = disk.open("/data/a", FileMode::durable);
    disk.fail_call(disk.calls() + 1);
    EXPECT_EQ(code_of([&] { file->write(0, std::string(512, '1')); }), Code::unavailable);
    file->sync();
    was_seen = was_seen || disk.content("/data/a")[0] == '1';
  });
  EXPECT_TRUE(was_seen);
  EXPECT_EQ(kept, (std::set<std::string>{std::string(512, '0')}));
}

TEST(SimulatedFileSystem, FailedCallIsTheOneWithItsNumberAndNoOther) {
  const auto disk = make_disk();
  put_synced(*disk, "/data/a", "x");
  const auto file = disk->open("/data/a", FileMode::write);
  disk->fail_call(disk->calls() + 2);
  char byte = 0;
  EXPECT_NO_THROW(file->read(0, &byte, 1));
  EXPECT_FALSE(disk->fault_happened());
  EXPECT_EQ(code_of([&] { file->read(0, &byte, 1); }), Code::unavailable);
  EXPECT_TRUE(disk->fault_happened());
  EXPECT_NO_THROW(file->read(0, &byte, 1));
}

TEST(SimulatedFileSystem, AfterPowerLossEveryCallFailsUntilThePowerIsBack) {
  const auto disk = make_disk();
  put_synced(*disk, "/data/a", "x");
  const auto file = disk->open("/data/a", FileMode::write);
  const std::string boot = disk->boot_id();
  disk->power_off();
  EXPECT_EQ(code_of([&] { file->sync(); }), Code::unavailable);
  EXPECT_EQ(code_of([&] { disk->list("/data"); }), Code::unavailable);
  disk->power_cycle();
  EXPECT_EQ(code_of([&] { file->sync(); }), Code::unavailable) << "the file was opened by a dead process";
  EXPECT_NO_THROW(disk->open("/data/a", FileMode::read));
  EXPECT_NE(disk->boot_id(), boot);
}

TEST(SimulatedFileSystem, KillKeepsEverythingWrittenAndTheBootIdAndReleasesLocks) {
  const auto disk = make_disk();
  const std::string boot = disk->boot_id();
  const auto file = disk->open("/data/a", FileMode::create);
  file->write(0, "x");
  const auto lock = disk->lock("/data/lock");
  disk->process_kill();
  EXPECT_EQ(disk->content("/data/a"), "x");
  EXPECT_EQ(disk->boot_id(), boot);
  EXPECT_EQ(code_of([&] { file->write(0, "y"); }), Code::unavailable);
  EXPECT_NO_THROW(disk->lock("/data/lock"));
}

TEST(SimulatedFileSystem, SecondLockIsRefusedUntilTheFirstIsGone) {
  const auto disk = make_disk();
  auto lock = disk->lock("/data/lock");
  EXPECT_EQ(code_of([&] { disk->lock("/data/lock"); }), Code::unavailable);
  lock.reset();
  EXPECT_NO_THROW(disk->lock("/data/lock"));
}

TEST(SimulatedFileSystem, LockOfADeadProcessDoesNotReleaseThatOfTheNext) {
  const auto disk = make_disk();
  auto dead = disk->lock("/data/lock");
  disk->process_kill();
  const auto living = disk->lock("/data/lock");
  dead.reset();
  EXPECT_EQ(code_of([&] { disk->lock("/data/lock"); }), Code::unavailable);
}

TEST(SimulatedFileSystem, FullDiskTakesWhatFitsAndThenFails) {
  const auto disk = make_disk();
  const auto file = disk->open("/data/a", FileMode::create);
  disk->set_capacity_bytes(10);
  file->write(0, "12345678");
  EXPECT_EQ(code_of([&] { file->write(8, "9abc"); }), Code::unavailable);
  EXPECT_EQ(disk->content("/data/a"), "123456789a");
  EXPECT_EQ(code_of([&] { file->extend(4096); }), Code::unavailable);
  EXPECT_NO_THROW(file->write(0, "overwrites"));
}

TEST(SimulatedFileSystem, ReadOnlyDiskRefusesEveryChange) {
  const auto disk = make_disk();
  put_synced(*disk, "/data/a", "x");
  disk->set_read_only(true);
  EXPECT_EQ(code_of([&] { disk->open("/data/b", FileMode::create); }), Code::permission_denied);
  EXPECT_EQ(code_of([&] { disk->open("/data/a", FileMode::write); }), Code::permission_denied);
  EXPECT_EQ(code_of([&] { disk->remove("/data/a"); }), Code::permission_denied);
  EXPECT_NO_THROW(disk->open("/data/a", FileMode::read));
}

TEST(SimulatedFileSystem, TruncationMayBeLostButNeverMixesWithWhatCameLater) {
  const auto seen = outcomes("/data/a", true, [](auto& disk) {
    put_synced(disk, "/data/a", "0123456789");
    const auto file = disk.open("/data/a", FileMode::write);
    file->truncate(2);
    file->extend(4);
  });
  for (const std::string& content : seen) {
    EXPECT_TRUE(content == "0123456789" || content.substr(0, 2) == "01");
    if (content.size() < 10 && content.size() > 2) {
      EXPECT_EQ(content.find_first_not_of('\0', 2), std::string::npos);
    }
  }
  EXPECT_TRUE(seen.contains("01"));
}

TEST(SimulatedFileSystem, CloneGoesItsOwnWay) {
  const auto disk = make_disk();
  put_synced(*disk, "/data/a", "old");
  disk->open("/data/a", FileMode::write)->write(0, "new");
  const auto copy = disk->clone(2);
  copy->open("/data/a", FileMode::write)->write(0, "two");
  EXPECT_EQ(disk->content("/data/a"), "new");
  EXPECT_EQ(copy->content("/data/a"), "two");
}

TEST(SimulatedFileSystem, SameSeedGivesTheSameDisk) {
  const auto run = [](std::uint64_t seed) {
    const auto disk = make_disk(seed);
    put_synced(*disk, "/data/a", std::string(8192, '0'));
    disk->open("/data/a", FileMode::write)->write(0, std::string(8192, '1'));
    disk->power_cycle();
    return disk->content("/data/a");
  };
  for (std::uint64_t seed = 1; seed < 50; ++seed) EXPECT_EQ(run(seed), run(seed));
}

TEST(SimulatedFileSystem, CorruptionReachesTheDisk) {
  const auto disk = make_disk();
  put_synced(*disk, "/data/a", "abc");
  disk->flip_bit("/data/a", 1, 0);
  disk->power_cycle();
  EXPECT_EQ(disk->content("/data/a"), "acc");
}

}  // namespace
}  // namespace holdfast
