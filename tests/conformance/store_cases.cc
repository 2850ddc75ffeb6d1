// §8.1 to §8.3 and §9: names, drop, expiry over the whole store, traits and lanes.
#include <algorithm>

#include "tests/conformance/harness.h"

namespace holdfast::conformance {
namespace {

std::vector<Bytes> names(Run& run, View prefix = "", View after = "", std::size_t limit = 100) {
  std::vector<Bytes> found =
      run.backend().databases(run.database(prefix), Bytes(after), limit, far_deadline());
  for (Bytes& name : found) name = name.substr(run.database().size());
  return found;
}

void listing(Cases& cases) {
  add_case(cases, "s8_1_names_are_listed_in_byte_order", [](Run& run) {
    std::vector<Bytes> expected = {
        "a", "B", "a/1", "a/10", "a/2", "b", "\xC3\xA9", "Z", "a ", "~", "\xF0\x9F\x98\x80"};
    for (const Bytes& name : expected) run.client(name).put("key", "1");
    std::sort(expected.begin(), expected.end());
    expect_equal(names(run), expected, "names");
  });
  add_case(cases, "s8_1_listing_goes_by_prefix_after_and_limit", [](Run& run) {
    for (const Bytes name : {"a", "a/1", "a/2", "a/3", "a/4", "b"}) run.client(name).put("key", "1");
    expect_equal(names(run, "a/"), {"a/1", "a/2", "a/3", "a/4"}, "names of a prefix");
    expect_equal(names(run, "a/", "", 2), {"a/1", "a/2"}, "the first two");
    expect_equal(names(run, "a/", run.database("a/2"), 10), {"a/3", "a/4"}, "names after the second");
    expect_equal(names(run, "a/", run.database("a/25"), 10), {"a/3", "a/4"},
                 "names after one that is not there");
    expect_equal(names(run, "a/", run.database("b"), 10), {}, "names after one behind the prefix");
    expect_equal(names(run, "a/", run.database("A"), 10), {"a/1", "a/2", "a/3", "a/4"},
                 "names after one before the prefix");
    expect_equal(names(run, "nothing"), {}, "names of a prefix that nothing has");
  });
  add_case(cases, "s8_1_a_name_is_listed_from_its_first_commit_on", [](Run& run) {
    for (std::size_t i = 0; i < 20; ++i) {
      Client client = run.client(numbered("n", i));
      client.read({});
      expect_equal(std::uint64_t{names(run).size()}, i, "names before the first commit");
      client.put("key", "1");
      expect_equal(std::uint64_t{names(run).size()}, i + 1, "names after the first commit");
    }
  });
  add_case(cases, "s8_1_a_dropped_name_is_not_listed", [](Run& run) {
    for (const Bytes name : {"a", "b", "c"}) run.client(name).put("key", "1");
    expect(run.client("b").drop(), "drop");
    expect_equal(names(run), {"a", "c"}, "names");
  });
}

void drops(Cases& cases) {
  add_case(cases, "s8_2_drop_is_refused_for_another_history", [](Run& run) {
    Client client = run.client();
    expect(!run.backend().drop(run.database(), 5, far_deadline()), "drop of what was never there");
    client.put("key", "1");
    expect(!run.backend().drop(run.database(), client.at.history ^ 1, far_deadline()),
           "drop of another history");
    expect_equal(client.value("key"), "1", "value after refused drops");
    expect(run.backend().drop(run.database(), client.at.history, far_deadline()), "drop");
    expect(!run.backend().drop(run.database(), client.at.history, far_deadline()), "the same drop again");
  });
  add_case(cases, "s8_2_a_dropped_database_reads_as_never_written", [](Run& run) {
    Client client = run.client();
    for (std::size_t i = 0; i < 10; ++i) client.put(numbered("k", i), "1");
    client.drop();
    const ReadAnswer answer = client.read({.gets = {numbered("k", 1)}, .scans = {{}}});
    expect_equal(answer.at, {0, 0}, "position");
    expect_equal(answer.gets, {std::nullopt}, "gets");
    expect(answer.pages[0].entries.empty(), "the scan is empty");
    expect_equal(answer.time_ms, kStartMs, "time");
    const Changes changes = client.changes({0, 0});
    expect(changes.items.empty() && changes.caught_up(), "there are no changes");
  });
  add_case(cases, "s8_2_after_a_drop_the_history_is_another", [](Run& run) {
    Client client = run.client();
    client.put("key", "old");
    const Position old = client.at;
    const Group sent = client.send({{{}, {Write::put("key", "older")}}});
    client.drop();
    Client fresh = run.client();
    expect_equal(fresh.put("key", "new"), 1, "seq of the first commit after the drop");
    expect(fresh.at.history != old.history && fresh.at.history != 0, "the history is a new one");
    expect_error(Code::history_changed, "a read with the old history",
                 [&] { fresh.read({.checks = {Check::has_version("key", 1)}, .history = old.history}); });
    expect_error(Code::history_changed, "changes since the old position", [&] { fresh.changes(old); });
    Group stale = client.prepare({{{Check::has_version("key", 1)}, {Write::put("key", "stale")}}});
    stale.history = old.history;
    expect_group_error(client.send(stale), Code::history_changed, "a commit with the old history");
    Group parked = sent;
    parked.retry = true;
    expect_group_error(client.send(parked), Code::history_changed, "a parked group of the old history");
    expect_equal(fresh.value("key"), "new", "the value");
  });
  add_case(cases, "s8_2_sessions_of_a_dropped_database_are_gone", [](Run& run) {
    Client client = run.client();
    for (int i = 0; i < 5; ++i) client.put("key", "old");
    client.drop();
    client.number = 0;
    client.position();
    expect_equal(client.put("key", "new"), 1, "seq of number 1 of a session that the old history knew at 5");
  });
  add_case(cases, "s8_2_expired_entries_of_a_dropped_database_are_not_listed", [](Run& run) {
    OwnStore store = run.own_store();
    Client client(store.backend(), "db");
    client.put("key", "1", kStartMs + 1);
    client.drop();
    const ExpiredAnswer answer = store.backend().expired(kStartMs + 10, 10, far_deadline());
    expect_equal(answer.items, {}, "expired entries");
  });
}

void listing_of_expired(Cases& cases) {
  add_case(cases, "s8_3_expired_entries_of_the_whole_store_are_listed_oldest_first", [](Run& run) {
    OwnStore store = run.own_store();
    Backend& backend = store.backend();
    Client a(backend, "a");
    Client b(backend, "b");
    a.write({Write::put("x", "1", kStartMs + 30), Write::put("y", "1", kStartMs + 10), Write::put("z", "1")});
    b.write({Write::put("x", "1", kStartMs + 20), Write::put("y", "1", kStartMs + 31)});
    const ExpiredAnswer none = backend.expired(kStartMs + 9, 10, far_deadline());
    expect_equal(none.items, {}, "before anything expires");
    expect_equal(none.next_due_ms, kStartMs + 10, "next due before anything expires");
    const ExpiredAnswer three = backend.expired(kStartMs + 30, 10, far_deadline());
    const std::vector<Expired> expected = {
        {"a", "y", kStartMs + 10}, {"b", "x", kStartMs + 20}, {"a", "x", kStartMs + 30}};
    expect_equal(three.items, expected, "what has expired at +30");
    expect_equal(three.next_due_ms, kStartMs + 31, "next due");
    const ExpiredAnswer first = backend.expired(kStartMs + 30, 1, far_deadline());
    expect_equal(first.items, {{"a", "y", kStartMs + 10}}, "the oldest one");
    expect_equal(first.next_due_ms, kStartMs + 20, "next due behind the limit");
    const ExpiredAnswer all = backend.expired(kStartMs + 1'000, 10, far_deadline());
    expect_equal(std::uint64_t{all.items.size()}, 4, "what has expired in the end");
    expect_equal(all.next_due_ms, std::nullopt, "next due when all is listed");
  });
  add_case(cases, "s8_3_what_was_renewed_erased_or_reaped_is_not_listed", [](Run& run) {
    OwnStore store = run.own_store();
    Backend& backend = store.backend();
    Client client(backend, "db");
    const UnixMs due = kStartMs + 10;
    client.write({Write::put("a", "1", due), Write::put("b", "1", due), Write::put("c", "1", due),
                  Write::put("d", "1", due), Write::put("e", "1", due)});
    client.now_ms = due;
    client.put("a", "2", due + 100);
    client.put("b", "2");
    client.erase("c");
    client.write({Write::reap("d")});
    const ExpiredAnswer answer = backend.expired(due, 10, far_deadline());
    expect_equal(answer.items, {{"db", "e", due}}, "what has expired");
    expect_equal(answer.next_due_ms, due + 100, "next due");
  });
  add_case(cases, "s8_3_sweeping_by_the_list_leaves_nothing_expired", [](Run& run) {
    OwnStore store = run.own_store();
    Backend& backend = store.backend();
    for (std::size_t i = 0; i < 5; ++i) {
      Client client(backend, numbered("db", i));
      std::vector<Write> writes = {Write::put("live", "1")};
      for (std::size_t k = 0; k < 20; ++k) {
        writes.push_back(Write::put(numbered("k", k), "v", kStartMs + static_cast<UnixMs>(k * 5 + i)));
      }
      client.write(std::move(writes));
    }
    for (int round = 0; round < 100; ++round) {
      const ExpiredAnswer answer = backend.expired(kStartMs + 1'000, 7, far_deadline());
      expect(answer.items.size() <= 7, "at most as many as asked for");
      if (answer.items.empty()) break;
      for (const Expired& one : answer.items) {
        Client client(backend, one.database);
        client.now_ms = kStartMs + 1'000;
        client.position();
        client.write({Write::reap(one.key)});
      }
    }
    expect_equal(backend.expired(kStartMs + 1'000, 7, far_deadline()).items, {}, "what is left");
    for (std::size_t i = 0; i < 5; ++i) {
      Client client(backend, numbered("db", i));
      client.now_ms = kStartMs + 1'000;
      expect_equal(std::uint64_t{client.changes({client.position().history, 1}, 100, {}, true).items.size()},
                   20, "reaped keys of a database");
    }
  });
}

void facts(Cases& cases) {
  add_case(cases, "s9_1_traits_are_fixed_and_say_what_the_target_says", [](Run& run) {
    const Traits& traits = run.backend().traits();
    expect(!traits.name.empty(), "there is a name");
    expect_equal(traits.shared_by_processes, run.target().shared, "shared_by_processes");
    expect(traits.durability == Durability::process || run.target().keeps_data,
           "a store that is durable keeps its data");
    expect(traits.wake_bound.count() >= 0, "the wake-up bound is not negative");
    run.client().put("key", "1");
    expect(&run.backend().traits() == &traits, "the traits stay where they are");
  });
  add_case(cases, "s9_2_the_lane_of_a_database_is_fixed", [](Run& run) {
    for (std::size_t i = 0; i < 50; ++i) {
      const Bytes name = run.database(numbered("", i));
      const std::size_t lane = run.backend().lane(name);
      if (i < 5) run.client(numbered("", i)).put("key", "1");
      expect_equal(std::uint64_t{run.backend().lane(name)}, lane, "lane of a database, asked again");
    }
  });
  add_case(cases, "s9_2_lanes_commit_in_parallel", [](Run& run) {
    Crew crew;
    for (std::size_t i = 0; i < 4; ++i) {
      crew.start([&run, i] {
        Client client = run.client(numbered("", i));
        for (int k = 0; k < 25; ++k) client.put("key", std::to_string(k));
        expect_equal(client.position().seq, 25, "seq after 25 commits beside other lanes");
      });
    }
    crew.join();
  });
}

}  // namespace

void add_store_cases(Cases& cases) {
  listing(cases);
  drops(cases);
  listing_of_expired(cases);
  facts(cases);
}

}  // namespace holdfast::conformance
