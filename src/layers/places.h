// The inner stores of a per_database layer that are open now: one for each database in use, the least
// recently used one closed first, none closed while somebody uses it.
#pragma once

#include <condition_variable>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "holdfast/layers.h"
#include "layers/catalog.h"

namespace holdfast {

/// The open inner store of one database.
struct Place {
  Bytes database;
  std::string name;  ///< the surrogate id
  std::unique_ptr<Backend> backend;

  // What is known of the lower bound of the next expiry, see DueBound.
  std::mutex due_mutex;
  std::optional<UnixMs> due_ms;
  std::size_t due_commits_in_flight = 0;
  std::uint64_t due_commits = 0;

 private:
  friend class Places;
  enum class State : std::uint8_t { opening, open, closing };
  State state_ = State::opening;
  std::size_t users_ = 0;
  bool is_retired_ = false;
  std::int64_t verified_at_ms_ = 0;
  std::list<Place*>::iterator recent_;
};

/// Thread-safe.
class Places {
 public:
  Places(Catalog& catalog, OpenPlace open_place, RemovePlace remove_place, const Environment& environment,
         std::size_t open_limit);
  ~Places();
  Places(const Places&) = delete;
  Places& operator=(const Places&) = delete;

  /// The right to use a place; it stays open until this ends.
  class Lease {
   public:
    Lease(Places& places, std::shared_ptr<Place> place) : places_(&places), place_(std::move(place)) {}
    ~Lease() {
      if (place_) places_->release(place_);
    }
    Lease(Lease&&) noexcept = default;
    Lease& operator=(Lease&&) = delete;
    Backend& backend() const { return *place_->backend; }
    Place& place() const { return *place_; }

   private:
    friend class Places;
    Places* places_;
    std::shared_ptr<Place> place_;
  };

  /// Nothing if the catalog does not have the database. Opens the place if it is not open.
  std::optional<Lease> find(View database, Deadline deadline);
  /// Makes a place for the database if the catalog does not have it.
  Lease find_or_create(View database, Deadline deadline);
  /// The place is not the database's any more: nobody gets it again, and it is closed when its last user is
  /// done.
  void retire(const Lease& lease);

  /// Removes the places that were dropped long enough ago for every process to have noticed; those of a store
  /// that is not shared only when it is opened, before anything is in use.
  void remove_gone(Deadline deadline);

  std::size_t open_count();

 private:
  void release(const std::shared_ptr<Place>& place);
  bool is_shared() const { return catalog_.traits().shared_by_processes; }
  std::unique_ptr<Backend> opened(const std::string& name);
  void use(Place& place);
  void close_idle(std::unique_lock<std::mutex>& lock);
  void detach(Place& place);
  void free_place(const std::string& name);

  Catalog& catalog_;
  const OpenPlace open_place_;
  const RemovePlace remove_place_;
  const Environment environment_;
  const std::size_t open_limit_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<Bytes, std::shared_ptr<Place>, std::less<>> places_;
  std::map<std::string, std::unique_ptr<Backend>> built_;  ///< new ones that the catalog may not name yet
  std::list<Place*> recent_;                               ///< the open ones, the most recently used first
};

}  // namespace holdfast
