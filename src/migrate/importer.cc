#include "migrate/importer.h"

#include <utility>

#include "contract/forwarding.h"
#include "contract/validate.h"
#include "engine/digest.h"
#include "engine/engine.h"

namespace holdfast::migrate {
namespace {

constexpr std::size_t kBatchWrites = 1'000;
constexpr std::size_t kBatchBytes = std::size_t{4} << 20;
constexpr std::chrono::seconds kTimeout{60};
constexpr std::chrono::hours kDigestTimeout{24};

/// 64-bit FNV-1a: the same for the same source in every version of this program.
std::uint64_t token_of(const std::string& source) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : source) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash == 0 ? 1 : hash;
}

Fence importing_fence(const std::string& source) {
  Fence fence;
  fence.state = Fence::State::importing;
  fence.token = token_of(source);
  return fence;
}

/// Shows one wall-clock time, so that entries are judged at that time.
class FixedTime final : public Clock {
 public:
  FixedTime(std::shared_ptr<Clock> clock, UnixMs now_ms) : clock_(std::move(clock)), now_ms_(now_ms) {}
  UnixMs now_ms() override { return now_ms_; }
  Deadline steady_now() override { return clock_->steady_now(); }
  std::int64_t boot_time_ms() override { return clock_->boot_time_ms(); }
  void wait_until(std::condition_variable& condition, std::unique_lock<std::mutex>& lock,
                  Deadline deadline) override {
    clock_->wait_until(condition, lock, deadline);
  }

 private:
  const std::shared_ptr<Clock> clock_;
  const UnixMs now_ms_;
};

Digest digest_at(std::shared_ptr<Backend> backend, const Environment& environment, View database,
                 std::uint64_t token) {
  const Deadline deadline = environment.clock->steady_now() + kDigestTimeout;
  StoreOptions options;
  options.environment = environment;
  options.sweeper = false;
  if (token != 0) options.clock_skew_limit = std::chrono::milliseconds(0);
  const auto engine =
      std::make_shared<Engine>(std::make_unique<ForwardingBackend>(std::move(backend)), std::move(options));
  return digest_of(*engine, *engine->database(database), {.deadline = deadline, .token = token});
}

}  // namespace

Importer::Importer(std::shared_ptr<Backend> backend, const Environment& environment, View database,
                   const std::string& source)
    : backend_(std::move(backend)),
      environment_(environment.completed()),
      database_(database),
      fence_(importing_fence(source)),
      session_{environment_.random->next(), environment_.random->next()} {
  validate_database_name(database_);
  if (database_.starts_with('!')) {
    throw Error(Code::invalid_argument, "databases beginning with '!' belong to the engine");
  }
  if (backend_->fence(database_, {}, fence_, deadline())) return;
  if (backend_->fence(database_, fence_, fence_, deadline())) return;
  const ReadAnswer answer =
      backend_->read(database_, {.now_ms = environment_.clock->now_ms(), .deadline = deadline()});
  if (answer.at.history == 0) {
    throw Error(Code::unavailable, "database \"" + database_ + "\" was dropped a moment ago; try again");
  }
  throw Error(Code::already_exists,
              "database \"" + database_ +
                  "\" exists with other data; give the copy another name, or drop what is there");
}

std::optional<Bytes> Importer::note() {
  const View key = kImportNoteKey;
  ReadAnswer answer = backend_->read(database_, {.gets = {&key, 1},
                                                 .now_ms = time_ms_,
                                                 .clock_skew_limit_ms = 0,
                                                 .token = fence_.token,
                                                 .deadline = deadline()});
  if (!answer.gets.front()) return std::nullopt;
  committed_note_ = std::move(answer.gets.front()->value);
  return committed_note_;
}

bool Importer::is_full() const { return waiting_.size() >= kBatchWrites || waiting_bytes_ >= kBatchBytes; }

void Importer::put(const Entry& entry) {
  Write write = Write::put(entry.key, entry.value, entry.expires_at_ms);
  write.version = entry.version;
  newest_version_ = std::max(newest_version_, entry.version);
  this->write(std::move(write));
}

void Importer::erase(View key) { write(Write::erase(key)); }

void Importer::write(Write write) {
  waiting_bytes_ += write.key.size() + write.value.size();
  Bytes key = write.key;
  waiting_.insert_or_assign(std::move(key), std::move(write));
}

