// §5: put, put_stamped, erase and reap.
#include "tests/conformance/harness.h"

namespace holdfast::conformance {
namespace {

std::vector<Bytes> changed_since(Client& client, Seq since) {
  std::vector<Bytes> keys;
  for (Change& change : client.changes({client.position().history, since}, 1'000, {}, true).items) {
    keys.push_back(std::move(change.key));
  }
  return keys;
}

}  // namespace

void add_write_cases(Cases& cases) {
  add_case(cases, "s5_1_put_stores_key_value_version_and_expiry", [](Run& run) {
    Client client = run.client();
    client.write({Write::put("a", "1"), Write::put("b", "2", kStartMs + 100)});
    expect_equal(client.get("a"), Entry{"a", "1", 1, std::nullopt}, "entry without expiry");
    expect_equal(client.get("b"), Entry{"b", "2", 1, kStartMs + 100}, "entry with expiry");
  });
  add_case(cases, "s5_2_put_stamped_writes_the_seq_in_16_lower_case_hexadecimal_digits", [](Run& run) {
    Client client = run.client();
    for (int i = 0; i < 10; ++i) client.put("x", "x");
    const Seq seq = client.write(
        {Write::put_stamped("log/", "/tail", "1", kStartMs + 9), Write::put_stamped("b", "", "2")});
    expect_equal(seq, 11, "seq");
    const Entry tail{"log/000000000000000b/tail", "1", 11, kStartMs + 9};
    expect_equal(client.get("log/000000000000000b/tail"), tail, "stamped entry with a suffix");
    expect_equal(client.get("b000000000000000b"), Entry{"b000000000000000b", "2", 11, {}},
                 "without a suffix");
  });
  add_case(cases, "s5_2_stamped_keys_are_in_the_order_of_commits", [](Run& run) {
    Client client = run.client();
    for (int i = 0; i < 40; ++i) client.write({Write::put_stamped("e/", "", std::to_string(i))});
    const Page page = client.scan(Range::prefix("e/"));
    expect_equal(std::uint64_t{page.entries.size()}, 40, "entries");
    for (std::size_t i = 0; i < 40; ++i)
      expect_equal(page.entries[i].value, std::to_string(i), "value in order");
  });
  add_case(cases, "s5_2_batches_of_one_group_are_stamped_with_their_own_seqs", [](Run& run) {
    Client client = run.client();
    std::vector<Batch> batches(20);
    for (std::size_t i = 0; i < batches.size(); ++i) {
      batches[i].writes = {Write::put_stamped("e/", "/a", numbered("", i)),
                           Write::put_stamped("e/", "/b", numbered("", i)),
                           Write::put("newest", numbered("", i))};
    }
    const Group group = client.send(batches);
    const Page page = client.scan(Range::prefix("e/"));
    expect_equal(std::uint64_t{page.entries.size()}, 40, "entries");
    for (std::size_t i = 0; i < 40; ++i) {
      expect_equal(page.entries[i].version, group.outcomes[i / 2].seq, "version of a stamped entry");
      expect_equal(page.entries[i].value, numbered("", i / 2), "value of a stamped entry");
    }
    expect_equal(client.value("newest"), numbered("", 19), "what the last batch put");
  });
  add_case(cases, "s5_2_a_stamped_key_may_have_2048_bytes", [](Run& run) {
    Client client = run.client();
    const Bytes prefix(1'000, 'p');
    const Bytes suffix(limits::kKeyBytes - 1'000 - limits::kStampDigits, 's');
    client.write({Write::put_stamped(prefix, suffix, "v")});
    expect_equal(client.keys(), {prefix + "0000000000000001" + suffix}, "keys");
  });
  add_case(cases, "s5_3_erase_removes_the_entry", [](Run& run) {
    Client client = run.client();
    client.write({Write::put("a", "1"), Write::put("b", "1", kStartMs + 10)});
    client.now_ms = kStartMs + 10;
    const Seq seq = client.write({Write::erase("a"), Write::erase("b")});
    expect_equal(client.keys(), {}, "keys");
    expect_equal(changed_since(client, seq - 1), {"a", "b"}, "changes, of an expired entry too");
  });
  add_case(cases, "s5_4_reap_removes_what_has_expired", [](Run& run) {
    Client client = run.client();
    client.put("key", "1", kStartMs + 10);
    client.now_ms = kStartMs + 10;
    const Seq seq = client.write({Write::reap("key")});
    const Changes changes = client.changes({client.at.history, seq - 1});
    expect_equal(changes.items, {{"key", seq, true, std::nullopt}}, "change of the reaped key");
  });
  add_case(cases, "s5_4_reap_leaves_what_has_not_expired", [](Run& run) {
    Client client = run.client();
    client.write({Write::put("later", "1", kStartMs + 11), Write::put("never", "1")});
    client.now_ms = kStartMs + 10;
    client.write({Write::reap("later"), Write::reap("never"), Write::reap("missing")});
    expect_equal(client.keys(), {"later", "never"}, "keys");
  });
  add_case(cases, "s5_4_reap_leaves_an_entry_that_was_renewed_after_it_was_listed", [](Run& run) {
    Client owner = run.client();
    Client sweeper = run.client();
    owner.put("lease", "1", kStartMs + 10);
    owner.now_ms = sweeper.now_ms = kStartMs + 20;
    owner.put("lease", "2", kStartMs + 1'000);
    sweeper.write({Write::reap("lease")});
    expect_equal(owner.value("lease"), "2", "the renewed lease");
  });
  add_case(cases, "s5_4_what_removes_nothing_is_not_logged_and_takes_its_seq", [](Run& run) {
    Client client = run.client();
    client.put("live", "1");
    const Seq seq = client.write({Write::erase("missing"), Write::reap("live"), Write::reap("missing too")});
    expect_equal(seq, 2, "seq of a batch that changed nothing");
    expect_equal(client.position().seq, 2, "seq of the head");
    expect_equal(changed_since(client, 1), {}, "changes");
    expect_equal(client.get("live")->version, 1, "version of what was not reaped");
    const Changes changes = client.changes({client.at.history, 1});
    expect(changes.caught_up() && changes.through.seq == 2,
           "the feed passes over a commit that changed nothing");
  });
  add_case(cases, "s5_5_a_put_that_has_expired_already_is_stored_and_not_live", [](Run& run) {
    Client client = run.client();
    const Seq seq = client.write({Write::put("past", "1", kStartMs - 1), Write::put("now", "1", kStartMs),
                                  Write::put("negative", "1", -5)});
    expect_equal(client.keys(), {}, "live keys");
    expect_equal(changed_since(client, seq - 1), {"negative", "now", "past"}, "changes");
    expect(client.holds(Check::absent("past")), "absent holds");
    client.write({Write::reap("past")});
    expect_equal(changed_since(client, seq), {"past"}, "what the reap removed");
  });
  add_case(cases, "s5_5_a_put_over_a_live_entry_with_a_past_expiry_hides_it", [](Run& run) {
    Client client = run.client();
    client.put("key", "1");
    client.put("key", "2", kStartMs);
    expect_equal(client.value("key"), "(absent)", "the key");
  });
  add_case(cases, "s5_5_writes_replace_the_whole_entry_expiry_included", [](Run& run) {
    Client client = run.client();
    client.put("key", "1", kStartMs + 10);
    client.put("key", "2");
    client.now_ms = kStartMs + 20;
    expect_equal(client.get("key"), Entry{"key", "2", 2, std::nullopt}, "an entry that lost its expiry");
    client.write({Write::reap("key")});
    expect_equal(client.value("key"), "2", "the entry after a reap");
    client.put("key", "3", kStartMs + 30);
    expect_equal(client.get("key"), Entry{"key", "3", 4, kStartMs + 30}, "an entry that got an expiry again");
  });
}

}  // namespace holdfast::conformance
