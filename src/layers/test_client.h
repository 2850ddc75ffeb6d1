// What the tests of the layers do by hand where an application has the engine.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "contract/validate.h"
#include "holdfast/backend.h"
#include "holdfast/environment.h"

namespace holdfast {

/// One session of one database over a backend. The backend must outlive it.
class TestClient {
 public:
  TestClient(Backend& backend, Environment environment, Bytes database, std::uint64_t session = 1)
      : backend_(backend),
        environment_(std::move(environment)),
        database_(std::move(database)),
        session_(session, session) {}

  Deadline soon() const { return environment_.clock->steady_now() + std::chrono::seconds(20); }

  ReadAnswer read(const std::vector<View>& gets = {}, const std::vector<Scan>& scans = {}) {
    ReadRequest request;
    request.gets = gets;
    request.scans = scans;
    request.now_ms = environment_.clock->now_ms();
    request.deadline = soon();
    return backend_.read(database_, request);
  }

  Position position() { return read().at; }

  /// The value under a key, or "(none)".
  std::string value(View key) {
    const ReadAnswer answer = read({key});
    return answer.gets.at(0) ? answer.gets[0]->value : "(none)";
  }

  /// The next group of the session, not sent.
  Group group(std::vector<Batch> batches) {
    Group group;
    group.database = database_;
    group.history = position().history;
    group.session = session_;
    group.number = ++number_;
    group.now_ms = environment_.clock->now_ms();
    group.deadline = soon();
    group.content_hash = content_hash(batches);
    group.batches = std::move(batches);
    return group;
  }

  /// Sends one batch once; the group with its results.
  Group commit(Batch batch) {
    Group sent = group({std::move(batch)});
    backend_.commit({&sent, 1});
    return sent;
  }
  Group put(View key, View value, std::optional<UnixMs> expires_at_ms = {}) {
    return commit({{}, {Write::put(key, value, expires_at_ms)}});
  }
  Group reap(View key) { return commit({{}, {Write::reap(key)}}); }

  bool drop() { return backend_.drop(database_, position().history, soon()); }

 private:
  Backend& backend_;
  const Environment environment_;
  const Bytes database_;
  const SessionId session_;
  std::uint64_t number_ = 0;
};

/// What backend.commit did to a copy of `group`, sent as a retry.
inline Group retried(Backend& backend, Group group) {
  group.retry = true;
  backend.commit({&group, 1});
  return group;
}

}  // namespace holdfast