void Importer::clear(const Range& range) {
  // The note stays as it is until all of what follows is there.
  std::optional<Bytes> note = std::exchange(note_, std::nullopt);
  flush();
  note_ = std::move(note);
  Range rest = range;
  for (bool more = true; more;) {
    const Page page = scan(rest, kBatchWrites, false, true);
    more = page.more;
    std::vector<Write> writes;
    for (const Entry& entry : page.entries) {
      if (entry.key != kImportNoteKey) writes.push_back(Write::erase(entry.key));
    }
    if (!page.entries.empty()) rest.begin = page.entries.back().key + '\0';
    if (!writes.empty()) commit(std::move(writes));
  }
}

void Importer::flush() {
  std::vector<Write> writes;
  writes.reserve(waiting_.size() + 1);
  for (auto& [key, write] : waiting_) writes.push_back(std::move(write));
  waiting_.clear();
  waiting_bytes_ = 0;
  if (note_ && note_ != committed_note_) {
    Write write = Write::put(kImportNoteKey, *note_);
    write.version = 1;
    writes.push_back(std::move(write));
    committed_note_ = note_;
  }
  if (!writes.empty()) commit(std::move(writes));
}

Page Importer::scan(const Range& range, std::size_t limit, bool reverse, bool keys_only) {
  const Scan scan{range, {.limit = limit, .reverse = reverse, .keys_only = keys_only}};
  ReadAnswer answer = backend_->read(database_, {.scans = {&scan, 1},
                                                 .now_ms = time_ms_,
                                                 .clock_skew_limit_ms = 0,
                                                 .token = fence_.token,
                                                 .deadline = deadline()});
  return std::move(answer.pages.front());
}

Digest Importer::digest(UnixMs time_ms) {
  set_time(time_ms);
  Environment environment = environment_;
  environment.clock = std::make_shared<FixedTime>(environment_.clock, time_ms_);
  Digest digest = digest_at(backend_, environment, database_, fence_.token);
  if (!committed_note_) return digest;
  const EntryHash note = hash_of(kImportNoteKey, *committed_note_, std::nullopt);
  digest.high -= note.high + (digest.low < note.low ? 1 : 0);
  digest.low -= note.low;
  --digest.entries;
  return digest;
}

void Importer::open(Seq seq, UnixMs time_ms) {
  set_time(time_ms);
  if (committed_note_) commit({Write::erase(kImportNoteKey)});
  committed_note_.reset();
  Fence opened;
  opened.time_ms = time_ms_;
  do {
    opened.at = {environment_.random->next(), seq};
  } while (opened.at.history == 0);
  if (!backend_->fence(database_, fence_, opened, deadline())) {
    throw Error(Code::conflict,
                "database \"" + database_ + "\" was dropped or opened by somebody else meanwhile");
  }
}

Deadline Importer::deadline() const { return environment_.clock->steady_now() + kTimeout; }

void Importer::commit(std::vector<Write> writes) {
  Group group;
  group.database = database_;
  group.session = session_;
  group.number = ++number_;
  group.now_ms = time_ms_;
  group.clock_skew_limit_ms = 0;
  group.token = fence_.token;
  group.deadline = deadline();
  group.batches.push_back({{}, std::move(writes)});
  group.content_hash = content_hash(group.batches);
  for (;;) {
    backend_->commit({&group, 1});
    if (!group.error) return;
    const Error error = *group.error;
    const bool may_go = error.retry() == Retry::unknown_outcome || error.retry() == Retry::backoff;
    if (!may_go || environment_.clock->steady_now() >= group.deadline) throw error;
    // Under the same number: it cannot be applied twice.
    group.retry = true;
    group.error.reset();
    group.outcomes.clear();
    std::mutex mutex;
    std::unique_lock<std::mutex> lock(mutex);
    std::condition_variable nobody;
    environment_.clock->wait_until(nobody, lock,
                                   environment_.clock->steady_now() + std::chrono::milliseconds(50));
  }
}

std::optional<Digest> digest_now(std::shared_ptr<Backend> backend, const Environment& given, View database) {
  const Environment environment = given.completed();
  const ReadAnswer answer = backend->read(database, {.now_ms = environment.clock->now_ms(),
                                                     .deadline = environment.clock->steady_now() + kTimeout});
  if (answer.at.history == 0) return std::nullopt;
  return digest_at(std::move(backend), environment, database, 0);
}

}  // namespace holdfast::migrate
