// Every call finds the database's place by the catalog or among those that are open, and goes on to the store
// there, which knows the database by the same name.
//
// A drop must not leave a second process, which still has the old place open, with a database of its own. So
// the place is made unusable first, by the rules of the contract alone: the inner database is dropped, and a
// fence that nobody else has (the tombstone: an import that never ends) is put on what is now no database.
// Both are atomic against commits. Only then does the row leave the catalog, and later the place is removed.
// Whoever comes to a place and is refused looks for the tombstone and, finding it, removes the row itself: it
// does not matter where the process that drops dies.

#include <algorithm>
#include <functional>
#include <tuple>

#include "contract/commit_each.h"
#include "contract/head.h"
#include "layers/due_bound.h"
#include "layers/places.h"
#include "layers/wait_hub.h"

namespace holdfast {
namespace {

Fence tombstone() {
  Fence fence;
  fence.state = Fence::State::importing;
  fence.token = 0x746f6d6273746f6eull;
  fence.place = "!dropped";
  return fence;
}

/// What a read of a database that does not exist answers.
ReadAnswer read_nothing(View database, const ReadRequest& request) {
  ReadAnswer answer;
  answer.time_ms = admit_read(database, Head{}, request);
  answer.gets.resize(request.gets.size());
  answer.pages.resize(request.scans.size());
  for (std::size_t i = 0; i < request.checks.size() && !answer.failed_check; ++i) {
    if (request.checks[i].kind == Check::Kind::version) answer.failed_check = i;
  }
  return answer;
}

class PerDatabaseBackend final : public Backend {
 public:
  PerDatabaseBackend(std::unique_ptr<Backend> catalog, OpenPlace open_place, RemovePlace remove_place,
                     const Environment& environment, std::size_t open_limit)
      : environment_(environment),
        catalog_(std::move(catalog), environment_),
        places_(catalog_, std::move(open_place), std::move(remove_place), environment_, open_limit),
        traits_(catalog_.traits()),
        hub_(environment_.clock, traits_.shared_by_processes) {
    traits_.name = "per_database+" + traits_.name;
    if (traits_.shared_by_processes) {
      traits_.wake_bound = std::max(traits_.wake_bound, WaitHub::kSharedWakeBound);
    }
    remove_gone(environment_.clock->steady_now() + std::chrono::milliseconds(limits::kTimeoutMs));
  }

  const Traits& traits() const override { return traits_; }
  std::size_t lane(View database) const override { return std::hash<View>{}(database); }

  ReadAnswer read(View database, const ReadRequest& request) override {
    return at_place(
        database, request.deadline, [&](Backend& inner) { return inner.read(database, request); },
        [&] { return read_nothing(database, request); });
  }

  Changes changes(View database, const ChangesRequest& request) override {
    return at_place(
        database, request.deadline, [&](Backend& inner) { return inner.changes(database, request); },
        [&] {
          admit_changes(database, Head{}, request);
          return Changes{};
        });
  }

  void compact(View database, Seq before, Deadline deadline) override {
    at_place(
        database, deadline,
        [&](Backend& inner) {
          inner.compact(database, before, deadline);
          return true;
        },
        [] { return false; });
  }

  void commit(std::span<Group> groups) override {
    commit_each(groups, [this](Group& group) { commit_one(group); });
  }

  bool fence(View database, const Fence& expected, const Fence& next, Deadline deadline) override {
    for (;;) {
      std::optional<Places::Lease> lease = places_.find(database, deadline);
      if (!lease) {
        if (!apply_fence(Head{}, expected, next)) return false;
        lease.emplace(places_.find_or_create(database, deadline));
      }
      const bool done = lease->backend().fence(database, expected, next, deadline);
      if (!done && is_stale(*lease, deadline)) continue;
      if (done) hub_.changed(database);
      return done;
    }
  }

  std::vector<Bytes> databases(View prefix, View after, std::size_t limit, Deadline deadline) override {
    std::vector<Bytes> existing;
    Bytes last(after);
    while (existing.size() < limit) {
      const std::size_t wanted = limit - existing.size();
      const std::vector<Bytes> names = catalog_.names(prefix, last, wanted, deadline);
      if (names.empty()) break;
      for (const Bytes& name : names) {
        if (has_head(name, deadline)) existing.push_back(name);
      }
      last = names.back();
    }
    return existing;
  }

