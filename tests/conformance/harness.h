// What the cases are written with: expectations that say what they found, and a client that speaks to one
// database as one engine would.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "holdfast/conformance.h"

namespace holdfast::conformance {

/// The first `now` of every client: an instant in 2001, so that a backend that looks at a clock of its own is
/// found out.
inline constexpr UnixMs kStartMs = 1'000'000'000'000;

// --- expectations

struct Failure {
  std::string reason;
};

std::string describe(bool value);
std::string describe(std::uint64_t value);
std::string describe(std::int64_t value);
std::string describe(View bytes);
std::string describe(const Position& position);
std::string describe(const Entry& entry);
std::string describe(const Outcome& outcome);
std::string describe(const Change& change);
std::string describe(const Expired& expired);
std::string describe(Code code);
std::string describe(Retry retry);
template <class T>
std::string describe(const std::optional<T>& value) {
  return value ? describe(*value) : std::string("nothing");
}
template <class T>
std::string describe(const std::vector<T>& values) {
  std::string text = "[";
  for (std::size_t i = 0; i < values.size() && i < 20; ++i)
    text += (i == 0 ? "" : ", ") + describe(values[i]);
  return text + (values.size() > 20 ? ", ...] (" + std::to_string(values.size()) + " in all)" : "]");
}

using Location = std::source_location;

[[noreturn]] void fail(std::string_view what, Location location = Location::current());
void expect(bool holds, std::string_view what, Location location = Location::current());

[[noreturn]] void fail_unequal(std::string_view what, const std::string& actual, const std::string& expected,
                               Location location);
template <class T>
void expect_equal(const T& actual, const std::type_identity_t<T>& expected, std::string_view what,
                  Location location = Location::current()) {
  if (!(actual == expected)) fail_unequal(what, describe(actual), describe(expected), location);
}

/// Demands that `call` throws an Error with this code and the code's retry class; returns it.
Error expect_error(Code code, std::string_view what, const std::function<void()>& call,
                   Location location = Location::current());
/// The same for the error of a group.
void expect_group_error(const Group& group, Code code, std::string_view what,
                        Location location = Location::current());

// --- one engine's view of one database

struct Reading {
  std::vector<Bytes> gets = {};
  std::vector<Scan> scans = {};
  std::vector<Check> checks = {};
  std::optional<std::uint64_t> history = {};
};

/// Not thread-safe: one thread, one session.
class Client {
 public:
  Client(Backend& backend, Bytes database);

  UnixMs now_ms = kStartMs;  ///< the clock of this caller
  std::int64_t clock_skew_limit_ms = limits::kClockSkewLimitMs;
  std::uint64_t token = 0;
  Position at;  ///< of the newest answer; its history goes with every group
  SessionId session;
  std::uint64_t number = 0;  ///< of the newest group

  const Bytes& database() const { return database_; }
  Backend& backend() { return *backend_; }

  /// The next group of this session, not sent yet.
  Group prepare(std::vector<Batch> batches);
  /// Sends a group, also a second time; the answer is in the returned copy.
  Group send(Group group);
  /// Sends the next group, which must not end in an error.
  Group send(std::vector<Batch> batches, Location location = Location::current());
  Outcome commit(Batch batch, Location location = Location::current());
  /// These must commit; the seq.
  Seq write(std::vector<Write> writes, Location location = Location::current());
  Seq put(View key, View value, std::optional<UnixMs> expires_at_ms = {},
          Location location = Location::current());
  Seq erase(View key, Location location = Location::current());

  ReadAnswer read(const Reading& reading);
  std::optional<Entry> get(View key);
  /// The value, or "(absent)".
  Bytes value(View key);
  Page scan(const Range& range = {}, const ScanOptions& options = {});
  std::vector<Bytes> keys(const Range& range = {}, const ScanOptions& options = {});
  std::optional<std::size_t> failed_check(std::vector<Check> checks);
  bool holds(const Check& check);
  Changes changes(Position since, std::size_t limit = 1'000, const Range& range = {}, bool keys_only = false);
  bool fence(const Fence& expected, const Fence& next);
  bool drop();
  void compact(Seq before);
  /// Reads the head.
  Position position();

 private:
  Backend* backend_;
  Bytes database_;
};

/// A store of its own, closed and freed at the end.
class OwnStore {
 public:
  OwnStore(OpenStore open, Environment environment);
  Backend& backend() { return *backend_; }
  /// Closes it and opens it again.
  void reopen();
  /// Opens it once more beside the first.
  std::unique_ptr<Backend> open_second();

 private:
  OpenStore open_;
  Environment environment_;
  std::unique_ptr<Backend> backend_;
};

/// What a case is given.
class Run {
 public:
  Run(const Target& target, const Environment& environment, Backend& shared, Bytes prefix);
  /// The store that most cases share: use only databases that database() named.
  Backend& backend() { return *shared_; }
  /// The name of a database that no other case uses.
  Bytes database(View suffix = "");
  /// A client of database(suffix).
  Client client(View suffix = "");
  OwnStore own_store() const;
  const Environment& environment() const { return *environment_; }
  const Target& target() const { return *target_; }
  Deadline in(std::chrono::milliseconds time) const { return environment_->clock->steady_now() + time; }

 private:
  const Target* target_;
  const Environment* environment_;
  Backend* shared_;
  Bytes prefix_;
};

/// Threads whose first failure is the case's failure.
class Crew {
 public:
  ~Crew();
  void start(std::function<void()> work);
  /// Waits for all and throws what one of them threw.
  void join();

 private:
  std::mutex mutex_;
  std::exception_ptr failure_;
  std::vector<std::thread> threads_;
};

/// Waits until `condition` holds; fails after 30 seconds.
void await(std::string_view what, const std::function<bool()>& condition,
           Location location = Location::current());

inline Deadline far_deadline() { return std::chrono::steady_clock::now() + std::chrono::seconds(60); }

/// "key00042"
Bytes numbered(View prefix, std::size_t number);

// --- the cases, by section

using Cases = std::vector<Case>;
void add_case(Cases& cases, std::string name, std::function<void(Run&)> body,
              Case::Needs needs = Case::Needs::nothing);

void add_term_cases(Cases& cases);
void add_time_cases(Cases& cases);
void add_read_cases(Cases& cases);
void add_order_cases(Cases& cases);
void add_commit_cases(Cases& cases);
void add_limit_cases(Cases& cases);
void add_session_cases(Cases& cases);
void add_check_cases(Cases& cases);
void add_write_cases(Cases& cases);
void add_change_cases(Cases& cases);
void add_fence_cases(Cases& cases);
void add_store_cases(Cases& cases);
void add_wait_cases(Cases& cases);
void add_concurrency_cases(Cases& cases);
void add_kept_cases(Cases& cases);
void add_shared_cases(Cases& cases);

}  // namespace holdfast::conformance
