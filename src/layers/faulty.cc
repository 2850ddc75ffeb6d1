// Only faults that the contract allows a backend across a network to show, so that whatever runs above this
// layer must behave as if it were not there, but for Error(unavailable) and Error(timeout):
//   - a call fails before anything was done;
//   - a call takes longer;
//   - a commit is done and its answer lost;
//   - a commit is neither done nor refused, and a copy of it comes along later.
// A first send that fails before it was passed on is `unavailable` (not applied, and never will be). A retry
// is never told that: its first copy may have been applied.

#include <condition_variable>
#include <deque>
#include <mutex>

#include "contract/forwarding.h"
#include "holdfast/layers.h"

namespace holdfast {
namespace {

/// A parked copy goes on after at most so many further commit calls.
constexpr std::uint64_t kParkedCalls = 8;
/// What a copy that nobody waits for is given.
constexpr std::chrono::seconds kParkedTimeout{30};

enum class Fault : std::uint8_t { none, error, lost_answer, parked_copy };

struct ParkedCopy {
  Group group;
  std::uint64_t due_call = 0;
};

Error refused_before() {
  return {Code::unavailable, "an injected fault: the call was not passed on; try again"};
}
Error unknown() {
  return {Code::timeout, Retry::unknown_outcome,
          "an injected fault: no answer came; send the same group again as a retry"};
}

class FaultyBackend final : public ForwardingBackend {
 public:
  FaultyBackend(std::unique_ptr<Backend> inner, Faults faults, const Environment& environment)
      : ForwardingBackend(std::move(inner)),
        faults_(faults),
        environment_(environment.completed()),
        random_(seeded_random(faults.seed)) {
    for (const int per_mille : {faults.error_per_mille, faults.delay_per_mille, faults.lost_answer_per_mille,
                                faults.parked_copy_per_mille}) {
      if (per_mille < 0 || per_mille > 1000) {
        throw Error(Code::invalid_argument, "the rate of a fault lies between 0 and 1000 per mille");
      }
    }
  }

  ReadAnswer read(View database, const ReadRequest& request) override {
    disturb(request.deadline);
    return inner().read(database, request);
  }
  Changes changes(View database, const ChangesRequest& request) override {
    disturb(request.deadline);
    return inner().changes(database, request);
  }
  void compact(View database, Seq before, Deadline deadline) override {
    disturb(deadline);
    inner().compact(database, before, deadline);
  }
  bool fence(View database, const Fence& expected, const Fence& next, Deadline deadline) override {
    disturb(deadline);
    return inner().fence(database, expected, next, deadline);
  }
  std::vector<Bytes> databases(View prefix, View after, std::size_t limit, Deadline deadline) override {
    disturb(deadline);
    return inner().databases(prefix, after, limit, deadline);
  }
  bool drop(View database, std::uint64_t history, Deadline deadline) override {
    disturb(deadline);
    const bool dropped = inner().drop(database, history, deadline);
    if (dropped) forget_first_commits(database);
    return dropped;
  }
  ExpiredAnswer expired(UnixMs now_ms, std::size_t limit, Deadline deadline) override {
    disturb(deadline);
    return inner().expired(now_ms, limit, deadline);
  }
  /// May return early with nothing: that is the fault of a wait.
  std::vector<std::size_t> wait(std::span<const Cursor> cursors, Deadline deadline) override {
    {
      const std::lock_guard lock(mutex_);
      if (happens(faults_.error_per_mille)) return {};
    }
    return inner().wait(cursors, deadline);
  }

  void commit(std::span<Group> groups) override {
    std::vector<Fault> fates(groups.size());
    std::chrono::microseconds delay{0};
    std::uint64_t call = 0;
    {
      const std::lock_guard lock(mutex_);
      call = ++commit_calls_;
      delay = drawn_delay();
      for (Fault& fate : fates) fate = drawn_fault();
    }
    pause(delay, groups.empty() ? Deadline{} : groups.front().deadline);
    pass_on(groups, fates);
    for (std::size_t i = 0; i < groups.size(); ++i) settle(groups[i], fates[i], call);
    deliver_parked(call);
  }

 private:
  // ---- what happens to a commit

