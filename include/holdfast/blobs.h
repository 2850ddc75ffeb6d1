// Blobs: bytes of any size under a key, with a content type, metadata and a hash.
//
//     holdfast::Blobs blobs(store->database("app"));
//     blobs.put("photos/1.jpg", bytes, {.content_type = "image/jpeg"});
//     blobs.put_file("backup.tar", "/var/backups/backup.tar");
//     if (auto head = blobs.get("backup.tar", {.size_bytes = 512})) use(head->bytes);
//
// A cheap handle, thread-safe. Keys have 1 to 1,024 bytes; lists are in their byte order. A blob appears, is
// replaced and goes in one commit: nobody sees half of one. Its bytes are uploaded before that commit, in
// pieces, so that memory stays below 16 MiB whatever the size; what an upload that was interrupted has left
// is removed within 24 hours of its begin.
//
// Methods throw Error: invalid_argument for what is no key, content type, metadata or limit, conflict for a
// blob that is replaced or erased while it is read, corruption for bytes that are missing, and what the
// database and the file system throw.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>

#include "holdfast/listing.h"
#include "holdfast/objects.h"
#include "holdfast/payload.h"
#include "holdfast/store.h"

namespace holdfast {

namespace limits {

/// The content type: printable ASCII.
inline constexpr std::size_t kContentTypeBytes = 255;
/// The metadata: the text of a JSON object.
inline constexpr std::size_t kBlobMetadataBytes = std::size_t{16} << 10;
/// What Blobs::get() gives at once.
inline constexpr std::size_t kBlobGetBytes = std::size_t{64} << 20;

}  // namespace limits

struct BlobInfo {
  Bytes key;
  std::uint64_t size_bytes = 0;
  Bytes hash;  ///< BLAKE2b-256 of the bytes, 64 lower-case hexadecimal digits
  Bytes content_type;
  Payload metadata;
  UnixMs created_at_ms = 0;  ///< when the key was put that had no blob before
  UnixMs updated_at_ms = 0;  ///< when these bytes were put
  /// Changes with every put and rename; for conditions. 0 in what put(Transaction&) and stat(Transaction&)
  /// return of the transaction's own writes, since it is the commit that gives it.
  Seq version = 0;
  bool operator==(const BlobInfo&) const = default;
};

struct Blob {
  BlobInfo info;
  Bytes bytes;  ///< those asked for
};

/// Called after every piece with how much went through, and how much it will be, if that is known. To cancel
/// let it throw: the exception passes on, and nothing has changed.
using BlobProgress = std::function<void(std::uint64_t done_bytes, std::optional<std::uint64_t> total_bytes)>;
/// Takes one piece; the view is valid during the call. To cancel let it throw.
using ByteSink = std::function<void(View piece)>;

struct BlobPutOptions {
  Bytes content_type = "application/octet-stream";
  /// A JSON object of the application's.
  Payload metadata = nlohmann::json::object();
  /// Puts nothing if there is a blob.
  bool only_if_absent = false;
  /// Puts nothing unless there is a blob of this version.
  std::optional<Seq> only_if_version = {};
  /// How many bytes there will be: invalid_argument, and nothing is put, if there are more or less.
  std::optional<std::uint64_t> size_bytes = {};
  /// What their hash will be, as in BlobInfo: invalid_argument, and nothing is put, if it is another.
  std::optional<Bytes> hash = {};
  BlobProgress progress = {};
};

struct BlobReadOptions {
  std::uint64_t offset = 0;
  /// As far as the blob reaches; all of it if not given.
  std::optional<std::uint64_t> size_bytes = {};
  BlobProgress progress = {};
};

/// Bytes that were uploaded for a key and wait for the commit that puts them there. A plain value. One that
/// no commit has put within 24 hours is gone. A second put of the same one changes nothing but times.
class StagedBlob {
 public:
  /// Without times and version.
  const BlobInfo& info() const { return info_; }

 private:
  friend class Blobs;
  StagedBlob() = default;

  BlobInfo info_;
  Bytes stored_key_;
  ObjectId object_;
  bool only_if_absent_ = false;
  std::optional<Seq> only_if_version_;
};

/// Reads the bytes that a blob had when it was opened, piece by piece. For one thread at a time; valid as
/// long as the store is.
class BlobReader {
 public:
  const BlobInfo& info() const { return info_; }
  /// The next piece, at most 4 MiB; empty at the end. Throws conflict if the blob was replaced or erased
  /// before all of it was read: open it again. Cost: one read, and one more to report that.
  Bytes next();

