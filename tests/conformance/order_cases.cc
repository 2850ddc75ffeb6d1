// §1.2: the order of keys, where collations, signed bytes and length-first comparisons go wrong.
#include <algorithm>

#include "tests/conformance/harness.h"

namespace holdfast::conformance {
namespace {

using namespace std::string_literals;

std::vector<Bytes> telling_keys() {
  std::vector<Bytes> keys = {"\0"s,
                             "\0\0"s,
                             "\0a"s,
                             "\x01"s,
                             " "s,
                             "!"s,
                             "-"s,
                             "/"s,
                             "0"s,
                             "00"s,
                             "1"s,
                             "10"s,
                             "2"s,
                             "A"s,
                             "B"s,
                             "Z"s,
                             "_"s,
                             "a"s,
                             "a\0"s,
                             "a\x01"s,
                             "a-"s,
                             "a/"s,
                             "a/b"s,
                             "a0"s,
                             "aB"s,
                             "aa"s,
                             "ab"s,
                             "b"s,
                             "z"s,
                             "\x7F"s,
                             "\x80"s,
                             "\x80\x7F"s,
                             "\xC3\xA4"s,
                             "\xFE\xFF"s,
                             "\xFF"s,
                             "\xFF\0"s,
                             "\xFF\xFF"s,
                             Bytes(limits::kKeyBytes, 'a'),
                             Bytes(limits::kKeyBytes, '\xFF')};
  std::sort(keys.begin(), keys.end(), [](const Bytes& a, const Bytes& b) {
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
      return static_cast<unsigned char>(x) < static_cast<unsigned char>(y);
    });
  });
  return keys;
}

Client filled(Run& run) {
  Client client = run.client();
  std::vector<Write> writes;
  for (const Bytes& key : telling_keys()) writes.push_back(Write::put(key, "v"));
  std::reverse(writes.begin(), writes.end());
  client.write(std::move(writes));
  return client;
}

ScanOptions backwards() {
  ScanOptions options;
  options.reverse = true;
  return options;
}

}  // namespace

void add_order_cases(Cases& cases) {
  add_case(cases, "s1_2_keys_sort_as_unsigned_bytes_a_prefix_first", [](Run& run) {
    Client client = filled(run);
    expect_equal(client.keys(), telling_keys(), "keys in order");
  });
  add_case(cases, "s1_2_keys_sort_the_same_way_backwards", [](Run& run) {
    Client client = filled(run);
    std::vector<Bytes> keys = telling_keys();
    std::reverse(keys.begin(), keys.end());
    expect_equal(client.keys({}, backwards()), keys, "keys in reverse order");
  });
  add_case(cases, "s1_2_ranges_between_any_two_keys_follow_the_order", [](Run& run) {
    Client client = filled(run);
    const std::vector<Bytes> keys = telling_keys();
    Reading reading;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      for (std::size_t j = i; j < keys.size(); j += 3) {
        reading.scans.push_back({{keys[i], keys[j]}, {}});
        reading.scans.push_back({{keys[i], keys[j]}, backwards()});
      }
    }
    const ReadAnswer answer = client.read(reading);
    for (std::size_t page = 0; page < answer.pages.size(); ++page) {
      const Range& range = reading.scans[page].range;
      const bool reverse = reading.scans[page].options.reverse;
      std::vector<Bytes> expected;
      for (const Bytes& key : keys) {
        if (key >= range.begin && key < range.end) expected.push_back(key);
      }
      if (reverse) std::reverse(expected.begin(), expected.end());
      std::vector<Bytes> found;
      for (const Entry& entry : answer.pages[page].entries) found.push_back(entry.key);
      expect_equal(found, expected,
                   "keys of [" + describe(View(range.begin)) + ", " + describe(View(range.end)) + ")" +
                       (reverse ? " from the end" : ""));
    }
  });
  add_case(cases, "s1_2_unchanged_follows_the_order_of_keys", [](Run& run) {
    Client client = filled(run);
    const std::vector<Bytes> keys = telling_keys();
    const Position before = client.position();
    const Bytes changed = "\x80"s;
    client.put(changed, "again");
    for (std::size_t i = 0; i + 1 < keys.size(); ++i) {
      const Range range{keys[i], keys[i + 1]};
      expect_equal(client.holds(Check::unchanged(range, before.seq, kStartMs)), keys[i] != changed,
                   "unchanged of [" + describe(View(range.begin)) + ", " + describe(View(range.end)) + ")");
    }
  });
  add_case(cases, "s1_2_the_range_of_a_prefix_ends_behind_its_last_key", [](Run& run) {
    Client client = filled(run);
    const std::vector<Bytes> keys = client.keys(Range::prefix("\xFF"));
    expect_equal(keys, {"\xFF"s, "\xFF\0"s, "\xFF\xFF"s, Bytes(limits::kKeyBytes, '\xFF')},
                 "keys that begin with 0xFF");
    for (const Bytes& key : client.keys(Range::prefix("a"))) {
      expect(key.starts_with("a"), "every key of the prefix 'a' begins with it");
    }
  });
}

}  // namespace holdfast::conformance
