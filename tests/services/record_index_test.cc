#include <algorithm>
#include <atomic>
#include <map>
#include <random>
#include <set>

#include "holdfast/records.h"
#include "tests/services/service_test.h"
#include "tests/support/settings.h"

namespace holdfast {
namespace {

using nlohmann::json;
using Keys = std::vector<Bytes>;
using Pairs = std::vector<std::pair<Bytes, Payload>>;

class RecordIndexTest : public ServiceTest {
 protected:
  void SetUp() override {
    ServiceTest::SetUp();
    records_.emplace(database());
  }
  void TearDown() override { records_.reset(); }
  void reopen_with_records() {
    records_.reset();
    reopen();
    records_.emplace(database());
  }

  Records& records() { return *records_; }
  Keys find(View index, const RecordQuery& query) {
    Keys keys;
    for (const Record& record : records().find(index, query).items) keys.push_back(record.key);
    return keys;
  }
  /// Declares an index and leaves it as a process does that ends before it has built anything.
  void declare_and_stop(View definition) {
    database().put("records/indexes", Bytes(R"({"next_id":2,"indexes":[)") + Bytes(definition) + "]}");
  }
  void put_numbers(std::size_t count) {
    Pairs pairs;
    for (std::size_t i = 0; i < count; ++i) {
      pairs.emplace_back(std::to_string(100'000 + i), json{{"n", i}});
      if (pairs.size() < 500 && i + 1 < count) continue;
      records().put_many(pairs);
      pairs.clear();
    }
  }
  /// Fails unless the index has exactly the records that a scan of all of them finds, in order.
  void expect_index_equals_scan(View index, const Bytes& member) {
    std::set<std::pair<int, Bytes>> scanned;
    RecordListOptions all{.limit = 1'000};
    do {
      const Listing<Record> page = records().list(all);
      for (const Record& record : page.items) {
        const json value = record.value.is_json() ? record.value.json() : json();
        if (value.contains(member)) scanned.emplace(value[member].get<int>(), record.key);
      }
      all.cursor = page.cursor;
    } while (!all.cursor.empty());
    std::vector<std::pair<int, Bytes>> found;
    RecordQuery query{.limit = 1'000};
    do {
      const Listing<Record> page = records().find(index, query);
      for (const Record& record : page.items) found.emplace_back(record.value.json()[member], record.key);
      query.cursor = page.cursor;
    } while (!query.cursor.empty());
    EXPECT_EQ(found, (std::vector<std::pair<int, Bytes>>(scanned.begin(), scanned.end())));
  }

 private:
  std::optional<Records> records_;
};

HOLDFAST_ON_EVERY_TARGET(RecordIndexTest);

// ---- Asking

TEST_P(RecordIndexTest, finds_records_by_value) {
  records().index("by_email", "/email");
  records().put("ada", json{{"email", "ada@example.com"}});
  records().put("bob", json{{"email", "bob@example.com"}});
  records().put("eve", json{{"name", "Eve"}});
  EXPECT_EQ(find("by_email", {.equals = "bob@example.com"}), (Keys{"bob"}));
  EXPECT_EQ(find("by_email", {.equals = "bob@example.co"}), Keys{});
  EXPECT_EQ(find("by_email", {}), (Keys{"ada", "bob"}));
  EXPECT_EQ(records().find("by_email", {.equals = "ada@example.com"}).items.at(0).value.text(),
            R"({"email":"ada@example.com"})");
}

TEST_P(RecordIndexTest, finds_ranges_and_prefixes_in_order_of_value_and_key) {
  records().index("by_age", "/age");
  records().index("by_city", "/address/city");
  records().put("c", json{{"age", 30}, {"address", {{"city", "Berlin"}}}});
  records().put("a", json{{"age", 30}, {"address", {{"city", "Bern"}}}});
  records().put("b", json{{"age", -1.5}, {"address", {{"city", "Oslo"}}}});
  records().put("d", json{{"age", 4}, {"address", {{"city", "Ber"}}}});
  EXPECT_EQ(find("by_age", {}), (Keys{"b", "d", "a", "c"}));
  EXPECT_EQ(find("by_age", {.reverse = true}), (Keys{"c", "a", "d", "b"}));
  EXPECT_EQ(find("by_age", {.at_least = 4, .below = 30}), (Keys{"d"}));
  EXPECT_EQ(find("by_age", {.above = 4}), (Keys{"a", "c"}));
  EXPECT_EQ(find("by_age", {.at_most = 4}), (Keys{"b", "d"}));
  EXPECT_EQ(find("by_age", {.below = 4}), (Keys{"b"}));
  EXPECT_EQ(find("by_age", {.above = 30}), Keys{});
  EXPECT_EQ(find("by_age", {.at_least = 5, .at_most = 4}), Keys{});
  EXPECT_EQ(find("by_city", {.starts_with = "Ber"}), (Keys{"d", "c", "a"}));
  EXPECT_EQ(find("by_city", {.above = "Berlin", .starts_with = "Ber"}), (Keys{"a"}));
  EXPECT_EQ(find("by_city", {.starts_with = ""}), (Keys{"d", "c", "a", "b"}));
}

TEST_P(RecordIndexTest, values_of_all_types_are_in_one_order_and_a_range_keeps_to_its_type) {
  records().index("by_v", "/v");
  const json values[] = {nullptr, false, true, -3, 0, 0.5, 2, "", "2", "a"};
  Keys all;
  for (std::size_t i = 0; i < std::size(values); ++i) {
    all.push_back(std::to_string(i));
    records().put(all.back(), json{{"v", values[i]}});
  }
  records().put("array", json{{"v", {1, 2}}});
  records().put("object", json{{"v", {{"a", 1}}}});
  records().put("none", json{{"w", 1}});
  records().put("bytes", Payload::bytes("{\"v\":1}"));
  EXPECT_EQ(find("by_v", {}), all);
  EXPECT_EQ(find("by_v", {.at_least = 0}), (Keys{"4", "5", "6"}));
  EXPECT_EQ(find("by_v", {.below = "a"}), (Keys{"7", "8"}));
  EXPECT_EQ(find("by_v", {.above = false}), (Keys{"2"}));
  EXPECT_EQ(find("by_v", {.at_least = true, .at_most = 0}), (Keys{"2", "3", "4"}));
  EXPECT_EQ(find("by_v", {.equals = nullptr}), (Keys{"0"}));
  EXPECT_EQ(find("by_v", {.equals = Payload::parse("2.0")}), (Keys{"6"}));
  EXPECT_EQ(find("by_v", {.equals = "2"}), (Keys{"8"}));
}

TEST_P(RecordIndexTest, large_numbers_are_compared_exactly) {
  records().index("by_id", "/id", {.unique = true});
  const Keys ids = {"-9007199254740993", "9007199254740992", "9007199254740993", "12345678901234567890123"};
  for (const Bytes& id : ids) records().put(id, Payload::parse("{\"id\":" + id + "}"));
  EXPECT_EQ(find("by_id", {}), ids);
  EXPECT_EQ(find("by_id", {.equals = Payload::parse("9007199254740993")}), (Keys{"9007199254740993"}));
  EXPECT_EQ(find("by_id", {.above = Payload::parse("9007199254740992")}), (Keys{ids[2], ids[3]}));
}

TEST_P(RecordIndexTest, long_strings_are_found_exactly) {
  records().index("by_url", "/url");
  const Bytes begin(400, 'u');
  for (const View end : {"", "a", "ab", "b", "\n"})
    records().put("k" + Bytes(end), json{{"url", begin + Bytes(end)}});
  records().put("short", json{{"url", begin.substr(0, 100)}});
  const auto sorted = [&](const RecordQuery& query) {
    Keys keys = find("by_url", query);
    std::ranges::sort(keys);
    return keys;
  };
  EXPECT_EQ(sorted({.equals = begin + "a"}), (Keys{"ka"}));
  EXPECT_EQ(sorted({.equals = begin + "c"}), Keys{});
  EXPECT_EQ(sorted({.starts_with = begin + "a"}), (Keys{"ka", "kab"}));
  EXPECT_EQ(sorted({.starts_with = begin.substr(0, 50)}), (Keys{"k", "k\n", "ka", "kab", "kb", "short"}));
  EXPECT_EQ(sorted({.above = begin + "a"}), (Keys{"kab", "kb"}));
  EXPECT_EQ(sorted({.at_most = begin}), (Keys{"k", "short"}));
  EXPECT_EQ(find("by_url", {.limit = 1}), (Keys{"short"}));
}

TEST_P(RecordIndexTest, pages_are_complete_in_both_directions) {
  records().index("by_n", "/n");
  Pairs pairs;
  for (int i = 0; i < 300; ++i) pairs.emplace_back(std::to_string(i), json{{"n", i % 7}});
  records().put_many(pairs);
  for (const bool reverse : {false, true}) {
    std::vector<std::pair<int, Bytes>> found;
    RecordQuery query{.above = 1, .limit = 50, .reverse = reverse};
    int pages = 0;
    do {
      const Listing<Record> page = records().find("by_n", query);
      for (const Record& record : page.items) found.emplace_back(record.value.json()["n"], record.key);
      query.cursor = page.cursor;
      ++pages;
    } while (!query.cursor.empty());
    EXPECT_EQ(pages, 5);
    EXPECT_EQ(found.size(), 214u);
    EXPECT_TRUE(reverse ? std::is_sorted(found.rbegin(), found.rend())
                        : std::is_sorted(found.begin(), found.end()));
    EXPECT_EQ(std::set(found.begin(), found.end()).size(), found.size());
  }
}

TEST_P(RecordIndexTest, the_limit_counts_what_the_filter_lets_through) {
  records().index("by_n", "/n");
  put_numbers(many());
  RecordQuery query{
      .filter = [](const Record& record) { return record.value.json()["n"].get<int>() % 30 == 29; },
      .limit = 2};
  const Listing<Record> first = records().find("by_n", query);
  ASSERT_EQ(first.items.size(), 2u);
  EXPECT_EQ(first.items[1].key, "100059");
  query.cursor = first.cursor;
  EXPECT_EQ(records().find("by_n", query).items.at(0).key, "100089");
}

TEST_P(RecordIndexTest, a_query_in_a_transaction_sees_its_own_changes) {
  records().index("by_n", "/n");
  records().put("a", json{{"n", 1}});
  records().put("b", json{{"n", 2}});
  database().transact([&](Transaction& transaction) {
    records().put(transaction, "a", json{{"n", 3}});
    records().put(transaction, "c", json{{"n", 3}});
    records().erase(transaction, "b");
    Keys keys;
    for (const Record& record : records().find(transaction, "by_n", {}).items) keys.push_back(record.key);
    EXPECT_EQ(keys, (Keys{"a", "c"}));
  });
}

TEST_P(RecordIndexTest, a_typed_view_is_asked_by_index) {
  records().index("by_size", "/size");
  TypedRecords<std::map<Bytes, int>> typed = records().typed<std::map<Bytes, int>>();
  typed.put("a", {{"size", 1}});
  typed.put("b", {{"size", 5}});
  typed.put("c", {{"size", 6}});
  const auto found = typed.find(
      "by_size", {.at_least = 2, .filter = [](const auto& item) { return item.value.at("size") != 6; }});
  ASSERT_EQ(found.items.size(), 1u);
  EXPECT_EQ(found.items[0].value.at("size"), 5);
}

TEST_P(RecordIndexTest, refuses_queries_that_have_no_meaning) {
  EXPECT_EQ(code_of([&] { find("unknown", {}); }), Code::not_found);
  records().index("by_n", "/n");
  EXPECT_EQ(code_of([&] { find("by_n", {.equals = json::array()}); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { find("by_n", {.above = Payload::bytes("raw")}); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { find("by_n", {.cursor = "no cursor"}); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { find("by_n", {.limit = 0}); }), Code::invalid_argument);
}

// ---- Keeping up

TEST_P(RecordIndexTest, follows_every_change_of_a_record_in_its_commit) {
  records().index("by_n", "/n");
  records().put("a", json{{"n", 1}});
  const Seq before = database().position().seq;
  records().put("a", json{{"n", 2}});
  EXPECT_EQ(database().position().seq, before + 1);
  EXPECT_EQ(find("by_n", {}), (Keys{"a"}));
  EXPECT_EQ(find("by_n", {.equals = 1}), Keys{});
  records().put("a", json{{"m", 2}});
  EXPECT_EQ(find("by_n", {}), Keys{});
  records().put_many(Pairs{{"a", json{{"n", 5}}}, {"b", json{{"n", 4}}}});
  EXPECT_EQ(find("by_n", {}), (Keys{"b", "a"}));
  records().erase("a");
  records().erase("b");
  EXPECT_EQ(stored_entries(), 1u) << "the list of indexes";
}

TEST_P(RecordIndexTest, follows_large_documents) {
  records().index("by_n", "/n");
  const auto large = [](int n) { return json{{"filler", Bytes(300'000, 'x')}, {"n", n}}; };
  records().put("a", large(1));
  records().put("a", large(2));
  EXPECT_EQ(find("by_n", {.equals = 1}), Keys{});
  EXPECT_EQ(records().find("by_n", {.equals = 2}).items.at(0).value.size_bytes(), 300'019u);
  records().put("a", json{{"n", 3}});
  EXPECT_EQ(find("by_n", {}), (Keys{"a"}));
  records().put("a", large(4));
  records().erase("a");
  EXPECT_EQ(stored_entries(), 1u);
}

TEST_P(RecordIndexTest, writers_maintain_an_index_that_was_declared_elsewhere) {
  Records elsewhere(database());
  records().put("a", json{{"n", 1}});
  records().erase("a");
  elsewhere.index("by_n", "/n");
  records().put("b", json{{"n", 2}});
  EXPECT_EQ(find("by_n", {}), (Keys{"b"}));
  elsewhere.drop_index("by_n");
  records().put("c", json{{"n", 3}});
  EXPECT_EQ(code_of([&] { find("by_n", {}); }), Code::not_found);
  elsewhere.index("by_n", "/m");
  elsewhere.wait_for_index("by_n");
  records().put("d", json{{"m", 3}});
  EXPECT_EQ(find("by_n", {}), (Keys{"d"}));
}

TEST_P(RecordIndexTest, is_there_when_the_store_is_opened_again) {
  if (!outlives_process()) GTEST_SKIP() << "kept in memory";
  records().index("by_n", "/n");
  records().put("a", json{{"n", 1}});
  reopen_with_records();
  EXPECT_EQ(records().indexes().at(0).state, RecordIndexState::ready);
  EXPECT_EQ(find("by_n", {}), (Keys{"a"}));
}

TEST_P(RecordIndexTest, equals_a_scan_after_random_changes) {
  std::mt19937_64 random(testing_support::seed_of_this_run());
  records().index("by_n", "/n");
  records().index("by_m", "/m");
  const auto document = [&] {
    json out = json::object();
    if (random() % 4 != 0) out["n"] = random() % 10;
    if (random() % 2 != 0) out["m"] = static_cast<int>(random() % 10) - 5;
    return out;
  };
  for (std::size_t i = 0; i < many() / 2; ++i) {
    const Bytes key = std::to_string(random() % 30);
    switch (random() % 4) {
      case 0:
        records().erase(key);
        break;
      case 1:
        records().put_many(Pairs{{key, document()}, {"x" + key, document()}});
        break;
      default:
        records().put(key, document());
    }
  }
  expect_index_equals_scan("by_n", "n");
  expect_index_equals_scan("by_m", "m");
}

// ---- Unique

TEST_P(RecordIndexTest, a_unique_index_refuses_a_second_record_of_one_value) {
  records().index("by_email", "/email", {.unique = true});
  const json secret{{"email", "secret@example.com"}};
  records().put("a", secret);
  try {
    records().put("b", secret);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::already_exists);
    EXPECT_NE(std::string(error.what()).find("by_email"), std::string::npos);
    EXPECT_EQ(std::string(error.what()).find("secret"), std::string::npos);
  }
  EXPECT_FALSE(records().get("b"));
  EXPECT_EQ(records().put("a", secret), 2u) << "its own value";
  records().put("c", json{{"name", "no value"}});
  records().put("d", json{{"name", "no value"}});
  EXPECT_EQ(find("by_email", {}), (Keys{"a"}));
}

TEST_P(RecordIndexTest, a_unique_value_is_free_when_its_record_gives_it_up) {
  records().index("by_n", "/n", {.unique = true});
  records().put("a", json{{"n", 1}});
  records().put("a", json{{"n", 2}});
  records().put("b", json{{"n", 1}});
  records().erase("a");
  records().put("c", json{{"n", 2}});
  EXPECT_EQ(find("by_n", {}), (Keys{"b", "c"}));
}

TEST_P(RecordIndexTest, records_of_one_commit_may_exchange_unique_values_and_not_share_them) {
  records().index("by_n", "/n", {.unique = true});
  records().put_many(Pairs{{"a", json{{"n", 1}}}, {"b", json{{"n", 2}}}});
  records().put_many(Pairs{{"a", json{{"n", 2}}}, {"b", json{{"n", 1}}}});
  EXPECT_EQ(find("by_n", {}), (Keys{"b", "a"}));
  EXPECT_EQ(code_of([&] { records().put_many(Pairs{{"c", json{{"n", 3}}}, {"d", json{{"n", 3}}}}); }),
            Code::already_exists);
  EXPECT_FALSE(records().get("c"));
  database().transact([&](Transaction& transaction) {
    records().put(transaction, "a", json{{"n", 9}});
    records().put(transaction, "c", json{{"n", 2}});
    EXPECT_EQ(code_of([&] { records().put(transaction, "d", json{{"n", 9}}); }), Code::already_exists);
  });
  EXPECT_EQ(find("by_n", {}), (Keys{"b", "c", "a"}));
}

TEST_P(RecordIndexTest, long_unique_values_may_share_a_beginning) {
  records().index("by_url", "/url", {.unique = true});
  const Bytes begin(1'000, 'u');
  records().put("a", json{{"url", begin + "a"}});
  records().put("b", json{{"url", begin + "b"}});
  EXPECT_EQ(code_of([&] { records().put("c", json{{"url", begin + "a"}}); }), Code::already_exists);
  EXPECT_EQ(find("by_url", {.equals = begin + "b"}), (Keys{"b"}));
}

TEST_P(RecordIndexTest, of_sixteen_writers_of_one_unique_value_one_wins) {
  records().index("by_n", "/n", {.unique = true});
  for (int round = 0; round < 5; ++round) {
    std::atomic<int> winners = 0;
    in_threads(16, [&](std::size_t thread) {
      try {
        records().put("r" + std::to_string(round) + "-" + std::to_string(thread), json{{"n", round}});
        ++winners;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), Code::already_exists) << error.what();
      }
    });
    EXPECT_EQ(winners, 1);
    EXPECT_EQ(find("by_n", {.equals = round}).size(), 1u);
  }
}

// ---- Building and dropping

TEST_P(RecordIndexTest, an_index_over_no_records_can_be_asked_at_once) {
  records().index("by_n", "/n");
  EXPECT_EQ(records().indexes().at(0).state, RecordIndexState::ready);
  EXPECT_EQ(find("by_n", {}), Keys{});
}

TEST_P(RecordIndexTest, an_index_over_records_that_are_there_is_built) {
  put_numbers(many());
  records().put("bytes", Payload::bytes("raw"));
  records().put("large", json{{"filler", Bytes(300'000, 'x')}, {"n", -1}});
  records().index("by_n", "/n");
  records().index("by_n_too", "/n", {.unique = true});
  records().wait_for_index("by_n");
  records().wait_for_index("by_n_too");
  expect_index_equals_scan("by_n", "n");
  expect_index_equals_scan("by_n_too", "n");
}

TEST_P(RecordIndexTest, an_index_that_is_being_built_is_maintained_and_cannot_be_asked) {
  records().put_many(Pairs{{"a", json{{"n", 1}}}, {"b", json{{"n", 2}}}, {"c", json{{"n", 3}}}});
  declare_and_stop(R"({"id":1,"name":"by_n","path":"/n","unique":false,"state":"building"})");
  EXPECT_EQ(records().indexes().at(0).state, RecordIndexState::building);
  EXPECT_EQ(code_of([&] { find("by_n", {}); }), Code::unavailable);
  records().put("a", json{{"n", 7}});
  records().erase("b");
  records().put("d", json{{"n", 0}});
  records().wait_for_index("by_n");
  EXPECT_EQ(find("by_n", {}), (Keys{"d", "c", "a"}));
}

TEST_P(RecordIndexTest, a_build_goes_on_where_another_one_has_stopped) {
  records().put_many(Pairs{{"a", json{{"n", 1}}}, {"b", json{{"n", 2}}}, {"c", json{{"n", 3}}}});
  declare_and_stop(R"({"id":1,"name":"by_n","path":"/n","unique":false,"state":"building"})");
  database().put("records/build/0000000000000001", "b");
  records().index("by_n", "/n");
  records().wait_for_index("by_n");
  EXPECT_EQ(find("by_n", {}), (Keys{"c"})) << "a and b were said to be in it already";
}

TEST_P(RecordIndexTest, a_build_that_was_cut_off_is_resumed_in_the_background) {
  put_numbers(many());
  EXPECT_FALSE(records().resume_indexes());
  declare_and_stop(R"({"id":1,"name":"by_n","path":"/n","unique":false,"state":"building"})");
  reopen_with_records();
  if (outlives_process()) {
    EXPECT_TRUE(records().resume_indexes());
    until([&] { return records().indexes().at(0).state == RecordIndexState::ready; });
    expect_index_equals_scan("by_n", "n");
  }
  EXPECT_FALSE(records().resume_indexes());
}

TEST_P(RecordIndexTest, a_unique_index_that_is_being_built_knows_whose_value_it_has) {
  records().put_many(Pairs{{"a", json{{"n", 1}}}, {"b", json{{"n", 2}}}});
  declare_and_stop(R"({"id":1,"name":"by_n","path":"/n","unique":true,"state":"building"})");
  records().put("c", json{{"n", 1}});
  records().put("a", json{{"n", 5}});
  EXPECT_EQ(code_of([&] { records().put("b", json{{"n", 1}}); }), Code::already_exists) << "it is c's";
  records().wait_for_index("by_n");
  EXPECT_EQ(find("by_n", {}), (Keys{"c", "b", "a"}));
}

TEST_P(RecordIndexTest, a_unique_index_over_equal_values_fails_and_hinders_nobody) {
  records().put_many(Pairs{{"a", json{{"n", 1}}}, {"b", json{{"n", 1}}}});
  records().index("by_n", "/n", {.unique = true});
  EXPECT_EQ(code_of([&] { records().wait_for_index("by_n"); }), Code::already_exists);
  EXPECT_EQ(records().indexes().at(0).state, RecordIndexState::failed);
  EXPECT_EQ(code_of([&] { find("by_n", {}); }), Code::already_exists);
  records().put("c", json{{"n", 1}});
  records().put("b", json{{"n", 2}});
  records().put("c", json{{"n", 3}});
  records().index("by_n", "/n", {.unique = true});
  records().wait_for_index("by_n");
  EXPECT_EQ(find("by_n", {}), (Keys{"a", "b", "c"}));
}

TEST_P(RecordIndexTest, an_index_that_is_built_among_writers_equals_a_scan) {
  const std::size_t count = many();
  put_numbers(count);
  std::atomic<bool> is_built = false;
  in_threads(8, [&](std::size_t thread) {
    if (thread == 0) {
      records().index("by_n", "/n");
      records().wait_for_index("by_n");
      is_built = true;
      return;
    }
    std::mt19937 random(static_cast<unsigned>(thread));
    for (std::size_t i = 0; i < 20 || (!is_built && i < 2'000); ++i) {
      const Bytes key = std::to_string(100'000 + random() % (count + 50));
      random() % 5 == 0 ? void(records().erase(key)) : void(records().put(key, json{{"n", random() % 100}}));
    }
  });
  EXPECT_TRUE(is_built);
  expect_index_equals_scan("by_n", "n");
}

TEST_P(RecordIndexTest, two_processes_build_one_index_together) {
  put_numbers(many());
  declare_and_stop(R"({"id":1,"name":"by_n","path":"/n","unique":true,"state":"building"})");
  in_threads(4, [&](std::size_t) { Records(database()).wait_for_index("by_n"); });
  expect_index_equals_scan("by_n", "n");
}

TEST_P(RecordIndexTest, a_dropped_index_leaves_nothing_and_may_be_declared_otherwise) {
  put_numbers(many());
  records().index("by_n", "/n");
  records().wait_for_index("by_n");
  EXPECT_TRUE(records().drop_index("by_n"));
  EXPECT_FALSE(records().drop_index("by_n"));
  EXPECT_TRUE(records().indexes().empty());
  EXPECT_EQ(stored_entries(), many() + 1) << "the records and the list of indexes";
  records().index("by_n", "/other");
  records().wait_for_index("by_n");
  EXPECT_EQ(find("by_n", {}), Keys{});
}

TEST_P(RecordIndexTest, what_an_interrupted_drop_has_left_is_erased_later) {
  records().index("by_n", "/n");
  put_numbers(20);
  declare_and_stop(R"({"id":1,"name":"by_n","path":"/n","unique":false,"state":"dropped"})");
  EXPECT_TRUE(records().indexes().empty());
  EXPECT_TRUE(Records(database()).resume_indexes());
  {
    Records other(database());
    other.index("by_m", "/m");
    other.wait_for_index("by_m");
    until([&] { return database().get("records/indexes")->value.find("dropped") == Bytes::npos; });
  }
  EXPECT_EQ(stored_entries(), 21u);
}

TEST_P(RecordIndexTest, an_index_is_declared_again_and_not_otherwise) {
  records().index("by_n", "/n");
  records().index("by_n", "/n");
  EXPECT_EQ(code_of([&] { records().index("by_n", "/m"); }), Code::already_exists);
  EXPECT_EQ(code_of([&] { records().index("by_n", "/n", {.unique = true}); }), Code::already_exists);
  ASSERT_EQ(records().indexes().size(), 1u);
  EXPECT_EQ(records().indexes()[0].path, "/n");
}

TEST_P(RecordIndexTest, refuses_names_paths_and_numbers_of_indexes_out_of_bounds) {
  for (const Bytes& name : {Bytes(), Bytes(101, 'n'), Bytes("\n"), Bytes("\xff")}) {
    EXPECT_EQ(code_of([&] { records().index(name, "/n"); }), Code::invalid_argument);
  }
  for (const Bytes& path : {Bytes("n"), Bytes("/~2"), "/" + Bytes(1'000, 'n'), Bytes("/\xff")}) {
    EXPECT_EQ(code_of([&] { records().index("by_n", path); }), Code::invalid_argument);
  }
  for (int i = 0; i < 16; ++i) records().index(std::to_string(i), "/n");
  EXPECT_EQ(code_of([&] { records().index("by_n", "/n"); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { records().wait_for_index("by_n"); }), Code::not_found);
}

}  // namespace
}  // namespace holdfast
