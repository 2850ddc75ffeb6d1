// Writes a corpus to begin with for each fuzz target, made of what the code itself writes, so that the
// fuzzers begin behind the first checks: fuzz_seeds FOLDER
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "backends/file/checkpoint_reader.h"
#include "backends/file/log_reader.h"
#include "backends/sqlite/records.h"
#include "engine/log_samples.h"
#include "fuzz/fuzzed_store.h"
#include "services/index_value.h"
#include "services/keys.h"

namespace {

using namespace holdfast;

class Corpus {
 public:
  Corpus(const std::filesystem::path& folder, const std::string& target) : folder_(folder / target) {
    std::filesystem::create_directories(folder_);
  }
  void add(const std::string& seed) {
    std::ofstream file(folder_ / std::to_string(++count_), std::ios::binary);
    file << seed;
    if (!file.flush()) throw Error(Code::unavailable, "a seed could not be written");
  }
  std::size_t count() const { return count_; }

 private:
  const std::filesystem::path folder_;
  std::size_t count_ = 0;
};

struct Part {
  bool is_block = false;
  std::string body;
};

/// The records or blocks of a file of the store; none if it is of another kind.
std::vector<Part> parts_of(SimulatedFileSystem& files, const std::string& path) {
  const file::FileKind kind = file::parse_file_name(path.substr(path.rfind('/') + 1)).kind;
  std::vector<Part> parts;
  if (kind != file::FileKind::segment && kind != file::FileKind::checkpoint) return parts;
  const auto file = files.open(path, FileMode::read);
  const file::FileHeader header =
      file::decode_file_header(files.content(path).substr(0, file::kHeaderBytes), path);
  if (kind == file::FileKind::segment) {
    file::LogReader reader(*file, header);
    while (const auto record = reader.next()) parts.push_back({false, std::string(record->body)});
  } else {
    file::CheckpointReader reader(*file, header);
    while (const auto block = reader.next()) parts.push_back({true, std::string(block->body)});
  }
  return parts;
}

/// As fuzz_file_record reads it.
std::string as_input(const Part& part) {
  const std::size_t size = part.body.size();
  return std::string{static_cast<char>(part.is_block), static_cast<char>(size & 0xFF),
                     static_cast<char>(size >> 8)} +
         part.body;
}

void add_file_seeds(Corpus& records, Corpus& stores) {
  const auto files = fuzz::intact_store();
  const std::vector<std::string> paths = files->paths();
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const auto which = static_cast<char>(i);
    std::string all;
    for (const Part& part : parts_of(*files, paths[i])) {
      if (part.body.size() > 0xFFFF) continue;
      records.add(as_input(part));
      all += as_input(part);
      stores.add(std::string{which, 2, 0, 0} + part.body);
    }
    if (!all.empty()) records.add(all);
    for (const char offset : {'\0', '\4', '\20', '\21'}) {
      stores.add(std::string{which, 0, offset, 8} + "damage");
      stores.add(std::string{which, 1, offset, 8});
    }
  }
}

void add_urls(Corpus& corpus) {
  for (const char* url :
       {"memory:", "file:///data/store", "file:relative/path?durable=false",
        "sqlite:///data/app%20one.db?timeout_ms=5&sweeper=false", "metered+faulty+sqlite:a.db?faulty_seed=7",
        "postgres://user:pass%40word@host:5432/name?option=value", "s3://bucket/prefix",
        "per_database+file:///data?segment_size_bytes=65536#part", "redis://[::1]:6379/0"}) {
    corpus.add(url);
  }
}

