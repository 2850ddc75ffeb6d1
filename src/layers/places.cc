#include "layers/places.h"

#include "contract/answer.h"
#include "contract/assert.h"

namespace holdfast {
namespace {

/// Another process that has a dropped place open may use it for as long as it takes to look into the catalog
/// again: the place must outlast that by far. Until then whoever comes by finds the tombstone in it.
constexpr std::int64_t kVerifyEveryMs = 10ll * 60 * 1000;
constexpr std::int64_t kGoneKeptMs = 60ll * 60 * 1000;
constexpr std::chrono::seconds kForgetTimeout{5};

}  // namespace

Places::Places(Catalog& catalog, OpenPlace open_place, RemovePlace remove_place,
               const Environment& environment, std::size_t open_limit)
    : catalog_(catalog),
      open_place_(std::move(open_place)),
      remove_place_(std::move(remove_place)),
      environment_(environment),
      open_limit_(open_limit) {
  HOLDFAST_ASSERT(open_limit_ > 0);
}

Places::~Places() = default;

std::optional<Places::Lease> Places::find(View database, Deadline deadline) {
  std::unique_lock lock(mutex_);
  for (;;) {
    const auto found = places_.find(database);
    if (found == places_.end()) break;
    const std::shared_ptr<Place> place = found->second;
    if (place->state_ == Place::State::open) {
      if (is_shared() && environment_.clock->boot_time_ms() - place->verified_at_ms_ > kVerifyEveryMs) {
        detach(*place);  // its present users keep it; whoever comes next looks into the catalog
        if (place->users_ == 0) {
          lock.unlock();
          place->backend.reset();
          lock.lock();
        }
        continue;
      }
      use(*place);
      return Lease(*this, place);
    }
    if (environment_.clock->steady_now() >= deadline) {
      throw Error(Code::timeout, "the store of database \"" + Bytes(database) +
                                     "\" could not be opened before the deadline; try again");
    }
    environment_.clock->wait_until(changed_, lock, deadline);
  }

  const auto opening = std::make_shared<Place>();
  opening->database = Bytes(database);
  places_.emplace(opening->database, opening);
  lock.unlock();
  // Other threads wait for this one, so they must hear of every way out of it.
  const auto give_up = [&] {
    lock.lock();
    places_.erase(opening->database);
    changed_.notify_all();
  };
  std::optional<CatalogRow> row;
  try {
    row = catalog_.find(database, deadline);
    while (row) {
      opening->backend = opened(row->place);
      opening->name = row->place;
      opening->due_ms = row->due_ms;
      opening->verified_at_ms_ = environment_.clock->boot_time_ms();
      if (!is_shared()) break;
      // Had the place been removed before it was opened, then its row was removed still earlier.
      std::optional<CatalogRow> again = catalog_.find(database, deadline);
      if (again && again->place == row->place) break;
      opening->backend.reset();
      free_place(row->place);
      row = std::move(again);
    }
  } catch (...) {
    opening->backend.reset();
    give_up();
    throw;
  }
  if (!row) {
    give_up();
    return std::nullopt;
  }
  lock.lock();
  opening->state_ = Place::State::open;
  recent_.push_front(opening.get());
  opening->recent_ = recent_.begin();
  use(*opening);
  changed_.notify_all();
  Lease lease(*this, opening);
  close_idle(lock);
  lock.unlock();
  return lease;
}

Places::Lease Places::find_or_create(View database, Deadline deadline) {
  for (;;) {
    if (std::optional<Lease> found = find(database, deadline)) return std::move(*found);
    const std::string name = stamp(environment_.random->next());
    // Built before the catalog names it, so that no row ever points at nothing.
    std::unique_ptr<Backend> built = open_place_(name);
    {
      const std::lock_guard lock(mutex_);
      built_.emplace(name, std::move(built));
    }
    if (catalog_.add(database, name, deadline)) continue;
    {
      const std::lock_guard lock(mutex_);
      built = std::move(built_.extract(name).mapped());
    }
    built.reset();
    free_place(name);
  }
}

std::unique_ptr<Backend> Places::opened(const std::string& name) {
  {
    const std::lock_guard lock(mutex_);
    auto built = built_.extract(name);
    if (!built.empty()) return std::move(built.mapped());
  }
  return open_place_(name);
}

void Places::use(Place& place) {
  ++place.users_;
  recent_.splice(recent_.begin(), recent_, place.recent_);
}

void Places::release(const std::shared_ptr<Place>& place) {
  std::unique_lock lock(mutex_);
  if (--place->users_ > 0) return;
  if (!place->is_retired_) return close_idle(lock);
  lock.unlock();
  place->backend.reset();
  if (is_shared()) return;
  try {
    free_place(place->name);
    catalog_.forget(place->name, environment_.clock->steady_now() + kForgetTimeout);
  } catch (const Error&) {
    // The catalog still says that it is gone: it is removed when the store is opened the next time.
  }
}

void Places::detach(Place& place) {
  place.is_retired_ = true;
  recent_.erase(place.recent_);
  places_.erase(place.database);
  changed_.notify_all();
}

void Places::retire(const Lease& lease) {
  const std::lock_guard lock(mutex_);
  if (!lease.place().is_retired_) detach(lease.place());
}

void Places::close_idle(std::unique_lock<std::mutex>& lock) {
  while (recent_.size() > open_limit_) {
    auto oldest = recent_.end();
    for (auto at = recent_.end(); at != recent_.begin();) {
      --at;
      if ((*at)->users_ > 0) continue;
      oldest = at;
      break;
    }
    if (oldest == recent_.end()) return;  // all are in use; whoever is done first closes one
    const std::shared_ptr<Place> place = places_.find((*oldest)->database)->second;
    // Whoever wants it again waits until it is closed: not every store can be open twice.
    place->state_ = Place::State::closing;
    recent_.erase(oldest);
    lock.unlock();
    place->backend.reset();
    lock.lock();
    places_.erase(place->database);
    changed_.notify_all();
  }
}

void Places::free_place(const std::string& name) {
  if (remove_place_) remove_place_(name);
}

void Places::remove_gone(Deadline deadline) {
  const UnixMs now_ms = environment_.clock->now_ms();
  for (const std::string& name : catalog_.gone(is_shared() ? now_ms - kGoneKeptMs : INT64_MAX, deadline)) {
    free_place(name);
    catalog_.forget(name, deadline);
  }
}

std::size_t Places::open_count() {
  const std::lock_guard lock(mutex_);
  return recent_.size();
}

}  // namespace holdfast
