// What a store holds when it is closed and opened again; and what two openings of one store see of each
// other.
#include <atomic>

#include "tests/conformance/harness.h"

namespace holdfast::conformance {
namespace {

using std::chrono::milliseconds;

}  // namespace

void add_kept_cases(Cases& cases) {
  const auto kept = [&cases](std::string name, std::function<void(Run&)> body) {
    add_case(cases, std::move(name), std::move(body), Case::Needs::kept_data);
  };
  kept("s3_5_acknowledged_commits_are_there_when_the_store_is_opened_again", [](Run& run) {
    OwnStore store = run.own_store();
    std::vector<Entry> before;
    Position at;
    {
      Client client(store.backend(), "db");
      std::vector<Write> writes;
      for (std::size_t i = 0; i < 500; ++i)
        writes.push_back(Write::put(numbered("k", i), Bytes(i * 20, 'v')));
      client.write(std::move(writes));
      for (std::size_t i = 0; i < 20; ++i) client.put(numbered("k", i * 3), "again", kStartMs + 1'000);
      for (std::size_t i = 0; i < 10; ++i) client.erase(numbered("k", i * 7));
      at = client.at;
      before = client.scan().entries;
    }
    for (int times = 0; times < 3; ++times) {
      store.reopen();
      Client client(store.backend(), "db");
      const Page page = client.scan();
      expect_equal(page.at, at, "position");
      expect(page.entries == before, "every entry is as it was");
      at.seq = client.put("again", "x");
      before = client.scan().entries;
    }
  });
  kept("s1_5_the_history_stays_when_the_store_is_opened_again", [](Run& run) {
    OwnStore store = run.own_store();
    Client first(store.backend(), "db");
    first.put("key", "1");
    const Position at = first.at;
    store.reopen();
    Client client(store.backend(), "db");
    expect_equal(client.position(), at, "position");
    client.at = at;
    expect_equal(client.put("key", "2"), 2, "seq of a commit with the history of before");
  });
  kept("s1_9_the_time_of_the_head_is_kept", [](Run& run) {
    OwnStore store = run.own_store();
    Client first(store.backend(), "db");
    first.now_ms = kStartMs + 5'000;
    first.put("key", "1");
    store.reopen();
    Client client(store.backend(), "db");
    expect_equal(client.read({}).time_ms, kStartMs + 5'000, "time");
  });
  kept("s3_4a_sessions_are_kept", [](Run& run) {
    OwnStore store = run.own_store();
    Client client(store.backend(), "db");
    client.put("a", "1");
    Group group =
        client.send({{{}, {Write::put_stamped("e/", "", "x")}}, {{Check::absent("a")}, {Write::erase("b")}}});
    const std::vector<Outcome> outcomes = group.outcomes;
    store.reopen();
    group.retry = true;
    store.backend().commit({&group, 1});
    expect(!group.error, "the retry is answered");
    expect_equal(group.outcomes, outcomes, "outcomes of the retry");
    expect_equal(group.at.seq, 2, "position of the retry");
    Client reader(store.backend(), "db");
    expect_equal(reader.position().seq, 2, "seq");
    group.content_hash ^= 1;
    store.backend().commit({&group, 1});
    expect_group_error(group, Code::session_conflict, "other content under the same number");
  });
  kept("s6_1_the_change_log_and_its_floor_are_kept", [](Run& run) {
    OwnStore store = run.own_store();
    Client first(store.backend(), "db");
    for (std::size_t i = 0; i < 10; ++i) first.put(numbered("k", i), "v");
    first.erase(numbered("k", 9));
    first.compact(8);
    store.reopen();
    Client client(store.backend(), "db");
    expect_equal(client.read({}).floor, 8, "floor");
    const Position at = client.at;
    expect_error(Code::compacted, "changes since one below the floor",
                 [&] { client.changes({at.history, 7}); });
    expect_equal(client.changes({at.history, 10}).items, {{numbered("k", 9), 11, true, {}}},
                 "changes since 10");
    const Range ninth{numbered("k", 8), numbered("k", 9)};
    expect(!client.holds(Check::unchanged(ninth, 8, kStartMs)), "unchanged fails for what changed since");
    expect(client.holds(Check::unchanged(ninth, 9, kStartMs)), "unchanged holds for what did not");
  });
  kept("s7_1_fences_are_kept", [](Run& run) {
    OwnStore store = run.own_store();
    const Fence frozen{Fence::State::frozen, 42, {}, {}, 0};
    const Fence moved{Fence::State::moved, 42, "elsewhere", {}, 0};
    const Fence importing{Fence::State::importing, 42, {}, {5, 6}, 7};
    for (const Bytes name : {"frozen", "moved"}) {
      Client client(store.backend(), name);
      client.put("key", "1");
      expect(client.fence({}, frozen), "open -> frozen");
    }
    expect(Client(store.backend(), "moved").fence(frozen, moved), "frozen -> moved");
    Client importer(store.backend(), "importing");
    expect(importer.fence({}, importing), "none -> importing");
    importer.token = 42;
    Write write = Write::put("key", "1");
    write.version = 3;
    importer.send({{{}, {write}}});
    store.reopen();
    Client client(store.backend(), "frozen");
    expect_equal(client.value("key"), "1", "value while frozen");
    expect_group_error(client.send(client.prepare({{{}, {Write::put("key", "2")}}})), Code::unavailable,
                       "a commit while frozen");
    Client gone(store.backend(), "moved");
    const Error error = expect_error(Code::moved, "a read after the move", [&] { gone.read({}); });
    expect_equal(error.place(), "elsewhere", "place");
    Client half(store.backend(), "importing");
    expect_error(Code::unavailable, "a read while importing", [&] { half.read({}); });
    expect(half.fence(importing, {Fence::State::open, 0, {}, {5, 6}, 7}), "importing -> open");
    expect_equal(half.get("key"), Entry{"key", "1", 3, {}}, "the imported entry");
    expect_equal(half.at, {5, 6}, "position");
  });
  kept("s8_1_names_are_kept", [](Run& run) {
    OwnStore store = run.own_store();
    for (std::size_t i = 0; i < 30; ++i) Client(store.backend(), numbered("n", i)).put("key", "1");
    for (std::size_t i = 0; i < 30; i += 3) expect(Client(store.backend(), numbered("n", i)).drop(), "drop");
    store.reopen();
    const std::vector<Bytes> names = store.backend().databases("n", {}, 100, far_deadline());
    expect_equal(std::uint64_t{names.size()}, 20, "names");
    for (const Bytes& name : names) expect_equal(Client(store.backend(), name).value("key"), "1", "value");
  });
  kept("s8_2_what_was_dropped_stays_dropped", [](Run& run) {
    OwnStore store = run.own_store();
    Client old(store.backend(), "db");
    for (std::size_t i = 0; i < 10; ++i) old.put(numbered("k", i), "old");
    const Position before = old.at;
    old.drop();
    store.reopen();
    Client client(store.backend(), "db");
    expect_equal(client.position(), {0, 0}, "position");
    expect_equal(client.keys(), {}, "keys");
    expect_equal(client.put("new", "1"), 1, "seq of the next first commit");
    expect(client.at.history != before.history, "its history is another");
    store.reopen();
    expect_equal(Client(store.backend(), "db").keys(), {"new"}, "keys when opened once more");
  });
  kept("s8_3_expiry_is_kept", [](Run& run) {
    OwnStore store = run.own_store();
    Client client(store.backend(), "db");
    client.write(
        {Write::put("a", "1", kStartMs + 10), Write::put("b", "1", kStartMs + 20), Write::put("c", "1")});
    store.reopen();
    const ExpiredAnswer answer = store.backend().expired(kStartMs + 10, 10, far_deadline());
    expect_equal(answer.items, {{"db", "a", kStartMs + 10}}, "expired entries");
    expect_equal(answer.next_due_ms, kStartMs + 20, "next due");
  });
  kept("s1_2_large_values_are_kept_byte_for_byte", [](Run& run) {
    OwnStore store = run.own_store();
    const auto random = seeded_random(5);
    std::vector<Bytes> values;
    Client client(store.backend(), "db");
    for (const std::size_t size : {0, 1, 1'023, 1'024, 1'025, 4'095, 4'096, 65'536, 300'001, 1'048'576}) {
      Bytes value(size, '\0');
      for (char& byte : value) byte = static_cast<char>(random->next());
      client.put(numbered("k", values.size()), value);
      values.push_back(std::move(value));
    }
    store.reopen();
    Client reader(store.backend(), "db");
    for (std::size_t i = 0; i < values.size(); ++i) {
      expect(reader.value(numbered("k", i)) == values[i],
             "a value of " + std::to_string(values[i].size()) + " bytes");
    }
  });
}

void add_shared_cases(Cases& cases) {
  const auto shared = [&cases](std::string name, std::function<void(Run&)> body) {
    add_case(cases, std::move(name), std::move(body), Case::Needs::shared_store);
  };
  shared("s2_2_a_second_opening_sees_every_acknowledged_commit", [](Run& run) {
    OwnStore store = run.own_store();
    const std::unique_ptr<Backend> second = store.open_second();
    Client here(store.backend(), "db");
    Client there(*second, "db");
    for (int i = 0; i < 20; ++i) {
      here.put("key", "here " + std::to_string(i));
      expect_equal(there.value("key"), "here " + std::to_string(i), "value in the second opening");
      there.put("key", "there " + std::to_string(i));
      expect_equal(here.value("key"), "there " + std::to_string(i), "value in the first opening");
    }
  });
  shared("s3_4e_no_update_is_lost_between_two_openings", [](Run& run) {
    OwnStore store = run.own_store();
    const std::unique_ptr<Backend> second = store.open_second();
    Client first(store.backend(), "db");
    first.put("counter", "0");
    Crew crew;
    for (int thread = 0; thread < 4; ++thread) {
      Backend& backend = thread % 2 == 0 ? store.backend() : *second;
      crew.start([&backend] {
        Client client(backend, "db");
        for (int done = 0; done < 15;) {
          const Entry entry = *client.get("counter");
          const Outcome outcome =
              client.commit({{Check::has_version("counter", entry.version)},
                             {Write::put("counter", std::to_string(std::stoi(entry.value) + 1))}});
          if (outcome.committed()) ++done;
        }
      });
    }
    crew.join();
    expect_equal(first.value("counter"), "60", "the counter");
  });
  shared("s3_4a_sessions_are_shared_by_all_openings", [](Run& run) {
    OwnStore store = run.own_store();
    const std::unique_ptr<Backend> second = store.open_second();
    Client client(store.backend(), "db");
    Group group = client.send({{{}, {Write::put_stamped("e/", "", "x")}}});
    const std::vector<Outcome> outcomes = group.outcomes;
    group.retry = true;
    second->commit({&group, 1});
    expect_equal(group.outcomes, outcomes, "outcomes of a retry through the second opening");
    expect_equal(client.position().seq, 1, "seq");
  });
  shared("s7_1_a_fence_holds_for_all_openings", [](Run& run) {
    OwnStore store = run.own_store();
    const std::unique_ptr<Backend> second = store.open_second();
    Client here(store.backend(), "db");
    Client there(*second, "db");
    here.put("key", "1");
    there.position();
    expect(here.fence({}, {Fence::State::frozen, 42, {}, {}, 0}), "open -> frozen");
    expect_group_error(there.send(there.prepare({{{}, {Write::put("key", "2")}}})), Code::unavailable,
                       "a commit through the second opening");
  });
  shared("s8_2_a_drop_is_seen_by_all_openings", [](Run& run) {
    OwnStore store = run.own_store();
    const std::unique_ptr<Backend> second = store.open_second();
    Client here(store.backend(), "db");
    Client there(*second, "db");
    here.put("key", "1");
    there.get("key");
    expect(here.drop(), "drop");
    expect_equal(there.position(), {0, 0}, "position through the second opening");
    expect_group_error(there.send([&] {
      Group group = there.prepare({{{}, {Write::put("key", "2")}}});
      group.history = here.at.history != 0 ? here.at.history : 99;
      return group;
    }()),
                       Code::history_changed, "a commit with the old history");
    expect_equal(second->databases({}, {}, 10, far_deadline()), {}, "names through the second opening");
  });
  shared("s8_4_a_commit_through_another_opening_wakes_a_waiter_within_the_bound", [](Run& run) {
    OwnStore store = run.own_store();
    const std::unique_ptr<Backend> second = store.open_second();
    Client writer(store.backend(), "db");
    writer.put("key", "0");
    const milliseconds bound = second->traits().wake_bound + limits::kDeadlineGrace;
    for (int round = 0; round < 10; ++round) {
      const Cursor cursor{"db", writer.at};
      std::atomic<bool> waiting{false};
      Crew crew;
      crew.start([&] {
        waiting = true;
        const Deadline deadline = std::chrono::steady_clock::now() + milliseconds(10'000);
        while (second->wait({&cursor, 1}, deadline).empty()) {
          expect(std::chrono::steady_clock::now() < deadline, "the waiter is woken");
        }
      });
      await("the waiter", [&] { return waiting.load(); });
      writer.put("key", "1");
      const auto acknowledged = std::chrono::steady_clock::now();
      crew.join();
      expect(std::chrono::steady_clock::now() - acknowledged < bound + milliseconds(1'000),
             "the waiter was woken within the bound");
    }
  });
}

}  // namespace holdfast::conformance
