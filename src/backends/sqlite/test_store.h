// What the tests of this folder share: a file in a folder of its own, and short words for requests.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backends/sqlite/sqlite_backend.h"
#include "contract/validate.h"

namespace holdfast::sqlite {

/// A new folder, removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "holdfast-sqlite-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw Error(Code::internal, "cannot make a temporary folder");
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string file(const std::string& name = "app.db") const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline Url url_of(const std::string& path, std::map<std::string, std::string> options = {}) {
  Url url;
  url.scheme = "sqlite";
  url.path = path;
  url.options = std::move(options);
  return url;
}

inline std::unique_ptr<Backend> open_store(const std::string& path,
                                           const std::map<std::string, std::string>& options = {},
                                           const Environment& environment = {}) {
  const BackendFactory factory = sqlite_factory();
  return factory.open(url_of(path, options), Options("sqlite:", factory.options, options), environment);
}

inline CheckReport check_store(const std::string& path) {
  const BackendFactory factory = sqlite_factory();
  return factory.check(url_of(path), Options("sqlite:", factory.options, {}), {});
}

/// An engine of one thread: numbers its groups and remembers the history.
class Client {
 public:
  Client(Backend& backend, std::string database, std::uint64_t session = 1)
      : backend_(backend), database_(std::move(database)), session_(session) {}

  Group group(std::vector<Batch> batches) {
    Group group;
    group.database = database_;
    group.history = history_;
    group.session = {session_, session_};
    group.number = ++number_;
    group.now_ms = now_ms;
    group.batches = std::move(batches);
    group.content_hash = content_hash(group.batches);
    return group;
  }
  Group commit(std::vector<Batch> batches) {
    Group one = group(std::move(batches));
    backend_.commit({&one, 1});
    if (one.at.history != 0) history_ = one.at.history;
    return one;
  }
  Group put(View key, View value, std::optional<UnixMs> expires_at_ms = {}) {
    return commit({{{}, {Write::put(key, value, expires_at_ms)}}});
  }
  std::optional<Entry> get(View key) {
    ReadRequest request;
    request.now_ms = now_ms;
    request.gets = {&key, 1};
    return backend_.read(database_, request).gets.at(0);
  }
  Page scan(const Range& range, const ScanOptions& options = {}) {
    const Scan one{range, options};
    ReadRequest request;
    request.now_ms = now_ms;
    request.scans = {&one, 1};
    return backend_.read(database_, request).pages.at(0);
  }
  Position position() { return backend_.read(database_, {.now_ms = now_ms}).at; }

  UnixMs now_ms = 1'700'000'000'000;

 private:
  Backend& backend_;
  std::string database_;
  std::uint64_t session_;
  std::uint64_t number_ = 0;
  std::uint64_t history_ = 0;
};

}  // namespace holdfast::sqlite
