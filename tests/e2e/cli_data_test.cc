// holdfast blobs, records, import jsonl and csv.

#include <filesystem>

#include "e2e/cli_fixture.h"

namespace holdfast::e2e {
namespace {

class CliData : public Cli {};

// --- blobs ---

TEST_F(CliData, StoresAFileOfSeveralPiecesAndGivesItBack) {
  std::string bytes;
  for (int i = 0; i < 700'000; ++i) bytes += std::to_string(i) + '\0';
  write_file("in", bytes);
  const Json put =
      rows({"blobs", "put", "big", "in", "--type", "text/plain", "--metadata", "{\"a\":1}"}).at(0);
  EXPECT_EQ(put["size_bytes"], bytes.size());
  output({"blobs", "get", "big", "out"});
  EXPECT_EQ(file("out"), bytes);
  EXPECT_EQ(output({"blobs", "get", "big"}), bytes);
  EXPECT_EQ(output({"blobs", "get", "big", "--offset", "4500000", "--size-bytes", "100"}),
            bytes.substr(4'500'000, 100));
  const Json stat = rows({"blobs", "stat", "big"}).at(0);
  EXPECT_EQ(stat["content_type"], "text/plain");
  EXPECT_EQ(stat["metadata"]["a"], 1);
  EXPECT_EQ(stat["hash"], put["hash"]);
  EXPECT_EQ(rows({"blobs", "verify", "big"}).at(0)["hash"], put["hash"]);
}

TEST_F(CliData, TakesABlobFromAPipe) {
  output({"blobs", "put", "piped"}, "some bytes");
  EXPECT_EQ(output({"blobs", "get", "piped"}), "some bytes");
  output({"blobs", "put", "empty"}, "");
  EXPECT_EQ(output({"blobs", "get", "empty"}), "");
}

TEST_F(CliData, PutsABlobOnlyWhereTheConditionHolds) {
  output({"blobs", "put", "key"}, "1");
  expect_error(run({"blobs", "put", "key", "--if-absent"}, "2"), Code::conflict, "nothing was changed");
  expect_error(run({"blobs", "put", "key", "--hash", std::string(64, '0')}, "2"), Code::invalid_argument, "");
  expect_error(run({"blobs", "put", "key", "--metadata", "[1]"}, "2"), Code::invalid_argument, "");
  expect_error(run({"blobs", "put", "key", "nowhere"}), Code::not_found, "nowhere");
  EXPECT_EQ(output({"blobs", "get", "key"}), "1");
}

TEST_F(CliData, ListsRenamesAndDeletesBlobs) {
  output({"blobs", "put", "a/1"}, "1");
  output({"blobs", "put", "b/1"}, "22");
  EXPECT_EQ(rows({"blobs", "list"}).size(), 2u);
  EXPECT_EQ(rows({"blobs", "list", "b/"}).at(0)["size_bytes"], 2);
  output({"blobs", "copy", "a/1", "copy"});
  EXPECT_EQ(output({"blobs", "get", "copy"}), "1");
  output({"blobs", "rename", "a/1", "c"});
  expect_error(run({"blobs", "rename", "a/1", "d"}), Code::not_found, "");
  EXPECT_EQ(output({"blobs", "get", "c"}), "1");
  EXPECT_EQ(rows({"blobs", "delete", "c", "nothing"}).at(0)["deleted"], 1);
  for (const char* verb : {"get", "stat", "delete", "verify"}) {
    expect_error(run({"blobs", verb, "c"}), Code::not_found, "");
  }
}

// --- records ---

TEST_F(CliData, PutsAndGetsRecords) {
  EXPECT_EQ(rows({"records", "put", "ada", "{\"age\":36}"}).at(0)["version"], 1);
  EXPECT_EQ(rows({"records", "put", "ada", "{\"age\":37}", "--if-version", "1"}).at(0)["version"], 2);
  expect_error(run({"records", "put", "ada", "1", "--if-version", "1"}), Code::conflict,
               "nothing was changed");
  expect_error(run({"records", "put", "ada", "1", "--if-absent"}), Code::conflict, "");
  EXPECT_EQ(output({"records", "get", "ada"}), "{\"age\":37}");
  EXPECT_EQ(rows({"records", "get", "ada"}).at(0)["value"]["age"], 37);
  EXPECT_EQ(rows({"records", "list", "a"}).at(0)["version"], 2);
  expect_error(run({"records", "delete", "ada", "--if-version", "1"}), Code::conflict, "");
  output({"records", "delete", "ada"});
  expect_error(run({"records", "delete", "ada"}), Code::not_found, "");
  expect_error(run({"records", "get", "ada"}), Code::not_found, "");
}

TEST_F(CliData, FindsRecordsByAnIndex) {
  output({"records", "put", "ada", R"({"email":"ada@x","age":36})"});
  output({"records", "put", "ben", R"({"email":"ben@x","age":7})"});
  output({"records", "index", "by_email", "/email", "--unique"});
  output({"records", "index", "by_age", "/age"});
  EXPECT_EQ(rows({"records", "indexes"}).size(), 2u);
  EXPECT_EQ(rows({"records", "indexes"}).at(1)["state"], "ready");
  EXPECT_EQ(rows({"records", "find", "by_email", "--equals", "ben@x"}).at(0)["key"], "ben");
  EXPECT_EQ(rows({"records", "find", "by_email", "--starts-with", "a"}).at(0)["key"], "ada");
  EXPECT_EQ(rows({"records", "find", "by_age", "--at-least", "7", "--below", "36"}).at(0)["key"], "ben");
  EXPECT_EQ(rows({"records", "find", "by_age", "--reverse", "--limit", "1"}).at(0)["key"], "ada");
  EXPECT_TRUE(rows({"records", "find", "by_age", "--above", "36"}).empty());
  expect_error(run({"records", "put", "cleo", R"({"email":"ada@x"})"}), Code::already_exists, "by_email");
  expect_error(run({"records", "index", "by_email", "/other"}), Code::already_exists, "");
  expect_error(run({"records", "find", "by_name"}), Code::not_found, "");
  output({"records", "unindex", "by_email"});
  output({"records", "put", "cleo", R"({"email":"ada@x"})"});
  expect_error(run({"records", "unindex", "by_email"}), Code::not_found, "");
}

// --- import ---

TEST_F(CliData, ImportsLinesOfJson) {
  write_file("in", "{\"id\":\"a\",\"n\":1.10}\n\n{\"id\":7}\r\n{\"id\":\"b\"}");
  EXPECT_EQ(rows({"import", "jsonl", "in", "--key", "/id", "--prefix", "users"}).at(0)["imported"], 3);
  EXPECT_EQ(output({"records", "get", "a", "--prefix", "users"}), "{\"id\":\"a\",\"n\":1.10}");
  EXPECT_EQ(output({"records", "get", "7", "--prefix", "users"}), "{\"id\":7}");
  output({"import", "jsonl"}, "1\n2\n");
  EXPECT_EQ(output({"records", "get", "000000000002"}), "2");
}

TEST_F(CliData, StopsAnImportAtTheLineThatMakesNoSenseAndSaysHowToGoOn) {
  std::string lines;
  for (int i = 0; i < 600; ++i) lines += "{\"id\":\"" + std::to_string(i) + "\"}\n";
  write_file("in", lines + "{\"id\"\n{\"id\":\"last\"}\n");
  expect_error(run({"import", "jsonl", "in", "--key", "/id"}), Code::invalid_argument, "line 601: ");
  const Ended ended = run({"import", "jsonl", "in", "--key", "/id"});
  EXPECT_NE(ended.err.find("go on with --skip 600"), std::string::npos) << ended.err;
  EXPECT_EQ(rows({"records", "list", "--limit", "0"}).size(), 600u);
  write_file("in", lines + "{\"id\":\"new\"}\n{\"id\":\"last\"}\n");
  EXPECT_EQ(rows({"import", "jsonl", "in", "--key", "/id", "--skip", "600"}).at(0)["imported"], 2);
  expect_error(run({"import", "jsonl", "--key", "/id"}, "{}\n"), Code::invalid_argument,
               "line 1: the document has nothing");
  expect_error(run({"import", "jsonl", "--key", "/id"}, "{\"id\":[]}\n"), Code::invalid_argument, "line 1: ");
  expect_usage(run({"import", "jsonl", "--key", "id"}, "{}\n"), "JSON pointer");
}

TEST_F(CliData, ImportsCommaSeparatedValues) {
  write_file("in", "\xEF\xBB\xBFname,age,note\r\n\"Ada, L.\",36,\"says \"\"hi\"\"\"\r\nBen,07,\n");
  EXPECT_EQ(rows({"import", "csv", "in", "--key", "name", "--typed"}).at(0)["imported"], 2);
  EXPECT_EQ(output({"records", "get", "Ada, L."}), R"({"name":"Ada, L.","age":36,"note":"says \"hi\""})");
  EXPECT_EQ(output({"records", "get", "Ben"}), R"({"name":"Ben","age":"07","note":null})");
  output({"import", "csv", "--separator", "tab", "--prefix", "plain"}, "a\tb\n1\t\n");
  EXPECT_EQ(output({"records", "get", "000000000001", "--prefix", "plain"}), R"({"a":"1","b":""})");
}

TEST_F(CliData, NamesTheLineOfARowThatMakesNoSense) {
  expect_error(run({"import", "csv"}, ""), Code::invalid_argument, "line 1: there is no heading");
  expect_error(run({"import", "csv"}, "a,b\n1,2\n3\n"), Code::invalid_argument,
               "line 3: it has 1 fields, the heading has 2");
  expect_error(run({"import", "csv"}, "a\n\"1\n"), Code::invalid_argument,
               "line 2: a quoted field does not end");
  expect_error(run({"import", "csv", "--key", "c"}, "a,b\n1,2\n"), Code::invalid_argument,
               "line 1: the heading has no column");
  expect_error(run({"import", "csv", "--key", "a"}, "a,b\n,2\n"), Code::invalid_argument,
               "line 2: the field");
  expect_error(run({"import", "csv"}, "a\n\xFF\n"), Code::invalid_argument, "line 2: a field is not UTF-8");
  expect_usage(run({"import", "csv", "--separator", "||"}, "a\n"), "one character, or tab");
}

}  // namespace
}  // namespace holdfast::e2e
