#include "tests/conformance/harness.h"

#include <cstdio>

#include "contract/validate.h"

namespace holdfast::conformance {
namespace {

std::string place(Location location) {
  const std::string_view path = location.file_name();
  const std::size_t slash = path.find_last_of('/');
  return std::string(path.substr(slash == std::string_view::npos ? 0 : slash + 1)) + ":" +
         std::to_string(location.line());
}

SessionId new_session() {
  const auto random = system_random();
  const std::uint64_t high = random->next();
  return {high, random->next()};
}

}  // namespace

// --- expectations

std::string describe(bool value) { return value ? "true" : "false"; }
std::string describe(std::uint64_t value) { return std::to_string(value); }
std::string describe(std::int64_t value) { return std::to_string(value); }

std::string describe(View bytes) {
  std::string text = "\"";
  for (const char c : bytes.substr(0, 60)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7F && c != '"' && c != '\\') {
      text += c;
    } else {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
      text += escaped;
    }
  }
  return text + (bytes.size() > 60 ? "...\" (" + std::to_string(bytes.size()) + " bytes)" : "\"");
}

std::string describe(const Position& position) {
  return "{history " + std::to_string(position.history) + ", seq " + std::to_string(position.seq) + "}";
}

std::string describe(const Entry& entry) {
  return "{" + describe(View(entry.key)) + " = " + describe(View(entry.value)) + ", version " +
         std::to_string(entry.version) +
         (entry.expires_at_ms ? ", expires " + std::to_string(*entry.expires_at_ms) : std::string()) + "}";
}

std::string describe(const Outcome& outcome) {
  if (outcome.committed()) return "committed at " + std::to_string(outcome.seq);
  return "check " + std::to_string(*outcome.failed_check) + " failed" +
         (outcome.seq != 0 ? " (with seq " + std::to_string(outcome.seq) + ")" : "");
}

std::string describe(const Change& change) {
  return "{" + describe(View(change.key)) + (change.erased ? " erased at " : " changed at ") +
         std::to_string(change.version) + ", entry " + describe(change.entry) + "}";
}

std::string describe(const Expired& expired) {
  return "{" + describe(View(expired.key)) + " of " + describe(View(expired.database)) + " expires " +
         std::to_string(expired.expires_at_ms) + "}";
}

std::string describe(Code code) { return name(code); }
std::string describe(Retry retry) { return name(retry); }

void fail(std::string_view what, Location location) {
  throw Failure{std::string(what) + " (" + place(location) + ")"};
}

void expect(bool holds, std::string_view what, Location location) {
  if (!holds) fail("not so: " + std::string(what), location);
}

void fail_unequal(std::string_view what, const std::string& actual, const std::string& expected,
                  Location location) {
  fail(std::string(what) + ": expected " + expected + ", found " + actual, location);
}

Error expect_error(Code code, std::string_view what, const std::function<void()>& call, Location location) {
  try {
    call();
  } catch (const Error& error) {
    expect_equal(error.code(), code, std::string(what) + ": code of \"" + error.what() + "\"", location);
    expect_equal(error.retry(), default_retry(code), std::string(what) + ": retry class", location);
    expect(!std::string_view(error.what()).empty(), std::string(what) + ": the error has a message",
           location);
    return error;
  }
  fail(std::string(what) + ": expected " + name(code) + ", found no error", location);
}

void expect_group_error(const Group& group, Code code, std::string_view what, Location location) {
  expect_error(
      code, what,
      [&] {
        if (group.error) throw Error(*group.error);
      },
      location);
}

// --- client

Client::Client(Backend& backend, Bytes database)
    : session(new_session()), backend_(&backend), database_(std::move(database)) {}

Group Client::prepare(std::vector<Batch> batches) {
  Group group;
  group.database = database_;
  group.history = at.history;
  group.session = session;
  group.number = ++number;
  group.now_ms = now_ms;
  group.clock_skew_limit_ms = clock_skew_limit_ms;
  group.token = token;
  group.deadline = far_deadline();
  group.batches = std::move(batches);
  group.content_hash = content_hash(group.batches);
  return group;
}

Group Client::send(Group group) {
  backend_->commit({&group, 1});
  if (!group.error) {
    expect_equal(std::uint64_t{group.outcomes.size()}, group.batches.size(), "outcomes of a group");
    at = group.at;
  }
  return group;
}

Group Client::send(std::vector<Batch> batches, Location location) {
  Group group = send(prepare(std::move(batches)));
  if (group.error) fail("a group ended in the error \"" + std::string(group.error->what()) + "\"", location);
  return group;
}

Outcome Client::commit(Batch batch, Location location) {
  std::vector<Batch> batches;
  batches.push_back(std::move(batch));
  return send(std::move(batches), location).outcomes.front();
}

