#include <algorithm>
#include <map>
#include <set>

#include "contract/answer.h"
#include "histories/history.h"

namespace holdfast::histories {
namespace {

struct Stored {
  Seq seq = 0;  ///< of the commit
  bool erased = false;
  Bytes value;
};

class Checker {
 public:
  Checker(const History& history, std::size_t limit) : history_(history), limit_(limit) {}

  std::vector<std::string> run() {
    number_commits();
    if (found_.empty()) {
      replay();
      order_by_time();
      for (const Operation& operation : history_.operations) check(operation);
      for (const WatchLog& watch : history_.watches) check(watch);
    }
    return std::move(found_);
  }

 private:
  using Kind = Operation::Kind;

  void report(std::string sentence) {
    if (found_.size() < limit_) found_.push_back(std::move(sentence));
  }

  /// Seqs are 1, 2, 3 ..., each given to one operation.
  void number_commits() {
    std::size_t commits = 0;
    for (const Operation& operation : history_.operations) {
      if (operation.kind == Kind::commit) ++commits;
    }
    by_seq_.assign(commits + 1, nullptr);
    for (const Operation& operation : history_.operations) {
      if (operation.kind != Kind::commit) continue;
      if (operation.seq == 0 || operation.seq > commits) {
        report("commit " + std::to_string(operation.seq) + " lies outside 1.." + std::to_string(commits) +
               ": a seq was used by nobody, or a commit was lost");
      } else if (by_seq_[operation.seq] != nullptr) {
        report("seq " + std::to_string(operation.seq) + " was given to two commits");
      } else {
        by_seq_[operation.seq] = &operation;
      }
    }
  }

  void replay() {
    changed_.resize(by_seq_.size());
    for (Seq seq = 1; seq < by_seq_.size(); ++seq) {
      for (const Write& write : by_seq_[seq]->batch.writes) {
        std::vector<Stored>& versions = states_[written_key(write, seq)];
        const bool erases = write.kind == Write::Kind::erase;
        if (erases && (versions.empty() || versions.back().erased)) continue;
        versions.push_back({seq, erases, write.value});
        changed_[seq].push_back(written_key(write, seq));
      }
    }
  }

  /// What everybody knew at a time, and which commits began after one.
  void order_by_time() {
    for (const Operation& operation : history_.operations) {
      const Seq known = operation.kind == Kind::commit ? operation.seq : operation.at.value_or(0);
      known_by_.emplace_back(operation.ended_ns, known);
      if (operation.kind == Kind::commit) begun_.emplace_back(operation.started_ns, operation.seq);
    }
    std::sort(known_by_.begin(), known_by_.end());
    for (std::size_t i = 1; i < known_by_.size(); ++i) {
      known_by_[i].second = std::max(known_by_[i].second, known_by_[i - 1].second);
    }
    std::sort(begun_.begin(), begun_.end());
    for (std::size_t i = begun_.size(); i-- > 1;) {
      begun_[i - 1].second = std::min(begun_[i - 1].second, begun_[i].second);
    }
  }

  /// The newest state that somebody knew of before `time_ns`.
  Seq oldest_allowed(std::int64_t time_ns) const {
    const auto after =
        std::lower_bound(known_by_.begin(), known_by_.end(), std::pair<std::int64_t, Seq>{time_ns, 0});
    return after == known_by_.begin() ? 0 : std::prev(after)->second;
  }

  /// The newest state that can have existed at `time_ns`.
  Seq newest_allowed(std::int64_t time_ns) const {
    const auto after =
        std::upper_bound(begun_.begin(), begun_.end(), std::pair<std::int64_t, Seq>{time_ns, ~Seq{0}});
    return after == begun_.end() ? by_seq_.size() - 1 : after->second - 1;
  }

  const Stored* stored(const Bytes& key, Seq state) const {
    const auto found = states_.find(key);
    if (found == states_.end()) return nullptr;
    const std::vector<Stored>& versions = found->second;
    const auto after = std::upper_bound(versions.begin(), versions.end(), state,
                                        [](Seq seq, const Stored& version) { return seq < version.seq; });
    if (after == versions.begin() || std::prev(after)->erased) return nullptr;
    return &*std::prev(after);
  }

  bool agrees(const SeenKey& seen, Seq state) const {
    const Stored* const is = stored(seen.key, state);
    return is == nullptr ? seen.version == 0 : seen.version == is->seq && seen.value == is->value;
  }

  bool agrees(const SeenRange& seen, Seq state) const {
    std::size_t count = 0;
    for (auto at = states_.lower_bound(seen.range.begin);
         at != states_.end() && seen.range.contains(at->first); ++at) {
      if (stored(at->first, state) != nullptr) ++count;
    }
    return count == seen.keys.size() && std::all_of(seen.keys.begin(), seen.keys.end(),
                                                    [&](const SeenKey& key) { return agrees(key, state); });
  }

