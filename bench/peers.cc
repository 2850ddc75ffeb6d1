#include "peers.h"

#include <leveldb/cache.h>
#include <leveldb/db.h>
#include <leveldb/filter_policy.h>
#include <leveldb/write_batch.h>
#include <lmdb.h>

#include <stdexcept>

namespace holdfast::bench {
namespace {

void must(const leveldb::Status& status) {
  if (!status.ok()) throw std::runtime_error("LevelDB: " + status.ToString());
}

void must(int code) {
  if (code != MDB_SUCCESS) throw std::runtime_error(std::string("LMDB: ") + mdb_strerror(code));
}

MDB_val value_of(std::string_view bytes) { return {bytes.size(), const_cast<char*>(bytes.data())}; }
std::string_view view_of(const MDB_val& value) {
  return {static_cast<const char*>(value.mv_data), value.mv_size};
}

}  // namespace

struct LevelDb::Impl {
  std::unique_ptr<leveldb::Cache> cache{leveldb::NewLRUCache(512u << 20)};
  std::unique_ptr<const leveldb::FilterPolicy> filter{leveldb::NewBloomFilterPolicy(10)};
  std::unique_ptr<leveldb::DB> db;
};

LevelDb::LevelDb(const std::string& folder) : impl_(std::make_unique<Impl>()) {
  leveldb::Options options;
  options.create_if_missing = true;
  options.write_buffer_size = 64u << 20;
  options.block_cache = impl_->cache.get();
  options.filter_policy = impl_->filter.get();
  leveldb::DB* db = nullptr;
  must(leveldb::DB::Open(options, folder, &db));
  impl_->db.reset(db);
}

LevelDb::~LevelDb() = default;

void LevelDb::put(const std::string& key, const std::string& value, bool sync) {
  leveldb::WriteOptions options;
  options.sync = sync;
  must(impl_->db->Put(options, key, value));
}

void LevelDb::put(const Rows& rows, bool sync) {
  leveldb::WriteOptions options;
  options.sync = sync;
  leveldb::WriteBatch batch;
  for (const auto& [key, value] : rows) batch.Put(key, value);
  must(impl_->db->Write(options, &batch));
}

bool LevelDb::get(const std::string& key, std::string& value) const {
  return impl_->db->Get(leveldb::ReadOptions(), key, &value).ok();
}

void LevelDb::settle() { impl_->db->CompactRange(nullptr, nullptr); }

struct Lmdb::Impl {
  MDB_env* environment = nullptr;
  MDB_dbi table = 0;
  ~Impl() { mdb_env_close(environment); }
};

Lmdb::Lmdb(const std::string& folder) : impl_(std::make_unique<Impl>()) {
  must(mdb_env_create(&impl_->environment));
  must(mdb_env_set_mapsize(impl_->environment, std::size_t{8} << 30));
  must(mdb_env_open(impl_->environment, folder.c_str(), MDB_NOSYNC | MDB_NOTLS, 0644));
  MDB_txn* transaction = nullptr;
  must(mdb_txn_begin(impl_->environment, nullptr, 0, &transaction));
  must(mdb_dbi_open(transaction, nullptr, MDB_CREATE, &impl_->table));
  must(mdb_txn_commit(transaction));
}

Lmdb::~Lmdb() = default;

void Lmdb::put(const Rows& rows) {
  MDB_txn* transaction = nullptr;
  must(mdb_txn_begin(impl_->environment, nullptr, 0, &transaction));
  for (const auto& [key, value] : rows) {
    MDB_val to = value_of(key);
    MDB_val what = value_of(value);
    must(mdb_put(transaction, impl_->table, &to, &what, 0));
  }
  must(mdb_txn_commit(transaction));
}

struct Lmdb::Reader::Impl {
  MDB_dbi table = 0;
  MDB_txn* transaction = nullptr;
  MDB_cursor* cursor = nullptr;
};

Lmdb::Reader::Reader(const Lmdb& store) : impl_(std::make_unique<Impl>()) {
  impl_->table = store.impl_->table;
  must(mdb_txn_begin(store.impl_->environment, nullptr, MDB_RDONLY, &impl_->transaction));
  must(mdb_cursor_open(impl_->transaction, impl_->table, &impl_->cursor));
  mdb_txn_reset(impl_->transaction);
}

Lmdb::Reader::~Reader() {
  mdb_cursor_close(impl_->cursor);
  mdb_txn_abort(impl_->transaction);
}

bool Lmdb::Reader::get(std::string_view key, std::string& value) {
  must(mdb_txn_renew(impl_->transaction));
  MDB_val from = value_of(key);
  MDB_val found{};
  const int code = mdb_get(impl_->transaction, impl_->table, &from, &found);
  if (code == MDB_SUCCESS) value.assign(view_of(found));
  mdb_txn_reset(impl_->transaction);
  return code == MDB_SUCCESS;
}

void Lmdb::Reader::scan(std::string_view key, std::size_t limit, Rows& rows) {
  must(mdb_txn_renew(impl_->transaction));
  must(mdb_cursor_renew(impl_->transaction, impl_->cursor));
  MDB_val at = value_of(key);
  MDB_val value{};
  for (int code = mdb_cursor_get(impl_->cursor, &at, &value, MDB_SET_RANGE);
       code == MDB_SUCCESS && rows.size() < limit;
       code = mdb_cursor_get(impl_->cursor, &at, &value, MDB_NEXT)) {
    rows.emplace_back(view_of(at), view_of(value));
  }
  mdb_txn_reset(impl_->transaction);
}

}  // namespace holdfast::bench
