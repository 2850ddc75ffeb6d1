// Layout
//     <prefix>/<key>     a BlobRecord (blob_record.h), which names an object with the bytes
#include "holdfast/blobs.h"

#include <algorithm>
#include <istream>
#include <ostream>
#include <string>
#include <utility>

#include "holdfast/error.h"
#include "services/blake2b.h"
#include "services/blob_files.h"
#include "services/blob_record.h"
#include "services/keys.h"
#include "services/lister.h"

namespace holdfast {
namespace {

constexpr std::size_t kWritePieceBytes = std::size_t{1} << 20;
constexpr std::size_t kReadPieceBytes = std::size_t{4} << 20;

ByteSource source_of(View bytes) {
  return [bytes]() mutable {
    Bytes piece(bytes.substr(0, kWritePieceBytes));
    bytes.remove_prefix(piece.size());
    return piece;
  };
}

ByteSource source_of(std::istream& stream) {
  return [&stream] {
    Bytes piece(kWritePieceBytes, '\0');
    stream.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    piece.resize(static_cast<std::size_t>(stream.gcount()));
    if (stream.bad() || (stream.fail() && !stream.eof())) {
      throw Error(Code::unavailable, "the stream that a blob is put from failed; put it again");
    }
    return piece;
  };
}

BlobPutOptions with_size(BlobPutOptions options, std::uint64_t size_bytes) {
  if (!options.size_bytes) options.size_bytes = size_bytes;
  return options;
}

bool conditions_hold(bool only_if_absent, const std::optional<Seq>& only_if_version,
                     const std::optional<Entry>& previous) {
  if (only_if_absent && previous) return false;
  return !only_if_version || (previous && previous->version == *only_if_version);
}

/// Passes pieces on, and knows what went through when they end.
class Measured {
 public:
  Measured(const ByteSource& source, const BlobPutOptions& options) : source_(source), options_(options) {}

  Bytes next() {
    Bytes piece = source_();
    hash_.add(piece);
    size_bytes_ += piece.size();
    if (options_.size_bytes && size_bytes_ > *options_.size_bytes) fail_for_size("more");
    if (!piece.empty()) {
      if (options_.progress) options_.progress(size_bytes_, options_.size_bytes);
      return piece;
    }
    if (options_.size_bytes && size_bytes_ < *options_.size_bytes) fail_for_size(std::to_string(size_bytes_));
    hex_ = hash_.hex();
    if (options_.hash && hex_ != *options_.hash) {
      throw Error(Code::invalid_argument, "the bytes of a blob have another hash than was announced");
    }
    return piece;
  }

  std::uint64_t size_bytes() const { return size_bytes_; }
  const Bytes& hash() const { return hex_; }

 private:
  [[noreturn]] void fail_for_size(const std::string& found) const {
    throw Error(Code::invalid_argument, "a blob of " + std::to_string(*options_.size_bytes) +
                                            " bytes was announced, and there are " + found);
  }

