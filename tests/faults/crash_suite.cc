#include "tests/faults/crash_suite.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <sstream>

#include "tests/support/settings.h"

namespace holdfast::faults {
namespace {

constexpr std::array<const char*, kScenarios> kScenarioNames = {"commits",    "groups",  "checkpoint",
                                                                "administer", "opening", "repair"};
constexpr std::array<const char*, 3> kFaultNames = {"failure", "power_loss", "kill"};
constexpr std::uint64_t kOpenCrashes = 6;
/// A call may come or not, as the threads of a store meet: a sweep ends when this many runs had no fault.
constexpr int kRunsWithoutFault = 3;
constexpr std::size_t kBulkBytes = 160 << 10;
constexpr std::size_t kLogBytes = 6000;

std::string last_lines(const std::string& text) {
  if (text.size() <= kLogBytes) return text;
  return "..." + text.substr(text.find('\n', text.size() - kLogBytes));
}

/// The work that every scenario begins with.
void set_up(CrashRun& run) {
  if (!run.open()) throw CrashFailure("a new store cannot be opened");
  for (int i = 0; i < 3; ++i) run.commit_groups(run.models().size(), false);
  for (int i = 0; i < 6; ++i) run.commit_one();
}

void act(CrashRun& run, Scenario scenario) {
  const auto goes_on = [&run] { return !run.disk().fault_happened(); };
  switch (scenario) {
    case Scenario::commits:
      for (int i = 0; i < 12 && goes_on(); ++i) run.commit_one();
      return;
    case Scenario::groups:
      for (int i = 0; i < 4 && goes_on(); ++i) run.commit_groups(run.models().size(), true);
      return;
    case Scenario::checkpoint:
      for (int i = 0; i < 4 && goes_on(); ++i) {
        run.commit_bulk(kBulkBytes / 4);
        if (goes_on()) run.commit_groups(3, false);
      }
      return;
    case Scenario::administer:
      for (int i = 0; i < 4 && goes_on(); ++i) {
        run.commit_one();
        if (goes_on()) run.compact_one();
        if (goes_on()) run.fence_one();
        if (goes_on()) run.drop_one();
        if (goes_on()) run.commit_one();
      }
      return;
    case Scenario::opening:
    case Scenario::repair:
      return;
  }
}

/// The power goes, or the process dies, where the run is; then everything must be there.
void crash_and_verify(CrashRun& run, Fault fault, bool durable) {
  run.crash(fault);
  if (!run.open()) throw CrashFailure("the store cannot be opened after a crash");
  if (!durable && fault != Fault::kill) return run.verify_prefix();
  run.verify();
  run.resolve();
  run.verify();
}

/// What a store that has survived must still be able to do.
void live_on(CrashRun& run) {
  run.disk().clear_faults();
  for (int i = 0; i < 3; ++i) run.commit_one();
  run.commit_groups(run.models().size(), false);
  run.verify();
  run.close();
  run.crash(Fault::power_loss);
  if (!run.open())
    throw CrashFailure("the store cannot be opened after it was closed and the power had gone");
  run.verify();
}

/// A database that has lost commits must say so: the old history is refused, and the next commit is the next.
void live_on_after_loss(CrashRun& run) {
  run.disk().clear_faults();
  for (const DatabaseModel& model : run.models()) {
    if (!model.was_lost()) continue;
    // A first commit names no history, and so may be applied to the one that there is now (§3.9).
    if (model.answered() && model.answered()->history != 0) {
      Group again = *model.answered();
      again.retry = true;
      run.backend().commit({&again, 1});
      const bool recorded = !again.error && again.outcomes == model.answered()->outcomes;
      if (!recorded && (!again.error || again.error->code() != Code::history_changed)) {
        throw CrashFailure("a group of a lost history was neither known nor refused");
      }
    }
    const Observed before = observe(run.backend(), model.name(), model.known().head().fence.token);
    Group group;
    group.database = model.name();
    group.history = before.at.history;
    group.session = {run.random()(), 1};
    group.number = 1;
    group.now_ms = before.time_ms;
    group.clock_skew_limit_ms = 0;
    group.deadline = soon();
    group.batches = {Batch{{}, {Write::put("after", "loss")}}};
    // What was lost may be the end of a freeze, so that any fence may be there again.
    for (group.token = 0; group.token < run.next_token(); ++group.token) {
      group.error.reset();
      run.backend().commit({&group, 1});
      if (!group.error || group.error->code() != Code::unavailable) break;
    }
    if (group.error) throw CrashFailure(std::string("no commit after a loss: ") + group.error->what());
    if (group.outcomes.at(0).seq != before.at.seq + 1) throw CrashFailure("the seq has a gap after a loss");
  }
}

bool run_working(CrashRun& run, const CrashCase& which) {
  set_up(run);
  run.arm(which.fault, which.call);
  act(run, which.scenario);
  const bool happened = run.disk().disarm();
  if (which.fault == Fault::failure) {
    // The process lives on: it must give the right answers now, and after the power has gone later.
    run.resolve();
    run.verify(false);
    run.demand_service();
    run.disk().clear_faults();
    act(run, which.scenario);
    crash_and_verify(run, Fault::power_loss, which.durable);
  } else {
    crash_and_verify(run, which.fault, which.durable);
  }
  const bool lost = std::any_of(run.models().begin(), run.models().end(),
                                [](const DatabaseModel& model) { return model.was_lost(); });
  if (lost) {
    live_on_after_loss(run);
  } else {
    live_on(run);
  }
  return happened;
}

bool run_opening(CrashRun& run, const CrashCase& which) {
  set_up(run);
  run.commit_bulk(kBulkBytes / 2);
  // A commit in flight leaves the tail torn.
  run.arm(Fault::power_loss, 1 + run.random().below(3));
  for (int i = 0; i < 8 && !run.disk().fault_happened(); ++i) run.commit_groups(3, false);
  const Fault end = which.fault == Fault::kill ? Fault::kill : Fault::power_loss;
  run.crash(end);

  run.arm(which.fault, which.call);
  bool happened = false;
  for (std::uint64_t crashes = 0;; ++crashes) {
    const bool opened = run.open();
    const bool hit = run.disk().disarm();
    happened = happened || hit;
    if (opened && which.fault == Fault::failure) break;
    if (opened && !hit && crashes > 0) break;
    // The fault may have hit a thread of the store that lives on, or nothing; either way it dies here.
    run.crash(end);
    run.arm(which.fault, crashes < kOpenCrashes ? 1 + run.random().below(which.call + 8) : 0);
  }
  run.resolve();
  run.verify(which.fault != Fault::failure);
  run.demand_service();
  live_on(run);
  return happened;
}

/// A log record somewhere in the middle of the store's largest file.
void damage(CrashRun& run, const std::string& folder) {
  std::vector<std::string> files;
  for (const std::string& path : run.disk().paths()) {
    if (path.starts_with(folder) && run.disk().content(path).size() > 8192) files.push_back(path);
  }
  if (files.empty()) throw CrashFailure("the store keeps nothing to be damaged in " + folder);
  for (int attempts = 0; attempts < 100; ++attempts) {
    const std::string& path = files[run.random().below(files.size())];
    const std::string content = run.disk().content(path);
    const std::uint64_t offset = 4096 + run.random().below(content.size() - 4096);
    if (content[offset] == '\0') continue;
    run.disk().flip_bit(path, offset, static_cast<unsigned>(run.random().below(8)));
    return;
  }
}

/// What a store holds, database by database.
using Saved = std::vector<Observed>;

Saved everything(Backend& backend, const std::vector<DatabaseModel>& models) {
  Saved saved;
  for (const DatabaseModel& model : models) {
    saved.push_back(observe(backend, model.name(), model.known().head().fence.token));
  }
  return saved;
}

/// Repairs a copy of the damaged disk without any fault.
Saved saved_at_once(CrashRun& run, const CrashTarget& target) {
  Environment environment = run.environment();
  environment.files = run.disk().clone(1);
  const CheckReport found = target.check(environment);
  const CheckReport report = target.repair(environment);
  if (found.ok() != report.ok()) throw CrashFailure("check and repair do not find the same");
  const CheckReport left = target.check(environment);
  if (!left.ok()) throw CrashFailure("after repair there is still a problem: " + left.problems.front());
  return everything(*target.open(environment, true), run.models());
}

/// Every entry that repair saved is one that was there; where one is missing the history is another.
void judge_saved(const DatabaseModel& model, const Observed& saved) {
  const Observed whole = observe(model.known());
  for (const Entry& entry : saved.entries) {
    if (entry.version > whole.at.seq) throw CrashFailure("repair has invented a version");
  }
  if (!difference(saved, whole, false).empty() && saved.at.history == whole.at.history) {
    throw CrashFailure("repair has lost something of database " + model.name() + " and kept its history");
  }
}

/// Repair crashes and is begun anew: it must save what it would have saved at once, and never invent
/// anything.
bool run_repair(const CrashTarget& target, const CrashCase& which, CrashRun& run) {
  set_up(run);
  run.commit_bulk(kBulkBytes / 4);
  run.close();
  run.crash(Fault::power_loss);
  damage(run, target.folder);
  const Saved expected = saved_at_once(run, target);

  run.arm(which.fault, which.call);
  try {
    target.repair(run.environment());
  } catch (const Error& error) {
    if (!run.disk().fault_happened()) throw CrashFailure(std::string("repair fails: ") + error.what());
  }
  const bool happened = run.disk().disarm();
  run.crash(which.fault == Fault::kill ? Fault::kill : Fault::power_loss);
  target.repair(run.environment());
  if (!run.open()) throw CrashFailure("the store cannot be opened after repair");
  const Saved saved = everything(run.backend(), run.models());
  for (std::size_t i = 0; i < saved.size(); ++i) {
    const std::string found = difference(saved[i], expected[i], false);
    if (!found.empty()) {
      throw CrashFailure("repair that had crashed before saves something else of database " +
                         run.models()[i].name() + ": " + found);
    }
    judge_saved(run.models()[i], saved[i]);
  }
  return happened;
}

CrashRun::Options options_of(const CrashCase& which) {
  CrashRun::Options options;
  options.seed = which.seed;
  options.direct_io = which.direct_io;
  options.durable = which.durable;
  return options;
}

}  // namespace

std::string CrashCase::text() const {
  return std::string(kScenarioNames.at(static_cast<std::size_t>(scenario))) + "/" +
         kFaultNames.at(static_cast<std::size_t>(fault)) + "/" + (direct_io ? "direct" : "cached") + "/" +
         (durable ? "durable" : "buffered") + "/" + std::to_string(call) + "/" + std::to_string(seed);
}

std::optional<CrashCase> CrashCase::parse(const std::string& text) {
  std::istringstream words(text);
  std::vector<std::string> parts;
  for (std::string part; std::getline(words, part, '/');) parts.push_back(part);
  if (parts.size() != 6) return std::nullopt;
  const auto scenario = std::find(kScenarioNames.begin(), kScenarioNames.end(), parts[0]);
  const auto fault = std::find(kFaultNames.begin(), kFaultNames.end(), parts[1]);
  if (scenario == kScenarioNames.end() || fault == kFaultNames.end()) return std::nullopt;
  CrashCase which;
  which.scenario = static_cast<Scenario>(scenario - kScenarioNames.begin());
  which.fault = static_cast<Fault>(fault - kFaultNames.begin());
  which.direct_io = parts[2] == "direct";
  which.durable = parts[3] == "durable";
  which.call = std::strtoull(parts[4].c_str(), nullptr, 10);
  which.seed = std::strtoull(parts[5].c_str(), nullptr, 10);
  return which;
}

bool run_case(const CrashTarget& target, const CrashCase& which) {
  CrashRun run(target, options_of(which));
  try {
    switch (which.scenario) {
      case Scenario::opening:
        return run_opening(run, which);
      case Scenario::repair:
        return run_repair(target, which, run);
      default:
        return run_working(run, which);
    }
  } catch (const std::exception& failure) {
    throw CrashFailure(std::string(failure.what()) + "\n  replay with HOLDFAST_CRASH=" + which.text() +
                       "\n  the latest calls:\n" + last_lines(run.disk().log()));
  }
}

std::size_t sweep(const CrashTarget& target, CrashCase which, std::size_t stride) {
  int without_fault = 0;
  for (which.call = 1; without_fault < kRunsWithoutFault; which.call += stride) {
    if (!run_case(target, which)) ++without_fault;
  }
  return which.call - 1;
}

CrashCase random_case(const CrashTarget& target, std::uint64_t seed) {
  Xoshiro256 random(seed);
  CrashCase which;
  which.scenario = static_cast<Scenario>(random.below(target.repair ? kScenarios : kScenarios - 1));
  which.fault = static_cast<Fault>(random.below(kFaultNames.size()));
  which.direct_io = random.below(2) == 0;
  const bool may_be_buffered = which.scenario != Scenario::opening && which.scenario != Scenario::repair &&
                               which.fault != Fault::failure;
  which.durable = !may_be_buffered || random.below(4) != 0;
  which.call = 1 + random.below(random.below(2) == 0 ? 20 : 100);
  which.seed = seed;
  return which;
}

void run_life(const CrashTarget& target, std::uint64_t seed) {
  CrashRun::Options options;
  options.seed = seed;
  options.direct_io = seed % 2 == 0;
  CrashRun run(target, options);
  try {
    set_up(run);
    for (std::uint64_t crash = 0; crash < 4; ++crash) {
      const auto fault = static_cast<Fault>(run.random().below(kFaultNames.size()));
      run.arm(fault, 1 + run.random().below(60));
      for (std::uint64_t i = 0; i < 1 + run.random().below(4) && !run.disk().fault_happened(); ++i) {
        act(run, static_cast<Scenario>(run.random().below(4)));
      }
      run.disk().disarm();
      if (fault == Fault::failure) {
        run.resolve();
        run.verify(false);
        run.demand_service();
        if (run.random().below(2) == 0) continue;
      }
      run.crash(fault);
      // The recovery may be hit as well.
      run.arm(static_cast<Fault>(run.random().below(kFaultNames.size())), run.random().below(60));
      while (!run.open()) run.crash(fault);
      if (run.disk().disarm()) {
        run.crash(fault);
        if (!run.open()) throw CrashFailure("the store cannot be opened after a crash");
      }
      run.verify();
      run.resolve();
      run.verify();
    }
    live_on(run);
  } catch (const std::exception& failure) {
    throw CrashFailure(std::string(failure.what()) + "\n  replay with HOLDFAST_SEED=" + std::to_string(seed) +
                       "\n  the latest calls:\n" + last_lines(run.disk().log()));
  }
}

std::uint64_t seeds_to_run(std::uint64_t usual) { return testing_support::setting("HOLDFAST_SEEDS", usual); }

std::optional<CrashCase> case_to_replay() {
  const char* text = std::getenv("HOLDFAST_CRASH");
  return text == nullptr ? std::nullopt : CrashCase::parse(text);
}

}  // namespace holdfast::faults
