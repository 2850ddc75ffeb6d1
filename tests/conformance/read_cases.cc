// §2: snapshots, gets, scans, the byte budget, and checks that come with a read.
#include "tests/conformance/harness.h"

namespace holdfast::conformance {
namespace {

/// `count` entries "k000000" ... in commits of at most 2,000 writes.
void fill(Client& client, std::size_t count, const Bytes& value = "v") {
  for (std::size_t begin = 0; begin < count; begin += limits::kBatchWrites) {
    std::vector<Write> writes;
    for (std::size_t i = begin; i < std::min(count, begin + limits::kBatchWrites); ++i) {
      writes.push_back(Write::put(numbered("k", i), value));
    }
    client.write(std::move(writes));
  }
}

ScanOptions options(std::size_t limit, bool reverse = false, bool keys_only = false) {
  ScanOptions made;
  made.limit = limit;
  made.reverse = reverse;
  made.keys_only = keys_only;
  return made;
}

void snapshots(Cases& cases) {
  add_case(cases, "s2_1_everything_in_an_answer_is_of_one_position", [](Run& run) {
    Client client = run.client();
    client.write({Write::put("a", "1"), Write::put("b", "1")});
    client.put("a", "2");
    const ReadAnswer answer = client.read({.gets = {"a", "b", "c"}, .scans = {{}, {Range::prefix("b"), {}}}});
    expect_equal(answer.at.seq, 2, "position");
    const std::vector<std::optional<Entry>> gets = {Entry{"a", "2", 2, {}}, Entry{"b", "1", 1, {}}, {}};
    expect_equal(answer.gets, gets, "gets");
    expect_equal(answer.pages[0].entries, {{"a", "2", 2, {}}, {"b", "1", 1, {}}}, "first page");
    expect_equal(answer.pages[1].entries, {{"b", "1", 1, {}}}, "second page");
    for (const Page& page : answer.pages) expect_equal(page.at, answer.at, "position of a page");
  });
  add_case(cases, "s2_2_a_read_sees_what_another_client_has_committed", [](Run& run) {
    Client writer = run.client();
    Client reader = run.client();
    for (int i = 0; i < 20; ++i) {
      writer.put("key", std::to_string(i));
      expect_equal(reader.value("key"), std::to_string(i), "value right after the commit was acknowledged");
      expect_equal(reader.at, writer.at, "position right after the commit was acknowledged");
    }
  });
}

void gets_and_scans(Cases& cases) {
  add_case(cases, "s2_3_a_read_may_ask_for_1000_keys", [](Run& run) {
    Client client = run.client();
    fill(client, 500);
    Reading reading;
    for (std::size_t i = 0; i < limits::kReadGets; ++i) reading.gets.push_back(numbered("k", 999 - i));
    const ReadAnswer answer = client.read(reading);
    expect_equal(std::uint64_t{answer.gets.size()}, 1'000, "answers");
    for (std::size_t i = 0; i < 1'000; ++i) {
      expect_equal(answer.gets[i].has_value(), 999 - i < 500, "whether the key is there");
      if (answer.gets[i]) expect_equal(answer.gets[i]->key, reading.gets[i], "key, in the order asked for");
    }
  });
  add_case(cases, "s2_3_a_scan_may_give_10000_entries", [](Run& run) {
    Client client = run.client();
    fill(client, 10'001);
    const Page page = client.scan({}, options(limits::kScanEntries));
    expect_equal(std::uint64_t{page.entries.size()}, 10'000, "entries");
    expect(page.more, "there is one more");
    for (std::size_t i = 0; i < 10'000; ++i) expect_equal(page.entries[i].key, numbered("k", i), "key");
    const Page back = client.scan({}, options(limits::kScanEntries, true));
    expect_equal(back.entries.front().key, numbered("k", 10'000), "first key from the end");
    expect_equal(back.entries.back().key, numbered("k", 1), "last key from the end");
  });
  add_case(cases, "s2_3_a_range_has_its_begin_and_not_its_end", [](Run& run) {
    Client client = run.client();
    client.write({Write::put("a", "1"), Write::put("b", "1"), Write::put("c", "1"), Write::put("d", "1")});
    for (const bool reverse : {false, true}) {
      auto keys = client.keys({"b", "d"}, options(10, reverse));
      if (reverse) std::swap(keys.front(), keys.back());
      expect_equal(keys, {"b", "c"}, reverse ? "keys of [b, d) from the end" : "keys of [b, d)");
    }
    expect_equal(client.keys({"bb", "cc"}), {"c"}, "keys of [bb, cc)");
    expect_equal(client.keys({"c", ""}), {"c", "d"}, "keys of [c, unbounded)");
    expect_equal(client.keys({"", "b"}), {"a"}, "keys of [beginning, b)");
    expect_equal(client.keys({"b", "b"}), {}, "keys of [b, b)");
    expect_equal(client.keys({"d", "a"}), {}, "keys of [d, a)");
    expect_equal(client.keys({"d", "a"}, options(10, true)), {}, "keys of [d, a) from the end");
    expect_equal(client.keys({"e", ""}), {}, "keys behind the last");
  });
  add_case(cases, "s2_3_reverse_scans_go_from_the_end", [](Run& run) {
    Client client = run.client();
    fill(client, 10);
    expect_equal(client.keys({}, options(3, true)), {numbered("k", 9), numbered("k", 8), numbered("k", 7)},
                 "the last three keys");
    expect_equal(client.keys({"", numbered("k", 5)}, options(2, true)), {numbered("k", 4), numbered("k", 3)},
                 "the last two keys below the sixth");
  });
  add_case(cases, "s2_3_keys_only_scans_have_versions_and_expiry_but_no_values", [](Run& run) {
    Client client = run.client();
    client.put("a", "value", kStartMs + 50);
    const Page page = client.scan({}, options(10, false, true));
    expect_equal(page.entries, {{"a", "", 1, kStartMs + 50}}, "entry without its value");
  });
  add_case(cases, "s2_3_more_is_false_exactly_when_the_range_was_exhausted", [](Run& run) {
    Client client = run.client();
    fill(client, 10);
    for (const bool reverse : {false, true}) {
      expect(client.scan({}, options(9, reverse)).more, "more behind 9 of 10");
      expect(!client.scan({}, options(10, reverse)).more, "no more behind 10 of 10");
      expect(!client.scan({}, options(11, reverse)).more, "no more with room left");
      expect(!client.scan({numbered("k", 2), numbered("k", 5)}, options(3, reverse)).more,
             "no more in the range, though there is outside");
    }
  });
  add_case(cases, "s2_3_more_counts_only_live_entries", [](Run& run) {
    Client client = run.client();
    client.write(
        {Write::put("a", "1", kStartMs + 1), Write::put("b", "1"), Write::put("c", "1", kStartMs + 1)});
    client.now_ms = kStartMs + 1;
    expect(!client.scan({}, options(1)).more, "no more live entries behind b");
    expect(!client.scan({}, options(1, true)).more, "no more live entries before b");
  });
  add_case(cases, "s2_3_pages_together_are_the_whole_range", [](Run& run) {
    Client client = run.client();
    fill(client, 100);
    for (const bool reverse : {false, true}) {
      std::vector<Bytes> keys;
      Range range;
      for (bool more = true; more;) {
        const Page page = client.scan(range, options(7, reverse));
        more = page.more;
        for (const Entry& entry : page.entries) keys.push_back(entry.key);
        if (reverse) range.end = keys.back();
        if (!reverse) range.begin = keys.back() + Bytes(1, '\0');
      }
      expect_equal(std::uint64_t{keys.size()}, 100, "keys of all pages");
      for (std::size_t i = 0; i < 100; ++i) {
        expect_equal(keys[i], numbered("k", reverse ? 99 - i : i), "key of the pages, in order");
      }
    }
  });
}

void budget(Cases& cases) {
  // Ten values of 1 MiB: the ninth cannot fit.
  const auto big = [](Client& client) {
    for (std::size_t i = 0; i < 10; ++i) {
      client.put(numbered("k", i), Bytes(limits::kValueBytes, static_cast<char>('a' + i)));
    }
  };
  add_case(cases, "s2_4_gets_that_do_not_fit_are_left_off_the_end", [big](Run& run) {
    Client client = run.client();
    big(client);
    Reading reading{.scans = {{}}};
    for (std::size_t i = 0; i < 10; ++i) reading.gets.push_back(numbered("k", i));
    const ReadAnswer answer = client.read(reading);
    expect_equal(std::uint64_t{answer.gets.size()}, 7, "gets within 8 MiB, keys counted");
    for (std::size_t i = 0; i < 7; ++i) {
      expect(answer.gets[i] && answer.gets[i]->key == reading.gets[i], "the first gets are answered");
    }
    expect(answer.pages[0].entries.empty() && answer.pages[0].more,
           "a scan that does not fit answers an empty page with more to come");
  });
  add_case(cases, "s2_4_a_page_ends_at_the_byte_budget", [big](Run& run) {
    Client client = run.client();
    big(client);
    std::size_t entries = 0;
    Range range;
    for (bool more = true; more;) {
      const Page page = client.scan(range);
      more = page.more;
      std::size_t bytes = 0;
      for (const Entry& entry : page.entries) bytes += entry.key.size() + entry.value.size();
      expect(bytes <= limits::kAnswerBytes, "a page has at most 8 MiB of keys and values");
      expect(!page.entries.empty(), "a page has at least one entry");
      entries += page.entries.size();
      range.begin = page.entries.back().key + Bytes(1, '\0');
    }
    expect_equal(std::uint64_t{entries}, 10, "entries of all pages");
  });
  add_case(cases, "s2_4_keys_only_pages_are_not_charged_for_values", [big](Run& run) {
    Client client = run.client();
    big(client);
    const Page page = client.scan({}, options(100, false, true));
    expect_equal(std::uint64_t{page.entries.size()}, 10, "keys of ten large entries");
    expect(!page.more, "that is all");
  });
  add_case(cases, "s2_4_later_scans_share_what_earlier_ones_leave", [big](Run& run) {
    Client client = run.client();
    big(client);
    client.put("small", "value");
    const ReadAnswer answer =
        client.read({.scans = {{{"k", numbered("k", 5)}, {}}, {{"k", ""}, {}}, {{"small", ""}, {}}}});
    std::size_t bytes = 0;
    for (const Page& page : answer.pages) {
      for (const Entry& entry : page.entries) bytes += entry.key.size() + entry.value.size();
    }
    expect_equal(std::uint64_t{answer.pages[0].entries.size()}, 5, "entries of the first scan");
    expect(answer.pages[1].more, "the second scan was cut");
    expect(bytes <= limits::kAnswerBytes, "all pages together have at most 8 MiB");
  });
}

void checks(Cases& cases) {
  add_case(cases, "s2_5_a_read_names_the_first_check_that_fails", [](Run& run) {
    Client client = run.client();
    client.put("a", "1");
    expect_equal(client.failed_check({Check::has_version("a", 1), Check::absent("b")}).has_value(), false,
                 "whether a check failed");
    const auto failed = client.failed_check(
        {Check::has_version("a", 1), Check::absent("a"), Check::absent("b"), Check::has_version("a", 9)});
    expect_equal(failed.has_value(), true, "whether a check failed");
    expect_equal(std::uint64_t{*failed}, 1, "index of the first failed check");
  });
  add_case(cases, "s2_5_checks_of_a_read_use_no_seq", [](Run& run) {
    Client client = run.client();
    client.put("a", "1");
    for (int i = 0; i < 5; ++i) client.failed_check({Check::has_version("a", 1)});
    expect_equal(client.position().seq, 1, "seq after reads with checks");
  });
  add_case(cases, "s2_6_a_read_of_another_history_is_refused_and_told_where_it_is", [](Run& run) {
    Client client = run.client();
    client.put("a", "1");
    const Position at = client.at;
    client.read({.gets = {"a"}, .history = at.history});
    const Error error = expect_error(Code::history_changed, "a read with another history",
                                     [&] { client.read({.history = at.history ^ 1}); });
    expect_equal(error.at(), at, "position that the error carries");
  });
  add_case(cases, "s2_6_a_read_that_expects_a_history_of_an_empty_database_is_refused", [](Run& run) {
    Client client = run.client();
    const Error error = expect_error(Code::history_changed, "a read with a history where there is none",
                                     [&] { client.read({.history = 5}); });
    expect_equal(error.at(), {0, 0}, "position that the error carries");
  });
}

}  // namespace

void add_read_cases(Cases& cases) {
  snapshots(cases);
  gets_and_scans(cases);
  budget(cases);
  checks(cases);
}

}  // namespace holdfast::conformance
