#include "backends/file/contents.h"

#include <absl/strings/string_view.h>

#include <algorithm>
#include <shared_mutex>

#include "contract/assert.h"
#include "holdfast/error.h"

namespace holdfast::file {
namespace {

/// The hash map looks names up by its own kind of view.
absl::string_view as_key(View name) { return {name.data(), name.size()}; }

}  // namespace

std::shared_ptr<Database> Contents::find(View name) const {
  const std::shared_lock lock(lock_);
  const auto found = databases_.find(as_key(name));
  return found == databases_.end() ? nullptr : found->second;
}

Contents::Pin Contents::pin(View name) const {
  std::shared_lock lock(lock_);
  const auto found = databases_.find(as_key(name));
  return {std::move(lock), found == databases_.end() ? nullptr : found->second.get()};
}

std::vector<Bytes> Contents::names(View prefix, View after, std::size_t limit) const {
  const std::shared_lock lock(lock_);
  std::vector<Bytes> names;
  auto at = after < prefix ? names_.lower_bound(prefix) : names_.upper_bound(after);
  for (; at != names_.end() && at->starts_with(prefix) && names.size() < limit; ++at) names.emplace_back(*at);
  return names;
}

std::vector<std::shared_ptr<Database>> Contents::databases() const {
  const std::shared_lock lock(lock_);
  std::vector<std::shared_ptr<Database>> databases;
  databases.reserve(names_.size());
  for (const View name : names_) databases.push_back(databases_.find(as_key(name))->second);
  return databases;
}

std::vector<std::shared_ptr<Database>> Contents::due(UnixMs now_ms,
                                                     std::optional<UnixMs>& next_due_ms) const {
  std::vector<Bytes> names;
  {
    const std::lock_guard lock(due_mutex_);
    for (const Due& due : due_) {
      if (due.due_ms > now_ms) {
        next_due_ms = std::min(next_due_ms.value_or(due.due_ms), due.due_ms);
        break;
      }
      names.push_back(due.database->name());
    }
  }
  std::vector<std::shared_ptr<Database>> databases;
  for (const Bytes& name : names) {
    if (auto database = find(name)) databases.push_back(std::move(database));
  }
  return databases;
}

Database* Contents::find_as_writer(View name) const {
  const auto found = databases_.find(as_key(name));
  return found == databases_.end() ? nullptr : found->second.get();
}

void Contents::apply(View body, const ValuePlace& place, std::uint64_t sequence) {
  Decoder decoder(body);
  while (!decoder.done()) {
    const ItemFrame item = decode_item(decoder);
    if (decoder.ok()) apply_item(item, place, sequence);
  }
  if (!decoder.ok()) throw Error(Code::corruption, "a record is malformed");
}

void Contents::apply_item(const ItemFrame& item, const ValuePlace& place, std::uint64_t sequence) {
  const std::shared_ptr<Database> database = find_or_create(item.database);
  if (sequence <= database->applied()) return;
  Decoder decoder(item.body);
  std::unique_lock lock(database->lock);
  switch (item.kind) {
    case ItemKind::group:
      database->apply_group(decoder, place, sequence);
      break;
    case ItemKind::head: {
      const Head head = decode_head(decoder);
      if (decoder.ok()) database->set_head(head, sequence);
      break;
    }
    case ItemKind::drop:
      database->drop(sequence);
      // Readers that pin a database take its lock after that of the map.
      lock.unlock();
      remove(*database);
      return;
  }
  if (!decoder.ok()) throw Error(Code::corruption, "a record is malformed");
  note_expiry(*database);
}

std::shared_ptr<Database> Contents::load(View name) { return find_or_create(name); }

void Contents::finish_loading() {
  for (const std::shared_ptr<Database>& database : databases()) {
    if (database->head().exists()) {
      while (database->trim_log(database->head().floor)) continue;
      note_expiry(*database);
    } else {
      remove(*database);
    }
  }
}

std::shared_ptr<Database> Contents::find_or_create(View name) {
  const auto found = databases_.find(as_key(name));
  if (found != databases_.end()) return found->second;
  auto database = std::make_shared<Database>(Bytes(name));
  const std::unique_lock lock(lock_);
  names_.insert(database->name());
  databases_.emplace(name, database);
  return database;
}

void Contents::remove(Database& database) {
  {
    const std::lock_guard lock(due_mutex_);
    if (database.noted_due_ms) due_.erase({*database.noted_due_ms, &database});
    database.noted_due_ms.reset();
  }
  const std::unique_lock lock(lock_);
  names_.erase(database.name());
  databases_.erase(database.name());
}

void Contents::note_expiry(Database& database) {
  const std::optional<UnixMs> due_ms = database.next_due_ms();
  if (due_ms == database.noted_due_ms) return;
  const std::lock_guard lock(due_mutex_);
  if (database.noted_due_ms) due_.erase({*database.noted_due_ms, &database});
  if (due_ms) due_.insert({*due_ms, &database});
  database.noted_due_ms = due_ms;
}

}  // namespace holdfast::file