  bool drop(View database, std::uint64_t history, Deadline deadline) override {
    for (;;) {
      const std::optional<Places::Lease> lease = places_.find(database, deadline);
      if (!lease) return false;
      // An import is dropped by history 0, and the tombstone is one.
      if (history == 0 && is_stale(*lease, deadline)) continue;
      if (!lease->backend().drop(database, history, deadline)) {
        if (is_stale(*lease, deadline)) continue;
        return false;
      }
      // From here on it is dropped, whatever happens. If somebody has created it again already, it stays
      // where it is.
      if (lease->backend().fence(database, Fence{}, tombstone(), deadline)) bury(*lease, deadline);
      hub_.changed(database);
      return true;
    }
  }

  ExpiredAnswer expired(UnixMs now_ms, std::size_t limit, Deadline deadline) override {
    remove_gone(deadline);
    ExpiredAnswer answer;
    std::optional<Catalog::Due> last;
    for (;;) {
      const std::vector<Catalog::Due> dues = catalog_.due(last, kDuePage, deadline);
      for (const Catalog::Due& due : dues) {
        if (due.due_ms > now_ms || !is_needed(answer, due.due_ms, limit)) {
          note_due(answer, due.due_ms);
          return answer;
        }
        visit(answer, due, now_ms, limit, deadline);
      }
      if (dues.size() < kDuePage) return answer;
      last = dues.back();
    }
  }

  std::vector<std::size_t> wait(std::span<const Cursor> cursors, Deadline deadline) override {
    return hub_.wait(cursors, deadline, [this](const Cursor& cursor) { return look(cursor); });
  }
  void wake() override { hub_.wake(); }

 private:
  static constexpr std::size_t kDuePage = 256;
  static constexpr std::int64_t kRemoveGoneEveryMs = 60'000;
  static constexpr std::chrono::seconds kLookTimeout{5};

  /// `call` at the database's place, or `otherwise` if it has none.
  template <class Call, class Otherwise>
  auto at_place(View database, Deadline deadline, const Call& call, const Otherwise& otherwise)
      -> decltype(otherwise()) {
    for (;;) {
      const std::optional<Places::Lease> lease = places_.find(database, deadline);
      if (!lease) return otherwise();
      try {
        return call(lease->backend());
      } catch (const Error&) {
        if (!is_stale(*lease, deadline)) throw;
      }
    }
  }

  void commit_one(Group& group) {
    for (;;) {
      std::optional<Places::Lease> lease = find_for_commit(group);
      if (!lease) {
        admit_commit(Head{}, group);
        continue;  // dropped this moment: history 0 creates it anew
      }
      {
        const std::optional<UnixMs> due_ms = earliest_expiry(group);
        std::optional<DueCommit> due;
        if (due_ms) due.emplace(catalog_, lease->place(), *due_ms, group.deadline);
        lease->backend().commit({&group, 1});
        if (due && traits_.shared_by_processes) due->verify(group.deadline);
      }
      const bool is_refused = group.error && group.error->retry() != Retry::unknown_outcome;
      if (is_refused && is_stale(*lease, group.deadline)) {
        group.error.reset();
        continue;
      }
      hub_.changed(group.database);
      return;
    }
  }

  /// A retry that does not reach its place has an unknown outcome: its first copy may have been applied.
  std::optional<Places::Lease> find_for_commit(const Group& group) {
    try {
      if (group.history == 0) return places_.find_or_create(group.database, group.deadline);
      return places_.find(group.database, group.deadline);
    } catch (const Error& error) {
      if (group.retry) throw error.with_unknown_outcome();
      throw;
    }
  }

  /// The commit is done, so that a failure here must not become its error: the hourly visit finds what is
  /// due.
  static void verify(DueCommit& due, const Group& group) {
    try {
      due.verify(group.deadline);
    } catch (const Error&) {
      static_cast<void>(group);
    }
  }

  /// Whether the place is not the database's any more, because it was dropped by whomever. If so, it is let
  /// go and the next search finds the right one.
  bool is_stale(const Places::Lease& lease, Deadline deadline) {
    const Bytes& database = lease.place().database;
    const std::optional<CatalogRow> row = catalog_.find(database, deadline);
    if (!row || row->place != lease.place().name) {
      places_.retire(lease);
      return true;
    }
    if (!lease.backend().fence(database, tombstone(), tombstone(), deadline)) return false;
    bury(lease, deadline);
    return true;
  }

