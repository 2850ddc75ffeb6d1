// §6: the change feed and its compaction.
#include <map>

#include "tests/conformance/harness.h"

namespace holdfast::conformance {
namespace {

/// What a copy holds that applies pages.
using Copy = std::map<Bytes, Entry>;

void apply(Copy& copy, const Changes& page) {
  for (const Change& change : page.items) {
    expect_equal(change.erased, !change.entry.has_value(), "an erased key has no entry, any other has one");
    if (change.erased) {
      copy.erase(change.key);
    } else {
      copy[change.key] = *change.entry;
    }
  }
}

/// Feeds `copy` from `since` until it has caught up; the number of pages.
std::size_t follow(Client& client, Copy& copy, Position& since, std::size_t limit) {
  std::size_t pages = 0;
  for (bool done = false; !done; ++pages) {
    const Changes page = client.changes(since, limit);
    expect(page.through.seq >= since.seq && page.through.seq <= page.head, "since <= through <= head");
    expect(page.caught_up() || page.through.seq > since.seq, "a page that has not caught up makes progress");
    apply(copy, page);
    since = page.through;
    done = page.caught_up();
  }
  return pages;
}

/// All stored entries of a database that has none that expire.
Copy everything(Client& client) {
  Copy all;
  ScanOptions options;
  options.limit = limits::kScanEntries;
  for (Entry& entry : client.scan({}, options).entries) all[entry.key] = entry;
  return all;
}

void positions(Cases& cases) {
  add_case(cases, "s6_1_changes_of_another_history_are_refused", [](Run& run) {
    Client client = run.client();
    client.put("key", "1");
    const Position at = client.at;
    const Error error = expect_error(Code::history_changed, "changes since another history",
                                     [&] { client.changes({at.history ^ 1, 1}); });
    expect_equal(error.at(), at, "position that the error carries");
    expect_error(Code::history_changed, "changes since history 0", [&] { client.changes({0, 0}); });
  });
  add_case(cases, "s6_1_changes_since_the_future_are_refused", [](Run& run) {
    Client client = run.client();
    client.put("key", "1");
    client.changes({client.at.history, 1});
    expect_error(Code::history_changed, "changes since a seq above the head's",
                 [&] { client.changes({client.at.history, 2}); });
  });
  add_case(cases, "s6_1_changes_since_below_the_floor_are_refused", [](Run& run) {
    Client client = run.client();
    for (int i = 0; i < 5; ++i) client.put(numbered("k", static_cast<std::size_t>(i)), "v");
    client.compact(3);
    expect_error(Code::compacted, "changes since one below the floor",
                 [&] { client.changes({client.at.history, 2}); });
    const Changes changes = client.changes({client.at.history, 3});
    expect_equal(std::uint64_t{changes.items.size()}, 2, "changes since the floor");
  });
}

void pages(Cases& cases) {
  add_case(cases, "s6_2_items_are_the_newest_change_of_each_key_by_version_and_key", [](Run& run) {
    Client client = run.client();
    client.write({Write::put("b", "1"), Write::put("a", "1"), Write::put("z", "1")});
    client.put("c", "2");
    client.write({Write::put("a", "3"), Write::erase("z")});
    const Changes changes = client.changes({client.at.history, 0});
    std::vector<Change> items;
    for (const Change& item : changes.items) {
      if (!(item.erased && item.key == "z" && item.version < 3)) items.push_back(item);
    }
    const std::vector<Change> expected = {{"b", 1, false, Entry{"b", "1", 1, {}}},
                                          {"c", 2, false, Entry{"c", "2", 2, {}}},
                                          {"a", 3, false, Entry{"a", "3", 3, {}}},
                                          {"z", 3, true, std::nullopt}};
    expect_equal(items, expected, "items, but for older mentions of the erased key");
    expect_equal(changes.through, client.at, "through");
    expect_equal(changes.head, 3, "head");
  });
  add_case(cases, "s6_2_changes_since_a_position_leave_out_what_came_before", [](Run& run) {
    Client client = run.client();
    client.put("a", "1");
    client.put("b", "2");
    client.put("c", "3");
    const Changes changes = client.changes({client.at.history, 2});
    expect_equal(changes.items, {{"c", 3, false, Entry{"c", "3", 3, {}}}}, "changes since 2");
    expect(client.changes({client.at.history, 3}).items.empty(), "no changes since the head");
  });
  add_case(cases, "s6_2_only_keys_of_the_range_are_listed", [](Run& run) {
    Client client = run.client();
    client.write({Write::put("a", "1"), Write::put("b", "1"), Write::put("c", "1"), Write::put("d", "1")});
    client.put("e", "2");
    const Changes changes = client.changes({client.at.history, 0}, 10, {"b", "d"}, true);
    expect_equal(changes.items, {{"b", 1, false, {}}, {"c", 1, false, {}}}, "changes of [b, d)");
    expect(changes.caught_up(), "the page has passed over what is outside the range");
  });
  add_case(cases, "s6_2_expired_entries_are_listed_as_they_are_stored", [](Run& run) {
    Client client = run.client();
    client.put("key", "1", kStartMs - 5);
    const Changes changes = client.changes({client.at.history, 0});
    expect_equal(changes.items, {{"key", 1, false, Entry{"key", "1", 1, kStartMs - 5}}}, "changes");
  });
  add_case(cases, "s6_2_keys_only_pages_have_versions_and_no_entries", [](Run& run) {
    Client client = run.client();
    client.write({Write::put("a", "1"), Write::put("b", "1")});
    client.erase("a");
    const Changes changes = client.changes({client.at.history, 1}, 10, {}, true);
    expect_equal(changes.items, {{"a", 2, true, {}}}, "changes since 1");
    const Changes all = client.changes({client.at.history, 0}, 10, {"b", ""}, true);
    expect_equal(all.items, {{"b", 1, false, {}}}, "changes of b");
  });
  add_case(cases, "s6_2_through_is_not_beyond_what_the_page_holds", [](Run& run) {
    Client client = run.client();
    for (std::size_t i = 0; i < 30; ++i) client.put(numbered("k", i), "v");
    const Changes page = client.changes({client.at.history, 0}, 7);
    expect(!page.caught_up(), "a page of 7 of 30 has not caught up");
    expect_equal(page.head, 30, "head");
    expect(!page.items.empty(), "the page has items");
    expect_equal(page.through.seq, page.items.back().version, "through of a page that the limit cut");
    Copy copy;
    Position since{client.at.history, 0};
    const std::size_t count = follow(client, copy, since, 7);
    expect(count >= 2, "there are several pages");
    expect_equal(std::uint64_t{copy.size()}, 30, "keys of all pages");
  });
  add_case(cases, "s6_2_a_page_never_splits_a_commit", [](Run& run) {
    Client client = run.client();
    client.put("first", "x");
    std::vector<Write> writes;
    for (std::size_t i = 0; i < limits::kBatchWrites; ++i)
      writes.push_back(Write::put(numbered("k", i), "v"));
    client.write(std::move(writes));
    client.put("last", "x");
    Position since{client.at.history, 0};
    std::size_t items = 0;
    for (bool done = false; !done;) {
      const Changes page = client.changes(since, 10);
      std::size_t of_the_big_one = 0;
      for (const Change& change : page.items) of_the_big_one += change.version == 2 ? 1 : 0;
      expect(of_the_big_one == 0 || of_the_big_one == limits::kBatchWrites, "all 2,000 keys or none");
      items += page.items.size();
      since = page.through;
      done = page.caught_up();
    }
    expect_equal(std::uint64_t{items}, 2'002, "items of all pages");
  });
  add_case(cases, "s6_2_a_page_has_at_most_8_mebibytes_and_one_commit", [](Run& run) {
    Client client = run.client();
    for (std::size_t i = 0; i < 12; ++i) client.put(numbered("k", i), Bytes(limits::kValueBytes, 'v'));
    Position since{client.at.history, 0};
    std::size_t items = 0;
    for (bool done = false; !done;) {
      const Changes page = client.changes(since, 1'000);
      std::size_t bytes = 0;
      for (const Change& change : page.items) bytes += change.key.size() + change.entry->value.size();
      expect(bytes <= limits::kAnswerBytes + limits::kValueBytes + 7, "8 MiB and one commit");
      items += page.items.size();
      since = page.through;
      done = page.caught_up();
    }
    expect_equal(std::uint64_t{items}, 12, "items of all pages");
  });
  add_case(cases, "s6_3_a_copy_that_has_caught_up_equals_the_source", [](Run& run) {
    Client client = run.client();
    client.put("start", "x");
    const auto random = seeded_random(20);
    Copy copy;
    Position since{client.at.history, 0};
    for (std::size_t round = 0; round < 60; ++round) {
      std::vector<Write> writes;
      for (std::size_t i = 0; i < 5; ++i) {
        const Bytes key = numbered("k", i * 8 + random->next() % 8);
        writes.push_back(random->next() % 3 == 0 ? Write::erase(key) : Write::put(key, numbered("v", round)));
      }
      writes.push_back(Write::put_stamped("e/", "", "x"));
      client.write(std::move(writes));
      if (round % 7 != 0 && round != 59) continue;
      follow(client, copy, since, 1 + random->next() % 9);
      expect(copy == everything(client), "the copy equals a scan of the source");
    }
  });
  add_case(cases, "s6_3_a_copy_that_started_late_equals_the_source", [](Run& run) {
    Client client = run.client();
    for (std::size_t i = 0; i < 20; ++i) client.put(numbered("k", i), "v");
    client.compact(15);
    Copy copy = everything(client);
    Position since = client.at;
    for (std::size_t i = 0; i < 20; i += 3) client.erase(numbered("k", i));
    client.put(numbered("k", 0), "again");
    follow(client, copy, since, 2);
    expect(copy == everything(client), "a copy that began with a scan equals the source");
  });
}

void compaction(Cases& cases) {
  add_case(cases, "s6_4_compact_raises_the_floor_to_what_was_asked", [](Run& run) {
    Client client = run.client();
    for (int i = 0; i < 10; ++i) client.put("key", std::to_string(i));
    client.compact(4);
    expect_equal(client.read({}).floor, 4, "floor");
    client.compact(2);
    expect_equal(client.read({}).floor, 4, "floor after a lower one was asked for");
    client.compact(1'000);
    expect_equal(client.read({}).floor, 10, "floor after one above the head was asked for");
    client.put("key", "10");
    expect_equal(client.read({}).floor, 10, "floor after another commit");
  });
  add_case(cases, "s6_4_compact_leaves_entries_and_the_position", [](Run& run) {
    Client client = run.client();
    for (std::size_t i = 0; i < 10; ++i) client.put(numbered("k", i), "v");
    const Copy before = everything(client);
    const Position at = client.position();
    client.compact(10);
    expect(everything(client) == before, "entries after the compaction");
    expect_equal(client.position(), at, "position after the compaction");
  });
  add_case(cases, "s6_4_after_a_compaction_an_old_cursor_is_told_instead_of_missing_an_erase", [](Run& run) {
    Client client = run.client();
    const Seq since = client.put("key", "1");
    client.erase("key");
    client.put("other", "1");
    client.compact(2);
    expect_error(Code::compacted, "changes since before the erase",
                 [&] { client.changes({client.at.history, since}); });
    expect(!client.holds(Check::unchanged({}, since, kStartMs)), "unchanged since before the erase fails");
    const Changes changes = client.changes({client.at.history, 2});
    expect_equal(changes.items, {{"other", 3, false, Entry{"other", "1", 3, {}}}}, "changes since the floor");
  });
  add_case(cases, "s6_4_compacting_what_is_not_there_does_nothing", [](Run& run) {
    Client client = run.client();
    client.compact(10);
    expect_equal(client.position(), {0, 0}, "position");
    client.put("key", "1");
    expect_equal(client.read({}).floor, 0, "floor of the first commit");
  });
}

}  // namespace

void add_change_cases(Cases& cases) {
  positions(cases);
  pages(cases);
  compaction(cases);
}

}  // namespace holdfast::conformance
