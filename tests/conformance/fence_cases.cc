// §7: fences, imports and the move of a database.
#include "tests/conformance/harness.h"

namespace holdfast::conformance {
namespace {

constexpr std::uint64_t kToken = 0xFE2CE;
const Fence kOpen{};
const Fence kFrozen{Fence::State::frozen, kToken, {}, {}, 0};
const Fence kMoved{Fence::State::moved, kToken, "file:///elsewhere", {}, 0};

Fence importing(Position at = {}, UnixMs time_ms = 0) {
  return {Fence::State::importing, kToken, {}, at, time_ms};
}

/// The only one who may use a database that is being imported.
Client importer_of(Run& run) {
  Client client = run.client();
  expect(client.fence(kOpen, importing()), "none -> importing");
  client.token = kToken;
  return client;
}

Write imported(View key, View value, Seq version, std::optional<UnixMs> expires_at_ms = {}) {
  Write write = Write::put(key, value, expires_at_ms);
  write.version = version;
  return write;
}

/// What an import is opened to.
Fence opened(Position at, UnixMs time_ms) { return {Fence::State::open, 0, {}, at, time_ms}; }

void expect_refused(Client& client, Code code, View who) {
  const Bytes text(who);
  expect_error(code, "a read by " + text, [&] { client.read({.gets = {"key"}}); });
  expect_error(code, "changes asked for by " + text,
               [&] { client.changes({client.at.history, client.at.seq}); });
  expect_group_error(client.send(client.prepare({{{}, {Write::put("key", "refused")}}})), code,
                     "a commit by " + text);
}

void states(Cases& cases) {
  add_case(cases, "s7_1_a_frozen_database_is_read_and_not_written", [](Run& run) {
    Client client = run.client();
    client.put("key", "1");
    expect(client.fence(kOpen, kFrozen), "open -> frozen");
    expect_equal(client.value("key"), "1", "value while frozen");
    expect_equal(std::uint64_t{client.changes({client.at.history, 0}).items.size()}, 1,
                 "changes while frozen");
    const Group refused = client.send(client.prepare({{{}, {Write::put("key", "2")}}}));
    expect_group_error(refused, Code::unavailable, "a commit while frozen");
    expect_equal(client.value("key"), "1", "value after a refused commit");
    expect_equal(client.position().seq, 1, "seq after a refused commit");
  });
  add_case(cases, "s7_1_the_token_opens_a_frozen_database", [](Run& run) {
    Client client = run.client();
    client.put("key", "1");
    client.fence(kOpen, kFrozen);
    client.token = kToken + 1;
    expect_group_error(client.send(client.prepare({{{}, {Write::put("key", "2")}}})), Code::unavailable,
                       "a commit with another token");
    client.token = kToken;
    expect_equal(client.put("key", "3"), 2, "seq of a commit with the token");
  });
  add_case(cases, "s7_1_a_moved_database_names_its_new_place_to_everybody", [](Run& run) {
    Client client = run.client();
    client.put("key", "1");
    expect(client.fence(kOpen, kFrozen) && client.fence(kFrozen, kMoved), "open -> frozen -> moved");
    expect_refused(client, Code::moved, "anybody");
    const Error error = expect_error(Code::moved, "a read after the move", [&] { client.read({}); });
    expect_equal(error.place(), "file:///elsewhere", "place that the error carries");
    const Group refused = client.send(client.prepare({{{}, {Write::put("key", "2")}}}));
    expect_equal(refused.error->place(), "file:///elsewhere", "place that the error of a commit carries");
    client.token = kToken;
    expect_equal(client.value("key"), "1", "value for the holder of the token");
    expect_equal(std::uint64_t{client.changes({client.at.history, 0}).items.size()}, 1,
                 "changes for the holder");
  });
  add_case(cases, "s7_1_an_importing_database_is_the_importers_alone", [](Run& run) {
    Client client = run.client();
    expect(client.fence(kOpen, importing()), "none -> importing");
    expect_refused(client, Code::unavailable, "anybody");
    client.token = kToken;
    const Group group = client.send({{{}, {imported("key", "1", 77)}}});
    expect_equal(group.outcomes, {{0, {}}}, "outcome of an import, which uses no seq");
    expect_equal(client.get("key"), Entry{"key", "1", 77, {}}, "entry with the version that it came with");
    expect_equal(client.position(), {0, 0}, "position while importing");
    expect(client.changes({0, 0}).items.empty(), "an import is not logged");
  });
  add_case(cases, "s7_1_an_import_takes_no_checks_and_demands_versions", [](Run& run) {
    Client client = importer_of(run);
    expect_group_error(client.send(client.prepare({{{Check::absent("key")}, {imported("key", "1", 7)}}})),
                       Code::invalid_argument, "a batch with a check");
    expect_group_error(client.send(client.prepare({{{}, {Write::put("key", "1")}}})), Code::invalid_argument,
                       "a put without a version");
    expect_equal(client.value("key"), "(absent)", "the key");
  });
  add_case(cases, "s7_1_a_late_copy_of_an_imports_group_is_not_applied_once_it_is_open", [](Run& run) {
    Client importer = importer_of(run);
    const Write write = imported("key", "imported", 3);
    const Group sent = importer.send({{{}, {write}}});
    expect(importer.fence(importing(), opened({909, 10}, kStartMs)), "importing -> open");
    Client client = run.client();
    client.position();
    client.put("key", "newer");
    importer.send(sent);
    Group late = importer.prepare({{{}, {write}}});
    late.history = 0;
    importer.send(late);
    expect_equal(client.value("key"), "newer", "the value after late copies");
  });
  add_case(cases, "s7_1_retries_of_an_import_are_answered_as_recorded", [](Run& run) {
    Client client = importer_of(run);
    Group group = client.send({{{}, {imported("key", "1", 7)}}});
    client.send({{{}, {Write::erase("key")}}});
    group.retry = true;
    expect_group_error(client.send(group), Code::session_conflict, "a late retry of an import's group");
    expect_equal(client.value("key"), "(absent)", "the key, erased after it was imported");
  });
}

void order(Cases& cases) {
  add_case(cases, "s3_4c_a_commit_is_judged_by_history_and_then_by_fence", [](Run& run) {
    Client client = run.client();
    client.put("key", "1");
    client.fence(kOpen, kFrozen);
    Group stale = client.prepare({{{}, {Write::put("key", "2")}}});
    expect_group_error(client.send(stale), Code::unavailable, "a commit to a frozen database");
    stale.history ^= 1;
    expect_group_error(client.send(stale), Code::history_changed, "the same with another history");
  });
  add_case(cases, "s3_4d_a_commit_is_judged_by_fence_and_then_by_time", [](Run& run) {
    Client client = run.client();
    client.now_ms = kStartMs + 100'000;
    client.put("key", "1");
    client.now_ms = kStartMs;
    const Group skewed = client.prepare({{{}, {Write::put("key", "2")}}});
    expect_group_error(client.send(skewed), Code::clock_skew, "a commit with a slow clock");
    client.fence(kOpen, kFrozen);
    expect_group_error(client.send(skewed), Code::unavailable, "the same to a frozen database");
    expect(client.fence(kFrozen, kOpen), "frozen -> open");
    expect_group_error(client.send(skewed), Code::clock_skew, "the same when it is open again");
  });
  add_case(cases, "s2_6_a_read_is_judged_by_fence_and_then_by_history", [](Run& run) {
    Client client = run.client();
    client.put("key", "1");
    const std::uint64_t other = client.at.history ^ 1;
    client.fence(kOpen, kFrozen);
    client.fence(kFrozen, kMoved);
    expect_error(Code::moved, "a read with another history", [&] { client.read({.history = other}); });
    expect_error(Code::moved, "changes since another history", [&] { client.changes({other, 0}); });
  });
}

void transitions(Cases& cases) {
  add_case(cases, "s7_2_the_transitions_that_are_allowed", [](Run& run) {
    Client client = run.client();
    client.put("key", "1");
    expect(client.fence(kOpen, kFrozen), "open -> frozen");
    expect(client.fence(kFrozen, kOpen), "frozen -> open");
    expect_equal(client.put("key", "2"), 2, "seq of a commit after the thaw");
    expect(client.fence(kOpen, kFrozen), "open -> frozen again");
    expect(client.fence(kFrozen, kMoved), "frozen -> moved");
  });
  add_case(cases, "s7_2_the_transitions_that_are_refused", [](Run& run) {
    Client client = run.client();
    expect(!client.fence(kOpen, kFrozen), "none -> frozen");
    client.put("key", "1");
    expect(!client.fence(kOpen, kMoved), "open -> moved");
    expect(!client.fence(kOpen, importing()), "open -> importing, of a database with commits");
    expect_equal(client.put("key", "2"), 2, "seq of a commit: it is still open");
    client.fence(kOpen, kFrozen);
    expect(!client.fence(kFrozen, importing()), "frozen -> importing");
    client.fence(kFrozen, kMoved);
    expect(!client.fence(kMoved, kOpen), "moved -> open");
    expect(!client.fence(kMoved, kFrozen), "moved -> frozen");
    expect_error(Code::moved, "a read: it is still moved", [&] { client.read({}); });
  });
  add_case(cases, "s7_2_a_fence_is_compared_before_it_is_set", [](Run& run) {
    Client client = run.client();
    client.put("key", "1");
    Fence other = kFrozen;
    other.token = kToken + 1;
    expect(client.fence(kOpen, kFrozen), "open -> frozen");
    expect(!client.fence(kOpen, kFrozen), "open -> frozen, of a database that is frozen");
    expect(!client.fence(other, kOpen), "frozen -> open with another token");
    expect_group_error(client.send(client.prepare({{{}, {Write::put("key", "2")}}})), Code::unavailable,
                       "a commit: it is still frozen");
    expect(client.fence(kFrozen, kFrozen), "a fence compared with itself");
  });
  add_case(cases, "s7_2_opening_an_import_takes_over_history_seq_time_and_floor", [](Run& run) {
    Client client = importer_of(run);
    client.send({{{}, {imported("key", "1", 41, kStartMs + 500)}}});
    expect(client.fence(importing(), opened({0xABCDEF, 57}, kStartMs + 1'000)), "importing -> open");
    Client reader = run.client();
    const ReadAnswer answer = reader.read({.gets = {"key"}});
    expect_equal(answer.at, {0xABCDEF, 57}, "position");
    expect_equal(answer.floor, 57, "floor");
    expect_equal(answer.time_ms, kStartMs + 1'000, "time");
    expect_equal(answer.gets[0].has_value(), false, "an entry that has expired by the time taken over");
    expect_equal(reader.put("other", "1"), 58, "seq of the next commit");
    expect(reader.changes({0xABCDEF, 57}).caught_up(), "changes since the position taken over");
    expect_error(Code::compacted, "changes since before", [&] { reader.changes({0xABCDEF, 56}); });
    expect(reader.fence(kOpen, kFrozen), "the fence is an ordinary open one now");
  });
  add_case(cases, "s7_2_an_import_can_be_given_up", [](Run& run) {
    Client client = importer_of(run);
    client.send({{{}, {imported("key", "1", 5)}}});
    expect_equal(run.backend().databases(run.database(), {}, 5, far_deadline()), {client.database()},
                 "names");
    expect(!run.backend().drop(client.database(), 5, far_deadline()), "a drop with another history");
    expect(run.backend().drop(client.database(), 0, far_deadline()), "a drop with history 0");
    client.token = 0;
    expect_equal(client.value("key"), "(absent)", "the key afterwards");
    expect_equal(run.backend().databases(run.database(), {}, 5, far_deadline()), {}, "names afterwards");
  });
}

void moves(Cases& cases) {
  add_case(cases, "s7_3_a_move_keeps_versions_positions_leases_and_expiry", [](Run& run) {
    Client source = run.client("source");
    for (std::size_t i = 0; i < 20; ++i) source.put(numbered("k", i), numbered("v", i), kStartMs + 10'000);
    source.erase(numbered("k", 3));
    const Seq lease = source.put("lease", "holder", kStartMs + 5'000);
    Client target = run.client("target");
    expect(target.fence(kOpen, importing()), "the target is importing");
    target.token = kToken;
    expect(source.fence(kOpen, kFrozen), "the source is frozen");
    const ReadAnswer head = source.read({.scans = {{}}});
    std::vector<Write> writes;
    for (const Entry& entry : head.pages[0].entries) {
      writes.push_back(imported(entry.key, entry.value, entry.version, entry.expires_at_ms));
    }
    target.send({{{}, writes}});
    expect_equal(target.scan().entries, head.pages[0].entries, "entries of the target");
    expect(source.fence(kFrozen, kMoved), "the source is moved");
    expect(target.fence(importing(), opened(head.at, head.time_ms)), "the target is open");

    Client client = run.client("target");
    expect_equal(client.position(), head.at, "position at the target");
    expect(
        client.commit({{Check::has_version("lease", lease)}, {Write::put("lease", "renewed")}}).committed(),
        "a lease taken at the source is renewed at the target");
    expect_equal(client.at.seq, head.at.seq + 1, "seq of the first commit at the target");
    expect(client.holds(Check::unchanged({"k", "l"}, head.at.seq, head.time_ms)),
           "unchanged across the move");
  });
}

}  // namespace

void add_fence_cases(Cases& cases) {
  states(cases);
  order(cases);
  transitions(cases);
  moves(cases);
}

}  // namespace holdfast::conformance
