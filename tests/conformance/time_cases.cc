// §1.9 and §1.10: the time of an operation, and what it makes of expiry.
#include "tests/conformance/harness.h"

namespace holdfast::conformance {
namespace {

constexpr UnixMs kYear2090Ms = 3'800'000'000'000;

void effective_time(Cases& cases) {
  add_case(cases, "s1_9_a_caller_with_a_slow_clock_does_not_see_an_expired_lock_alive", [](Run& run) {
    Client holder = run.client();
    Client fast = run.client();
    Client slow = run.client();
    const Seq version = holder.put("lock", "holder", kStartMs + 1'000);
    fast.now_ms = kStartMs + 2'000;
    expect(fast.commit({{Check::absent("lock")}, {Write::put("taken", "by fast")}}).committed(),
           "a caller after the expiry finds the lock free");
    slow.now_ms = kStartMs + 500;
    expect_equal(slow.value("lock"), "(absent)", "the lock as a caller with a slow clock reads it");
    expect(
        !slow.commit({{Check::has_version("lock", version)}, {Write::put("taken", "by slow")}}).committed(),
        "a check of the expired lock fails for a caller with a slow clock");
    expect_equal(slow.value("taken"), "by fast", "the owner");
  });
  add_case(cases, "s1_9_the_time_of_a_read_is_the_later_of_now_and_the_newest_commit", [](Run& run) {
    Client client = run.client();
    client.now_ms = kStartMs + 5'000;
    client.put("key", "value");
    client.now_ms = kStartMs;
    expect_equal(client.read({}).time_ms, kStartMs + 5'000, "time of a read with an earlier now");
    client.now_ms = kStartMs + 9'000;
    expect_equal(client.read({}).time_ms, kStartMs + 9'000, "time of a read with a later now");
    client.now_ms = kStartMs;
    expect_equal(client.read({}).time_ms, kStartMs + 5'000, "time after reads, which leave no trace");
  });
  add_case(cases, "s1_9_the_time_of_the_head_never_decreases", [](Run& run) {
    Client client = run.client();
    client.now_ms = kStartMs + 5'000;
    client.put("key", "1");
    client.now_ms = kStartMs;
    client.put("key", "2");
    expect_equal(client.read({}).time_ms, kStartMs + 5'000, "time after a commit with an earlier now");
  });
  add_case(cases, "s1_9_clock_skew_is_refused_without_effect", [](Run& run) {
    Client client = run.client();
    client.now_ms = kStartMs + 60'001;
    client.put("key", "1");
    client.now_ms = kStartMs;
    expect_error(Code::clock_skew, "a read 60,001 ms behind the newest commit", [&] { client.read({}); });
    const Group refused = client.send(client.prepare({{{}, {Write::put("key", "2")}}}));
    expect_group_error(refused, Code::clock_skew, "a commit 60,001 ms behind");
    client.now_ms = kStartMs + 60'001;
    expect_equal(client.get("key")->value, "1", "the value after a refused commit");
    expect_equal(client.position().seq, 1, "seq after a refused commit");
  });
  add_case(cases, "s1_9_clock_skew_up_to_the_limit_is_allowed", [](Run& run) {
    Client client = run.client();
    client.now_ms = kStartMs + 60'000;
    client.put("key", "1");
    client.now_ms = kStartMs;
    expect_equal(client.value("key"), "1", "a value read exactly 60,000 ms behind");
    client.put("key", "2");
  });
  add_case(cases, "s1_9_the_limit_of_clock_skew_is_the_callers", [](Run& run) {
    Client client = run.client();
    client.now_ms = kStartMs + 1'000'000;
    client.put("key", "1");
    client.now_ms = kStartMs;
    client.clock_skew_limit_ms = 999'999;
    expect_error(Code::clock_skew, "a read behind by 1 ms more than the limit", [&] { client.read({}); });
    client.clock_skew_limit_ms = 1'000'000;
    expect_equal(client.value("key"), "1", "the value with a limit that is just enough");
    client.clock_skew_limit_ms = 0;
    client.now_ms = 0;
    expect_equal(client.value("key"), "1", "the value with the limit turned off");
    client.put("key", "2");
  });
}

void expiry(Cases& cases) {
  add_case(cases, "s1_10_an_entry_is_live_before_its_expiry_and_absent_from_that_millisecond_on",
           [](Run& run) {
             Client client = run.client();
             const Seq version = client.put("key", "value", kStartMs + 100);
             client.now_ms = kStartMs + 99;
             expect_equal(client.value("key"), "value", "get one millisecond before");
             expect_equal(client.keys(), {"key"}, "scan one millisecond before");
             expect(client.holds(Check::has_version("key", version)), "version holds one millisecond before");
             expect(!client.holds(Check::absent("key")), "absent fails one millisecond before");
             client.now_ms = kStartMs + 100;
             expect_equal(client.value("key"), "(absent)", "get at the expiry");
             expect_equal(client.keys(), {}, "scan at the expiry");
             expect(!client.holds(Check::has_version("key", version)), "version fails at the expiry");
             expect(client.holds(Check::absent("key")), "absent holds at the expiry");
           });
  add_case(cases, "s1_10_the_callers_clock_decides_and_no_other", [](Run& run) {
    for (const UnixMs now : {kStartMs, kYear2090Ms}) {
      Client client = run.client(std::to_string(now));
      client.now_ms = now;
      client.write({Write::put("alive", "1", now + 10), Write::put("dead", "1", now - 10)});
      expect_equal(client.keys(), {"alive"}, "what is live by a clock that is years off");
      const Outcome outcome =
          client.commit({{Check::absent("dead"), Check::has_version("alive", 1)}, {Write::put("x", "1")}});
      expect_equal(outcome, {2, std::nullopt}, "outcome of checks by a clock that is years off");
      client.now_ms = now + 10;
      client.write({Write::reap("alive")});
      expect_equal(client.keys(), {"x"}, "what is left after the reap");
    }
  });
  add_case(cases, "s1_10_an_expiry_before_1970_has_passed", [](Run& run) {
    Client client = run.client();
    for (const UnixMs expires : {UnixMs{-1}, UnixMs{-1'700'000'000'000}}) {
      const Seq version = client.put("key", "value", expires);
      expect_equal(client.value("key"), "(absent)", "get");
      expect_equal(client.keys(), {}, "scan");
      expect(client.holds(Check::absent("key")), "absent holds");
      expect(!client.holds(Check::has_version("key", version)), "version fails");
      const Outcome outcome = client.commit({{Check::absent("key")}, {Write::reap("key")}});
      expect(outcome.committed(), "a commit judges so too");
    }
  });
  add_case(cases, "s1_10_an_expired_entry_stays_stored", [](Run& run) {
    Client client = run.client();
    const Seq version = client.put("key", "value", kStartMs + 100);
    client.now_ms = kStartMs + 200;
    client.put("other", "value");
    expect_equal(client.value("key"), "(absent)", "the expired entry to a reader");
    const Changes changes = client.changes({client.at.history, 0});
    const Change stored{"key", version, false, Entry{"key", "value", version, kStartMs + 100}};
    expect(!changes.items.empty(), "the change feed has the expired entry");
    expect_equal(changes.items[0], stored, "the expired entry in the change feed");
  });
  add_case(cases, "s1_10_a_scan_passes_over_expired_entries", [](Run& run) {
    Client client = run.client();
    std::vector<Write> writes;
    for (std::size_t i = 0; i < 20; ++i) {
      const UnixMs expires = i % 2 == 0 ? kStartMs + 10 : kStartMs + 1'000;
      writes.push_back(Write::put(numbered("k", i), "v", expires));
    }
    client.write(writes);
    client.now_ms = kStartMs + 10;
    ScanOptions five;
    five.limit = 5;
    expect_equal(client.keys({}, five),
                 {numbered("k", 1), numbered("k", 3), numbered("k", 5), numbered("k", 7), numbered("k", 9)},
                 "the first five live keys");
  });
}

}  // namespace

void add_time_cases(Cases& cases) {
  effective_time(cases);
  expiry(cases);
}

}  // namespace holdfast::conformance
