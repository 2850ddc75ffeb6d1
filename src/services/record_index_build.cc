// How an index comes into being and goes: its state is in the catalogue, and how far its build has come in an
// entry beside it, so that any process can go on with what another one has begun.
#include <algorithm>
#include <deque>
#include <utility>

#include "holdfast/error.h"
#include "services/json_text.h"
#include "services/record_index.h"

namespace holdfast {
namespace {

using State = DeclaredIndex::State;

constexpr std::size_t kStepRecords = 256;
constexpr std::size_t kNameBytes = 100;
constexpr std::size_t kPathBytes = 1'000;

void validate_name(View name) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (!name.empty() && name.size() <= kNameBytes && is_utf8(name) && std::ranges::none_of(name, is_control)) {
    return;
  }
  throw Error(Code::invalid_argument, "the name of an index has 1 to " + std::to_string(kNameBytes) +
                                          " bytes of UTF-8 without control bytes");
}

RecordIndexState public_state(State state) {
  if (state == State::building) return RecordIndexState::building;
  return state == State::ready ? RecordIndexState::ready : RecordIndexState::failed;
}

}  // namespace

View name(RecordIndexState state) {
  switch (state) {
    case RecordIndexState::building:
      return "building";
    case RecordIndexState::ready:
      return "ready";
    case RecordIndexState::failed:
      return "failed";
  }
  return "";
}

RecordIndexes::RecordIndexes(Database database, Bytes prefix)
    : database_(std::move(database)), prefix_(std::move(prefix)) {}

RecordIndexes::~RecordIndexes() {
  // The thread takes the mutex before it ends: it is joined without it.
  worker_.request_stop();
  if (worker_.joinable()) worker_.join();
}

// ---- Declaring

void RecordIndexes::declare(View name, View path, const RecordIndexOptions& options) {
  validate_name(name);
  if (path.size() > kPathBytes || !is_utf8(path)) {
    throw Error(Code::invalid_argument,
                "the path of an index has at most " + std::to_string(kPathBytes) + " bytes of UTF-8");
  }
  JsonPointer pointer = JsonPointer::parse(path);
  const bool is_work_left = database_.transact([&](Transaction& transaction) {
    IndexCatalogue catalogue = seen_in(transaction)->catalogue;
    const DeclaredIndex* known = catalogue.find(name);
    if (known != nullptr && known->state != State::failed) {
      const bool is_same = known->path == path && known->is_unique == options.unique;
      if (is_same) return known->state == State::building || catalogue.find(State::dropped) != nullptr;
      throw Error(Code::already_exists,
                  "index \"" + known->name + "\" is declared otherwise; drop it first, or use another name");
    }
    if (known != nullptr) catalogue.find(known->id)->state = State::dropped;
    if (catalogue.indexes.size() >= limits::kRecordIndexes) {
      throw Error(Code::invalid_argument,
                  "one index more than " + std::to_string(limits::kRecordIndexes) + ", which is the maximum");
    }
    const Range records = Range::prefix(record_key(""));
    const bool is_empty = transaction.scan(records, {.limit = 1, .keys_only = true}).entries.empty();
    catalogue.indexes.push_back({catalogue.next_id++, Bytes(name), Bytes(path), pointer, options.unique,
                                 is_empty ? State::ready : State::building});
    transaction.put(catalogue_key(), catalogue.text());
    return !is_empty || catalogue.find(State::dropped) != nullptr;
  });
  if (is_work_left) work_in_background();
}

bool RecordIndexes::drop(View name) {
  std::uint64_t id = 0;
  database_.transact([&](Transaction& transaction) {
    IndexCatalogue catalogue = seen_in(transaction)->catalogue;
    const DeclaredIndex* index = catalogue.find(name);
    id = index == nullptr ? 0 : index->id;
    if (id == 0) return;
    catalogue.find(id)->state = State::dropped;
    transaction.put(catalogue_key(), catalogue.text());
    transaction.erase(progress_key(id));
  });
  if (id != 0) purge(id, {});
  return id != 0;
}

bool RecordIndexes::resume() {
  const auto seen = cache_.see(database_.get(catalogue_key()));
  const IndexCatalogue& catalogue = seen->catalogue;
  if (!catalogue.find(State::building) && !catalogue.find(State::dropped)) return false;
  work_in_background();
  return true;
}

std::vector<RecordIndex> RecordIndexes::list() const {
  const std::optional<Entry> entry = database_.get(catalogue_key());
  std::vector<RecordIndex> indexes;
  if (!entry) return indexes;
  for (DeclaredIndex& index : IndexCatalogue::parse(entry->value).indexes) {
    if (index.state == State::dropped) continue;
    indexes.push_back(
        {std::move(index.name), std::move(index.path), index.is_unique, public_state(index.state)});
  }
  std::ranges::sort(indexes, {}, &RecordIndex::name);
  return indexes;
}

// ---- Building

