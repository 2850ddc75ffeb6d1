#include "backends/file/index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "holdfast/limits.h"
#include "tests/support/settings.h"

namespace holdfast::file {
namespace {

/// What the index has to hold, kept by the simplest means.
struct Expected {
  Seq version = 0;
  UnixMs expires_at_ms = kNeverExpires;
  Bytes value;
  bool on_disk = false;
  bool operator==(const Expected&) const = default;
};
using Model = std::map<Bytes, Expected>;

Expected copy_of(const Stored& stored) {
  return {stored.version, stored.expires_at_ms, Bytes(stored.value), stored.on_disk};
}

Stored view_of(const Expected& expected) {
  return {expected.version, expected.expires_at_ms, expected.value, expected.on_disk};
}

std::optional<Expected> found_in(const Index& index, View key) {
  const std::optional<Stored> stored = index.find(key);
  if (!stored) return std::nullopt;
  return copy_of(*stored);
}

Model contents(const Index& index) {
  Model all;
  Index::Cursor cursor(index);
  for (cursor.seek_to_first(); cursor.valid(); cursor.next()) {
    all.emplace_hint(all.end(), cursor.key(), copy_of(cursor.stored()));
  }
  return all;
}

std::vector<Bytes> keys(const Index& index) {
  std::vector<Bytes> all;
  Index::Cursor cursor(index);
  for (cursor.seek_to_first(); cursor.valid(); cursor.next()) all.emplace_back(cursor.key());
  return all;
}

std::vector<Bytes> keys_backwards(const Index& index) {
  std::vector<Bytes> all;
  Index::Cursor cursor(index);
  for (cursor.seek_to_last(); cursor.valid(); cursor.prev()) all.emplace_back(cursor.key());
  return all;
}

Bytes numbered(std::size_t number) {
  Bytes digits = std::to_string(number);
  return "queue/main/" + Bytes(12 - digits.size(), '0') + digits;
}

Stored with_value(View value) { return {.version = 1, .value = value}; }

TEST(Index, IsEmptyAtFirst) {
  const Index index;
  EXPECT_EQ(index.size(), 0u);
  EXPECT_EQ(index.memory_bytes(), 0u);
  EXPECT_FALSE(index.find("a"));
  Index::Cursor cursor(index);
  cursor.seek_to_first();
  EXPECT_FALSE(cursor.valid());
  cursor.seek_to_last();
  EXPECT_FALSE(cursor.valid());
  cursor.seek("a");
  EXPECT_FALSE(cursor.valid());
  cursor.seek_before("a");
  EXPECT_FALSE(cursor.valid());
}

TEST(Index, KeepsEveryFieldOfAnEntry) {
  Index index;
  const Bytes value("\0\xff value", 8);
  index.put("plain", {.version = 7, .value = value});
  index.put("expiring", {.version = limits::kMaxSeq, .expires_at_ms = -5, .value = value});
  index.put("away", {.version = 9, .expires_at_ms = 12, .value = "segment 3", .on_disk = true});
  index.put("empty", {.version = 10, .value = {}});

  EXPECT_EQ(found_in(index, "plain"), (Expected{7, kNeverExpires, value, false}));
  EXPECT_EQ(found_in(index, "expiring"), (Expected{limits::kMaxSeq, -5, value, false}));
  EXPECT_EQ(found_in(index, "away"), (Expected{9, 12, "segment 3", true}));
  EXPECT_EQ(found_in(index, "empty"), (Expected{10, kNeverExpires, "", false}));
}

TEST(Index, ReplacesTheWholeEntryWhateverItsSize) {
  Index index;
  Model model;
  for (std::size_t number = 0; number < 200; ++number) index.put(numbered(number), with_value("first"));
  for (const std::size_t bytes : {1'024u, 0u, 100u, 101u, 40u, 1'000u}) {
    for (std::size_t number = 0; number < 200; ++number) {
      const Expected entry{bytes, number % 2 == 0 ? kNeverExpires : 5, Bytes(bytes, 'v'), number % 3 == 0};
      index.put(numbered(number), view_of(entry));
      model[numbered(number)] = entry;
    }
    EXPECT_EQ(contents(index), model);
    EXPECT_EQ(index.size(), 200u);
  }
}

TEST(Index, OrdersKeysAsUnsignedBytesWithAPrefixFirst) {
  const std::vector<Bytes> ordered = {Bytes("\0", 1),
                                      Bytes("\0\0", 2),
                                      Bytes("\0\0\0\0\0\0\0\0", 8),
                                      "\x01",
                                      "a",
                                      Bytes("a\0", 2),
                                      Bytes("a\0\0", 3),
                                      Bytes("a\0\x01", 3),
                                      "a-",
                                      "a/",
                                      "aaaaaaa",
                                      "aaaaaaaa",
                                      "aaaaaaaaa",
                                      "\x7f",
                                      "\x80",
                                      "\xff",
                                      "\xff\xff",
                                      Bytes(limits::kKeyBytes, '\xff')};
  std::vector<Bytes> shuffled = ordered;
  std::shuffle(shuffled.begin(), shuffled.end(), std::mt19937_64(1));
  Index index;
  for (const Bytes& key : shuffled) index.put(key, with_value(key.substr(0, 100)));

  EXPECT_EQ(keys(index), ordered);
  EXPECT_EQ(keys_backwards(index), std::vector<Bytes>(ordered.rbegin(), ordered.rend()));
  for (const Bytes& key : ordered) {
    EXPECT_EQ(found_in(index, key), (Expected{.version = 1, .value = key.substr(0, 100)}));
  }
}

TEST(Index, FindsOnlyExactKeys) {
  Index index;
  for (std::size_t number = 0; number < 1'000; ++number) index.put(numbered(2 * number), with_value("v"));
  for (std::size_t number = 0; number < 1'000; ++number) {
    EXPECT_TRUE(index.find(numbered(2 * number)));
    EXPECT_FALSE(index.find(numbered(2 * number + 1)));
    EXPECT_FALSE(index.find(numbered(2 * number) + '\0'));
    EXPECT_FALSE(index.find(View(numbered(2 * number)).substr(0, 22)));
  }
  EXPECT_FALSE(index.find(""));
  EXPECT_FALSE(index.find("q"));
  EXPECT_FALSE(index.find("zzzzzzzzzzzzzzzzzzzzzzz"));
}

TEST(Index, SeeksBetweenKeysAndBeyondBothEnds) {
  Index index;
  for (std::size_t number = 0; number < 1'000; ++number) index.put(numbered(2 * number + 2), with_value("v"));
  Index::Cursor cursor(index);
  for (std::size_t number = 0; number < 1'000; ++number) {
    cursor.seek(numbered(2 * number + 1));
    ASSERT_EQ(cursor.key(), numbered(2 * number + 2));
    cursor.seek(numbered(2 * number + 2));
    ASSERT_EQ(cursor.key(), numbered(2 * number + 2));
    cursor.seek_before(numbered(2 * number + 3));
    ASSERT_EQ(cursor.key(), numbered(2 * number + 2));
    cursor.seek_before(numbered(2 * number + 4));
    ASSERT_EQ(cursor.key(), numbered(2 * number + 2));
  }
  cursor.seek(numbered(2'001));
  EXPECT_FALSE(cursor.valid());
  cursor.seek_before(numbered(2));
  EXPECT_FALSE(cursor.valid());
  cursor.seek_before("z");
  EXPECT_EQ(cursor.key(), numbered(2'000));
}

TEST(Index, HoldsTheLongestKeysAndValues) {
  std::mt19937_64 random(2);
  Index index;
  Model model;
  for (int round = 0; round < 600; ++round) {
    // Keys that differ in their last bytes, their first bytes, or only in length.
    Bytes key(limits::kKeyBytes, 'k');
    const std::size_t at = round % 3 == 0 ? 0 : key.size() - 2;
    key[at] = static_cast<char>(random());
    key[at + 1] = static_cast<char>(random());
    if (round % 3 == 2) key.resize(1 + random() % limits::kKeyBytes);
    const Expected entry{1, 1, Bytes(round % 5 == 0 ? 0 : kMaxInlineValueBytes, 'v'), false};
    index.put(key, view_of(entry));
    model[key] = entry;
  }
  EXPECT_EQ(contents(index), model);
  for (const auto& [key, entry] : model) EXPECT_TRUE(index.erase(key));
  EXPECT_EQ(index.size(), 0u);
}

TEST(Index, AppendsInOrderAndPacksPagesFull) {
  Index index;
  const Bytes value(100, 'v');
  constexpr std::size_t kEntries = 100'000;
  for (std::size_t number = 0; number < kEntries; ++number) index.append(numbered(number), with_value(value));

  ASSERT_EQ(index.size(), kEntries);
  const std::vector<Bytes> all = keys(index);
  for (std::size_t number = 0; number < kEntries; ++number) ASSERT_EQ(all[number], numbered(number));
  // Key, value, version, sizes and slot are 143 bytes; memory is taken two mebibytes at a time.
  EXPECT_LT(index.memory_bytes(), kEntries * 150 + (2u << 20));
}

TEST(Index, TakesPutsAndErasesAfterAppends) {
  Index index;
  for (std::size_t number = 0; number < 1'000; ++number)
    index.append(numbered(2 * number), with_value("even"));
  for (std::size_t number = 0; number < 1'000; ++number)
    index.put(numbered(2 * number + 1), with_value("odd"));
  for (std::size_t number = 0; number < 1'000; ++number) EXPECT_TRUE(index.erase(numbered(2 * number)));
  index.append("z", with_value("last"));
  ASSERT_EQ(index.size(), 1'001u);
  EXPECT_EQ(keys(index).front(), numbered(1));
  EXPECT_EQ(keys(index).back(), "z");
}

TEST(Index, PacksPagesFullForSeveralInterleavedRowsOfKeys) {
  Index index;
  const Bytes value(100, 'v');
  constexpr std::size_t kRounds = 8'000;
  for (std::size_t number = 0; number < kRounds; ++number) {
    // Bursts, as queues and event streams write them.
    for (const char* stream : {"a/", "b/", "c/"}) {
      for (std::size_t step = 0; step < 10; ++step) {
        index.put(stream + numbered(10 * number + step), with_value(value));
      }
    }
  }
  EXPECT_LT(index.memory_bytes(), kRounds * 30 * 185 + (2u << 20));
}

TEST(Index, StaysSmallWhileAQueueMovesThroughIt) {
  Index index;
  const Bytes value(100, 'v');
  constexpr std::size_t kWaiting = 1'000;
  std::size_t most_bytes = 0;
  for (std::size_t number = 0; number < 200'000; ++number) {
    index.put(numbered(number), with_value(value));
    if (number < kWaiting) continue;
    Index::Cursor cursor(index);
    cursor.seek_to_first();
    ASSERT_EQ(cursor.key(), numbered(number - kWaiting));
    ASSERT_TRUE(index.erase(Bytes(cursor.key())));
    most_bytes = std::max(most_bytes, index.memory_bytes());
  }
  EXPECT_EQ(index.size(), kWaiting);
  EXPECT_LT(most_bytes, kWaiting * 300);
}

TEST(Index, MergesPagesThatErasuresHaveLeftSparse) {
  Index index;
  const Bytes value(100, 'v');
  constexpr std::size_t kEntries = 50'000;
  for (std::size_t number = 0; number < kEntries; ++number) index.append(numbered(number), with_value(value));
  const std::size_t full_bytes = index.memory_bytes();
  for (std::size_t number = 0; number < kEntries; ++number) {
    if (number % 20 == 0) continue;
    ASSERT_TRUE(index.erase(numbered(number)));
  }
  ASSERT_EQ(index.size(), kEntries / 20);
  // The pages that became free are used again: as many entries elsewhere take no new memory.
  for (std::size_t number = 0; number < kEntries / 2; ++number) {
    index.put("stream/" + numbered(number), with_value(value));
  }
  EXPECT_LE(index.memory_bytes(), full_bytes);
}

TEST(Index, GivesItsMemoryBackWithItsLastEntry) {
  Index index;
  for (std::size_t number = 0; number < 10'000; ++number) index.put(numbered(number), with_value("v"));
  for (std::size_t number = 10'000; number-- != 0;) EXPECT_TRUE(index.erase(numbered(number)));
  EXPECT_EQ(index.memory_bytes(), 0u);
  EXPECT_TRUE(keys(index).empty());
  index.put("again", with_value("v"));
  EXPECT_EQ(keys(index), std::vector<Bytes>{"again"});
}

TEST(Index, TakesLittleForFewEntries) {
  Index index;
  index.put("config", with_value("small"));
  EXPECT_LE(index.memory_bytes(), 512u);
}

TEST(Index, ClearRemovesEverything) {
  Index index;
  for (std::size_t number = 0; number < 10'000; ++number) index.put(numbered(number), with_value("v"));
  index.clear();
  EXPECT_EQ(index.size(), 0u);
  EXPECT_EQ(index.memory_bytes(), 0u);
  EXPECT_FALSE(index.find(numbered(0)));
  index.append("again", with_value("v"));
  EXPECT_EQ(index.size(), 1u);
}

TEST(Index, MovesWithItsEntries) {
  Index from;
  for (std::size_t number = 0; number < 1'000; ++number) from.put(numbered(number), with_value("v"));
  Index to(std::move(from));
  EXPECT_EQ(to.size(), 1'000u);
  EXPECT_TRUE(to.find(numbered(999)));
  EXPECT_EQ(from.size(), 0u);  // NOLINT(bugprone-use-after-move): a moved-from index is promised to be empty
  from.put("new", with_value("v"));
  EXPECT_EQ(keys(from), std::vector<Bytes>{"new"});
}

// Random operations against the model. A failing row of operations is cut down to one of which none can be
// left out, and printed with the seed.
struct Operation {
  enum class Kind { put, append, erase, erase_first, clear } kind = Kind::put;
  Bytes key;
  Expected entry;
};

std::string to_text(const Operation& operation) {
  constexpr std::array<const char*, 5> names = {"put", "append", "erase", "erase_first", "clear"};
  return std::string(names[static_cast<std::size_t>(operation.kind)]) + " key of " +
         std::to_string(operation.key.size()) + " bytes " + operation.key.substr(0, 40) + ", value of " +
         std::to_string(operation.entry.value.size()) + " bytes";
}

/// What is wrong after some operations, or nothing.
std::string fault_after(const std::vector<Operation>& operations) {
  Index index;
  Model model;
  const auto differs = [&]() -> std::string {
    if (index.size() != model.size()) return "size";
    if (contents(index) != model) return "contents";
    std::vector<Bytes> backwards;
    for (auto entry = model.rbegin(); entry != model.rend(); ++entry) backwards.push_back(entry->first);
    if (keys_backwards(index) != backwards) return "contents backwards";
    return {};
  };
  std::size_t step = 0;
  for (const Operation& operation : operations) {
    switch (operation.kind) {
      case Operation::Kind::put:
        index.put(operation.key, view_of(operation.entry));
        model[operation.key] = operation.entry;
        break;
      case Operation::Kind::append: {
        const Bytes key = model.empty() ? operation.key : model.rbegin()->first + operation.key;
        if (key.size() > limits::kKeyBytes) break;
        index.append(key, view_of(operation.entry));
        model[key] = operation.entry;
        break;
      }
      case Operation::Kind::erase:
        if (index.erase(operation.key) != (model.erase(operation.key) != 0)) return "answer of erase";
        break;
      case Operation::Kind::erase_first:
        if (model.empty()) break;
        if (!index.erase(model.begin()->first)) return "erase of the first";
        model.erase(model.begin());
        break;
      case Operation::Kind::clear:
        index.clear();
        model.clear();
        break;
    }
    const auto found = index.find(operation.key);
    const auto expected = model.find(operation.key);
    if (found.has_value() != (expected != model.end())) return "find";
    if (found && copy_of(*found) != expected->second) return "what find found";
    Index::Cursor cursor(index);
    cursor.seek(operation.key);
    const auto next = model.lower_bound(operation.key);
    if (cursor.valid() != (next != model.end()) || (cursor.valid() && cursor.key() != next->first))
      return "seek";
    cursor.seek_before(operation.key);
    if (cursor.valid() != (next != model.begin())) return "seek_before";
    if (cursor.valid() && cursor.key() != std::prev(next)->first) return "key of seek_before";
    if (++step % 500 == 0) {
      if (std::string fault = differs(); !fault.empty()) return fault;
    }
  }
  return differs();
}

std::vector<Operation> cut_down(std::vector<Operation> operations) {
  for (std::size_t piece = operations.size() / 2; piece != 0; piece /= 2) {
    for (std::size_t begin = 0; begin + piece <= operations.size();) {
      std::vector<Operation> fewer = operations;
      const auto from = fewer.begin() + static_cast<std::ptrdiff_t>(begin);
      fewer.erase(from, from + static_cast<std::ptrdiff_t>(piece));
      if (fault_after(fewer).empty()) {
        begin += piece;
      } else {
        operations = std::move(fewer);
      }
    }
  }
  return operations;
}

class Generator {
 public:
  explicit Generator(std::uint64_t seed) : random_(seed) {
    key_style_ = below(4);
    key_range_ = below(2) == 0 ? 200 : 20'000;
    largest_value_bytes_ = below(3) == 0 ? kMaxInlineValueBytes : 120;
    erase_percent_ = 5 + below(55);
  }

  Operation operation() {
    Operation result;
    const std::size_t dice = below(10'000);
    if (dice == 0) {
      result.kind = Operation::Kind::clear;
    } else if (dice < erase_percent_ * 100) {
      result.kind = below(4) == 0 ? Operation::Kind::erase_first : Operation::Kind::erase;
    } else if (below(50) == 0) {
      result.kind = Operation::Kind::append;
    }
    // Now and then erasing prevails for a while, so that trees also become small.
    if (below(3'000) == 0) erase_percent_ = 5 + below(90);
    result.key = key();
    result.entry = {.version = 1 + below(1'000'000),
                    .expires_at_ms = below(3) == 0 ? static_cast<UnixMs>(below(1'000)) : kNeverExpires,
                    .value = Bytes(below(largest_value_bytes_ + 1), static_cast<char>('a' + below(26))),
                    .on_disk = below(5) == 0};
    return result;
  }

 private:
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(random_() % bound); }

  Bytes key() {
    const std::size_t number = below(key_range_);
    switch (key_style_) {
      case 0:
        return numbered(number);
      case 1: {  // any bytes, often prefixes of one another
        Bytes bytes(1 + below(12), '\0');
        for (char& byte : bytes) byte = static_cast<char>(below(3) == 0 ? below(256) : below(2));
        return bytes;
      }
      case 2:
        return Bytes(below(2) * 1'900, 'x') + numbered(number);  // long shared beginnings
      default:
        return numbered(number) + Bytes(below(100) == 0 ? 2'000 : below(10), '\0');
    }
  }

  std::mt19937_64 random_;
  std::size_t key_style_;
  std::size_t key_range_;
  std::size_t largest_value_bytes_;
  std::size_t erase_percent_;
};

TEST(Index, EqualsAMapAfterAnyOperations) {
  constexpr std::size_t kSteps = 6'000;
  const std::uint64_t seed = testing_support::seed_of_this_run();
  for (std::uint64_t round = 0; round < 24; ++round) {
    Generator generator(seed + round);
    std::vector<Operation> operations;
    operations.reserve(kSteps);
    for (std::size_t step = 0; step < kSteps; ++step) operations.push_back(generator.operation());
    const std::string fault = fault_after(operations);
    if (fault.empty()) continue;
    std::string text;
    for (const Operation& operation : cut_down(operations)) text += "\n  " + to_text(operation);
    FAIL() << "wrong: " << fault << "; replay with HOLDFAST_SEED=" << seed + round << text;
  }
}

}  // namespace
}  // namespace holdfast::file