 private:
  friend class Blobs;
  BlobReader(Database database, Bytes stored_key, BlobInfo info, ObjectId object, BlobReadOptions options);
  /// Nothing instead of throwing conflict.
  std::optional<Bytes> try_next();
  std::optional<Bytes> try_rest();

  Database database_;
  Bytes stored_key_;
  BlobInfo info_;
  ObjectId object_;
  BlobProgress progress_;
  std::uint64_t begin_ = 0;
  std::uint64_t at_ = 0;
  std::uint64_t end_ = 0;
};

class Blobs {
 public:
  /// The blobs live under "<prefix>/" in the database: 1 to 100 bytes, not beginning with '!'. put_file() and
  /// get_file() use `files`, the machine's if there are none.
  explicit Blobs(Database database, View prefix = "blobs", std::shared_ptr<FileSystem> files = {});

  /// Nothing if a condition did not hold; conditions are looked at before the upload as well. Cost: an
  /// upload, which is a commit for every 4 MiB, and a commit.
  std::optional<BlobInfo> put(View key, View bytes, const BlobPutOptions& options = {});
  std::optional<BlobInfo> put(View key, const ByteSource& source, const BlobPutOptions& options = {});
  /// From where the stream stands to its end. Throws unavailable if it fails.
  std::optional<BlobInfo> put(View key, std::istream& stream, const BlobPutOptions& options = {});
  /// Throws invalid_argument if the file changes its size meanwhile.
  std::optional<BlobInfo> put_file(View key, const std::string& path, const BlobPutOptions& options = {});

  /// The upload of a put that is to be part of a transaction: stage before it, put in its body.
  StagedBlob stage(View key, View bytes, const BlobPutOptions& options = {}) const;
  StagedBlob stage(View key, const ByteSource& source, const BlobPutOptions& options = {}) const;
  /// Throws not_found if the staged bytes are gone.
  std::optional<BlobInfo> put(Transaction& transaction, const StagedBlob& staged) const;
  /// Frees at once what was staged and not put; else that happens 24 hours later.
  void discard(const StagedBlob& staged);

  /// Nothing if there is no such blob. Cost: one read.
  std::optional<BlobInfo> stat(View key) const;
  std::optional<BlobInfo> stat(Transaction& transaction, View key) const;
  /// Into memory, and of one state of the blob even if it is replaced meanwhile. Throws invalid_argument for
  /// more than limits::kBlobGetBytes. Nothing if there is no such blob. Cost: two reads for up to 4 MiB.
  std::optional<Blob> get(View key, const BlobReadOptions& options = {}) const;
  std::optional<Blob> get(Transaction& transaction, View key, const BlobReadOptions& options = {}) const;

  /// Any size, piece by piece; nothing if there is no such blob.
  std::optional<BlobReader> open(View key, const BlobReadOptions& options = {}) const;
  std::optional<BlobInfo> read(View key, const ByteSink& sink, const BlobReadOptions& options = {}) const;
  /// Throws unavailable if the stream fails.
  std::optional<BlobInfo> read(View key, std::ostream& stream, const BlobReadOptions& options = {}) const;
  /// Replaces the file `path` atomically and durably, by way of another file "<path>.<n>.part" beside it.
  std::optional<BlobInfo> get_file(View key, const std::string& path,
                                   const BlobReadOptions& options = {}) const;

  /// Whether there was such a blob, and of that version if one is given.
  bool erase(View key, std::optional<Seq> only_if_version = {});
  bool erase(Transaction& transaction, View key, std::optional<Seq> only_if_version = {}) const;
  /// Moves a blob to another key, replacing what is there; false if there is none. Cost: one commit, whatever
  /// the size.
  bool rename(View from, View to);
  bool rename(Transaction& transaction, View from, View to) const;
  /// Content type and metadata included, replacing what is there; nothing if there is none. For a copy in a
  /// transaction stage what open() reads. Cost: an upload.
  std::optional<BlobInfo> copy(View from, View to, const BlobProgress& progress = {});

  /// Reads all bytes and hashes them again; throws corruption if they are not those that were put. Nothing if
  /// there is no such blob.
  std::optional<BlobInfo> verify(View key, const BlobProgress& progress = {}) const;

  /// By key.
  Listing<BlobInfo> list(const ListOptions& options = {}) const;

 private:
  Bytes key_of(View key) const;
  std::optional<BlobInfo> commit(const StagedBlob& staged);

  Database database_;
  Bytes prefix_;
  std::shared_ptr<FileSystem> files_;
};

}  // namespace holdfast