/// As fuzz_codecs reads them: the number of a codec, and what it has encoded.
void add_values(Corpus& corpus) {
  char codec = 0;
  const auto add = [&](const Bytes& value) { corpus.add(codec + value); };
  sqlite::LogRow row;
  for (const Seq seq : {5, 6, 300}) {
    std::vector<Bytes> keys = {"key/1", "key/2", "other/" + std::to_string(seq)};
    row.append(seq, keys);
  }
  add(row.bytes());
  Outcome failed;
  failed.failed_check = 3;
  const std::vector<Outcome> outcomes = {{}, failed, {}};
  ++codec;
  add(sqlite::encode_outcomes(outcomes));
  SessionRecord record;
  record.number = 7;
  record.content_hash = 0x0123456789abcdef;
  record.outcomes = outcomes;
  record.at = {0x0123456789abcdef, 900};
  record.used_at_ms = 1'700'000'000'000;
  ++codec;
  add(sqlite::encode_session({1, 2}, record));
  Fence frozen;
  frozen.state = Fence::State::frozen;
  frozen.token = 5;
  frozen.place = "place";
  ++codec;
  add(*sqlite::encode_fence(frozen));
  LogSamples samples;
  for (int i = 0; i < 3; ++i) samples.add(1'700'000'000'000 + i * 60'000, {7, Seq(10 + i)}, 3'600'000);
  ++codec;
  add(samples.text());
  add("{\"seq\":12}");
  add("12");
  ++codec;
  add(escaped_segment("a/b%\n"));
  ++codec;
  add(number_segment(77));
  add(signed_segment(-77));
  ++codec;
  for (const char* json : {"null", "true", "-1.50e3", "0", "12345678901234567890", "\"te\\u00e9xt\"", "[1]"})
    add(json);
  ++codec;
  add(index_segment(*index_value("-12.5")) + "rest");
  add(index_segment(*index_value("\"" + std::string(400, 'x') + "\"")) + "rest");
}

/// As fuzz_server reads them: a byte that is even, and what comes over the wire.
void add_requests(Corpus& corpus) {
  const std::string host = " HTTP/1.1\r\nHost: localhost\r\n";
  const std::string database = "/v1/databases/db";
  const auto add = [&](const std::string& line, const std::string& fields, const std::string& body) {
    corpus.add(std::string(1, '\0') + line + host + fields +
               "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  };
  for (const char* path : {"/", "/healthz", "/metrics", "/openapi.json", "/v1/databases?prefix=a&limit=3"}) {
    add(std::string("GET ") + path, "", "");
  }
  add("PUT " + database + "/entries/a/key?ttl_ms=1000", "If-None-Match: *\r\n", "value");
  add("GET " + database + "/entries?prefix=a%2F&limit=2&reverse=true&encoding=base64", "", "");
  add("GET " + database + "/changes?since=0000000000000001-1", "", "");
  add("GET " + database + "/watch",
      "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n", "");
  add("POST " + database + "/commit", "Content-Type: application/json\r\n",
      R"({"checks":[{"type":"absent","key":"a"},{"type":"unchanged","prefix":"p","since":1}],)"
      R"("writes":[{"type":"put","key":"a","value_base64":"AA=="},{"type":"put_stamped","prefix":"l","value":"v"}]})");
  add("POST " + database + "/get", "", R"({"keys":["a","b"]})");
  add("POST " + database + "/kv", "", R"({"entries":[{"key":"a","value":[1.50,{"b":"]"}]}]})");
  add("POST " + database + "/kv/a", "", R"({"increment":5})");
  add("POST " + database + "/events/s/batch", "", R"({"events":[{"value":1},{"bytes_base64":"/w=="}]})");
  add("POST " + database + "/records", "", R"({"records":[{"key":"a","value":{"age":36}}]})");
  add("GET " + database + "/records?path=%2Fage&equals=36", "", "");
  add("POST " + database + "/kv-get", "", R"({"keys":["a","b"]})");
  add("POST " + database + "/records-get", "", R"({"keys_base64":["YQ=="]})");
  add("PUT " + database + "/record-indexes/by_age", "", R"({"path":"/age","unique":true})");
  add("GET " + database + "/record-indexes/by_age/records?at_least=3&below=%22x%22&limit=2&reverse=true", "",
      "");
  add("GET " + database + "/record-indexes/by_age/records?starts_with=a&cursor=AAAA", "", "");
  add("DELETE " + database + "/record-indexes/by_age", "", "");
  add("GET " + database + "/lifecycle?types=kv:*",
      "Last-Event-ID: 0000000000000001-0000000000000002-a3YvYQ==\r\n", "");
  add("GET " + database + "/events/s/subscribe?after=0000000000000001-0000", "", "");
  add("PUT " + database + "/events/s/retention", "", R"({"max_age_ms":1,"max_count":2})");
  add("PUT " + database + "/blobs/b", "Content-Type: text/plain\r\nHoldfast-Metadata: {\"a\":1}\r\n",
      "bytes");
  add("GET " + database + "/blobs/b", "Range: bytes=1-2\r\n", "");
  add("POST " + database + "/tables/t/get", "", R"({"keys":["k"]})");
  add("POST " + database + "/tables/t/records", "", R"({"records":[{"key":"k","value":{"a":[1]}}]})");
  add("PUT " + database + "/dictionaries/d", "", R"({"deflate":{"name":"n"}})");
  add("PUT " + database + "/tables/t/records/k", "Content-Type: application/json\r\n", R"({"a":1})");
  corpus.add(std::string(1, '\0') + "PUT " + database + "/entries/k" + host +
             "Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nTrailer: t\r\n\r\n");
}

}  // namespace

int main(int count, char** words) {
  if (count != 2) {
    std::cerr << "usage: fuzz_seeds FOLDER\n";
    return 2;
  }
  Corpus urls(words[1], "fuzz_url");
  Corpus values(words[1], "fuzz_codecs");
  Corpus records(words[1], "fuzz_file_record");
  Corpus stores(words[1], "fuzz_file_store");
  Corpus requests(words[1], "fuzz_server");
  add_urls(urls);
  add_values(values);
  add_requests(requests);
  add_file_seeds(records, stores);
  std::cout << "seeds: " << urls.count() << " URLs, " << values.count() << " values, " << records.count()
            << " records, " << stores.count() << " stores, " << requests.count() << " requests\n";
  return 0;
}
