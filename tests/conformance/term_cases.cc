// §1: names, keys and values, heads, histories and numbers.
#include <algorithm>
#include <set>

#include "tests/conformance/harness.h"

namespace holdfast::conformance {
namespace {

using namespace std::string_literals;

/// Bytes that a careless backend re-types, trims, escapes or cuts.
std::vector<Bytes> awkward_bytes() {
  std::vector<Bytes> all = {
      "true"s,       "false"s, "null"s, "0"s,         "-0"s,       "1e5"s,          "007"s,          " "s,
      " x "s,        "\n"s,    "\0"s,   "a\0b"s,      "\xFF\xFE"s, "\xC3("s,        "\xED\xA0\x80"s, "'; --"s,
      "\"quoted\""s, "\\x41"s, "%41"s,  "{\"a\":1}"s, "a\r\nb"s,   "\xEF\xBB\xBF"s, "\x7F\x80\x81"s};
  Bytes every;
  for (int byte = 0; byte < 256; ++byte) every += static_cast<char>(byte);
  all.push_back(every);
  all.push_back(Bytes(70'000, '\0') + "end");
  return all;
}

void names(Cases& cases) {
  add_case(cases, "s1_1_names_are_compared_as_bytes", [](Run& run) {
    const Bytes long_name(100, 'n');
    const std::vector<Bytes> suffixes = {"a",
                                         "A",
                                         "a ",
                                         " a",
                                         "a.",
                                         "\u00e9",
                                         "e\u0301",
                                         "a/b",
                                         "a/../b",
                                         "..",
                                         "%61",
                                         "a%00",
                                         "{}",
                                         "{a}",
                                         "'a'",
                                         "\"",
                                         "\\",
                                         "a;b",
                                         "a:b",
                                         "a*b",
                                         "a?b",
                                         "\xC2\x80",
                                         "\u65e5",
                                         "con",
                                         "$1",
                                         "@",
                                         "~",
                                         "\x7F",
                                         "a\xF0\x9F\x98\x80",
                                         long_name + "1",
                                         long_name + "2"};
    for (const Bytes& suffix : suffixes) run.client(suffix).put("key", "of " + suffix);
    for (const Bytes& suffix : suffixes) {
      expect_equal(run.client(suffix).value("key"), "of " + suffix,
                   "the value under one of many similar names");
    }
  });
  add_case(cases, "s1_1_a_name_may_have_200_bytes", [](Run& run) {
    Bytes pad(limits::kDatabaseNameBytes - run.database().size() - 1, 'x');
    Client one = run.client(pad + "1");
    Client other = run.client(pad + "2");
    one.put("key", "one");
    other.put("key", "other");
    expect_equal(one.value("key"), "one", "value in the first of two names that differ in byte 200");
    expect_equal(other.value("key"), "other", "value in the second");
    const auto listed = run.backend().databases(run.database(), {}, 10, far_deadline());
    expect_equal(listed, {one.database(), other.database()}, "the names as they are listed");
  });
}

void keys_and_values(Cases& cases) {
  add_case(cases, "s1_2_values_come_back_byte_for_byte", [](Run& run) {
    Client client = run.client();
    const std::vector<Bytes> values = awkward_bytes();
    std::vector<Write> writes = {Write::put("empty", "")};
    for (std::size_t i = 0; i < values.size(); ++i) writes.push_back(Write::put(numbered("v", i), values[i]));
    client.write(writes);
    expect_equal(client.value("empty"), "", "the empty value");
    for (std::size_t i = 0; i < values.size(); ++i) {
      expect_equal(client.value(numbered("v", i)), values[i], "a value read by get");
    }
    const Page page = client.scan(Range::prefix("v"));
    expect_equal(std::uint64_t{page.entries.size()}, values.size(), "entries of the scan");
    for (std::size_t i = 0; i < values.size(); ++i) {
      expect_equal(page.entries[i].value, values[i], "a value read by scan");
    }
    const Changes changes = client.changes({client.at.history, 0}, 1'000, Range::prefix("v"));
    expect_equal(std::uint64_t{changes.items.size()}, values.size(), "items of the change feed");
    for (std::size_t i = 0; i < values.size(); ++i) {
      expect(changes.items[i].entry && changes.items[i].entry->value == values[i],
             "a value read from the change feed is the one that was put");
    }
  });
  add_case(cases, "s1_2_keys_come_back_byte_for_byte", [](Run& run) {
    Client client = run.client();
    std::vector<Bytes> keys = awkward_bytes();
    keys.back().resize(limits::kKeyBytes);
    std::vector<Write> writes;
    for (const Bytes& key : keys) writes.push_back(Write::put(key, "of " + key));
    client.write(writes);
    for (const Bytes& key : keys) {
      const auto entry = client.get(key);
      expect(entry.has_value(), "an awkward key is found");
      expect_equal(entry->key, key, "the key of the entry");
      expect_equal(entry->value, "of " + key, "the value of the entry");
    }
    std::sort(keys.begin(), keys.end());
    expect_equal(client.keys(), keys, "the keys read by scan");
  });
  add_case(cases, "s1_2_keys_of_2048_bytes_differ_in_their_last_byte", [](Run& run) {
    Client client = run.client();
    const Bytes stem(limits::kKeyBytes - 1, 'k');
    client.write({Write::put(stem + "1", "one"), Write::put(stem + "2", "two"), Write::put(stem, "stem")});
    expect_equal(client.value(stem + "1"), "one", "value of the first key");
    expect_equal(client.value(stem + "2"), "two", "value of the second key");
    expect_equal(client.keys(), {stem, stem + "1", stem + "2"}, "keys in order");
  });
  add_case(cases, "s1_2_values_may_have_1048576_bytes", [](Run& run) {
    Client client = run.client();
    Bytes value(limits::kValueBytes, '\0');
    for (std::size_t i = 0; i < value.size(); ++i) value[i] = static_cast<char>(i * 7 + i / 251);
    client.put("big", value);
    expect(client.value("big") == value, "a value of 1 MiB comes back byte for byte");
  });
  add_case(cases, "s1_2_keys_of_the_engine_are_keys_like_others", [](Run& run) {
    Client client = run.client();
    client.write({Write::put("!sweeper", "lease"), Write::put("a", "1")});
    expect_equal(client.value("!sweeper"), "lease", "value of a key that begins with '!'");
    expect_equal(client.keys(), {"!sweeper", "a"}, "keys");
  });
  add_case(cases, "s1_3_at_most_one_entry_per_key", [](Run& run) {
    Client client = run.client();
    for (int i = 0; i < 5; ++i) client.put("key", std::to_string(i));
    const Page page = client.scan();
    expect_equal(page.entries, {{"key", "4", 5, std::nullopt}}, "entries after five puts of one key");
  });
  add_case(cases, "s1_3_nothing_is_stored_for_an_erased_key", [](Run& run) {
    Client client = run.client();
    const Seq first = client.put("key", "value");
    client.erase("key");
    expect(!client.get("key").has_value(), "get of an erased key gives nothing");
    expect(client.scan().entries.empty(), "a scan gives no entry for an erased key");
    const Changes changes = client.changes({client.at.history, first});
    expect_equal(changes.items, {{"key", first + 1, true, std::nullopt}}, "change of the erased key");
  });
}

void heads(Cases& cases) {
  add_case(cases, "s1_4_a_database_never_committed_to_reads_as_empty", [](Run& run) {
    Client client = run.client();
    const ReadAnswer answer =
        client.read({.gets = {"key"},
                     .scans = {{}},
                     .checks = {Check::absent("key"), Check::unchanged({}, 0, kStartMs)}});
    expect_equal(answer.at, {0, 0}, "position");
    expect_equal(answer.floor, 0, "floor");
    expect_equal(answer.time_ms, kStartMs, "time");
    expect_equal(answer.gets, {std::nullopt}, "gets");
    expect(answer.pages[0].entries.empty() && !answer.pages[0].more, "the page is empty and the last");
    expect_equal(answer.failed_check.has_value(), false, "whether a check failed");
    const Changes changes = client.changes({0, 0});
    expect(changes.items.empty() && changes.caught_up(), "there are no changes");
    expect_equal(changes.through, {0, 0}, "through");
  });
  add_case(cases, "s1_4_reads_create_nothing", [](Run& run) {
    Client client = run.client();
    client.read({.gets = {"key"}, .scans = {{}}, .checks = {Check::absent("key")}});
    client.changes({0, 0});
    client.compact(5);
    expect_equal(run.backend().databases(run.database(), {}, 10, far_deadline()), {}, "names after reads");
    expect_equal(client.position(), {0, 0}, "position after reads");
  });
  add_case(cases, "s1_5_a_history_is_not_zero_and_stays", [](Run& run) {
    Client client = run.client();
    client.put("key", "1");
    const std::uint64_t history = client.at.history;
    expect(history != 0, "the history of a database with commits is not 0");
    client.put("key", "2");
    expect_equal(client.at.history, history, "history after the second commit");
    expect_equal(client.position().history, history, "history of a read");
  });
  add_case(cases, "s1_5_histories_are_random", [](Run& run) {
    std::set<std::uint64_t> histories;
    for (int i = 0; i < 5; ++i) {
      Client client = run.client(std::to_string(i));
      client.put("key", "value");
      histories.insert(client.at.history);
    }
    OwnStore other = run.own_store();
    Client client(other.backend(), run.database("0"));
    client.put("key", "value");
    histories.insert(client.at.history);
    expect_equal(std::uint64_t{histories.size()}, 6, "different histories of six databases");
  });
  add_case(cases, "s1_6_commits_are_numbered_without_gaps", [](Run& run) {
    Client client = run.client();
    for (Seq seq = 1; seq <= 10; ++seq) {
      expect_equal(client.put(numbered("k", seq), "v"), seq, "seq of a commit");
      const Outcome conflict = client.commit({{Check::absent(numbered("k", seq))}, {Write::put("x", "y")}});
      expect(!conflict.committed(), "a put-if-absent of a present key conflicts");
    }
    expect_equal(client.position().seq, 10, "seq of the head");
  });
  add_case(cases, "s1_6_the_version_of_an_entry_is_the_seq_that_put_it", [](Run& run) {
    Client client = run.client();
    const Seq first = client.write({Write::put("a", "1"), Write::put("b", "1")});
    const Seq second = client.write({Write::put("b", "2")});
    client.put("c", "3");
    expect_equal(client.get("a")->version, first, "version of a");
    expect_equal(client.get("b")->version, second, "version of b");
  });
  add_case(cases, "s1_7_a_group_and_a_read_name_the_same_position", [](Run& run) {
    Client client = run.client();
    const Group group = client.send({{{}, {Write::put("a", "1")}}, {{}, {Write::put("b", "1")}}});
    expect_equal(group.at.seq, 2, "seq of the position after a group of two");
    expect_equal(client.position(), group.at, "position of a read after the group");
  });
  add_case(cases, "s1_8_the_change_log_names_the_keys_of_every_commit", [](Run& run) {
    Client client = run.client();
    client.write({Write::put("a", "1"), Write::put("b", "1")});
    client.write({Write::put("c", "2")});
    const Changes changes = client.changes({client.at.history, 0}, 1'000, {}, true);
    const std::vector<Change> expected = {
        {"a", 1, false, std::nullopt}, {"b", 1, false, std::nullopt}, {"c", 2, false, std::nullopt}};
    expect_equal(changes.items, expected, "changes since 0");
  });
  add_case(cases, "s1_8_the_floor_starts_at_zero", [](Run& run) {
    Client client = run.client();
    client.put("a", "1");
    expect_equal(client.read({}).floor, 0, "floor after the first commit");
  });
}

}  // namespace

void add_term_cases(Cases& cases) {
  names(cases);
  keys_and_values(cases);
  heads(cases);
}

}  // namespace holdfast::conformance