  /// Passes on, in one call, the groups whose fate lets them through.
  void pass_on(std::span<Group> groups, const std::vector<Fault>& fates) {
    std::vector<Group> passed;
    std::vector<std::size_t> sources;
    for (std::size_t i = 0; i < groups.size(); ++i) {
      groups[i].outcomes.clear();
      groups[i].error.reset();
      if (fates[i] != Fault::none && fates[i] != Fault::lost_answer) continue;
      passed.push_back(std::move(groups[i]));
      sources.push_back(i);
    }
    if (!passed.empty()) inner().commit(passed);
    for (std::size_t i = 0; i < passed.size(); ++i) groups[sources[i]] = std::move(passed[i]);
  }

  void settle(Group& group, Fault fate, std::uint64_t call) {
    switch (fate) {
      case Fault::none:
        return;
      case Fault::error:
        group.error = group.retry ? unknown() : refused_before();
        return;
      case Fault::lost_answer:
        group.outcomes.clear();
        group.error = unknown();
        return;
      case Fault::parked_copy: {
        const std::lock_guard lock(mutex_);
        parked_.push_back({group, call + 1 + random_->next() % kParkedCalls});
        group.error = unknown();
        return;
      }
    }
  }

  void deliver_parked(std::uint64_t call) {
    std::vector<Group> due;
    {
      const std::lock_guard lock(mutex_);
      for (auto copy = parked_.begin(); copy != parked_.end();) {
        if (copy->due_call > call) {
          ++copy;
          continue;
        }
        due.push_back(std::move(copy->group));
        copy = parked_.erase(copy);
      }
    }
    // One call each: two copies may be of one database.
    for (Group& group : due) {
      group.deadline = environment_.clock->steady_now() + kParkedTimeout;
      inner().commit({&group, 1});
    }
  }

  /// A parked first commit names no history. The contract lets it create a dropped database once more; what
  /// runs above could not tell that from a fault of the store below, so it is not done.
  void forget_first_commits(View database) {
    const std::lock_guard lock(mutex_);
    std::erase_if(parked_, [&](const ParkedCopy& copy) {
      return copy.group.history == 0 && copy.group.database == database;
    });
  }

  // ---- drawing; all under mutex_, so that the order of the calls decides everything

  bool happens(int per_mille) { return static_cast<int>(random_->next() % 1000) < per_mille; }

  std::chrono::microseconds drawn_delay() {
    if (!happens(faults_.delay_per_mille)) return std::chrono::microseconds{0};
    const auto most_us = std::chrono::duration_cast<std::chrono::microseconds>(faults_.max_delay).count();
    if (most_us <= 0) return std::chrono::microseconds{0};
    return std::chrono::microseconds(1 + random_->next() % static_cast<std::uint64_t>(most_us));
  }

  Fault drawn_fault() {
    if (happens(faults_.error_per_mille)) return Fault::error;
    if (happens(faults_.lost_answer_per_mille)) return Fault::lost_answer;
    if (happens(faults_.parked_copy_per_mille)) return Fault::parked_copy;
    return Fault::none;
  }

  /// For every call but commit and wait.
  void disturb(Deadline deadline) {
    std::chrono::microseconds delay{0};
    bool fails = false;
    {
      const std::lock_guard lock(mutex_);
      delay = drawn_delay();
      fails = happens(faults_.error_per_mille);
    }
    pause(delay, deadline);
    if (fails) throw refused_before();
  }

  void pause(std::chrono::microseconds delay, Deadline deadline) {
    if (delay.count() == 0) return;
    const Deadline end = std::min(environment_.clock->steady_now() + delay, deadline);
    std::mutex mutex;
    std::condition_variable never;
    std::unique_lock lock(mutex);
    while (environment_.clock->steady_now() < end) environment_.clock->wait_until(never, lock, end);
  }

  const Faults faults_;
  const Environment environment_;
  std::mutex mutex_;
  const std::shared_ptr<Random> random_;
  std::uint64_t commit_calls_ = 0;
  std::deque<ParkedCopy> parked_;
};

}  // namespace

std::unique_ptr<Backend> faulty(std::unique_ptr<Backend> inner, Faults faults,
                                const Environment& environment) {
  return std::make_unique<FaultyBackend>(std::move(inner), faults, environment);
}

}  // namespace holdfast
