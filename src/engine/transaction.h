// One run of the body of a transaction, and the loop that runs it until it has won.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "engine/engine.h"
#include "engine/entry_objects.h"
#include "engine/service_keys.h"
#include "holdfast/transaction.h"

namespace holdfast {

/// Database::transact. Within the body the same thread must not run another transaction on this database
/// (invalid_argument); one on another database is allowed and commits by itself. The position of the commit,
/// as Database::transact says.
Position run_transaction(Engine& engine, EngineDatabase& database,
                         const std::function<void(Transaction&)>& body, Deadline deadline, KeySpace space);

/// Database::submit_transaction.
void submit_transaction(Engine& engine, const std::shared_ptr<EngineDatabase>& database,
                        const std::function<void(Transaction&)>& body, CommitDone done, Deadline deadline);

/// For one thread.
class Transaction::Impl {
 public:
  /// Thrown through the body to unwind it. Derives from nothing, so that only `catch (...)` can stop it; a
  /// run whose body did so is thrown away all the same.
  struct Rerun {};

  Impl(Engine& engine, EngineDatabase& database, Deadline deadline, KeySpace space);

  std::optional<Entry> get(View key);
  std::vector<std::optional<Entry>> get(std::span<const Bytes> keys);
  Page scan(const Range& range, const ScanOptions& options);
  void require(const Entry& entry);
  void put(View key, View value, std::optional<UnixMs> expires_at_ms);
  void put_stamped(View prefix, View suffix, View value, std::optional<UnixMs> expires_at_ms);
  void erase(View key);
  void keep(const ObjectId& id, std::optional<UnixMs> expires_at_ms);
  void release(const ObjectId& id);
  UnixMs now() const { return now_ms_; }
  Position position();

  /// Where it was committed, or read if it wrote nothing. Nothing: it has lost against another commit and
  /// must run again. After it the run is over.
  std::optional<Position> commit();
  /// commit() without waiting, of a run that has writes; an outcome that is not committed has lost.
  void submit(const std::shared_ptr<EngineDatabase>& database, CommitDone done);
  /// Where it read; {0, 0} if it did not.
  Position read_at() const { return at_; }
  bool has_writes() const { return !writes_.empty() || !stamped_.empty(); }
  /// Whether all that was read is still true.
  bool reads_hold();
  /// Whether the run has lost already.
  bool is_broken() const { return is_broken_; }
  /// Whether a call of the backend failed: an exception of the body then says nothing about what was read.
  bool has_failed() const { return has_failed_; }

 private:
  using Writes = absl::btree_map<Bytes, Write, std::less<>>;

  /// What is to be committed. After it the run is over.
  Batch take_batch();
  void validate(View key) const;
  // These take the engine's own keys as well.
  std::optional<Entry> get_valid(View key);
  void write_valid(Write write);
  [[noreturn]] void lose();
  ReadAnswer read(ReadRequest request);
  ReadAnswer call(const ReadRequest& request);
  bool has_moved(const ReadAnswer& answer) const;
  void note_expiry(const std::optional<UnixMs>& expires_at_ms);
  void add_check(Check check);
  void add_point_check(View key, const std::optional<Entry>& entry);
  const Check* find_point_check(View key);
  void add_range_checks(const Range& covered);
  std::optional<Entry> own_entry(const Write& write, bool keys_only) const;
  std::size_t own_removals(const Range& range) const;
  std::vector<Entry> with_own_writes(std::vector<Entry> stored, const Range& covered,
                                     const ScanOptions& options) const;

  Engine& engine_;
  EngineDatabase& database_;
  const Deadline deadline_;
  const KeySpace space_;
  const UnixMs now_ms_;

  bool is_broken_ = false;
  bool has_failed_ = false;
  bool has_read_ = false;
  Position at_;                        ///< of the latest read
  UnixMs time_ms_;                     ///< the effective time of the latest read
  UnixMs next_expiry_ms_ = INT64_MAX;  ///< of all that was read: from then on it is not true any more
  std::vector<Check> checks_;
  absl::btree_map<Bytes, std::size_t, std::less<>> check_index_;  ///< of point checks, once there are many
  std::size_t indexed_checks_ = 0;
  Writes writes_;
  std::vector<Write> stamped_;
  std::vector<std::pair<ObjectId, ObjectRecord>> released_;
};

}  // namespace holdfast
