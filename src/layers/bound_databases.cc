// Each call goes to the one store that its database is bound to. Names that a store knows beside those that
// are bound to it (left from an earlier configuration) are not shown.

#include <algorithm>
#include <functional>
#include <optional>
#include <set>
#include <tuple>

#include "holdfast/layers.h"
#include "layers/wait_hub.h"

namespace holdfast {
namespace {

class BoundDatabases final : public Backend {
 public:
  BoundDatabases(std::map<Bytes, std::shared_ptr<Backend>> bindings, std::shared_ptr<Backend> otherwise,
                 const Environment& environment)
      : environment_(environment) {
    traits_ = otherwise->traits();
    stores_.push_back(std::move(otherwise));
    bool any_shared = traits_.shared_by_processes;
    for (auto& [database, backend] : bindings) {
      const auto known = std::ranges::find(stores_, backend);
      if (known != stores_.end()) {
        index_.emplace(database, known - stores_.begin());
        continue;
      }
      // The promise of the whole is that of its weakest part.
      const Traits& part = backend->traits();
      traits_.durability = std::min(traits_.durability, part.durability);
      traits_.shared_by_processes = traits_.shared_by_processes && part.shared_by_processes;
      traits_.keeps_acknowledged = traits_.keeps_acknowledged && part.keeps_acknowledged;
      traits_.mergeable = traits_.mergeable || part.mergeable;
      traits_.wake_bound = std::max(traits_.wake_bound, part.wake_bound);
      any_shared = any_shared || part.shared_by_processes;
      index_.emplace(database, stores_.size());
      stores_.push_back(std::move(backend));
    }
    traits_.name = "bound+" + traits_.name;
    if (any_shared) traits_.wake_bound = std::max(traits_.wake_bound, WaitHub::kSharedWakeBound);
    hub_.emplace(environment_.clock, any_shared);
  }

  const Traits& traits() const override { return traits_; }
  const Traits& traits_of(View database) const override {
    return stores_[index_of(database)]->traits_of(database);
  }

  /// Lanes of different stores may share a number: then they merely take turns.
  std::size_t lane(View database) const override {
    const std::size_t index = index_of(database);
    return stores_[index]->lane(database) * stores_.size() + index;
  }

  ReadAnswer read(View database, const ReadRequest& request) override {
    return store(database).read(database, request);
  }

  void commit(std::span<Group> groups) override {
    std::map<std::size_t, std::vector<std::size_t>> by_store;
    for (std::size_t i = 0; i < groups.size(); ++i) by_store[index_of(groups[i].database)].push_back(i);
    for (const auto& [index, members] : by_store) {
      if (members.size() == groups.size()) {
        stores_[index]->commit(groups);
        break;
      }
      std::vector<Group> part;
      for (const std::size_t i : members) part.push_back(std::move(groups[i]));
      stores_[index]->commit(part);
      for (std::size_t i = 0; i < part.size(); ++i) groups[members[i]] = std::move(part[i]);
    }
    for (const Group& group : groups) hub_->changed(group.database);
  }

  Changes changes(View database, const ChangesRequest& request) override {
    return store(database).changes(database, request);
  }
  void compact(View database, Seq before, Deadline deadline) override {
    store(database).compact(database, before, deadline);
  }
  bool fence(View database, const Fence& expected, const Fence& next, Deadline deadline) override {
    const bool done = store(database).fence(database, expected, next, deadline);
    hub_->changed(database);
    return done;
  }
  bool drop(View database, std::uint64_t history, Deadline deadline) override {
    const bool dropped = store(database).drop(database, history, deadline);
    hub_->changed(database);
    return dropped;
  }

  std::vector<Bytes> databases(View prefix, View after, std::size_t limit, Deadline deadline) override {
    std::set<Bytes> names;
    for (const auto& [database, index] : index_) {
      if (!database.starts_with(prefix) || database <= after) continue;
      const std::vector<Bytes> found = stores_[index]->databases(database, {}, 1, deadline);
      if (!found.empty() && found[0] == database) names.insert(database);
    }
    // Names that are bound elsewhere are passed over, so one page may not be enough.
    std::size_t free_names = 0;
    Bytes last(after);
    while (free_names < limit) {
      const std::vector<Bytes> page = stores_[0]->databases(prefix, last, limit, deadline);
      for (const Bytes& name : page) {
        if (index_of(name) == 0 && names.insert(name).second) ++free_names;
      }
      if (page.size() < limit) break;
      last = page.back();
    }
    std::vector<Bytes> result(names.begin(), names.end());
    if (result.size() > limit) result.resize(limit);
    return result;
  }

  ExpiredAnswer expired(UnixMs now_ms, std::size_t limit, Deadline deadline) override {
    ExpiredAnswer answer;
    for (std::size_t index = 0; index < stores_.size(); ++index) {
      ExpiredAnswer part = expired_in(index, now_ms, limit, deadline);
      answer.items.insert(answer.items.end(), part.items.begin(), part.items.end());
      note_due(answer, part.next_due_ms);
    }
    std::sort(answer.items.begin(), answer.items.end(), [](const Expired& a, const Expired& b) {
      return std::tie(a.expires_at_ms, a.database, a.key) < std::tie(b.expires_at_ms, b.database, b.key);
    });
    if (answer.items.size() > limit) {
      note_due(answer, answer.items[limit].expires_at_ms);
      answer.items.resize(limit);
    }
    return answer;
  }

  std::vector<std::size_t> wait(std::span<const Cursor> cursors, Deadline deadline) override {
    return hub_->wait(cursors, deadline, [this](const Cursor& cursor) -> std::optional<bool> {
      try {
        Clock& clock = *environment_.clock;
        return is_ahead(store(cursor.database), cursor, clock, clock.steady_now() + kLookTimeout);
      } catch (const Error&) {
        return std::nullopt;
      }
    });
  }
  void wake() override { hub_->wake(); }

 private:
  static constexpr std::chrono::seconds kLookTimeout{5};

  std::size_t index_of(View database) const {
    const auto found = index_.find(database);
    return found == index_.end() ? 0 : found->second;
  }
  /// What is left of an earlier configuration stays there, and must not hide what lies behind it.
  ExpiredAnswer expired_in(std::size_t index, UnixMs now_ms, std::size_t limit, Deadline deadline) {
    for (std::size_t asked = limit;; asked *= 2) {
      ExpiredAnswer part = stores_[index]->expired(now_ms, asked, deadline);
      const bool is_all = part.items.size() < asked;
      std::erase_if(part.items, [&](const Expired& item) { return index_of(item.database) != index; });
      if (is_all || part.items.size() >= limit) return part;
    }
  }
  Backend& store(View database) { return *stores_[index_of(database)]; }

  static void note_due(ExpiredAnswer& answer, std::optional<UnixMs> due_ms) {
    if (due_ms) answer.next_due_ms = std::min(answer.next_due_ms.value_or(*due_ms), *due_ms);
  }

  const Environment environment_;
  Traits traits_;
  std::vector<std::shared_ptr<Backend>> stores_;  ///< the first one is for all that are bound to none
  std::map<Bytes, std::size_t, std::less<>> index_;
  std::optional<WaitHub> hub_;
};

}  // namespace

std::unique_ptr<Backend> bound_databases(std::map<Bytes, std::shared_ptr<Backend>> bindings,
                                         std::shared_ptr<Backend> otherwise, const Environment& environment) {
  return std::make_unique<BoundDatabases>(std::move(bindings), std::move(otherwise), environment.completed());
}

}  // namespace holdfast