void RecordIndexes::wait(View name, Deadline deadline) {
  for (;;) {
    std::uint64_t id = 0;
    const auto seen = cache_.see(database_.get(catalogue_key()));
    const DeclaredIndex* index = seen->catalogue.find(name);
    if (index == nullptr || index->state != State::building) {
      ready_index(seen->catalogue, name);
      return;
    }
    id = index->id;
    while (build_step(id, deadline) == Step::more) {
    }
  }
}

RecordIndexes::Step RecordIndexes::build_step(std::uint64_t id, Deadline deadline) {
  const std::lock_guard lock(building_);
  try {
    std::size_t limit = 2 * kStepRecords;
    return database_.transact(
        [&](Transaction& transaction) {
          // The fewer records, the less can have changed before the commit.
          limit = std::max<std::size_t>(1, limit / 2);
          return build_step(transaction, id, limit);
        },
        deadline);
  } catch (const Error& error) {
    if (error.code() != Code::already_exists) throw;
    set_state(id, State::failed);
    return Step::done;
  }
}

RecordIndexes::Step RecordIndexes::build_step(Transaction& transaction, std::uint64_t id, std::size_t limit) {
  const std::vector<std::optional<Entry>> entries = get(transaction, {catalogue_key(), progress_key(id)});
  IndexCatalogue catalogue = cache_.see(entries[0])->catalogue;
  DeclaredIndex* index = catalogue.find(id);
  if (index == nullptr || index->state != State::building) return Step::done;
  Range range = Range::prefix(record_key(""));
  if (entries[1]) range.begin = record_key(entries[1]->value) + '\0';
  // What comes into the range meanwhile is put into the index by who writes it.
  const Page page = transaction.scan(range, {.limit = limit, .snapshot = true});

  const std::size_t key_begin = record_key("").size();
  std::deque<Payload> documents;
  std::vector<Change> changes;
  for (const Entry& entry : page.entries) {
    transaction.require(entry);
    const StoredPayload stored = RecordEnvelope::parse(entry.value).payload;
    if (stored.kind != Payload::Kind::json) continue;
    documents.push_back(PayloadCodec(database_).load_in_transaction(stored));
    changes.push_back({View(entry.key).substr(key_begin), std::nullopt, View(documents.back().text())});
  }
  update(transaction, {0, {*index}}, changes);
  if (page.more && !page.entries.empty()) {
    transaction.put(progress_key(id), View(page.entries.back().key).substr(key_begin));
    return Step::more;
  }
  index->state = State::ready;
  transaction.put(catalogue_key(), catalogue.text());
  transaction.erase(progress_key(id));
  return Step::done;
}

void RecordIndexes::set_state(std::uint64_t id, State state) {
  database_.transact([&](Transaction& transaction) {
    IndexCatalogue catalogue = seen_in(transaction)->catalogue;
    DeclaredIndex* index = catalogue.find(id);
    if (index == nullptr || index->state != State::building) return;
    index->state = state;
    transaction.put(catalogue_key(), catalogue.text());
    transaction.erase(progress_key(id));
  });
}

/// Erases the entries of a dropped index, which nobody writes or reads any more, and then forgets it.
void RecordIndexes::purge(std::uint64_t id, const std::stop_token& stop) {
  const Range range = Range::prefix(index_prefix(id));
  for (bool is_more = true; is_more;) {
    if (stop.stop_requested()) return;
    const Page page = database_.scan(range, {.limit = 1'000, .keys_only = true});
    Batch batch;
    for (const Entry& entry : page.entries) batch.writes.push_back(Write::erase(entry.key));
    if (!batch.writes.empty()) database_.commit(std::move(batch));
    is_more = page.more;
  }
  database_.transact([&](Transaction& transaction) {
    IndexCatalogue catalogue = seen_in(transaction)->catalogue;
    const auto is_it = [&](const DeclaredIndex& index) { return index.id == id; };
    if (std::erase_if(catalogue.indexes, is_it) == 0) return;
    transaction.put(catalogue_key(), catalogue.text());
  });
}

// ---- In the background

void RecordIndexes::work_in_background() {
  const std::lock_guard lock(mutex_);
  is_work_left_ = true;
  if (is_working_) return;
  is_working_ = true;
  worker_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
}

void RecordIndexes::work(const std::stop_token& stop) {
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      is_working_ = is_work_left_ && !stop.stop_requested();
      is_work_left_ = false;
      if (!is_working_) return;
    }
    try {
      work_off(stop);
    } catch (const std::exception&) {
      // The state is in the database: whoever declares the index again, waits for it or resumes, goes on.
    }
  }
}

void RecordIndexes::work_off(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const IndexCatalogue catalogue = cache_.see(database_.get(catalogue_key()))->catalogue;
    if (const DeclaredIndex* index = catalogue.find(State::building)) {
      while (!stop.stop_requested() && build_step(index->id, {}) == Step::more) {
      }
    } else if (const DeclaredIndex* dropped = catalogue.find(State::dropped)) {
      purge(dropped->id, stop);
    } else {
      return;
    }
  }
}

}  // namespace holdfast
