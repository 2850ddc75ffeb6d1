// The peers, each behind the few calls that are compared. Opened as their documentation recommends for speed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast::bench {

using Rows = std::vector<std::pair<std::string, std::string>>;

class LevelDb {
 public:
  explicit LevelDb(const std::string& folder);
  ~LevelDb();
  void put(const std::string& key, const std::string& value, bool sync);
  void put(const Rows& rows, bool sync);
  bool get(const std::string& key, std::string& value) const;
  /// Merges what was written into few sorted files, as a store at rest has them.
  void settle();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class Lmdb {
 public:
  explicit Lmdb(const std::string& folder);
  ~Lmdb();
  void put(const Rows& rows);

  /// A reader of one thread; each call renews its transaction, so that it sees the newest commit.
  class Reader {
   public:
    explicit Reader(const Lmdb& store);
    ~Reader();
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
    bool get(std::string_view key, std::string& value);
    /// Copies up to `limit` rows from `key` on.
    void scan(std::string_view key, std::size_t limit, Rows& rows);

   private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
  };

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast::bench
