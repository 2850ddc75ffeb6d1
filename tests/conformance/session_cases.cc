// §3.2, §3.4 a, §3.7, §3.8: no group is lost and none is applied twice.
#include "tests/conformance/harness.h"

namespace holdfast::conformance {
namespace {

constexpr std::int64_t kHourMs = 3'600'000;
constexpr std::int64_t kDayMs = 24 * kHourMs;

Group as_retry(Group group) {
  group.retry = true;
  return group;
}

std::vector<Batch> stamped(View value) { return {{{}, {Write::put_stamped("e/", "", value)}}}; }

void recorded(Cases& cases) {
  add_case(cases, "s3_4a_a_retry_is_not_applied_again", [](Run& run) {
    Client client = run.client();
    const Group first = client.send(stamped("one"));
    const Group again = client.send(as_retry(first));
    expect(!again.error, "the retry is answered");
    expect_equal(again.outcomes, first.outcomes, "outcomes of the retry");
    expect_equal(again.at, first.at, "position of the retry");
    expect_equal(client.position().seq, 1, "seq after the retry");
    expect_equal(std::uint64_t{client.keys().size()}, 1, "entries after the retry");
  });
  add_case(cases, "s3_4a_a_retry_gets_the_outcomes_that_were_recorded", [](Run& run) {
    Client client = run.client();
    client.put("a", "1");
    const Group first =
        client.send({{{}, {Write::put("b", "1")}},
                     {{Check::has_version("a", 1), Check::absent("a")}, {Write::put("c", "1")}},
                     {{Check::has_version("a", 1)}, {Write::erase("a")}}});
    expect_equal(first.outcomes, {{2, {}}, {0, 1}, {3, {}}}, "outcomes");
    Client other = run.client();
    other.put("c", "by another client");
    const Group again = client.send(as_retry(first));
    expect_equal(again.outcomes, first.outcomes, "outcomes of the retry, after another client's commit");
    expect_equal(client.position().seq, 4, "seq after the retry");
  });
  add_case(cases, "s3_4a_a_recorded_outcome_comes_before_all_other_judgement", [](Run& run) {
    Client client = run.client();
    const Group first = client.send(stamped("one"));
    Client later = run.client();
    later.now_ms = kStartMs + 1'000'000;
    later.put("key", "value");
    expect_equal(client.send(as_retry(first)).outcomes, first.outcomes,
                 "outcomes, though the clock is behind");
    Group other_history = as_retry(first);
    other_history.history = first.at.history ^ 1;
    expect_equal(client.send(other_history).outcomes, first.outcomes, "outcomes, though the history differs");
    const Fence frozen{Fence::State::frozen, 42, {}, {}, 0};
    expect(client.fence({}, frozen), "the database is frozen");
    expect_equal(client.send(as_retry(first)).outcomes, first.outcomes, "outcomes, though it is frozen");
    const Fence moved{Fence::State::moved, 42, "elsewhere", {}, 0};
    expect(client.fence(frozen, moved), "the database is moved");
    expect_equal(client.send(as_retry(first)).outcomes, first.outcomes, "outcomes, though it is moved");
  });
  add_case(cases, "s3_4a_the_same_number_with_other_content_is_refused", [](Run& run) {
    Client client = run.client();
    client.send(stamped("of the parent"));
    --client.number;
    const Group child = client.send(client.prepare(stamped("of a forked child")));
    expect_group_error(child, Code::session_conflict, "another group under the same number");
    const Group retry = client.send(as_retry(child));
    expect_group_error(retry, Code::session_conflict, "its retry");
    expect_equal(client.position().seq, 1, "seq");
    Client fresh = run.client();
    const Group again = fresh.send(stamped("of a forked child"));
    expect(again.outcomes[0].committed(), "the same content under a new session commits");
  });
  add_case(cases, "s3_4a_a_parked_copy_with_a_lower_number_is_never_applied", [](Run& run) {
    Client client = run.client();
    const Group first = client.send(stamped("first"));
    client.send(stamped("second"));
    expect_group_error(client.send(first), Code::session_conflict, "a late copy of the first group");
    expect_group_error(client.send(as_retry(first)), Code::session_conflict,
                       "a late retry of the first group");
    expect_equal(client.position().seq, 2, "seq");
    expect_equal(std::uint64_t{client.keys().size()}, 2, "entries");
  });
  add_case(cases, "s3_4a_numbers_may_skip_but_not_go_back", [](Run& run) {
    Client client = run.client();
    client.send(stamped("one"));
    client.number = 9;
    client.send(stamped("ten"));
    client.number = 4;
    expect_group_error(client.send(client.prepare(stamped("five"))), Code::session_conflict,
                       "number 5 after 10");
    expect_equal(client.position().seq, 2, "seq");
  });
  add_case(cases, "s3_4g_a_retried_conflict_is_recorded_so_that_a_parked_copy_never_applies", [](Run& run) {
    Client client = run.client();
    Client other = run.client();
    other.put("key", "other");
    client.position();
    const Group parked = client.prepare({{{Check::absent("key")}, {Write::put("key", "parked")}}});
    const Group retry = client.send(as_retry(parked));
    expect_equal(retry.outcomes, {{0, 0}}, "outcome of the retry");
    other.erase("key");
    const Group late = client.send(parked);
    expect(!late.error, "the parked copy is answered");
    expect_equal(late.outcomes, {{0, 0}}, "outcome of the parked copy, after the key was erased");
    expect_equal(client.value("key"), "(absent)", "the key");
    expect_equal(client.position().seq, 2, "seq");
  });
  add_case(cases, "s3_4g_a_retried_conflict_is_recorded_even_as_the_first_group", [](Run& run) {
    Client client = run.client();
    const Group parked = client.prepare({{{Check::has_version("key", 1)}, {Write::put("key", "parked")}}});
    expect_equal(client.send(as_retry(parked)).outcomes, {{0, 0}}, "outcome of the retry");
    Client other = run.client();
    expect_equal(other.put("key", "other"), 1, "seq of the first commit");
    const Group late = client.send(parked);
    expect(late.error || !late.outcomes[0].committed(), "the parked copy is not applied");
    expect_equal(client.value("key"), "other", "the key");
  });
  add_case(cases, "s3_2_sessions_do_not_know_each_other", [](Run& run) {
    Client one = run.client();
    Client other = run.client();
    const Group first = one.send(stamped("one"));
    const Group second = other.send(stamped("other"));
    expect_equal(second.outcomes, {{2, {}}}, "outcome of number 1 of another session");
    expect_equal(one.send(as_retry(first)).outcomes, first.outcomes, "retry of the first session");
    expect_equal(other.send(as_retry(second)).outcomes, second.outcomes, "retry of the second session");
    expect_equal(one.position().seq, 2, "seq");
  });
  add_case(cases, "s3_2_a_session_is_told_apart_by_all_of_its_128_bits", [](Run& run) {
    std::vector<Client> clients(3, run.client());
    clients[0].session = {1, 2};
    clients[1].session = {2, 1};
    clients[2].session = {1, 1};
    for (Client& client : clients) client.send(stamped("x"));
    expect_equal(clients[0].position().seq, 3, "seq after number 1 of three sessions");
  });
  add_case(cases, "s3_2_a_session_belongs_to_one_database", [](Run& run) {
    Client one = run.client("one");
    Client other = run.client("other");
    other.session = one.session;
    one.send(stamped("x"));
    const Group group = other.send(stamped("x"));
    expect_equal(group.outcomes, {{1, {}}}, "outcome in the other database");
    expect_equal(std::uint64_t{other.keys().size()}, 1, "entries of the other database");
  });
}

void kept(Cases& cases) {
  add_case(cases, "s3_8_a_session_is_kept_for_7_days", [](Run& run) {
    Client client = run.client();
    Client other = run.client();
    const Group first = client.send(stamped("one"));
    for (int day = 1; day <= 7; ++day) {
      other.now_ms = kStartMs + day * kDayMs;
      other.put("clock", "tick");
    }
    const Group again = client.send(as_retry(first));
    expect(!again.error, "the retry after 7 days is answered");
    expect_equal(again.outcomes, first.outcomes, "outcomes of the retry after 7 days");
    expect_equal(std::uint64_t{other.keys(Range::prefix("e/")).size()}, 1, "entries of the session");
  });
  add_case(cases, "s3_8_using_a_session_keeps_it", [](Run& run) {
    Client client = run.client();
    Client other = run.client();
    client.send(stamped("one"));
    client.now_ms = other.now_ms = kStartMs + 6 * kDayMs;
    const Group second = client.send(stamped("two"));
    other.now_ms = kStartMs + 12 * kDayMs;
    other.put("clock", "tick");
    expect_equal(client.send(as_retry(second)).outcomes, second.outcomes,
                 "outcomes of the retry 6 days later");
  });
  add_case(cases, "s3_8_hundreds_of_sessions_are_kept", [](Run& run) {
    std::vector<Client> clients;
    std::vector<Group> groups;
    for (std::size_t i = 0; i < 300; ++i) {
      clients.push_back(run.client());
      groups.push_back(clients.back().send(stamped(numbered("", i))));
    }
    for (std::size_t i = 0; i < clients.size(); ++i) {
      const Group again = clients[i].send(as_retry(groups[i]));
      expect(!again.error, "a retry is answered");
      expect_equal(again.outcomes, groups[i].outcomes, "outcomes of a retry");
    }
    expect_equal(clients[0].position().seq, 300, "seq");
  });
  add_case(
      cases, "s3_8_ten_thousand_sessions_are_kept_the_least_recently_used_go_first",
      [](Run& run) {
        Client oldest = run.client();
        const Group first = oldest.send(stamped("oldest"));
        Client second_oldest = run.client();
        second_oldest.now_ms = kStartMs + 1;
        const Group second = second_oldest.send(stamped("second"));
        std::vector<Client> crowd;
        std::vector<Group> last(2);
        const auto arrive = [&](std::size_t count) {
          for (std::size_t i = 0; i < count; ++i) {
            Client client = run.client();
            client.now_ms = kStartMs + 2 * kHourMs;
            const Group group = client.send({{{}, {Write::put("busy", "x")}}});
            if (crowd.empty()) last[0] = group;
            last[1] = group;
            if (crowd.empty()) crowd.push_back(std::move(client));
          }
        };
        arrive(limits::kSessions - 2);
        expect_equal(oldest.send(as_retry(first)).outcomes, first.outcomes, "retry of the oldest of 10,000");
        arrive(1);
        expect_equal(second_oldest.send(as_retry(second)).outcomes, second.outcomes,
                     "retry of the second oldest, one session later");
        arrive(50);
        Client& early = crowd.front();
        expect_equal(early.send(as_retry(last[0])).outcomes, last[0].outcomes,
                     "retry of a session used within the hour, though there are more than 10,000");
        Group again = as_retry(first);
        again.now_ms = kStartMs + 2 * kHourMs;
        const Group forgotten = oldest.send(again);
        expect(!forgotten.error && !(forgotten.outcomes == first.outcomes),
               "the least recently used session beyond 10,000 is forgotten");
      },
      Case::Needs::cheap_commits);
}

}  // namespace

void add_session_cases(Cases& cases) {
  recorded(cases);
  kept(cases);
}

}  // namespace holdfast::conformance
