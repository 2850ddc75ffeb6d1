// What a server must answer that was away, or is another one.
#pragma once

#include <gtest/gtest.h>

#include <utility>

#include "layers/test_client.h"
#include "tests/support/appenders.h"
#include "tests/support/code_of.h"

namespace holdfast::testing_support {

/// A commit that is sent again after `restart` is answered with what was recorded, and not done twice.
template <class Restart>
void expect_recorded_answer(Backend& backend, TestClient& client, const Restart& restart) {
  const Group sent = client.put("key", "1");
  restart();
  const Group again = patiently([&] {
    Group group = retried(backend, sent);
    if (group.error) throw Error(*group.error);
    return group;
  });
  EXPECT_EQ(again.outcomes, sent.outcomes);
  EXPECT_EQ(client.position().seq, 1u);
}

/// The database "db" has another history than it had `before`: a group and a cursor of then are refused.
/// Returns where it is now.
inline Position expect_another_history(Backend& backend, TestClient& client, const Position& before,
                                       Group old) {
  const Position now = patiently([&] { return client.position(); });
  EXPECT_NE(now.history, before.history);
  backend.commit({&old, 1});
  EXPECT_TRUE(old.error.has_value());
  if (old.error) {
    EXPECT_EQ(old.error->code(), Code::history_changed);
    EXPECT_EQ(old.error->at(), now);
  }
  EXPECT_EQ(code_of([&] { backend.changes("db", {.since = before}); }), Code::history_changed);
  return now;
}

}  // namespace holdfast::testing_support