Seq Client::write(std::vector<Write> writes, Location location) {
  const Outcome outcome = commit({{}, std::move(writes)}, location);
  expect(outcome.committed(), "a batch without checks commits", location);
  return outcome.seq;
}

Seq Client::put(View key, View value, std::optional<UnixMs> expires_at_ms, Location location) {
  return write({Write::put(key, value, expires_at_ms)}, location);
}

Seq Client::erase(View key, Location location) { return write({Write::erase(key)}, location); }

ReadAnswer Client::read(const Reading& reading) {
  const std::vector<View> gets(reading.gets.begin(), reading.gets.end());
  ReadRequest request;
  request.gets = gets;
  request.scans = reading.scans;
  request.checks = reading.checks;
  request.now_ms = now_ms;
  request.clock_skew_limit_ms = clock_skew_limit_ms;
  request.history = reading.history.value_or(0);
  request.token = token;
  request.deadline = far_deadline();
  ReadAnswer answer = backend_->read(database_, request);
  expect_equal(std::uint64_t{answer.pages.size()}, reading.scans.size(), "pages of an answer");
  at = answer.at;
  return answer;
}

std::optional<Entry> Client::get(View key) {
  ReadAnswer answer = read({.gets = {Bytes(key)}});
  expect_equal(std::uint64_t{answer.gets.size()}, 1, "answers to one get");
  return std::move(answer.gets.front());
}

Bytes Client::value(View key) {
  std::optional<Entry> entry = get(key);
  return entry ? std::move(entry->value) : Bytes("(absent)");
}

Page Client::scan(const Range& range, const ScanOptions& options) {
  return std::move(read({.scans = {{range, options}}}).pages.front());
}

std::vector<Bytes> Client::keys(const Range& range, const ScanOptions& options) {
  std::vector<Bytes> keys;
  for (Entry& entry : scan(range, options).entries) keys.push_back(std::move(entry.key));
  return keys;
}

std::optional<std::size_t> Client::failed_check(std::vector<Check> checks) {
  return read({.checks = std::move(checks)}).failed_check;
}

bool Client::holds(const Check& check) { return !failed_check({check}); }

Changes Client::changes(Position since, std::size_t limit, const Range& range, bool keys_only) {
  ChangesRequest request;
  request.since = since;
  request.range = range;
  request.limit = limit;
  request.keys_only = keys_only;
  request.token = token;
  request.deadline = far_deadline();
  return backend_->changes(database_, request);
}

bool Client::fence(const Fence& expected, const Fence& next) {
  return backend_->fence(database_, expected, next, far_deadline());
}
bool Client::drop() { return backend_->drop(database_, position().history, far_deadline()); }
void Client::compact(Seq before) { backend_->compact(database_, before, far_deadline()); }
Position Client::position() { return read({}).at; }

// --- stores and threads

OwnStore::OwnStore(OpenStore open, Environment environment)
    : open_(std::move(open)), environment_(std::move(environment)), backend_(open_(environment_)) {}

void OwnStore::reopen() {
  backend_.reset();
  backend_ = open_(environment_);
}

std::unique_ptr<Backend> OwnStore::open_second() { return open_(environment_); }

Run::Run(const Target& target, const Environment& environment, Backend& shared, Bytes prefix)
    : target_(&target), environment_(&environment), shared_(&shared), prefix_(std::move(prefix)) {}

Bytes Run::database(View suffix) { return prefix_ + Bytes(suffix); }
Client Run::client(View suffix) { return {*shared_, database(suffix)}; }
OwnStore Run::own_store() const { return {target_->new_store(), *environment_}; }

Crew::~Crew() {
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void Crew::start(std::function<void()> work) {
  threads_.emplace_back([this, work = std::move(work)] {
    try {
      work();
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
    }
  });
}

void Crew::join() {
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

Bytes numbered(View prefix, std::size_t number) {
  Bytes digits = std::to_string(number);
  return Bytes(prefix) + Bytes(digits.size() < 6 ? 6 - digits.size() : 0, '0') + digits;
}

void await(std::string_view what, const std::function<bool()>& condition, Location location) {
  const Deadline deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline)
      fail("waited in vain for " + std::string(what), location);
    std::this_thread::yield();
  }
}

void add_case(Cases& cases, std::string name, std::function<void(Run&)> body, Case::Needs needs) {
  // "s3_4e_..." is a case of sentence 3.4e.
  const std::size_t dot = name.find('_');
  const std::size_t end = name.find('_', dot + 1);
  std::string sentence = name.substr(1, dot - 1) + "." + name.substr(dot + 1, end - dot - 1);
  cases.push_back({std::move(name), std::move(sentence), needs, std::move(body)});
}

}  // namespace holdfast::conformance