  const ByteSource& source_;
  const BlobPutOptions& options_;
  Blake2b hash_;
  std::uint64_t size_bytes_ = 0;
  Bytes hex_;
};

[[noreturn]] void fail_as_replaced() {
  throw Error(Code::conflict, "a blob was replaced or erased while it was read; read it again");
}

[[noreturn]] void fail_as_incomplete() {
  throw Error(Code::corruption, "the bytes of a blob are missing; restore the database from a backup");
}

[[noreturn]] void fail_as_other_bytes() {
  throw Error(Code::corruption,
              "the bytes of a blob are not those that were put; restore the database from a backup");
}

std::uint64_t bytes_in(const BlobInfo& info, const BlobReadOptions& options) {
  const std::uint64_t begin = std::min(options.offset, info.size_bytes);
  return std::min(options.size_bytes.value_or(info.size_bytes), info.size_bytes - begin);
}

}  // namespace

// ---- BlobReader

BlobReader::BlobReader(Database database, Bytes stored_key, BlobInfo info, ObjectId object,
                       BlobReadOptions options)
    : database_(std::move(database)),
      stored_key_(std::move(stored_key)),
      info_(std::move(info)),
      object_(std::move(object)),
      progress_(std::move(options.progress)),
      begin_(std::min(options.offset, info_.size_bytes)),
      at_(begin_),
      end_(begin_ + bytes_in(info_, options)) {}

Bytes BlobReader::next() {
  std::optional<Bytes> piece = try_next();
  if (!piece) fail_as_replaced();
  return std::move(*piece);
}

std::optional<Bytes> BlobReader::try_next() {
  if (at_ == end_) return Bytes();
  const std::uint64_t wanted = std::min(kReadPieceBytes - at_ % kReadPieceBytes, end_ - at_);
  std::optional<Bytes> piece = database_.objects().get(object_, at_, wanted);
  if (!piece) {
    const std::optional<Entry> entry = database_.get(stored_key_);
    if (entry && BlobRecord::parse(info_.key, *entry).object == object_) fail_as_incomplete();
    return std::nullopt;
  }
  if (piece->size() != wanted) fail_as_incomplete();
  at_ += wanted;
  if (progress_) progress_(at_ - begin_, end_ - begin_);
  return piece;
}

std::optional<Bytes> BlobReader::try_rest() {
  if (end_ - at_ > limits::kBlobGetBytes) {
    throw Error(Code::invalid_argument, "get of " + std::to_string(end_ - at_) +
                                            " bytes of a blob: the maximum is " +
                                            std::to_string(limits::kBlobGetBytes) + "; read it as a stream");
  }
  Bytes rest;
  rest.reserve(end_ - at_);
  while (at_ < end_) {
    const std::optional<Bytes> piece = try_next();
    if (!piece) return std::nullopt;
    rest += *piece;
  }
  return rest;
}

// ---- Blobs

Blobs::Blobs(Database database, View prefix, std::shared_ptr<FileSystem> files)
    : database_(std::move(database)),
      prefix_(prefix),
      files_(files != nullptr ? std::move(files) : system_files()) {
  validate_service_prefix(prefix);
  prefix_ += '/';
}

Bytes Blobs::key_of(View key) const {
  validate_user_key(key, "the key of a blob");
  return prefix_ + Bytes(key);
}

std::optional<BlobInfo> Blobs::put(View key, View bytes, const BlobPutOptions& options) {
  return put(key, source_of(bytes), with_size(options, bytes.size()));
}

std::optional<BlobInfo> Blobs::put(View key, std::istream& stream, const BlobPutOptions& options) {
  return put(key, source_of(stream), options);
}

std::optional<BlobInfo> Blobs::put_file(View key, const std::string& path, const BlobPutOptions& options) {
  const std::shared_ptr<File> file = files_->open(path, FileMode::read);
  return put(key, file_source(file), with_size(options, file->size_bytes()));
}

std::optional<BlobInfo> Blobs::put(View key, const ByteSource& source, const BlobPutOptions& options) {
  const bool is_conditional = options.only_if_absent || options.only_if_version;
  if (is_conditional &&
      !conditions_hold(options.only_if_absent, options.only_if_version, database_.get(key_of(key)))) {
    return std::nullopt;
  }
  return commit(stage(key, source, options));
}

StagedBlob Blobs::stage(View key, View bytes, const BlobPutOptions& options) const {
  return stage(key, source_of(bytes), with_size(options, bytes.size()));
}

StagedBlob Blobs::stage(View key, const ByteSource& source, const BlobPutOptions& options) const {
  StagedBlob staged;
  staged.stored_key_ = key_of(key);
  validate_content_type(options.content_type);
  validate_metadata(options.metadata);
  Measured measured(source, options);
  staged.object_ = database_.objects().put([&] { return measured.next(); });
  staged.info_ = {Bytes(key), measured.size_bytes(), measured.hash(), options.content_type, options.metadata};
  staged.only_if_absent_ = options.only_if_absent;
  staged.only_if_version_ = options.only_if_version;
  return staged;
}

std::optional<BlobInfo> Blobs::commit(const StagedBlob& staged) {
  const auto try_to_discard = [&] {
    try {
      discard(staged);
    } catch (const Error&) {
      // Then the sweeper does it.
    }
  };
  std::optional<BlobInfo> info;
  try {
    const Position at =
        database_.transact([&](Transaction& transaction) { info = put(transaction, staged); });
    if (info) info->version = at.seq;
  } catch (const Error& error) {
    if (error.retry() != Retry::unknown_outcome) try_to_discard();
    throw;
  }
  if (!info) try_to_discard();
  return info;
}

std::optional<BlobInfo> Blobs::put(Transaction& transaction, const StagedBlob& staged) const {
  const std::optional<Entry> previous = transaction.get(staged.stored_key_);
  if (!conditions_hold(staged.only_if_absent_, staged.only_if_version_, previous)) return std::nullopt;
  BlobRecord record{staged.object_, staged.info_};
  record.info.created_at_ms = record.info.updated_at_ms = transaction.now();
  transaction.keep(staged.object_);
  if (previous) {
    const BlobRecord replaced = BlobRecord::parse(staged.info_.key, *previous);
    record.info.created_at_ms = replaced.info.created_at_ms;
    if (replaced.object != staged.object_) transaction.release(replaced.object);
  }
  transaction.put(staged.stored_key_, record.text());
  return std::move(record.info);
}

void Blobs::discard(const StagedBlob& staged) {
  database_.transact([&](Transaction& transaction) {
    const std::optional<Entry> entry = transaction.get(staged.stored_key_);
    const bool is_put = entry && BlobRecord::parse(staged.info_.key, *entry).object == staged.object_;
    if (!is_put) transaction.release(staged.object_);
  });
}

std::optional<BlobInfo> Blobs::stat(View key) const {
  const std::optional<Entry> entry = database_.get(key_of(key));
  if (!entry) return std::nullopt;
  return BlobRecord::parse(key, *entry).info;
}

std::optional<BlobInfo> Blobs::stat(Transaction& transaction, View key) const {
  const std::optional<Entry> entry = transaction.get(key_of(key));
  if (!entry) return std::nullopt;
  return BlobRecord::parse(key, *entry).info;
}

std::optional<BlobReader> Blobs::open(View key, const BlobReadOptions& options) const {
  const Bytes stored_key = key_of(key);
  const std::optional<Entry> entry = database_.get(stored_key);
  if (!entry) return std::nullopt;
  BlobRecord record = BlobRecord::parse(key, *entry);
  return BlobReader(database_, stored_key, std::move(record.info), std::move(record.object), options);
}

std::optional<Blob> Blobs::get(View key, const BlobReadOptions& options) const {
  for (;;) {
    std::optional<BlobReader> reader = open(key, options);
    if (!reader) return std::nullopt;
    if (std::optional<Bytes> bytes = reader->try_rest()) return Blob{reader->info(), std::move(*bytes)};
  }
}

std::optional<Blob> Blobs::get(Transaction& transaction, View key, const BlobReadOptions& options) const {
  const Bytes stored_key = key_of(key);
  const std::optional<Entry> entry = transaction.get(stored_key);
  if (!entry) return std::nullopt;
  BlobRecord record = BlobRecord::parse(key, *entry);
  BlobReader reader(database_, stored_key, std::move(record.info), std::move(record.object), options);
  std::optional<Bytes> bytes = reader.try_rest();
  // What the transaction has read does not hold any more, and it runs again.
  if (!bytes) fail_as_replaced();
  return Blob{reader.info(), std::move(*bytes)};
}

std::optional<BlobInfo> Blobs::read(View key, const ByteSink& sink, const BlobReadOptions& options) const {
  std::optional<BlobReader> reader = open(key, options);
  if (!reader) return std::nullopt;
  for (Bytes piece = reader->next(); !piece.empty(); piece = reader->next()) sink(piece);
  return reader->info();
}

std::optional<BlobInfo> Blobs::read(View key, std::ostream& stream, const BlobReadOptions& options) const {
  const auto sink = [&](View piece) {
    stream.write(piece.data(), static_cast<std::streamsize>(piece.size()));
    if (!stream) throw Error(Code::unavailable, "the stream that a blob is written to failed; read it again");
  };
  return read(key, sink, options);
}

std::optional<BlobInfo> Blobs::get_file(View key, const std::string& path,
                                        const BlobReadOptions& options) const {
  std::optional<BlobReader> reader = open(key, options);
  if (!reader) return std::nullopt;
  FileReplacement file(*files_, path);
  for (Bytes piece = reader->next(); !piece.empty(); piece = reader->next()) file.add(piece);
  file.put_in_place();
  return reader->info();
}

bool Blobs::erase(View key, std::optional<Seq> only_if_version) {
  return database_.transact(
      [&](Transaction& transaction) { return erase(transaction, key, only_if_version); });
}

bool Blobs::erase(Transaction& transaction, View key, std::optional<Seq> only_if_version) const {
  const std::optional<Entry> entry = transaction.get(key_of(key));
  if (!entry || !conditions_hold(false, only_if_version, entry)) return false;
  transaction.release(BlobRecord::parse(key, *entry).object);
  transaction.erase(entry->key);
  return true;
}

bool Blobs::rename(View from, View to) {
  return database_.transact([&](Transaction& transaction) { return rename(transaction, from, to); });
}

bool Blobs::rename(Transaction& transaction, View from, View to) const {
  const Bytes target_key = key_of(to);
  const std::optional<Entry> entry = transaction.get(key_of(from));
  if (!entry || entry->key == target_key) return entry.has_value();
  if (const std::optional<Entry> replaced = transaction.get(target_key)) {
    transaction.release(BlobRecord::parse(to, *replaced).object);
  }
  transaction.put(target_key, entry->value);
  transaction.erase(entry->key);
  return true;
}

std::optional<BlobInfo> Blobs::copy(View from, View to, const BlobProgress& progress) {
  validate_user_key(to, "the key of a blob");
  std::optional<BlobReader> reader = open(from);
  if (!reader) return std::nullopt;
  const BlobInfo& info = reader->info();
  const StagedBlob staged = stage(to, [&] { return reader->next(); },
                                  {.content_type = info.content_type,
                                   .metadata = info.metadata,
                                   .size_bytes = info.size_bytes,
                                   .progress = progress});
  if (staged.info_.hash != info.hash) {
    discard(staged);
    fail_as_other_bytes();
  }
  return commit(staged);
}

std::optional<BlobInfo> Blobs::verify(View key, const BlobProgress& progress) const {
  Blake2b hash;
  const auto info = read(key, [&](View piece) { hash.add(piece); }, {.progress = progress});
  if (info && hash.hex() != info->hash) fail_as_other_bytes();
  return info;
}

Listing<BlobInfo> Blobs::list(const ListOptions& options) const {
  Listing<BlobInfo> listing;
  listing.cursor = list_entries(database_, prefix_, options, [&](View user_key, Entry& entry) {
    const std::size_t size_bytes = entry.key.size() + entry.value.size();
    listing.items.push_back(BlobRecord::parse(user_key, entry).info);
    return size_bytes;
  });
  return listing;
}

}  // namespace holdfast