  bool agrees(const Operation& operation, Seq state) const {
    return std::all_of(operation.keys.begin(), operation.keys.end(),
                       [&](const SeenKey& seen) { return agrees(seen, state); }) &&
           std::all_of(operation.ranges.begin(), operation.ranges.end(),
                       [&](const SeenRange& seen) { return agrees(seen, state); });
  }

  std::optional<std::size_t> failing_check(const Batch& batch, Seq state) const {
    for (std::size_t i = 0; i < batch.checks.size(); ++i) {
      const Stored* const is = stored(batch.checks[i].key, state);
      const bool absent = batch.checks[i].kind == Check::Kind::absent;
      if (absent ? is != nullptr : is == nullptr || is->seq != batch.checks[i].version) return i;
    }
    return std::nullopt;
  }

  void check(const Operation& operation) {
    const Seq oldest = oldest_allowed(operation.started_ns);
    const Seq newest = newest_allowed(operation.ended_ns);
    switch (operation.kind) {
      case Kind::commit:
        return check_commit(operation, oldest);
      case Kind::conflict:
        return check_conflict(operation, oldest, newest);
      case Kind::read:
      case Kind::attempt:
        return check_read(operation, oldest, newest);
    }
  }

  void check_commit(const Operation& operation, Seq oldest) {
    const std::string name = "commit " + std::to_string(operation.seq);
    if (operation.seq <= oldest) {
      report(name + " began when state " + std::to_string(oldest) + " was known: real-time order is broken");
    }
    if (!agrees(operation, operation.seq - 1)) report(name + " read what was not true right before it");
    if (const auto failing = failing_check(operation.batch, operation.seq - 1)) {
      report(name + " was applied although its check " + std::to_string(*failing) + " did not hold");
    }
  }

  void check_conflict(const Operation& operation, Seq oldest, Seq newest) {
    for (Seq state = oldest; state <= newest; ++state) {
      if (failing_check(operation.batch, state) == operation.failed_check) return;
    }
    report("a conflict on check " + std::to_string(operation.failed_check) +
           " was reported, but in no state from " + std::to_string(oldest) + " to " + std::to_string(newest) +
           " is it the first that fails");
  }

  void check_read(const Operation& operation, Seq oldest, Seq newest) {
    const std::string what = operation.kind == Kind::read ? "a read" : "a run of a transaction";
    if (operation.at) {
      if (operation.kind == Kind::read && *operation.at < oldest) {
        report(what + " saw state " + std::to_string(*operation.at) + " when " + std::to_string(oldest) +
               " was known before it began");
      }
      if (*operation.at > newest)
        report(what + " saw state " + std::to_string(*operation.at) + " before it existed");
      if (!agrees(operation, *operation.at)) {
        report(what + " at state " + std::to_string(*operation.at) + " saw something else");
      }
      return;
    }
    for (Seq state = oldest; state <= newest; ++state) {
      if (agrees(operation, state)) return;
    }
    report(what + " saw no state from " + std::to_string(oldest) + " to " + std::to_string(newest));
  }

  void check(const WatchLog& watch) {
    Seq from = watch.since;
    for (const WatchLog::Told& told : watch.told) {
      const std::set<Bytes> keys(told.keys.begin(), told.keys.end());
      for (Seq seq = from + 1; seq <= told.through && seq < changed_.size() && !told.everything; ++seq) {
        for (const Bytes& key : changed_[seq]) {
          if (watch.range.contains(key) && keys.count(key) == 0) {
            report("a watch was told of everything up to " + std::to_string(told.through) +
                   ", but not of commit " + std::to_string(seq));
          }
        }
      }
      if (told.through < from) report("a watch went back to state " + std::to_string(told.through));
      from = told.through;
    }
    // A watch has heard of every change in its range up to its end.
    for (Seq seq = from + 1; seq < changed_.size() && seq <= watch.until; ++seq) {
      for (const Bytes& key : changed_[seq]) {
        if (watch.range.contains(key)) report("a watch was never told of commit " + std::to_string(seq));
      }
    }
  }

  const History& history_;
  std::size_t limit_;
  std::vector<std::string> found_;
  std::vector<const Operation*> by_seq_;
  std::vector<std::vector<Bytes>> changed_;
  std::map<Bytes, std::vector<Stored>> states_;
  std::vector<std::pair<std::int64_t, Seq>> known_by_;
  std::vector<std::pair<std::int64_t, Seq>> begun_;
};

}  // namespace

std::vector<std::string> anomalies(const History& history, std::size_t limit) {
  return Checker(history, limit).run();
}

}  // namespace holdfast::histories
