// §3: how a group is judged and applied.
#include "tests/conformance/harness.h"

namespace holdfast::conformance {
namespace {

void preconditions(Cases& cases) {
  add_case(cases, "s3_4b_a_group_of_another_history_is_refused", [](Run& run) {
    Client client = run.client();
    client.put("key", "1");
    const Position at = client.at;
    Group group = client.prepare({{{}, {Write::put("key", "2")}}});
    group.history ^= 1;
    const Group refused = client.send(group);
    expect_group_error(refused, Code::history_changed, "a group with another history");
    expect_equal(refused.error->at(), at, "position that the error carries");
    expect_equal(client.value("key"), "1", "value after a refused group");
    expect_equal(client.at, at, "position after a refused group");
  });
  add_case(cases, "s3_4b_a_group_with_a_history_is_refused_where_there_is_none", [](Run& run) {
    Client client = run.client();
    Group group = client.prepare({{{}, {Write::put("key", "1")}}});
    group.history = 12345;
    expect_group_error(client.send(group), Code::history_changed,
                       "a group with a history, sent to no database");
    expect_equal(run.backend().databases(run.database(), {}, 1, far_deadline()), {}, "names");
  });
  add_case(cases, "s3_4b_a_group_without_a_history_creates_the_head", [](Run& run) {
    Client client = run.client();
    const Group group = client.send({{{Check::absent("key")}, {Write::put("key", "1")}}});
    expect_equal(group.outcomes, {{1, std::nullopt}}, "outcome of the first batch");
    expect(group.at.history != 0, "there is a history now");
    Client late = run.client();
    const Outcome second = late.commit({{Check::absent("key")}, {Write::put("key", "2")}});
    expect(!second.committed(), "a second first commit is judged on what is there");
  });
  add_case(cases, "s3_4b_a_refused_group_does_not_use_up_its_number", [](Run& run) {
    Client client = run.client();
    client.put("key", "1");
    Group group = client.prepare({{{}, {Write::put("key", "2")}}});
    const std::uint64_t history = std::exchange(group.history, group.history ^ 1);
    expect_group_error(client.send(group), Code::history_changed, "a group with another history");
    group.history = history;
    const Group sent = client.send(group);
    expect(!sent.error && sent.outcomes[0].committed(), "the same group with the right history commits");
  });
}

void judging(Cases& cases) {
  add_case(cases, "s3_4e_checks_are_judged_on_the_state_before_the_group", [](Run& run) {
    Client client = run.client();
    client.write({Write::put("a", "1"), Write::put("b", "1")});
    const Group group = client.send({{{Check::has_version("a", 1)}, {Write::put("a2", "x")}},
                                     {{Check::has_version("b", 1)}, {Write::put("b2", "x")}},
                                     {{Check::unchanged({"c", "d"}, 1, kStartMs)}, {Write::put("e", "x")}}});
    expect_equal(group.outcomes, {{2, {}}, {3, {}}, {4, {}}}, "outcomes");
  });
  add_case(cases, "s3_4e_a_conflict_is_judged_on_the_newest_state", [](Run& run) {
    Client one = run.client();
    Client other = run.client();
    for (int i = 0; i < 10; ++i) {
      const Bytes key = numbered("k", static_cast<std::size_t>(i));
      one.put(key, "1");
      expect(!other.commit({{Check::absent(key)}, {Write::put(key, "2")}}).committed(),
             "a put-if-absent by another client sees the key at once");
      one.erase(key);
      expect(other.commit({{Check::absent(key)}, {Write::put(key, "3")}}).committed(),
             "a put-if-absent by another client sees the erase at once");
    }
  });
  add_case(cases, "s3_4f_a_batch_whose_first_check_fails_applies_nothing", [](Run& run) {
    Client client = run.client();
    client.put("a", "1");
    const Outcome outcome = client.commit({{Check::absent("a"), Check::absent("b")},
                                           {Write::put("a", "2"), Write::put("c", "2"), Write::erase("a")}});
    expect_equal(outcome, {0, 0}, "outcome");
    expect_equal(client.value("a"), "1", "a");
    expect_equal(client.value("c"), "(absent)", "c");
  });
  add_case(cases, "s3_4f_a_batch_whose_second_check_fails_applies_nothing", [](Run& run) {
    Client client = run.client();
    client.put("a", "1");
    const Outcome outcome = client.commit(
        {{Check::has_version("a", 1), Check::absent("a")}, {Write::put("b", "2"), Write::erase("a")}});
    expect_equal(outcome, {0, 1}, "outcome");
    expect_equal(client.keys(), {"a"}, "keys");
    expect_equal(client.position().seq, 1, "seq");
  });
  add_case(cases, "s3_4f_a_batch_that_fails_uses_no_seq", [](Run& run) {
    Client client = run.client();
    client.put("a", "1");
    const Group group = client.send({{{}, {Write::put("b", "2")}},
                                     {{Check::absent("a")}, {Write::put("c", "3")}},
                                     {{}, {Write::put("d", "4")}}});
    expect_equal(group.outcomes, {{2, {}}, {0, 0}, {3, {}}}, "outcomes");
    expect_equal(group.at.seq, 3, "position after the group");
    expect_equal(client.get("d")->version, 3, "version that the third batch put");
    expect_equal(client.value("c"), "(absent)", "what the second batch would have put");
    expect_equal(client.position().seq, 3, "seq of the head");
  });
  add_case(cases, "s3_4f_a_stamp_after_a_failed_batch_is_the_seq_that_was_given", [](Run& run) {
    Client client = run.client();
    client.put("a", "1");
    const Group group = client.send({{{}, {Write::put_stamped("e/", "", "1")}},
                                     {{Check::absent("a")}, {Write::put_stamped("e/", "", "2")}},
                                     {{}, {Write::put_stamped("e/", "", "3")}}});
    expect_equal(group.outcomes, {{2, {}}, {0, 0}, {3, {}}}, "outcomes");
    expect_equal(client.keys(Range::prefix("e/")), {"e/0000000000000002", "e/0000000000000003"},
                 "stamped keys");
    expect_equal(client.value("e/0000000000000003"), "3", "value of the third batch");
  });
  add_case(cases, "s3_4f_the_outcome_names_the_first_of_several_failing_checks", [](Run& run) {
    Client client = run.client();
    client.put("a", "1");
    std::vector<Check> checks(20, Check::has_version("a", 1));
    checks[7] = Check::absent("a");
    checks[3] = Check::has_version("a", 2);
    checks[12] = Check::has_version("b", 1);
    expect_equal(client.commit({checks, {Write::put("c", "1")}}), {0, 3}, "outcome");
  });
  add_case(cases, "s3_3_of_two_blind_puts_of_one_key_in_a_group_the_later_stays", [](Run& run) {
    Client client = run.client();
    const Group group = client.send({{{}, {Write::put("key", "first", kStartMs + 5)}},
                                     {{}, {Write::put("other", "x")}},
                                     {{}, {Write::put("key", "last")}}});
    expect_equal(group.outcomes, {{1, {}}, {2, {}}, {3, {}}}, "outcomes");
    expect_equal(client.get("key"), Entry{"key", "last", 3, std::nullopt}, "the entry");
    const Changes changes = client.changes({client.at.history, 0});
    const std::vector<Change> expected = {{"other", 2, false, Entry{"other", "x", 2, std::nullopt}},
                                          {"key", 3, false, Entry{"key", "last", 3, std::nullopt}}};
    expect_equal(changes.items, expected, "changes");
  });
  add_case(cases, "s3_4g_the_head_changes_together_with_the_entries", [](Run& run) {
    Client client = run.client();
    client.now_ms = kStartMs + 777;
    const Group group =
        client.send({{{}, {Write::put("a", "1")}}, {{}, {Write::put("b", "2"), Write::erase("x")}}});
    Client reader = run.client();
    const ReadAnswer answer = reader.read({.gets = {"a", "b"}});
    expect_equal(answer.at, group.at, "position");
    expect_equal(answer.time_ms, kStartMs + 777, "time of the head");
    expect_equal(std::uint64_t{reader.changes({group.at.history, 0}).items.size()}, 2,
                 "rows of the change log");
    expect_equal(client.send(group).outcomes, group.outcomes, "outcomes that the session recorded");
  });
  add_case(cases, "s3_4g_a_group_without_effect_leaves_the_position", [](Run& run) {
    Client client = run.client();
    client.put("a", "1");
    const Group group = client.send({{{Check::absent("a")}, {Write::put("b", "1")}},
                                     {{Check::has_version("a", 7)}, {Write::erase("a")}}});
    expect_equal(group.outcomes, {{0, 0}, {0, 0}}, "outcomes");
    expect_equal(group.at.seq, 1, "position of the answer");
    expect_equal(client.position().seq, 1, "position of a read");
  });
}

void calls(Cases& cases) {
  add_case(cases, "s3_6_groups_of_one_call_stand_or_fall_alone", [](Run& run) {
    Client good = run.client("good");
    Client stale = run.client("stale");
    Client skewed = run.client("skewed");
    Client conflicting = run.client("conflicting");
    stale.put("key", "0");
    skewed.now_ms = kStartMs + 100'000;
    skewed.put("key", "0");
    skewed.now_ms = kStartMs;
    conflicting.put("key", "0");
    std::vector<Group> groups;
    groups.push_back(stale.prepare({{{}, {Write::put("key", "1")}}}));
    groups.push_back(good.prepare({{{}, {Write::put("key", "1")}}}));
    groups.push_back(skewed.prepare({{{}, {Write::put("key", "1")}}}));
    groups.push_back(conflicting.prepare({{{Check::absent("key")}, {Write::put("key", "1")}}}));
    groups[0].history ^= 1;
    run.backend().commit(groups);
    expect_group_error(groups[0], Code::history_changed, "the group with another history");
    expect(!groups[1].error, "the group beside it has no error");
    expect_equal(groups[1].outcomes, {{1, {}}}, "its outcome");
    expect_group_error(groups[2], Code::clock_skew, "the group with a slow clock");
    expect(!groups[3].error, "the group whose check fails has no error");
    expect_equal(groups[3].outcomes, {{0, 0}}, "its outcome");
    expect_equal(good.value("key"), "1", "the value that was committed");
    expect_equal(stale.value("key"), "0", "the value beside it");
  });
  add_case(cases, "s3_6_one_call_may_carry_a_hundred_databases", [](Run& run) {
    std::vector<Client> clients;
    std::vector<Group> groups;
    for (std::size_t i = 0; i < 100; ++i) {
      clients.push_back(run.client(numbered("", i)));
      groups.push_back(clients.back().prepare({{{}, {Write::put("key", numbered("v", i))}}}));
    }
    run.backend().commit(groups);
    for (std::size_t i = 0; i < groups.size(); ++i) {
      expect(!groups[i].error, "no group has an error");
      expect_equal(groups[i].outcomes, {{1, {}}}, "outcome");
      expect_equal(clients[i].value("key"), numbered("v", i), "value");
    }
  });
  add_case(cases, "s3_7_a_refused_group_is_never_applied_later", [](Run& run) {
    Client client = run.client();
    client.put("key", "1");
    Group group = client.prepare({{{}, {Write::put("key", "refused")}}});
    group.history ^= 1;
    client.send(group);
    for (int i = 0; i < 5; ++i) client.put(numbered("k", static_cast<std::size_t>(i)), "x");
    expect_equal(client.value("key"), "1", "the value after later commits");
    expect_equal(client.position().seq, 6, "seq after later commits");
  });
  add_case(cases, "s11_1_messages_hold_no_keys_and_no_values", [](Run& run) {
    Client client = run.client();
    client.put("SECRET-KEY", "SECRET-VALUE");
    std::vector<Error> errors;
    Group stale = client.prepare({{{}, {Write::put("SECRET-KEY", "SECRET-VALUE")}}});
    stale.history ^= 1;
    errors.push_back(*client.send(stale).error);
    const Group sent = client.send({{{}, {Write::put("SECRET-KEY", "SECRET-VALUE2")}}});
    Group other = sent;
    other.content_hash ^= 1;
    errors.push_back(*client.send(other).error);
    client.now_ms = 0;
    errors.push_back(expect_error(Code::clock_skew, "a read by a slow clock",
                                  [&] { client.read({.gets = {"SECRET-KEY"}}); }));
    client.now_ms = kStartMs;
    client.compact(1);
    errors.push_back(expect_error(Code::compacted, "changes below the floor", [&] {
      client.changes({client.at.history, 0}, 10, Range::prefix("SECRET-KEY"));
    }));
    for (const Error& error : errors) {
      expect(std::string_view(error.what()).find("SECRET") == std::string_view::npos,
             "the message of " + std::string(name(error.code())) + " holds neither key nor value");
    }
  });
}

}  // namespace

void add_commit_cases(Cases& cases) {
  preconditions(cases);
  judging(cases);
  calls(cases);
}

}  // namespace holdfast::conformance
