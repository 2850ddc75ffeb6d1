#include "tests/faults/crash_run.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <thread>
#include <utility>

#include "contract/assert.h"

namespace holdfast::faults {
namespace {

/// How long a reader may hold up the call that is about to fail. A reader that waits for a lock of the writer
/// sees nothing before the fault, and that is well.
constexpr std::chrono::milliseconds kReaderPatience{10};
constexpr int kRetries = 5;
constexpr std::size_t kKeys = 12;

}  // namespace

CrashRun::CrashRun(const CrashTarget& target, const Options& options)
    : target_(target),
      options_(options),
      random_(options.seed),
      disk_(SimulatedFileSystem::make({options.seed ^ 0x5EED, options.direct_io})) {
  // A clock that stands still: what a repair says must not depend on when it ran.
  environment_.clock = std::make_shared<ManualClock>(1'800'000'000'000);
  environment_.random = seeded_random(options.seed ^ 0xC0FFEE);
  environment_.files = disk_;
  for (std::size_t i = 0; i < options.databases; ++i) {
    models_.emplace_back("database/" + std::to_string(i), SessionId{1 + 1000 * i, options.seed});
  }
}

CrashRun::~CrashRun() {
  if (reader_.valid()) reader_.wait();
}

bool CrashRun::open() {
  HOLDFAST_ASSERT(!backend_);
  return attempt([this] { backend_ = target_.open(environment_, options_.durable); });
}

void CrashRun::close() {
  take_sights();
  backend_.reset();
  if (disk_->fault_happened()) return;
  for (DatabaseModel& one : models_) one.keep();
}

void CrashRun::reopen() {
  close();
  if (!open() && !open()) throw CrashFailure("the store cannot be opened again after one failed call");
}

void CrashRun::arm(Fault fault, std::uint64_t call) {
  disk_->clear_faults();
  if (call == 0) return;
  const std::uint64_t number = disk_->calls() + call;
  if (fault == Fault::failure) {
    disk_->fail_call(number);
  } else {
    disk_->power_loss_at(number);
  }
  if (!backend_) return;
  disk_->set_observer([this] {
    reader_ = std::async(std::launch::async, [this] {
      std::vector<Position> seen(models_.size());
      for (std::size_t i = 0; i < models_.size(); ++i) {
        ReadRequest request;
        request.clock_skew_limit_ms = 0;
        request.deadline = soon();
        try {
          seen[i] = backend_->read(models_[i].name(), request).at;
        } catch (const Error& error) {
          judge_error(error);
        }
      }
      return seen;
    });
    reader_.wait_for(kReaderPatience);
  });
}

void CrashRun::take_sights() {
  disk_->set_observer(nullptr);
  if (!reader_.valid()) return;
  const std::vector<Position> seen = reader_.get();
  for (std::size_t i = 0; i < models_.size(); ++i) models_[i].take_sight(seen[i]);
}

void CrashRun::crash(Fault fault) {
  disk_->power_off();
  disk_->set_observer(nullptr);
  if (reader_.valid()) {
    const bool binding = options_.durable || fault == Fault::kill;
    const std::vector<Position> seen = reader_.get();
    for (std::size_t i = 0; binding && i < models_.size(); ++i) models_[i].take_sight(seen[i]);
  }
  backend_.reset();
  if (fault == Fault::kill) {
    disk_->process_kill();
  } else {
    disk_->power_cycle();
  }
  disk_->clear_faults();
}

void CrashRun::judge_error(const Error& error) const {
  if (expected_code_ == error.code()) return;
  if (!disk_->fault_happened() && !disk_->power_is_lost()) {
    throw CrashFailure(std::string("an error though nothing has failed: ") + error.what());
  }
  if (error.code() != Code::unavailable && error.code() != Code::closed) {
    throw CrashFailure(std::string("a fault of the disk was reported as ") + holdfast::name(error.code()) +
                       ": " + error.what());
  }
}

bool CrashRun::attempt(const std::function<void()>& operation) {
  try {
    operation();
    return true;
  } catch (const Error& error) {
    judge_error(error);
    return false;
  }
}

DatabaseModel& CrashRun::pick() { return models_[random_.below(models_.size())]; }

DatabaseModel& CrashRun::model(View name) {
  for (DatabaseModel& one : models_) {
    if (one.name() == name) return one;
  }
  throw CrashFailure("an answer names a database that was not asked for");
}

Bytes CrashRun::random_value(std::size_t most_bytes) {
  // Sizes on both sides of whatever bound there is between values in memory and values on disk.
  const std::size_t size = random_.below(8) == 0 ? random_.below(most_bytes) : random_.below(120);
  Bytes value(size, '\0');
  for (char& byte : value) byte = static_cast<char>(random_());
  return value;
}

Write CrashRun::random_write(const Bytes& prefix, std::size_t key) {
  const Bytes name = prefix + "key" + std::to_string(key);
  const std::uint64_t kind = random_.below(20);
  if (kind < 12) return Write::put(name, random_value(6000));
  if (kind < 14) {
    return Write::put(name, random_value(200), now_ms_ + static_cast<UnixMs>(random_.below(400)) - 50);
  }
  if (kind < 16) return Write::put_stamped(prefix + "log/", "!", random_value(200));
  if (kind < 19) return Write::erase(name);
  return Write::reap(name);
}

// Batches of one group must not decide one another's checks: each has keys of its own.
std::vector<Batch> CrashRun::random_batches(const DatabaseModel& model, std::size_t count) {
  const MemoryDatabase& known = model.known();
  std::vector<Batch> batches(count);
  for (std::size_t i = 0; i < count; ++i) {
    const Bytes prefix = "b" + std::to_string(i) + "/";
    const std::size_t first = random_.below(kKeys);
    for (std::size_t j = 0; j <= random_.below(3); ++j) {
      batches[i].writes.push_back(random_write(prefix, (first + j) % kKeys));
    }
    if (!known.head().exists()) continue;
    if (random_.below(4) == 0) {
      batches[i].checks.push_back(
          Check::unchanged(Range::prefix(prefix), known.head().seq, known.head().time_ms));
    }
    if (random_.below(3) == 0) {
      // Often false: then the batch must have no effect at all.
      batches[i].checks.push_back(Check::absent(prefix + "key" + std::to_string(random_.below(kKeys))));
    }
  }
  return batches;
}

void CrashRun::take(const Group& group) {
  DatabaseModel& one = model(group.database);
  if (!group.error) return one.take_answer(group);
  judge_error(*group.error);
  ++errors_;
  if (group.error->retry() == Retry::unknown_outcome) {
    one.take_unknown(group);
  } else {
    one.take_refusal();
  }
}

void CrashRun::send(std::vector<Group>& groups) {
  backend_->commit(groups);
  for (const Group& group : groups) take(group);
  if (disk_->fault_happened()) take_sights();
}

void CrashRun::commit_one() {
  DatabaseModel& one = pick();
  if (!one.is_certain()) return;
  now_ms_ += static_cast<UnixMs>(random_.below(50));
  std::vector<Group> groups = {one.next_group(random_batches(one, 1), now_ms_)};
  send(groups);
}

void CrashRun::commit_bulk(std::size_t bytes) {
  for (std::size_t sent = 0; sent < bytes && !disk_->fault_happened();) {
    DatabaseModel& one = pick();
    if (!one.is_certain()) return;
    Batch batch;
    for (std::size_t i = 0; i < 4; ++i) {
      Bytes value(500 + random_.below(3000), static_cast<char>('a' + random_.below(26)));
      sent += value.size();
      batch.writes.push_back(
          Write::put("bulk" + std::to_string(random_.below(4)) + std::to_string(i), value));
    }
    std::vector<Group> groups = {one.next_group({std::move(batch)}, ++now_ms_)};
    send(groups);
  }
}

void CrashRun::commit_groups(std::size_t databases, bool parallel) {
  now_ms_ += static_cast<UnixMs>(random_.below(50));
  std::map<std::size_t, std::vector<Group>> lanes;
  const std::size_t first = random_.below(models_.size());
  for (std::size_t i = 0; i < std::min(databases, models_.size()); ++i) {
    DatabaseModel& one = models_[(first + i) % models_.size()];
    if (!one.is_certain()) continue;
    lanes[backend_->lane(one.name())].push_back(
        one.next_group(random_batches(one, 1 + random_.below(3)), now_ms_));
  }
  if (parallel) {
    std::vector<std::thread> threads;
    for (auto& [lane, groups] : lanes) threads.emplace_back([&, this] { backend_->commit(groups); });
    for (std::thread& thread : threads) thread.join();
  } else {
    for (auto& [lane, groups] : lanes) backend_->commit(groups);
  }
  for (const auto& [lane, groups] : lanes) {
    for (const Group& group : groups) take(group);
  }
  if (disk_->fault_happened()) take_sights();
}

void CrashRun::compact_one() {
  DatabaseModel& one = pick();
  if (!one.is_certain() || !one.known().head().exists()) return;
  const Seq before = random_.below(one.known().head().seq + 2);
  const bool done = attempt([&] { backend_->compact(one.name(), before, soon()); });
  one.take_compact(before, done);
  if (disk_->fault_happened()) take_sights();
}

void CrashRun::fence_one() {
  DatabaseModel& one = pick();
  if (!one.is_certain() || !one.known().head().exists()) return;
  Fence frozen;
  frozen.state = Fence::State::frozen;
  frozen.token = next_token_++;
  const Fence now = one.known().head().fence;
  const Fence next = now == Fence{} ? frozen : Fence{};
  bool answer = false;
  const bool done = attempt([&] { answer = backend_->fence(one.name(), now, next, soon()); });
  if (done && !answer) throw CrashFailure("a fence was not found as it is");
  one.take_fence(now, next, done);
  if (disk_->fault_happened()) take_sights();
}

void CrashRun::drop_one() {
  DatabaseModel& one = pick();
  if (!one.is_certain() || !one.known().head().exists()) return;
  bool answer = false;
  const bool done = attempt([&] { answer = backend_->drop(one.name(), one.known().head().history, soon()); });
  if (done && !answer) throw CrashFailure("a database to be dropped was not found");
  one.take_drop(done);
  if (disk_->fault_happened()) take_sights();
}

void CrashRun::resolve() {
  for (DatabaseModel& one : models_) {
    for (int attempts = 0; one.unknown(); ++attempts) {
      if (attempts == kRetries) {
        throw CrashFailure("a group of database " + one.name() + " stays unknown however often it is sent");
      }
      if (attempts == 2) reopen();
      Group again = *one.unknown();
      again.retry = true;
      again.deadline = soon();
      std::vector<Group> groups = {std::move(again)};
      send(groups);
    }
  }
}

void CrashRun::demand_service() {
  for (const bool is_new : {false, true}) {
    if (is_new) reopen();
    resolve();
    const std::uint64_t errors_before = errors_;
    commit_groups(models_.size(), false);
    if (errors_ == errors_before) return;
  }
  throw CrashFailure("the store takes no commits though it was opened anew");
}

void CrashRun::verify(bool is_settled) {
  const auto verify_all = [&] {
    for (DatabaseModel& one : models_) one.verify(*backend_, is_settled);
    std::vector<Bytes> expected;
    for (const DatabaseModel& one : models_) {
      if (one.known().head().exists()) expected.push_back(one.name());
    }
    std::sort(expected.begin(), expected.end());
    if (backend_->databases("", "", 1000, soon()) != expected) {
      throw CrashFailure("databases() lists others than there are");
    }
  };
  if (attempt(verify_all)) return;
  // After a failed call a store may refuse its service until it is opened anew, but not for longer.
  reopen();
  is_settled = true;
  if (!attempt(verify_all)) throw CrashFailure("the store cannot be read though it was opened anew");
}

void CrashRun::verify_prefix() {
  for (DatabaseModel& one : models_) one.verify_prefix(*backend_);
}

}  // namespace holdfast::faults
