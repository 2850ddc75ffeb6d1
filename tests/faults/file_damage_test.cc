// The file backend on disks that are full, read-only or damaged: clear errors, and nothing is lost silently.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "tests/faults/crash_suite.h"
#include "tests/faults/file_target.h"
#include "tests/support/settings.h"

namespace holdfast::faults {
namespace {

constexpr std::uint64_t kUsualSeeds = 400;

/// Runs `life` with many seeds, or with the one of HOLDFAST_SEED.
void for_each_seed(const std::function<void(std::uint64_t)>& life) {
  const auto one = testing_support::setting("HOLDFAST_SEED");
  const std::uint64_t first = one.value_or(1);
  const std::uint64_t last = one.value_or(seeds_to_run(kUsualSeeds));
  for (std::uint64_t seed = first; seed <= last; ++seed) {
    try {
      life(seed);
    } catch (const std::exception& error) {
      FAIL() << error.what() << "\n  replay with HOLDFAST_SEED=" << seed;
    }
  }
}

/// A store with some history, in a random state of its files.
void live(CrashRun& run) {
  ASSERT_TRUE(run.open());
  const std::uint64_t rounds = 2 + run.random().below(6);
  for (std::uint64_t i = 0; i < rounds; ++i) {
    run.commit_groups(run.models().size(), false);
    run.commit_one();
    run.compact_one();
    if (run.random().below(2) == 0) run.commit_bulk(20'000);
  }
}

std::map<std::string, std::string> contents(const SimulatedFileSystem& disk) {
  std::map<std::string, std::string> all;
  for (const std::string& path : disk.paths()) all[path] = disk.content(path);
  return all;
}

/// The files with records that were changed. Spares, and what a later checkpoint of another lane has made
/// superfluous, may go while a store is opened.
std::string changed_files(const std::map<std::string, std::string>& before,
                          const std::map<std::string, std::string>& after) {
  std::string changed;
  for (const auto& [path, content] : after) {
    const auto found = before.find(path);
    if (found == before.end()) {
      changed += path + " is new; ";
    } else if (found->second != content) {
      changed += path + " is another; ";
    }
  }
  return changed;
}

/// Whether the lane of `path` has a newer file of the same kind: "log-2-0000000000000007".
bool has_newer(const std::vector<std::string>& paths, const std::string& path) {
  const std::string kind = path.substr(0, path.rfind('-'));
  return std::any_of(paths.begin(), paths.end(), [&](const std::string& other) {
    return other.size() == path.size() && other.starts_with(kind) && other > path;
  });
}

/// Whether the file is a log that grows, so that nobody knows how long it has been.
bool is_growing_log(const std::string& path, const std::string& content) {
  constexpr std::size_t kDurableOffset = 56;
  return path.find("/log-") != std::string::npos && content.size() > kDurableOffset &&
         content[kDurableOffset] == 0;
}

/// The newest record of a log is about as long.
constexpr std::uint64_t kNewestRecordBytes = 100;

/// Damages one file of the store, somewhere; what it did.
std::string damage(CrashRun& run) {
  std::vector<std::string> files;
  for (const std::string& path : run.disk().paths()) {
    if (!path.ends_with("/LOCK") && !run.disk().content(path).empty()) files.push_back(path);
  }
  const std::string path = files.at(run.random().below(files.size()));
  const std::uint64_t size = run.disk().content(path).size();
  const std::uint64_t offset = run.random().below(size);
  const std::uint64_t kind = run.random().below(4);
  if (kind == 0 && (!is_growing_log(path, run.disk().content(path)) || has_newer(files, path))) {
    run.disk().truncate_file(path, offset);
    return path + " truncated to " + std::to_string(offset);
  }
  if (kind == 1 && !path.ends_with("/STORE")) {
    run.disk().remove(path);
    return path + " removed";
  }
  if (kind == 2) {
    // Within one block, since what is lost of the tail may be one record.
    const std::uint64_t length = std::min({size - offset, 4096 - offset % 4096, std::uint64_t{600}});
    run.disk().replace(path, offset, std::string(static_cast<std::size_t>(length), '\0'));
    return path + " zeroed from " + std::to_string(offset);
  }
  // Half of the time near the end of what was written, where the newest record of a log is.
  const std::uint64_t used = run.disk().content(path).find_last_not_of('\0') + 1;
  const bool is_near_end = used > 0 && run.random().below(2) == 0;
  const std::uint64_t flipped =
      is_near_end ? used - 1 - run.random().below(std::min(used, kNewestRecordBytes)) : offset;
  run.disk().flip_bit(path, flipped, static_cast<unsigned>(run.random().below(8)));
  return path + " with a flipped bit at " + std::to_string(flipped);
}

/// What a reader of the store sees of a database, or nothing if it is told that it is damaged.
std::optional<Observed> seen(CrashRun& run, const DatabaseModel& model) {
  try {
    return observe(run.backend(), model.name(), model.known().head().fence.token);
  } catch (const Error& error) {
    if (error.code() != Code::corruption) throw;
    return std::nullopt;
  }
}

TEST(FileDamage, is_corruption_or_a_lost_tail_and_never_anything_else) {
  std::size_t refused = 0;
  std::size_t cut = 0;
  for_each_seed([&](std::uint64_t seed) {
    const CrashTarget target = file_target();
    CrashRun::Options options;
    options.seed = seed;
    CrashRun run(target, options);
    live(run);
    if (run.random().below(2) == 0) {
      run.close();
    } else {
      run.crash(Fault::power_loss);
    }
    run.crash(Fault::power_loss);
    const std::string what = damage(run);
    SCOPED_TRACE(what + ", seed " + std::to_string(seed));
    const auto damaged = contents(run.disk());
    run.expect_errors(Code::corruption);
    try {
      if (!run.open()) {
        ++refused;
        EXPECT_EQ(changed_files(damaged, contents(run.disk())), "");
        EXPECT_FALSE(target.check(run.environment()).ok());
        return;
      }
    } catch (const CrashFailure& failure) {
      // The bytes that say which version of the format it is were hit.
      EXPECT_NE(std::string(failure.what()).find("version"), std::string::npos) << failure.what();
      return;
    }
    // The newest record of a lane cannot be told from one whose write was interrupted. Nothing else may go.
    std::set<std::size_t> lanes;
    for (const DatabaseModel& model : run.models()) {
      const std::optional<Observed> actual = seen(run, model);
      if (!actual || difference(*actual, observe(model.known())).empty()) continue;
      EXPECT_EQ(difference(*actual, observe(model.previous())), "") << model.name();
      lanes.insert(run.backend().lane(model.name()));
      ++cut;
    }
    EXPECT_LE(lanes.size(), 1u);
  });
  RecordProperty("refused", static_cast<int>(refused));
  RecordProperty("cut", static_cast<int>(cut));
  if (seeds_to_run(kUsualSeeds) >= kUsualSeeds && !testing_support::setting("HOLDFAST_SEED")) {
    EXPECT_GT(refused, kUsualSeeds / 10);
    EXPECT_GT(cut, 0u);
  }
}

TEST(FileDamage, check_changes_nothing_and_finds_nothing_in_a_sound_store) {
  for_each_seed([](std::uint64_t seed) {
    if (seed % 10 != 1) return;
    const CrashTarget target = file_target();
    CrashRun::Options options;
    options.seed = seed;
    CrashRun run(target, options);
    live(run);
    run.crash(seed % 20 == 1 ? Fault::power_loss : Fault::kill);
    const auto before = contents(run.disk());
    const CheckReport report = target.check(run.environment());
    EXPECT_TRUE(report.ok()) << report.problems.front();
    EXPECT_GT(report.entries, 0u);
    EXPECT_EQ(contents(run.disk()), before);
  });
}

TEST(FileDamage, a_full_disk_loses_nothing_and_works_again_when_there_is_space) {
  std::uint64_t refused = 0;
  for_each_seed([&](std::uint64_t seed) {
    const CrashTarget target = file_target();
    CrashRun::Options options;
    options.seed = seed;
    options.direct_io = seed % 2 == 0;
    CrashRun run(target, options);
    live(run);
    run.disk().set_capacity_bytes(run.disk().used_bytes() + run.random().below(100'000));
    run.expect_errors(Code::unavailable);
    for (int i = 0; i < 6; ++i) run.commit_bulk(30'000);
    run.compact_one();
    run.fence_one();
    run.drop_one();
    refused += run.errors();
    run.verify(false);
    if (run.random().below(2) == 0) {
      run.crash(Fault::power_loss);
      // Recovery may need room of its own; without it the store says so and is as it was.
      if (!run.open()) {
        run.disk().set_capacity_bytes(std::nullopt);
        ASSERT_TRUE(run.open());
      }
    }
    run.disk().set_capacity_bytes(std::nullopt);
    run.expect_errors(std::nullopt);
    run.resolve();
    run.verify(false);
    run.demand_service();
    run.crash(Fault::power_loss);
    ASSERT_TRUE(run.open());
    run.verify();
  });
  EXPECT_GT(refused, 0u);
}

TEST(FileDamage, a_disk_that_becomes_read_only_loses_nothing) {
  std::uint64_t refused = 0;
  for_each_seed([&](std::uint64_t seed) {
    if (seed % 4 != 1) return;
    const CrashTarget target = file_target();
    CrashRun::Options options;
    options.seed = seed;
    CrashRun run(target, options);
    live(run);
    run.disk().set_read_only(true);
    run.expect_errors(Code::permission_denied);
    for (int i = 0; i < 4; ++i) run.commit_one();
    refused += run.errors();
    run.verify(false);
    run.crash(Fault::kill);
    EXPECT_FALSE(run.open());
    run.disk().set_read_only(false);
    run.expect_errors(std::nullopt);
    ASSERT_TRUE(run.open());
    run.verify();
    run.resolve();
    run.verify();
  });
  EXPECT_GT(refused, 0u);
}

TEST(FileDamage, a_second_opener_is_told_and_disturbs_nobody) {
  const CrashTarget target = file_target();
  CrashRun run(target, {});
  live(run);
  try {
    target.open(run.environment(), true);
    FAIL() << "the store was opened twice";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::unavailable);
    EXPECT_NE(std::string(error.what()).find("locked by"), std::string::npos) << error.what();
  }
  run.commit_one();
  run.verify();
}

}  // namespace
}  // namespace holdfast::faults
