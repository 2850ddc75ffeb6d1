#include "engine/entry_objects.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <string>

#include "contract/answer.h"
#include "engine/engine.h"
#include "engine/engine_keys.h"

namespace holdfast {
namespace {

constexpr std::size_t kIdDigits = 32;
/// Pieces of one read: with the info they stay below the byte budget of an answer.
constexpr std::uint64_t kPiecesPerRead = 7;

Bytes data_prefix(View id) { return Bytes(kObjectDataPrefix) + Bytes(id) + "/"; }
Bytes data_key(View id, std::uint64_t piece) { return data_prefix(id) + stamp(piece).substr(8); }

void validate_id(View id) {
  const bool is_hex = std::all_of(id.begin(), id.end(),
                                  [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  if (id.size() == kIdDigits && is_hex) return;
  throw Error(Code::invalid_argument, "an object's id is 32 lower-case hexadecimal digits");
}

std::uint64_t number_after(View text, View name) {
  std::uint64_t number = 0;
  const std::size_t at = text.find(name);
  if (at != View::npos) {
    const char* begin = text.data() + at + name.size();
    const auto [end, error] = std::from_chars(begin, text.data() + text.size(), number);
    if (error == std::errc{}) return number;
  }
  throw Error(Code::corruption, "the description of an object cannot be read; restore it from a backup");
}

Bytes info_key(View id) { return Bytes(kObjectInfoPrefix) + Bytes(id); }

}  // namespace

Bytes object_info_key(View id) {
  validate_id(id);
  return info_key(id);
}

std::vector<Write> writes_to_erase_object(View id, ObjectRecord record, UnixMs now_ms, bool may_go_at_once) {
  std::vector<Write> writes;
  if (may_go_at_once && record.complete && record.pieces <= kObjectPiecesAtOnce) {
    writes.push_back(Write::erase(info_key(id)));
    for (std::uint64_t i = 0; i < record.pieces; ++i) writes.push_back(Write::erase(data_key(id, i)));
  } else {
    record.complete = false;
    writes.push_back(Write::put(info_key(id), record.text(), now_ms));
  }
  return writes;
}

Bytes ObjectRecord::text() const {
  return "{\"created_at_ms\":" + std::to_string(created_at_ms) +
         ",\"size_bytes\":" + std::to_string(size_bytes) + ",\"pieces\":" + std::to_string(pieces) +
         ",\"complete\":" + (complete ? "true" : "false") + "}";
}

ObjectRecord ObjectRecord::parse(View text) {
  ObjectRecord record;
  record.created_at_ms = static_cast<UnixMs>(number_after(text, "\"created_at_ms\":"));
  record.size_bytes = number_after(text, "\"size_bytes\":");
  record.pieces = number_after(text, "\"pieces\":");
  record.complete = text.find("\"complete\":true") != View::npos;
  return record;
}

/// Collects the bytes of one object and commits them piece by piece.
class EntryObjects::Upload {
 public:
  Upload(EntryObjects& objects, Deadline deadline) : objects_(objects), deadline_(deadline) {
    record_.created_at_ms = objects_.engine_.now_ms();
  }

  void add(View bytes) {
    record_.size_bytes += bytes.size();
    while (!bytes.empty()) {
      if (waiting_.empty() || waiting_.back().size() == kObjectPieceBytes) {
        if (waiting_.size() == kObjectPiecesPerCommit) send(false);
        waiting_.emplace_back();
      }
      const View part = bytes.substr(0, kObjectPieceBytes - waiting_.back().size());
      waiting_.back() += part;
      bytes.remove_prefix(part.size());
    }
  }

  ObjectId finish() {
    send(true);
    return id_;
  }

  void give_up() {
    if (info_version_ != 0) objects_.erase(id_, deadline_);
  }

 private:
  void send(bool is_last) {
    const bool is_first = info_version_ == 0;
    do {
      if (is_first) id_ = stamp(objects_.engine_.random().next()) + stamp(objects_.engine_.random().next());
    } while (!try_send(is_first, is_last));
    record_.pieces += waiting_.size();
    waiting_.clear();
  }

  /// False if the id is taken.
  bool try_send(bool is_first, bool is_last) {
    Batch batch;
    const Bytes info = info_key(id_);
    batch.checks.push_back(is_first ? Check::absent(info) : Check::has_version(info, info_version_));
    for (std::size_t i = 0; i < waiting_.size(); ++i) {
      batch.writes.push_back(Write::put(data_key(id_, record_.pieces + i), waiting_[i]));
    }
    if (is_last) {
      ObjectRecord complete = record_;
      complete.pieces += waiting_.size();
      complete.complete = true;
      batch.writes.push_back(Write::put(info, complete.text(), objects_.engine_.now_ms() + kUploadMs));
    } else if (is_first) {
      const ObjectRecord begun{record_.created_at_ms, 0, 0, false};
      batch.writes.push_back(Write::put(info, begun.text(), record_.created_at_ms + kUploadMs));
    }
    const Seq seq = objects_.commit(std::move(batch), deadline_);
    if (seq == 0 && is_first) return false;
    if (seq == 0) {
      throw Error(Code::unavailable,
                  "an upload was erased while it ran, or ran for more than 24 hours; upload it again");
    }
    if (is_first) info_version_ = seq;
    return true;
  }

  EntryObjects& objects_;
  const Deadline deadline_;
  ObjectId id_;
  Seq info_version_ = 0;
  ObjectRecord record_;         ///< `pieces`: those that are committed
  std::vector<Bytes> waiting_;  ///< pieces that are not
};

/// The seq, or 0 if a check failed.
Seq EntryObjects::commit(Batch batch, Deadline deadline) {
  const Engine::Call call(engine_);
  const Outcome outcome = engine_.commit(*database_, std::move(batch), deadline);
  return outcome.committed() ? outcome.seq : 0;
}

ObjectId EntryObjects::put(const ByteSource& source, Deadline deadline) {
  Upload upload(*this, deadline);
  for (;;) {
    Bytes bytes;
    try {
      bytes = source();
    } catch (...) {
      try {
        upload.give_up();
      } catch (const Error&) {
        // The sweeper finds it when it has expired; the source's exception says more.
      }
      throw;
    }
    if (bytes.empty()) return upload.finish();
    upload.add(bytes);
  }
}

std::optional<Bytes> EntryObjects::get(const ObjectId& id, std::uint64_t offset, std::size_t size_bytes,
                                       Deadline deadline) {
  validate_id(id);
  Bytes bytes;
  std::uint64_t end = offset + std::min<std::uint64_t>(size_bytes, UINT64_MAX - offset);
  std::uint64_t at = offset;
  do {
    const std::uint64_t first = at / kObjectPieceBytes;
    // Before the object's size is known, pieces may be asked for that do not exist.
    const std::uint64_t wanted =
        end == at ? 0 : std::min((end - 1) / kObjectPieceBytes - first + 1, kPiecesPerRead);
    std::vector<Bytes> keys{info_key(id)};
    if (first <= UINT32_MAX) {
      for (std::uint64_t i = 0; i < wanted; ++i) keys.push_back(data_key(id, first + i));
    }
    const std::vector<View> views(keys.begin(), keys.end());
    const Engine::Call call(engine_);
    const ReadAnswer answer = engine_.read(*database_, {.gets = views, .deadline = deadline});
    if (!answer.gets.front()) return std::nullopt;
    const ObjectRecord record = ObjectRecord::parse(answer.gets.front()->value);
    if (!record.complete) return std::nullopt;
    end = std::min(end, record.size_bytes);
    if (at >= end) return bytes;
    if (bytes.empty()) bytes.reserve(end - at);
    for (std::size_t i = 1; i < answer.gets.size() && at < end; ++i) {
      const std::uint64_t begin = (first + i - 1) * kObjectPieceBytes;
      const std::uint64_t expected = std::min<std::uint64_t>(kObjectPieceBytes, record.size_bytes - begin);
      if (!answer.gets[i] || answer.gets[i]->value.size() != expected) {
        throw Error(Code::corruption, "a piece of an object in database \"" + database_->name() +
                                          "\" is missing or has another size; restore it from a backup");
      }
      const View part = View(answer.gets[i]->value).substr(at - begin, end - at);
      bytes += part;
      at += part.size();
    }
  } while (at < end);
  return bytes;
}

std::optional<ObjectInfo> EntryObjects::stat(const ObjectId& id, Deadline deadline) {
  validate_id(id);
  const Bytes key = info_key(id);
  const View view = key;
  const Engine::Call call(engine_);
  const ReadAnswer answer = engine_.read(*database_, {.gets = {&view, 1}, .deadline = deadline});
  if (!answer.gets.front()) return std::nullopt;
  const ObjectRecord record = ObjectRecord::parse(answer.gets.front()->value);
  if (!record.complete) return std::nullopt;
  return ObjectInfo{id, record.size_bytes, record.created_at_ms, true};
}

bool EntryObjects::erase(const ObjectId& id, Deadline deadline) {
  validate_id(id);
  const Bytes key = info_key(id);
  const View view = key;
  for (;;) {
    std::optional<Entry> info;
    {
      const Engine::Call call(engine_);
      info = engine_.read(*database_, {.gets = {&view, 1}, .deadline = deadline}).gets.front();
    }
    if (!info) return false;
    Batch batch{{Check::has_version(key, info->version)},
                writes_to_erase_object(id, ObjectRecord::parse(info->value), engine_.now_ms(), true)};
    const bool is_left = batch.writes.front().kind == Write::Kind::put;
    if (commit(std::move(batch), deadline) == 0) continue;
    if (is_left) collect_expired(id, deadline);
    return true;
  }
}

std::size_t EntryObjects::collect_expired(View id, Deadline deadline) {
  const Bytes key = info_key(id);
  const View view = key;
  const Scan scan{Range::prefix(data_prefix(id)), {.limit = kObjectPiecesPerErase, .keys_only = true}};
  for (std::size_t removed = 0;;) {
    Page page;
    {
      const Engine::Call call(engine_);
      ReadAnswer answer =
          engine_.read(*database_, {.gets = {&view, 1}, .scans = {&scan, 1}, .deadline = deadline});
      if (answer.gets.front()) return removed;
      page = std::move(answer.pages.front());
    }
    Batch batch;
    for (const Entry& piece : page.entries) batch.writes.push_back(Write::erase(piece.key));
    // The info goes last: until then somebody finds it and goes on.
    if (!page.more) batch.writes.push_back(Write::reap(key));
    removed += batch.writes.size();
    commit(std::move(batch), deadline);
    if (!page.more) return removed;
  }
}

std::vector<ObjectInfo> EntryObjects::list(UnixMs created_before_ms, View after, std::size_t limit,
                                           Deadline deadline) {
  std::vector<ObjectInfo> objects;
  Scan scan{Range::prefix(kObjectInfoPrefix), {.limit = 1'000}};
  if (!after.empty()) scan.range.begin = info_key(after) + '\0';
  for (bool more = true; more && objects.size() < limit;) {
    const Engine::Call call(engine_);
    const ReadAnswer answer = engine_.read(*database_, {.scans = {&scan, 1}, .deadline = deadline});
    const Page& page = answer.pages.front();
    for (const Entry& entry : page.entries) {
      if (objects.size() == limit) break;
      const ObjectRecord record = ObjectRecord::parse(entry.value);
      if (record.created_at_ms >= created_before_ms) continue;
      objects.push_back({entry.key.substr(kObjectInfoPrefix.size()), record.size_bytes, record.created_at_ms,
                         record.complete});
    }
    more = page.more;
    if (more) scan.range.begin = page.entries.back().key + '\0';
  }
  return objects;
}

}  // namespace holdfast