  /// Takes a place with a tombstone out of the catalog.
  void bury(const Places::Lease& lease, Deadline deadline) {
    for (;;) {
      const std::optional<CatalogRow> row = catalog_.find(lease.place().database, deadline);
      if (!row || row->place != lease.place().name) break;
      if (catalog_.remove(lease.place().database, *row, deadline)) break;
    }
    places_.retire(lease);
  }

  bool has_head(View database, Deadline deadline) {
    ReadRequest request;
    request.now_ms = environment_.clock->now_ms();
    request.clock_skew_limit_ms = 0;
    request.deadline = deadline;
    try {
      return read(database, request).at.history != 0;
    } catch (const Error& error) {
      if (error.code() == Code::moved) return true;
      if (error.code() != Code::unavailable) throw;
      // An import has a head and refuses every read; the tombstone was ruled out.
      return at_place(
          database, deadline,
          [&](Backend& inner) { return !inner.databases(database, {}, 1, deadline).empty(); },
          [] { return false; });
    }
  }

  std::optional<bool> look(const Cursor& cursor) {
    const Deadline deadline = environment_.clock->steady_now() + kLookTimeout;
    try {
      return at_place(
          cursor.database, deadline,
          [&](Backend& inner) { return is_ahead(inner, cursor, *environment_.clock, deadline); },
          [&] { return cursor.at.history != 0; });
    } catch (const Error&) {
      return std::nullopt;
    }
  }

  // ---- expiry

  static void note_due(ExpiredAnswer& answer, std::optional<UnixMs> due_ms) {
    if (due_ms) answer.next_due_ms = std::min(answer.next_due_ms.value_or(*due_ms), *due_ms);
  }

  /// Whether a database with this bound could have something older than the last item of a full list.
  static bool is_needed(const ExpiredAnswer& answer, UnixMs due_ms, std::size_t limit) {
    return answer.items.size() < limit || due_ms < answer.items.back().expires_at_ms;
  }

  void visit(ExpiredAnswer& answer, const Catalog::Due& due, UnixMs now_ms, std::size_t limit,
             Deadline deadline) {
    const std::optional<Places::Lease> lease = places_.find(due.database, deadline);
    if (!lease || lease->place().name != due.place) return;
    DueVisit visit(lease->place());
    ExpiredAnswer part = lease->backend().expired(now_ms, limit, deadline);
    if (part.items.empty()) visit.nothing_due(catalog_, now_ms, part.next_due_ms, deadline);
    note_due(answer, part.next_due_ms);
    answer.items.insert(answer.items.end(), part.items.begin(), part.items.end());
    std::sort(answer.items.begin(), answer.items.end(), [](const Expired& a, const Expired& b) {
      return std::tie(a.expires_at_ms, a.database, a.key) < std::tie(b.expires_at_ms, b.database, b.key);
    });
    if (answer.items.size() <= limit) return;
    note_due(answer, answer.items[limit].expires_at_ms);
    answer.items.resize(limit);
  }

  void remove_gone(Deadline deadline) {
    const std::int64_t now_ms = environment_.clock->boot_time_ms();
    {
      const std::lock_guard lock(gone_mutex_);
      if (removed_gone_at_ms_) {
        if (!traits_.shared_by_processes) return;
        if (now_ms - *removed_gone_at_ms_ < kRemoveGoneEveryMs) return;
      }
      removed_gone_at_ms_ = now_ms;
    }
    places_.remove_gone(deadline);
  }

  const Environment environment_;
  Catalog catalog_;
  Places places_;
  Traits traits_;
  WaitHub hub_;
  std::mutex gone_mutex_;
  std::optional<std::int64_t> removed_gone_at_ms_;
};

}  // namespace

std::unique_ptr<Backend> per_database(std::unique_ptr<Backend> catalog, OpenPlace open_place,
                                      RemovePlace remove_place, const Environment& environment,
                                      std::size_t open_limit) {
  if (open_limit == 0) {
    throw Error(Code::invalid_argument, "per_database keeps at least one store open; open_limit is 0");
  }
  return std::make_unique<PerDatabaseBackend>(std::move(catalog), std::move(open_place),
                                              std::move(remove_place), environment.completed(), open_limit);
}

}  // namespace holdfast
