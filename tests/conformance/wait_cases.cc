// §8.4: wait and wake.
#include <atomic>
#include <thread>

#include "tests/conformance/harness.h"

namespace holdfast::conformance {
namespace {

using std::chrono::milliseconds;
using Indices = std::vector<std::size_t>;

std::string describe(const Indices& indices) {
  std::string text = "[";
  for (const std::size_t index : indices) text += " " + std::to_string(index);
  return text + " ]";
}

void expect_indices(const Indices& actual, const Indices& expected, std::string_view what,
                    Location location = Location::current()) {
  if (actual != expected) fail_unequal(what, describe(actual), describe(expected), location);
}

/// The indices of the first answer that has some; early answers with nothing are allowed.
Indices wait_for_change(Backend& backend, std::span<const Cursor> cursors, Deadline deadline) {
  while (true) {
    Indices indices = backend.wait(cursors, deadline);
    if (!indices.empty() || std::chrono::steady_clock::now() >= deadline) return indices;
  }
}

}  // namespace

void add_wait_cases(Cases& cases) {
  add_case(cases, "s8_4_wait_returns_at_once_what_is_behind_already", [](Run& run) {
    Client a = run.client("a");
    Client b = run.client("b");
    Client c = run.client("c");
    for (Client* client : {&a, &b, &c}) client->put("key", "1");
    const std::vector<Cursor> cursors = {{a.database(), {a.at.history, 0}},
                                         {b.database(), b.at},
                                         {c.database(), {c.at.history ^ 1, 1}},
                                         {run.database("none"), {0, 0}},
                                         {run.database("dropped"), {77, 3}}};
    expect_indices(wait_for_change(run.backend(), cursors, run.in(milliseconds(10'000))), {0, 2, 4},
                   "cursors with a smaller seq or another history");
  });
  add_case(cases, "s8_4_wait_ends_with_nothing_at_its_deadline", [](Run& run) {
    Client client = run.client();
    client.put("key", "1");
    const Cursor cursor{client.database(), client.at};
    const auto begin = std::chrono::steady_clock::now();
    expect_indices(run.backend().wait({&cursor, 1}, run.in(milliseconds(50))), {}, "cursors behind");
    const auto took = std::chrono::steady_clock::now() - begin;
    expect(took < milliseconds(50) + limits::kDeadlineGrace + milliseconds(1'000),
           "it ends soon after its deadline");
  });
  add_case(cases, "s8_4_a_commit_wakes_a_waiter_within_the_bound", [](Run& run) {
    Client client = run.client("watched");
    client.put("key", "1");
    const milliseconds bound = run.backend().traits().wake_bound + limits::kDeadlineGrace;
    for (int round = 0; round < 20; ++round) {
      const std::vector<Cursor> cursors = {{run.database("other"), {0, 0}}, {client.database(), client.at}};
      Crew crew;
      std::atomic<bool> waiting{false};
      crew.start([&] {
        waiting = true;
        const Indices indices =
            wait_for_change(run.backend(), cursors, std::chrono::steady_clock::now() + milliseconds(10'000));
        expect_indices(indices, {1}, "cursors behind after a commit");
      });
      await("the waiter", [&] { return waiting.load(); });
      client.put("key", "2");
      const auto acknowledged = std::chrono::steady_clock::now();
      crew.join();
      expect(std::chrono::steady_clock::now() - acknowledged < bound + milliseconds(1'000),
             "the waiter was woken within the bound");
    }
  });
  add_case(cases, "s8_4_no_wake_up_is_lost_between_looking_and_waiting", [](Run& run) {
    Client writer = run.client();
    writer.put("key", "0");
    constexpr Seq kCommits = 150;
    const Position begin = writer.at;
    std::atomic<Seq> seen{begin.seq};
    Crew crew;
    crew.start([&] {
      Client watcher = run.client();
      Cursor cursor{watcher.database(), begin};
      while (cursor.at.seq < kCommits + 1) {
        const auto begun = std::chrono::steady_clock::now();
        wait_for_change(run.backend(), {&cursor, 1}, begun + milliseconds(5'000));
        const bool woken = std::chrono::steady_clock::now() - begun < milliseconds(4'000);
        if (!woken) seen = kCommits + 1;
        expect(woken, "a wait that began before a commit was acknowledged, or after, ends with it");
        cursor.at = watcher.position();
        seen = cursor.at.seq;
      }
    });
    // Each commit waits for the watcher's last answer, so that it falls into the gap before the next wait.
    for (Seq i = 0; i < kCommits; ++i) {
      writer.put("key", std::to_string(i));
      await("the watcher", [&] { return seen.load() >= writer.at.seq; });
    }
    crew.join();
  });
  add_case(cases, "s8_4_a_first_commit_and_a_drop_wake_a_waiter", [](Run& run) {
    Client client = run.client();
    Crew crew;
    const auto expect_woken = [&](Position at, View by) {
      crew.start([&run, at, by = Bytes(by)] {
        const Cursor cursor{run.database(), at};
        expect(!wait_for_change(run.backend(), {&cursor, 1}, run.in(milliseconds(10'000))).empty(),
               "a waiter is woken by " + by);
      });
    };
    expect_woken({0, 0}, "the first commit");
    client.put("key", "1");
    crew.join();
    expect_woken(client.at, "a drop");
    client.drop();
    crew.join();
  });
  add_case(cases, "s8_4_wake_ends_a_wait", [](Run& run) {
    Client client = run.client();
    client.put("key", "1");
    const Cursor cursor{client.database(), client.at};
    // The wake meets the wait before, at and after its beginning.
    for (int round = 0; round < 100; ++round) {
      const auto begin = std::chrono::steady_clock::now();
      Crew crew;
      crew.start([&] { run.backend().wait({&cursor, 1}, begin + milliseconds(20'000)); });
      for (int i = 0; i < 10 * round; ++i) std::this_thread::yield();
      run.backend().wake();
      crew.join();
      expect(std::chrono::steady_clock::now() - begin < milliseconds(10'000),
             "wait ended long before its deadline");
    }
  });
  add_case(cases, "s8_4_wake_before_a_wait_ends_the_next_one", [](Run& run) {
    Client client = run.client();
    client.put("key", "1");
    const Cursor cursor{client.database(), client.at};
    run.backend().wake();
    const auto begin = std::chrono::steady_clock::now();
    run.backend().wait({&cursor, 1}, begin + milliseconds(20'000));
    expect(std::chrono::steady_clock::now() - begin < milliseconds(10'000),
           "wait ended long before its deadline");
  });
  add_case(cases, "s8_4_thousands_of_cursors_in_one_wait", [](Run& run) {
    Client client = run.client("last");
    std::vector<Cursor> cursors;
    for (std::size_t i = 0; i < 2'000; ++i) cursors.push_back({run.database(numbered("n", i)), {0, 0}});
    cursors.push_back({client.database(), {0, 0}});
    client.put("key", "1");
    expect_indices(wait_for_change(run.backend(), cursors, run.in(milliseconds(10'000))), {2'000},
                   "cursors behind");
  });
}

}  // namespace holdfast::conformance
