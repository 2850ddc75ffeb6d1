#include "layers/due_bound.h"

#include <algorithm>

namespace holdfast {
namespace {

/// Where processes share a store, one that is killed between its commit and its second look can leave a bound
/// too high; so none is raised further than this, and every database in which something ever expired is
/// visited as often.
constexpr std::int64_t kVisitEveryMs = 60ll * 60 * 1000;

/// With place.due_mutex held.
void lower(Catalog& catalog, Place& place, UnixMs due_ms, Deadline deadline) {
  for (;;) {
    const std::optional<CatalogRow> row = catalog.find(place.database, deadline);
    // Dropped meanwhile: the commit meets the tombstone.
    if (!row || row->place != place.name) return;
    place.due_ms = row->due_ms;
    if (place.due_ms && *place.due_ms <= due_ms) return;
    if (catalog.set_due(place.database, *row, due_ms, deadline)) {
      place.due_ms = due_ms;
      return;
    }
  }
}

}  // namespace

std::optional<UnixMs> earliest_expiry(const Group& group) {
  std::optional<UnixMs> earliest_ms;
  for (const Batch& batch : group.batches) {
    for (const Write& write : batch.writes) {
      if (!write.expires_at_ms) continue;
      earliest_ms = std::min(earliest_ms.value_or(*write.expires_at_ms), *write.expires_at_ms);
    }
  }
  return earliest_ms;
}

DueCommit::DueCommit(Catalog& catalog, Place& place, UnixMs due_ms, Deadline deadline)
    : catalog_(catalog), place_(place), due_ms_(due_ms) {
  const std::lock_guard lock(place_.due_mutex);
  if (!place_.due_ms || *place_.due_ms > due_ms_) lower(catalog_, place_, due_ms_, deadline);
  ++place_.due_commits_in_flight;
  ++place_.due_commits;
}

DueCommit::~DueCommit() {
  const std::lock_guard lock(place_.due_mutex);
  --place_.due_commits_in_flight;
}

void DueCommit::verify(Deadline deadline) {
  const std::lock_guard lock(place_.due_mutex);
  try {
    lower(catalog_, place_, due_ms_, deadline);
  } catch (const Error&) {
    place_.due_ms.reset();  // not known: the next commit looks
  }
}

DueVisit::DueVisit(Place& place) : place_(place) {
  const std::lock_guard lock(place_.due_mutex);
  commits_seen_ = place_.due_commits - place_.due_commits_in_flight;
}

void DueVisit::nothing_due(Catalog& catalog, UnixMs now_ms, std::optional<UnixMs> next_due_ms,
                           Deadline deadline) {
  const bool is_shared = catalog.traits().shared_by_processes;
  if (is_shared) next_due_ms = std::min(next_due_ms.value_or(INT64_MAX), now_ms + kVisitEveryMs);
  const std::lock_guard lock(place_.due_mutex);
  // A commit that began or ended since the visit began may have stored what the visit did not see.
  if (place_.due_commits != commits_seen_) return;
  const std::optional<CatalogRow> row = catalog.find(place_.database, deadline);
  if (!row || row->place != place_.name || row->due_ms == next_due_ms) return;
  const std::optional<CatalogRow> raised = catalog.set_due(place_.database, *row, next_due_ms, deadline);
  if (!raised) return;
  place_.due_ms = next_due_ms;
  if (!is_shared) return;
  // A commit of another process may have looked at the bound before it was raised and landed after the
  // visit: then it is there now.
  const ExpiredAnswer after = place_.backend->expired(now_ms, 1, deadline);
  std::optional<UnixMs> due_ms = after.next_due_ms;
  if (!after.items.empty()) due_ms = after.items.front().expires_at_ms;
  if (due_ms && *due_ms < *next_due_ms) lower(catalog, place_, *due_ms, deadline);
}

}  // namespace holdfast
