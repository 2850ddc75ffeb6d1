// Objects for backends that have none of their own: pieces of at most 1 MiB, each an entry.
//
//     !object/info/<id>          {"created_at_ms":n,"size_bytes":n,"pieces":n,"complete":true|false}
//     !object/data/<id>/<8 hex>  the bytes of one piece: all have kObjectPieceBytes but the last
//
// An upload begins with an info that is not complete and that expires after 24 hours; every later commit of
// it checks that the info is still the same, and the last one replaces it by a complete one. That one expires
// 24 hours later, unless a transaction keeps it. So a reader never sees half an object, and the remains of an
// upload that was interrupted, or never referred to, are an entry that the sweeper finds when it expires: it
// erases the pieces and then the info. An object is erased in one commit, or if there are too many pieces for
// it by replacing its info with one that has expired already, which is then collected.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "holdfast/objects.h"

namespace holdfast {

class Engine;
class EngineDatabase;
struct Batch;

inline constexpr std::size_t kObjectPieceBytes = std::size_t{1} << 20;
/// Pieces of one commit, and so the memory of an upload in MiB.
inline constexpr std::size_t kObjectPiecesPerCommit = 4;
/// An upload that takes longer is given up; what is not kept for longer after it is collected.
inline constexpr std::int64_t kUploadMs = 24ll * 3600 * 1000;
/// Pieces that one commit of the sweeper erases.
inline constexpr std::size_t kObjectPiecesPerErase = 1'000;
/// Objects of at most so many pieces are erased at once; others are left to the sweeper.
inline constexpr std::size_t kObjectPiecesAtOnce = 64;

/// What "!object/info/<id>" says.
struct ObjectRecord {
  UnixMs created_at_ms = 0;
  std::uint64_t size_bytes = 0;
  std::uint64_t pieces = 0;
  bool complete = false;

  Bytes text() const;
  /// Throws corruption.
  static ObjectRecord parse(View text);
  bool operator==(const ObjectRecord&) const = default;
};

/// Throws invalid_argument for what is no id.
Bytes object_info_key(View id);
/// What a commit writes so that the object is gone with it, and no later than `now_ms`: one write if its
/// pieces may not go at once.
std::vector<Write> writes_to_erase_object(View id, ObjectRecord record, UnixMs now_ms, bool may_go_at_once);

class EntryObjects final : public Objects {
 public:
  EntryObjects(Engine& engine, std::shared_ptr<EngineDatabase> database)
      : engine_(engine), database_(std::move(database)) {}

  /// Without a deadline each of its commits has the store's default. If the source throws, what was uploaded
  /// is erased and the exception passed on.
  ObjectId put(const ByteSource& source, Deadline deadline = {}) override;
  /// One snapshot up to 7 MiB; beyond that several, which is no difference, since objects do not change.
  std::optional<Bytes> get(const ObjectId& id, std::uint64_t offset, std::size_t size_bytes,
                           Deadline deadline = {}) override;
  std::optional<ObjectInfo> stat(const ObjectId& id, Deadline deadline = {}) override;
  /// Also ends an upload that runs.
  bool erase(const ObjectId& id, Deadline deadline = {}) override;
  std::vector<ObjectInfo> list(UnixMs created_before_ms, View after, std::size_t limit,
                               Deadline deadline = {}) override;

  /// Removes the pieces and the info of an upload whose info has expired; how many entries. Nothing happens
  /// to an object whose info is live.
  std::size_t collect_expired(View id, Deadline deadline = {});

 private:
  class Upload;

  Seq commit(Batch batch, Deadline deadline);

  Engine& engine_;
  const std::shared_ptr<EngineDatabase> database_;
};

}  // namespace holdfast
