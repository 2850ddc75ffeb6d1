// §4: absent, version and unchanged, judged alike in reads and in commits.
#include "tests/conformance/harness.h"

namespace holdfast::conformance {
namespace {

/// Whether `check` holds in a read; demands that a commit judges it alike.
bool judge(Client& client, const Check& check, Location location = Location::current()) {
  const bool holds = client.holds(check);
  const Outcome outcome = client.commit({{check}, {Write::put("~judged", "x")}}, location);
  expect_equal(outcome.committed(), holds, "whether a commit judges the check as a read does", location);
  return holds;
}

/// For `unchanged`, which the commit of judge() itself may not touch.
bool judge_range(Client& client, const Range& range, Seq since, UnixMs read_time_ms = kStartMs,
                 Location location = Location::current()) {
  return judge(client, Check::unchanged(range, since, read_time_ms), location);
}

const Range kRange{"b", "y"};

void keys(Cases& cases) {
  add_case(cases, "s4_1_absent_holds_iff_there_is_no_live_entry", [](Run& run) {
    Client client = run.client();
    client.write({Write::put("there", "1"), Write::put("due", "1", kStartMs + 10)});
    expect(judge(client, Check::absent("not there")), "absent of a key never put");
    expect(!judge(client, Check::absent("there")), "absent fails for a live entry");
    expect(!judge(client, Check::absent("due")), "absent fails before the expiry");
    client.now_ms = kStartMs + 10;
    expect(judge(client, Check::absent("due")), "absent holds at the expiry, before anybody reaps");
    client.erase("there");
    expect(judge(client, Check::absent("there")), "absent holds after the erase");
  });
  add_case(cases, "s4_2_version_holds_iff_the_live_entry_has_it", [](Run& run) {
    Client client = run.client();
    const Seq first = client.put("key", "1");
    expect(judge(client, Check::has_version("key", first)), "version of the entry");
    expect(!judge(client, Check::has_version("key", first + 1)), "a higher version fails");
    expect(!judge(client, Check::has_version("other", first)), "the version of a missing key fails");
    const Seq second = client.put("key", "1");
    expect(!judge(client, Check::has_version("key", first)),
           "the old version fails though the value is the same");
    expect(judge(client, Check::has_version("key", second)), "the new version holds");
    client.erase("key");
    expect(!judge(client, Check::has_version("key", second)), "the version of an erased key fails");
  });
  add_case(cases, "s4_2_version_of_an_expired_entry_fails", [](Run& run) {
    Client client = run.client();
    const Seq version = client.put("key", "1", kStartMs + 10);
    expect(judge(client, Check::has_version("key", version)), "version before the expiry");
    client.now_ms = kStartMs + 10;
    expect(!judge(client, Check::has_version("key", version)), "version fails at the expiry");
  });
}

void ranges(Cases& cases) {
  add_case(cases, "s4_3_unchanged_fails_after_a_put_in_the_range", [](Run& run) {
    Client client = run.client();
    const Seq since = client.put("c", "1");
    expect(judge_range(client, kRange, since), "unchanged since its newest commit");
    client.put("d", "1");
    expect(!judge_range(client, kRange, since), "unchanged fails after a put of a new key");
    expect(judge_range(client, {"e", "y"}, since), "unchanged of the range behind it");
    const Seq later = client.position().seq;
    client.put("c", "1");
    expect(!judge_range(client, kRange, later), "unchanged fails after a put of the same value");
  });
  add_case(cases, "s4_3_unchanged_holds_since_the_commit_that_changed_the_range_itself", [](Run& run) {
    Client client = run.client();
    const Seq since = client.put("c", "1");
    expect(judge_range(client, kRange, since), "unchanged since the seq of the last change");
    expect(!judge_range(client, kRange, since - 1), "changed since the seq before it");
  });
  add_case(cases, "s4_3_unchanged_fails_after_an_erase_in_the_range", [](Run& run) {
    Client client = run.client();
    const Seq since = client.put("c", "1");
    client.erase("c");
    expect(!judge_range(client, kRange, since), "unchanged fails after an erase");
  });
  add_case(cases, "s4_3_unchanged_fails_after_a_stamped_put_in_the_range", [](Run& run) {
    Client client = run.client();
    const Seq since = client.put("c", "1");
    client.write({Write::put_stamped("c/", "", "1")});
    expect(!judge_range(client, Range::prefix("c/"), since), "unchanged fails after a stamped put");
    expect(judge_range(client, Range::prefix("d/"), since), "unchanged of another prefix");
  });
  add_case(cases, "s4_3_unchanged_fails_after_a_reap_in_the_range", [](Run& run) {
    Client client = run.client();
    const Seq since = client.put("c", "1", kStartMs + 10);
    client.now_ms = kStartMs + 20;
    client.write({Write::reap("c")});
    expect(!judge_range(client, kRange, since, kStartMs + 15), "unchanged fails after a reap");
  });
  add_case(cases, "s4_3_unchanged_has_its_begin_and_not_its_end", [](Run& run) {
    Client client = run.client();
    const Seq since = client.put("a", "1");
    client.put("m", "1");
    expect(!judge_range(client, {"m", "n"}, since), "a change at the begin counts");
    expect(judge_range(client, {"a", "m"}, since), "a change at the end does not count");
    expect(!judge_range(client, {"b", ""}, since), "a change in an unbounded range counts");
    expect(judge_range(client, {"m", "m"}, since), "an empty range never changes");
  });
  add_case(cases, "s4_3_erasing_what_is_not_there_changes_nothing", [](Run& run) {
    Client client = run.client();
    const Seq since = client.put("c", "1");
    client.write({Write::erase("d"), Write::reap("c"), Write::reap("e")});
    expect(judge_range(client, kRange, since), "unchanged after an erase and reaps that removed nothing");
  });
  add_case(cases, "s4_3_unchanged_fails_when_an_entry_of_the_range_has_expired_since", [](Run& run) {
    Client client = run.client();
    const Seq since = client.put("c", "1", kStartMs + 10);
    client.now_ms = kStartMs + 9;
    expect(client.holds(Check::unchanged(kRange, since, kStartMs)), "unchanged before the expiry");
    client.now_ms = kStartMs + 10;
    expect(!judge_range(client, kRange, since, kStartMs), "read before, judged at the expiry");
    expect(!judge_range(client, kRange, since, kStartMs + 9), "read one millisecond before the expiry");
    expect(judge_range(client, kRange, since, kStartMs + 10), "read at the expiry: it was absent then");
    expect(judge_range(client, {"d", "y"}, since, kStartMs), "a range without the entry");
  });
  add_case(cases, "s4_3_an_expiry_that_was_moved_does_not_count", [](Run& run) {
    Client client = run.client();
    client.put("c", "1", kStartMs + 10);
    const Seq since = client.put("c", "1", kStartMs + 1'000);
    client.now_ms = kStartMs + 20;
    expect(judge_range(client, kRange, since, kStartMs), "unchanged though the old expiry has passed");
  });
  add_case(cases, "s4_3_unchanged_fails_below_the_floor", [](Run& run) {
    Client client = run.client();
    for (int i = 0; i < 5; ++i) client.put("a", "1");
    client.compact(3);
    expect(client.holds(Check::unchanged(kRange, 3, kStartMs)), "unchanged since the floor");
    expect(!client.holds(Check::unchanged(kRange, 2, kStartMs)), "unchanged since one below the floor");
    expect(!judge_range(client, kRange, 0), "unchanged since the beginning");
    expect(judge_range(client, kRange, 3), "unchanged since the floor");
  });
  add_case(cases, "s4_3_ten_thousand_newer_rows_elsewhere_do_not_matter", [](Run& run) {
    Client client = run.client();
    const Seq since = client.put("c", "1");
    for (std::size_t commit = 0; commit < 5; ++commit) {
      std::vector<Write> writes;
      for (std::size_t i = 0; i < limits::kBatchWrites; ++i)
        writes.push_back(Write::put(numbered("z", i), "v"));
      client.write(std::move(writes));
    }
    expect(client.holds(Check::unchanged(kRange, since, kStartMs)),
           "unchanged with 10,000 newer rows elsewhere");
    const Outcome outcome =
        client.commit({{Check::unchanged(kRange, since, kStartMs)}, {Write::put("c", "2")}});
    expect(outcome.committed(), "a commit with 10,000 newer rows elsewhere");
  });
  add_case(cases, "s4_3_a_range_that_was_read_as_empty_guards_against_phantoms", [](Run& run) {
    Client one = run.client();
    Client other = run.client();
    const ReadAnswer seen = one.read({.scans = {{Range::prefix("task/"), {}}}});
    expect(seen.pages[0].entries.empty(), "nobody has the task");
    other.put("task/1", "other");
    const Outcome outcome = one.commit({{Check::unchanged(Range::prefix("task/"), seen.at.seq, seen.time_ms)},
                                        {Write::put("task/2", "one")}});
    expect(!outcome.committed(), "a commit that relied on an empty range fails after a put into it");
  });
}

}  // namespace

void add_check_cases(Cases& cases) {
  keys(cases);
  ranges(cases);
}

}  // namespace holdfast::conformance
