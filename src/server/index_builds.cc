#include "server/index_builds.h"

#include <algorithm>

namespace holdfast::server {
namespace {

bool is_done(const Records& records) {
  try {
    return std::ranges::none_of(records.indexes(), [](const RecordIndex& index) {
      return index.state == RecordIndexState::building;
    });
  } catch (const Error&) {
    // Whoever asks that database next meets the error.
    return false;
  }
}

}  // namespace

void IndexBuilds::declare(const Database& database, View name, View path, const RecordIndexOptions& options) {
  std::optional<Records> records;
  {
    const std::scoped_lock lock(mutex_);
    forget_done();
    records = building_.try_emplace(database.name(), database).first->second;
  }
  records->index(name, path, options);
}

void IndexBuilds::resume(const Database& database) {
  const std::scoped_lock lock(mutex_);
  forget_done();
  const auto known = building_.find(database.name());
  Records records = known == building_.end() ? Records(database) : known->second;
  if (records.resume_indexes()) building_.try_emplace(database.name(), records);
}

void IndexBuilds::forget_done() {
  std::erase_if(building_, [](const auto& item) { return is_done(item.second); });
}

}  // namespace holdfast::server
