#include "backends/sqlite/reader.h"

#include <algorithm>
#include <iterator>
#include <span>

#include "backends/sqlite/schema.h"

namespace holdfast::sqlite {

/// A deferred transaction: its snapshot is taken by the first statement, which reads the head.
class Reader::Snapshot {
 public:
  explicit Snapshot(Reader& reader) : reader_(reader) { reader_.begin_.bind().run(); }
  ~Snapshot() {
    try {
      reader_.end_.run();
    } catch (const SqliteError&) {
      reader_.connection_.rollback();
    }
  }
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

 private:
  Reader& reader_;
};

Reader::Reader(const std::string& path, std::int64_t cache_size_bytes, std::shared_ptr<Clock> clock)
    : connection_(path, OpenMode::write, std::move(clock)) {
  configure(connection_, cache_size_bytes);
  connection_.execute("PRAGMA query_only = ON", "opening");
}

ReadAnswer Reader::read(View name, const ReadRequest& request) {
  if (request.gets.size() == 1 && request.scans.empty() && request.checks.empty()) {
    if (std::optional<ReadAnswer> answer = read_one(name, request)) return *std::move(answer);
  }
  end_.bind();  // prepared before a snapshot needs it
  const Snapshot snapshot(*this);
  const DatabaseRow row = databases_.find(name).value_or(DatabaseRow{});
  ReadAnswer answer;
  answer.time_ms = admit_read(name, row.head, request);
  answer.at = row.head.position();
  answer.floor = row.head.floor;
  AnswerBudget budget;
  answer.gets.reserve(request.gets.size());
  for (const View key : request.gets) {
    std::optional<Entry> entry = entries_.get(row.id, key);
    if (entry && !is_live(entry->expires_at_ms, answer.time_ms)) entry.reset();
    if (entry && !budget.take(key.size(), entry->value.size())) break;
    answer.gets.push_back(std::move(entry));
  }
  for (const Scan& one : request.scans) {
    answer.pages.push_back(scan(row.id, one, answer.time_ms, budget));
    answer.pages.back().at = answer.at;
  }
  answer.failed_check = judge_.first_failed(row.id, row.head.floor, request.checks, answer.time_ms);
  return answer;
}

std::optional<ReadAnswer> Reader::read_one(View name, const ReadRequest& request) {
  const View key = request.gets.front();
  Rows rows(read_one_.bind(databases_.hint(name), Text{name}, key));
  if (!rows.next()) return std::nullopt;
  const Head head = head_of(read_one_, 0);
  ReadAnswer answer;
  answer.time_ms = admit_read(name, head, request);
  answer.at = head.position();
  answer.floor = head.floor;
  std::optional<Entry>& entry = answer.gets.emplace_back();
  if (read_one_.is_null(5)) return answer;
  const StoredEntry stored = stored_entry_of(read_one_, 5);
  // The value is looked up while the statement, and with it the snapshot, is still there.
  if (is_live(stored.expires_at_ms, answer.time_ms)) {
    entry =
        Entry{Bytes(key), entries_.value(stored, read_one_.bytes(8)), stored.version, stored.expires_at_ms};
  }
  return answer;
}

Page Reader::scan(std::int64_t database, const Scan& scan, UnixMs time_ms, AnswerBudget& budget) {
  const ScanOptions& options = scan.options;
  Page page;
  const auto visit = [&](View key, const StoredEntry& stored, View inline_value) {
    if (!is_live(stored.expires_at_ms, time_ms)) return true;
    if (page.entries.size() == options.limit) {
      page.more = true;
      return false;
    }
    Bytes value = options.keys_only ? Bytes() : entries_.value(stored, inline_value);
    if (!budget.take(key.size(), value.size())) {
      page.more = true;
      return false;
    }
    page.entries.push_back({Bytes(key), std::move(value), stored.version, stored.expires_at_ms});
    return true;
  };
  entries_.scan(database, scan.range, options.reverse, options.keys_only, visit);
  return page;
}

Changes Reader::changes(View name, const ChangesRequest& request) {
  end_.bind();
  const Snapshot snapshot(*this);
  const DatabaseRow row = databases_.find(name).value_or(DatabaseRow{});
  admit_changes(name, row.head, request);
  Changes page;
  page.head = row.head.seq;
  page.through = row.head.position();
  std::size_t bytes = 0;
  log_.walk(row.id, request.since.seq, [&](Seq seq, const std::vector<View>& keys) {
    std::vector<Change> items;
    for (const View key : keys) {
      if (!request.range.contains(key)) continue;
      std::optional<Entry> entry;
      if (request.keys_only) {
        const std::optional<StoredEntry> found = entries_.find(row.id, key);
        if (found) entry = Entry{{}, {}, found->version, found->expires_at_ms};
      } else {
        entry = entries_.get(row.id, key);
      }
      // A later commit put the key again: it belongs to that one.
      if (entry && entry->version > seq) continue;
      Change item{Bytes(key), seq, !entry, std::nullopt};
      bytes += key.size() + (entry ? entry->value.size() : 0);
      if (!request.keys_only) item.entry = std::move(entry);
      items.push_back(std::move(item));
    }
    const bool full = page.items.size() + items.size() > request.limit || bytes > limits::kAnswerBytes;
    if (full && !page.items.empty()) {
      page.through.seq = seq - 1;
      return false;
    }
    std::move(items.begin(), items.end(), std::back_inserter(page.items));
    // A first commit that is larger than a page is a page.
    if (full) page.through.seq = seq;
    return !full;
  });
  return page;
}

ExpiredAnswer Reader::expired(UnixMs now_ms, std::size_t limit) {
  ExpiredAnswer answer;
  entries_.by_expiry([&](View database, View key, UnixMs expires_at_ms) {
    if (expires_at_ms > now_ms || answer.items.size() == limit) {
      answer.next_due_ms = expires_at_ms;
      return false;
    }
    answer.items.push_back({Bytes(database), Bytes(key), expires_at_ms});
    return true;
  });
  return answer;
}

std::vector<Bytes> Reader::databases(View prefix, View after, std::size_t limit) {
  return databases_.names(prefix, after, limit);
}

std::vector<std::size_t> Reader::behind(std::span<const Cursor> cursors) {
  end_.bind();
  const Snapshot snapshot(*this);
  std::vector<std::size_t> behind;
  for (std::size_t i = 0; i < cursors.size(); ++i) {
    const Position head = databases_.position(cursors[i].database);
    if (head.history != cursors[i].at.history || head.seq > cursors[i].at.seq) behind.push_back(i);
  }
  return behind;
}

std::int64_t Reader::data_version() {
  const Rows rows(data_version_.bind());
  return data_version_.step() ? data_version_.integer(0) : 0;
}

std::unique_ptr<Reader> Readers::take(Deadline deadline) {
  std::unique_lock lock(mutex_);
  while (idle_.empty() && out_ >= limit_) {
    if (clock_->steady_now() >= deadline) {
      throw Error(Code::timeout, "reading from \"" + path_ + "\": all " + std::to_string(limit_) +
                                     " read connections are busy; raise the option readers, or read less");
    }
    clock_->wait_until(returned_, lock, deadline);
  }
  ++out_;
  if (!idle_.empty()) {
    std::unique_ptr<Reader> reader = std::move(idle_.back());
    idle_.pop_back();
    return reader;
  }
  lock.unlock();
  try {
    return std::make_unique<Reader>(path_, cache_size_bytes_, clock_);
  } catch (...) {
    put_back(nullptr);
    throw;
  }
}

void Readers::put_back(std::unique_ptr<Reader> reader) {
  const std::lock_guard lock(mutex_);
  --out_;
  if (reader) idle_.push_back(std::move(reader));
  returned_.notify_one();
}

}  // namespace holdfast::sqlite
