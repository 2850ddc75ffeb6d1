// What the suites of the tables service share.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "holdfast/tables.h"
#include "tests/services/service_test.h"

namespace holdfast {

class TablesFixture : public ServiceTest {
 protected:
  using Pairs = std::vector<std::pair<Bytes, Bytes>>;

  Tables tables() { return Tables(database()); }
  UnixMs now() { return clock().now_ms(); }

  /// The text of a value.
  std::string text_of(View table, View key) {
    const std::optional<TableRecord> record = tables().get(table, key);
    return record ? record->value.text() : "nothing";
  }
  /// Keys and texts of a whole table in its order.
  Pairs pairs_of(View table) {
    Pairs pairs;
    for (const TableRecord& record : tables().get(table)) pairs.emplace_back(record.key, record.value.text());
    return pairs;
  }
  std::vector<Bytes> names() { return tables().list_tables().items; }

  /// A second session: the store opened again where it outlives its process, another handle elsewhere.
  void restart() {
    if (outlives_process()) reopen();
  }

  static std::string message_of(const std::function<void()>& call) {
    try {
      call();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::invalid_argument);
      return error.what();
    }
    return "no error";
  }

  static TableDictionary deflate(std::map<Bytes, Bytes> names) { return {std::move(names), std::nullopt}; }
  static TableDictionary inflate(std::map<Bytes, Bytes> names) { return {std::nullopt, std::move(names)}; }
};

}  // namespace holdfast
