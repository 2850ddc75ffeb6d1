// Many threads on one database: nothing lost, nothing torn, nothing stale.
#include <algorithm>
#include <atomic>

#include "tests/conformance/harness.h"

namespace holdfast::conformance {
namespace {

using std::chrono::milliseconds;

void raise(std::atomic<Seq>& value, Seq to) {
  Seq now = value.load();
  while (now < to && !value.compare_exchange_weak(now, to)) {
  }
}

void snapshots_beside_writers(Cases& cases) {
  add_case(cases, "s2_1_a_reader_never_sees_half_a_commit_nor_a_position_newer_than_its_data", [](Run& run) {
    Client writer = run.client();
    writer.write({Write::put("a", "1000"), Write::put("b", "0")});
    std::atomic<bool> done{false};
    Crew crew;
    for (int reader = 0; reader < 3; ++reader) {
      crew.start([&] {
        Client client = run.client();
        while (!done) {
          const ReadAnswer answer = client.read({.gets = {"a", "b"}, .scans = {{}}});
          const Entry& a = *answer.gets[0];
          const Entry& b = *answer.gets[1];
          expect_equal(std::uint64_t{std::stoull(a.value) + std::stoull(b.value)}, 1'000, "sum of two gets");
          expect_equal(a.version, answer.at.seq,
                       "version of what every commit writes, and the position read");
          expect_equal(b.version, answer.at.seq, "version of the second key, and the position read");
          expect_equal(answer.pages[0].entries, {a, b}, "what the scan of the same read gives");
        }
      });
    }
    for (int i = 1; i <= 150; ++i) {
      writer.write({Write::put("a", std::to_string(1'000 - i)), Write::put("b", std::to_string(i))});
    }
    done = true;
    crew.join();
  });
  add_case(cases, "s2_1_checks_of_a_read_belong_to_its_snapshot", [](Run& run) {
    Client writer = run.client();
    writer.put("key", "0");
    std::atomic<bool> done{false};
    Crew crew;
    for (int reader = 0; reader < 2; ++reader) {
      crew.start([&] {
        Client client = run.client();
        while (!done) {
          const Seq version = client.get("key")->version;
          const ReadAnswer answer =
              client.read({.gets = {"key"}, .checks = {Check::has_version("key", version)}});
          expect_equal(!answer.failed_check, answer.gets[0]->version == version,
                       "whether the check holds, and whether the entry read beside it has the version");
        }
      });
    }
    for (int i = 1; i <= 100; ++i) writer.put("key", std::to_string(i));
    done = true;
    crew.join();
  });
  add_case(cases, "s2_2_reads_are_linearizable", [](Run& run) {
    Client first = run.client();
    first.put("key", "0");
    std::atomic<Seq> known{first.at.seq};
    std::atomic<int> writers{2};
    Crew crew;
    for (int writer = 0; writer < 2; ++writer) {
      crew.start([&] {
        Client client = run.client();
        for (int i = 0; i < 60; ++i) raise(known, client.put("key", "x"));
        --writers;
      });
    }
    for (int reader = 0; reader < 2; ++reader) {
      crew.start([&] {
        Client client = run.client();
        while (writers > 0) {
          const Seq before = known.load();
          const ReadAnswer answer = client.read({.gets = {"key"}});
          expect(answer.at.seq >= before,
                 "a read is not older than what was acknowledged or seen before it began");
          expect_equal(answer.gets[0]->version, answer.at.seq, "version of the entry");
          raise(known, answer.at.seq);
        }
      });
    }
    crew.join();
  });
}

void commits(Cases& cases) {
  add_case(cases, "s3_4e_no_update_is_lost_between_judging_and_writing", [](Run& run) {
    constexpr int kThreads = 4;
    constexpr int kIncrements = 20;
    Client first = run.client();
    first.put("counter", "0");
    Crew crew;
    for (int thread = 0; thread < kThreads; ++thread) {
      crew.start([&] {
        Client client = run.client();
        for (int done = 0; done < kIncrements;) {
          const Entry entry = *client.get("counter");
          const Outcome outcome =
              client.commit({{Check::has_version("counter", entry.version)},
                             {Write::put("counter", std::to_string(std::stoi(entry.value) + 1))}});
          if (outcome.committed()) ++done;
        }
      });
    }
    crew.join();
    expect_equal(first.value("counter"), std::to_string(kThreads * kIncrements), "the counter");
    expect_equal(first.position().seq, kThreads * kIncrements + 1, "seq");
  });
  add_case(cases, "s3_4e_of_many_who_demand_an_absent_key_one_gets_it", [](Run& run) {
    constexpr std::size_t kKeys = 25;
    Client first = run.client();
    first.put("start", "x");
    std::vector<std::atomic<int>> winners(kKeys);
    Crew crew;
    for (int thread = 0; thread < 4; ++thread) {
      crew.start([&] {
        Client client = run.client();
        client.position();
        for (std::size_t key = 0; key < kKeys; ++key) {
          const Outcome outcome =
              client.commit({{Check::absent(numbered("k", key))}, {Write::put(numbered("k", key), "mine")}});
          if (outcome.committed()) ++winners[key];
        }
      });
    }
    crew.join();
    for (const auto& count : winners) expect_equal(std::int64_t{count.load()}, 1, "winners of one key");
  });
  add_case(cases, "s3_4e_of_many_who_demand_an_empty_range_one_gets_it", [](Run& run) {
    constexpr std::size_t kRounds = 15;
    Client first = run.client();
    first.put("start", "x");
    std::vector<std::atomic<int>> winners(kRounds);
    Crew crew;
    for (std::size_t thread = 0; thread < 4; ++thread) {
      crew.start([&, thread] {
        Client client = run.client();
        for (std::size_t round = 0; round < kRounds; ++round) {
          const Range range = Range::prefix(numbered("r", round));
          const ReadAnswer seen = client.read({.scans = {{range, {}}}});
          if (!seen.pages[0].entries.empty()) continue;
          const Outcome outcome =
              client.commit({{Check::unchanged(range, seen.at.seq, seen.time_ms)},
                             {Write::put(numbered("r", round) + numbered("/", thread), "x")}});
          if (outcome.committed()) ++winners[round];
        }
      });
    }
    crew.join();
    for (std::size_t round = 0; round < kRounds; ++round) {
      expect_equal(std::uint64_t{first.keys(Range::prefix(numbered("r", round))).size()}, 1,
                   "keys of one range");
      expect_equal(std::int64_t{winners[round].load()}, 1, "winners of one range");
    }
  });
  add_case(cases, "s1_6_concurrent_commits_get_consecutive_seqs", [](Run& run) {
    constexpr std::size_t kThreads = 4;
    constexpr std::size_t kCommits = 25;
    std::vector<std::vector<Seq>> seqs(kThreads);
    Crew crew;
    for (std::size_t thread = 0; thread < kThreads; ++thread) {
      crew.start([&, thread] {
        Client client = run.client();
        for (std::size_t i = 0; i < kCommits; ++i) {
          seqs[thread].push_back(client.write({Write::put_stamped("e/", numbered("-", thread), "x")}));
        }
      });
    }
    crew.join();
    std::vector<Seq> all;
    for (const auto& one : seqs) {
      expect(std::is_sorted(one.begin(), one.end()), "a client's commits have rising seqs");
      all.insert(all.end(), one.begin(), one.end());
    }
    std::sort(all.begin(), all.end());
    for (std::size_t i = 0; i < all.size(); ++i) expect_equal(all[i], Seq{i + 1}, "seq, in order");
    expect_equal(std::uint64_t{run.client().keys().size()}, kThreads * kCommits, "entries");
  });
  add_case(cases, "s1_5_concurrent_first_commits_agree_on_one_history", [](Run& run) {
    for (std::size_t round = 0; round < 5; ++round) {
      std::vector<Position> positions(4);
      Crew crew;
      for (std::size_t thread = 0; thread < positions.size(); ++thread) {
        crew.start([&, thread] {
          Client client = run.client(numbered("", round));
          client.put(numbered("k", thread), "x");
          positions[thread] = client.at;
        });
      }
      crew.join();
      for (const Position& at : positions) expect_equal(at.history, positions[0].history, "history");
      expect_equal(run.client(numbered("", round)).position().seq, 4, "seq");
    }
  });
  add_case(cases, "s3_4a_two_copies_of_a_group_that_race_are_applied_once", [](Run& run) {
    Client client = run.client();
    for (int round = 0; round < 25; ++round) {
      const Group group = client.prepare({{{}, {Write::put_stamped("e/", "", "x")}}});
      std::vector<Group> copies(2, group);
      copies[1].retry = true;
      Crew crew;
      for (Group& copy : copies) crew.start([&] { run.backend().commit({&copy, 1}); });
      crew.join();
      for (const Group& copy : copies) expect(!copy.error, "a copy is answered");
      expect_equal(copies[0].outcomes, copies[1].outcomes, "outcomes of the two copies");
      client.at = copies[0].at;
    }
    expect_equal(client.position().seq, 25, "seq");
  });
  add_case(cases, "s6_3_a_copy_made_under_writers_equals_the_source_when_it_has_caught_up", [](Run& run) {
    Client writer = run.client();
    writer.put("k", "0");
    std::atomic<bool> done{false};
    Crew crew;
    crew.start([&] {
      Client client = run.client();
      Position since{client.position().history, 0};
      Bytes a = "0";
      Bytes b = "0";
      Seq head = 0;
      while (true) {
        const bool last = done;
        const Changes page = client.changes(since, 1, Range::prefix("pair/"));
        for (const Change& change : page.items) (change.key == "pair/a" ? a : b) = change.entry->value;
        expect(page.head >= head, "the head never goes back");
        head = page.head;
        since = page.through;
        if (page.caught_up())
          expect_equal(a, b, "two keys that every commit puts alike, in a copy that has caught up");
        if (page.caught_up() && last) break;
      }
      expect_equal(a, "99", "the copy at the end");
    });
    for (int i = 0; i < 100; ++i) {
      writer.write({Write::put("pair/a", std::to_string(i)), Write::put("pair/b", std::to_string(i))});
    }
    done = true;
    crew.join();
  });
}

void fences(Cases& cases) {
  const Fence frozen{Fence::State::frozen, 7, {}, {}, 0};
  const Fence moved{Fence::State::moved, 7, "elsewhere", {}, 0};
  add_case(cases, "s7_1_no_commit_slips_in_after_the_freeze", [frozen](Run& run) {
    for (int round = 0; round < 5; ++round) {
      const Bytes name = numbered("", static_cast<std::size_t>(round));
      Client client = run.client(name);
      client.put("key", "0");
      std::atomic<Seq> acknowledged{1};
      std::atomic<bool> is_frozen{false};
      Crew crew;
      for (int writer = 0; writer < 3; ++writer) {
        crew.start([&] {
          Client busy = run.client(name);
          while (true) {
            const bool was_frozen = is_frozen;
            const Group group = busy.send(busy.prepare({{{}, {Write::put_stamped("e/", "", "x")}}}));
            if (group.error) return expect_group_error(group, Code::unavailable, "a commit after the freeze");
            expect(!was_frozen, "a commit that was sent after the freeze is refused");
            raise(acknowledged, group.outcomes[0].seq);
          }
        });
      }
      await("ten commits", [&] { return acknowledged.load() >= 10; });
      expect(client.fence({}, frozen), "open -> frozen");
      is_frozen = true;
      const Position at = client.position();
      crew.join();
      expect_equal(client.position(), at,
                   "position after all writers have ended, and right after the freeze");
      expect(acknowledged.load() <= at.seq, "what was acknowledged was there at the freeze");
    }
  });
  add_case(cases, "s7_1_no_read_is_served_after_the_move", [frozen, moved](Run& run) {
    Client client = run.client();
    client.put("key", "0");
    std::atomic<bool> gone{false};
    std::atomic<int> reads{0};
    Crew crew;
    for (int reader = 0; reader < 3; ++reader) {
      crew.start([&] {
        Client busy = run.client();
        while (true) {
          const bool was_gone = gone;
          try {
            busy.get("key");
            expect(!was_gone, "a read that began after the move was done is refused");
            ++reads;
          } catch (const Error& error) {
            expect_equal(error.code(), Code::moved, "error of a read");
            return;
          }
        }
      });
    }
    await("fifty reads", [&] { return reads.load() >= 50; });
    expect(client.fence({}, frozen) && client.fence(frozen, moved), "open -> frozen -> moved");
    gone = true;
    crew.join();
  });
  add_case(cases, "s7_2_of_many_who_set_a_fence_one_succeeds", [](Run& run) {
    Client client = run.client();
    client.put("key", "0");
    std::atomic<int> done{0};
    Crew crew;
    for (std::uint64_t token = 1; token <= 4; ++token) {
      crew.start([&, token] {
        const Fence mine{Fence::State::frozen, token, {}, {}, 0};
        if (run.backend().fence(run.database(), {}, mine, far_deadline())) ++done;
      });
    }
    crew.join();
    expect_equal(std::int64_t{done.load()}, 1, "fences that were set");
  });
  add_case(cases, "s8_2_commits_that_race_with_a_drop_are_of_one_history_or_refused", [](Run& run) {
    for (std::size_t round = 0; round < 5; ++round) {
      const Bytes name = numbered("", round);
      Client client = run.client(name);
      client.put("key", "0");
      const std::uint64_t old_history = client.at.history;
      std::atomic<int> commits_seen{0};
      std::atomic<bool> is_dropped{false};
      Crew crew;
      for (int writer = 0; writer < 2; ++writer) {
        crew.start([&] {
          Client busy = run.client(name);
          busy.at.history = old_history;
          while (true) {
            const bool was_dropped = is_dropped;
            const Group group = busy.send(busy.prepare({{{}, {Write::put("key", "x")}}}));
            if (group.error)
              return expect_group_error(group, Code::history_changed, "a commit after the drop");
            expect(!was_dropped, "a commit of the old history that was sent after the drop is refused");
            expect_equal(group.at.history, old_history, "history of a commit");
            ++commits_seen;
          }
        });
      }
      await("five commits", [&] { return commits_seen.load() >= 5; });
      expect(run.backend().drop(client.database(), old_history, far_deadline()), "drop");
      is_dropped = true;
      crew.join();
      expect_equal(client.position(), {0, 0}, "position after the drop");
    }
  });
}

}  // namespace

void add_concurrency_cases(Cases& cases) {
  snapshots_beside_writers(cases);
  commits(cases);
  fences(cases);
}

}  // namespace holdfast::conformance
