#include "holdfast/blobs.h"

#include <algorithm>
#include <atomic>
#include <fstream>
#include <sstream>

#include "environment/xoshiro.h"
#include "services/blake2b.h"
#include "tests/services/service_test.h"
#include "tests/support/simulated_file_system.h"

namespace holdfast {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

constexpr std::size_t kMiB = std::size_t{1} << 20;

/// The same bytes for the same seed.
Bytes noise(std::size_t size_bytes, std::uint64_t seed = 1) {
  Xoshiro256 random(seed);
  Bytes bytes;
  bytes.reserve(size_bytes + 8);
  while (bytes.size() < size_bytes) {
    const std::uint64_t number = random();
    bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
  }
  bytes.resize(size_bytes);
  return bytes;
}

/// Gives `bytes` in pieces of growing size.
ByteSource uneven(Bytes bytes) {
  return [bytes = std::move(bytes), at = std::size_t{0}, size = std::size_t{1}]() mutable {
    Bytes piece = bytes.substr(at, size);
    at += piece.size();
    size = size * 2 + 1;
    return piece;
  };
}

class BlobsTest : public ServiceTest {
 protected:
  Blobs blobs() { return Blobs(database()); }
  Bytes bytes_of(View key) {
    const std::optional<Blob> blob = blobs().get(key);
    return blob ? blob->bytes : "nothing";
  }
  std::string path(const std::string& name) const { return files_.path() + "/" + name; }
  static std::shared_ptr<SimulatedFileSystem> simulated_files() {
    auto files = SimulatedFileSystem::make({});
    files->create_folder("/files");
    return files;
  }
  /// Entries of the database when everything that can be removed is.
  std::uint64_t entries_left() {
    store()->sweep();
    return stored_entries();
  }

 private:
  testing_support::TemporaryFolder files_;
};

HOLDFAST_ON_EVERY_TARGET(BlobsTest);

const std::vector<std::size_t> kSizes = {0, 1, kMiB - 1, kMiB, kMiB + 1, 4 * kMiB, 9 * kMiB + 7};

TEST_P(BlobsTest, gives_back_bytes_of_every_size_from_memory) {
  for (const std::size_t size : kSizes) {
    const Bytes bytes = noise(size);
    const std::optional<BlobInfo> put = blobs().put("key", bytes);
    const std::optional<Blob> blob = blobs().get("key");
    ASSERT_TRUE(put && blob);
    EXPECT_EQ(put->size_bytes, size);
    EXPECT_EQ(put->hash, blake2b_hex(bytes));
    EXPECT_EQ(blob->info.size_bytes, size);
    EXPECT_TRUE(blob->bytes == bytes) << size;
  }
}

TEST_P(BlobsTest, gives_back_bytes_of_every_size_from_a_source_to_a_sink) {
  for (const std::size_t size : kSizes) {
    const Bytes bytes = noise(size);
    blobs().put("key", uneven(bytes));
    Bytes read;
    EXPECT_EQ(blobs().read("key", [&](View piece) { read += piece; })->size_bytes, size);
    EXPECT_TRUE(read == bytes) << size;
  }
}

TEST_P(BlobsTest, gives_back_bytes_of_every_size_from_stream_to_stream) {
  for (const std::size_t size : kSizes) {
    const Bytes bytes = noise(size);
    std::istringstream in(bytes);
    blobs().put("key", in);
    std::ostringstream out;
    EXPECT_EQ(blobs().read("key", out)->size_bytes, size);
    EXPECT_TRUE(out.str() == bytes) << size;
  }
}

TEST_P(BlobsTest, gives_back_bytes_of_every_size_from_file_to_file) {
  for (const std::size_t size : kSizes) {
    const Bytes bytes = noise(size);
    std::ofstream(path("in")) << bytes;
    blobs().put_file("key", path("in"));
    EXPECT_EQ(blobs().get_file("key", path("out"))->size_bytes, size);
    std::ostringstream out;
    out << std::ifstream(path("out")).rdbuf();
    EXPECT_TRUE(out.str() == bytes) << size;
  }
}

TEST_P(BlobsTest, what_was_put_is_there_when_the_store_is_opened_again) {
  if (!outlives_process()) GTEST_SKIP() << "kept in memory";
  const Bytes bytes = noise(2 * kMiB);
  blobs().put("key", bytes);
  reopen();
  EXPECT_TRUE(bytes_of("key") == bytes);
}

TEST_P(BlobsTest, an_unknown_key_is_nothing) {
  EXPECT_FALSE(blobs().stat("unknown"));
  EXPECT_FALSE(blobs().get("unknown"));
  EXPECT_FALSE(blobs().open("unknown"));
  EXPECT_FALSE(blobs().read("unknown", [](View) {}));
  EXPECT_FALSE(blobs().get_file("unknown", path("out")));
  EXPECT_FALSE(std::ifstream(path("out")).is_open());
  EXPECT_FALSE(blobs().verify("unknown"));
  EXPECT_FALSE(blobs().erase("unknown"));
  EXPECT_FALSE(blobs().rename("unknown", "other"));
  EXPECT_FALSE(blobs().copy("unknown", "other"));
}

TEST_P(BlobsTest, stat_tells_what_was_put_and_when) {
  const Payload metadata = Payload::parse("{\"width\": 1.10, \"tags\": [\"a\\\"b\", {}]}");
  const UnixMs created_at_ms = clock().now_ms();
  blobs().put("key", "abc", {.content_type = "text/plain; charset=\"utf\\8\"", .metadata = metadata});
  std::optional<BlobInfo> info = blobs().stat("key");
  ASSERT_TRUE(info);
  EXPECT_EQ(info->key, "key");
  EXPECT_EQ(info->size_bytes, 3u);
  EXPECT_EQ(info->hash, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
  EXPECT_EQ(info->content_type, "text/plain; charset=\"utf\\8\"");
  EXPECT_EQ(info->metadata, metadata);
  EXPECT_EQ(info->created_at_ms, created_at_ms);
  EXPECT_EQ(info->updated_at_ms, created_at_ms);

  advance(milliseconds(5));
  const Seq first_version = info->version;
  blobs().put("key", "abcd");
  info = blobs().stat("key");
  EXPECT_EQ(info->content_type, "application/octet-stream");
  EXPECT_EQ(info->metadata.text(), "{}");
  EXPECT_EQ(info->created_at_ms, created_at_ms);
  EXPECT_EQ(info->updated_at_ms, created_at_ms + 5);
  EXPECT_GT(info->version, first_version);
}

TEST_P(BlobsTest, what_put_returns_is_what_stat_tells) {
  const BlobInfo put = *blobs().put("key", "abc", {.content_type = "text/plain"});
  EXPECT_EQ(put, *blobs().stat("key"));
  const BlobInfo copy = *blobs().copy("key", "copy");
  EXPECT_EQ(copy, *blobs().stat("copy"));
  const BlobInfo replaced = *blobs().put("key", "abcd", {.only_if_version = put.version});
  EXPECT_EQ(replaced, *blobs().stat("key"));
}

TEST_P(BlobsTest, every_byte_may_stand_in_a_key) {
  Bytes key;
  for (int i = 0; i < 256; ++i) key += static_cast<char>(i);
  blobs().put(key, "1");
  blobs().put(Bytes(1'024, '/'), "2");
  EXPECT_EQ(bytes_of(key), "1");
  EXPECT_EQ(bytes_of(Bytes(1'024, '/')), "2");
}

TEST_P(BlobsTest, what_is_beyond_a_limit_is_refused_and_leaves_nothing) {
  const auto refused = [&](View key, const BlobPutOptions& options) {
    return code_of([&] { blobs().put(key, "bytes", options); }) == Code::invalid_argument;
  };
  EXPECT_TRUE(refused("", {}));
  EXPECT_TRUE(refused(Bytes(1'025, 'k'), {}));
  EXPECT_TRUE(refused("key", {.content_type = ""}));
  EXPECT_TRUE(refused("key", {.content_type = Bytes(256, 'x')}));
  EXPECT_TRUE(refused("key", {.content_type = "text/plain\n"}));
  EXPECT_TRUE(refused("key", {.content_type = "text/\xc3\xa4"}));
  EXPECT_TRUE(refused("key", {.metadata = 7}));
  EXPECT_TRUE(refused("key", {.metadata = Payload::bytes("{}")}));
  EXPECT_TRUE(refused("key", {.metadata = nlohmann::json{{"a", Bytes(16 << 10, 'x')}}}));
  EXPECT_EQ(code_of([&] { Blobs(database(), "!blobs"); }), Code::invalid_argument);
  EXPECT_EQ(stored_entries(), 0u);
  const Payload largest = nlohmann::json{{"a", Bytes((16 << 10) - 8, 'x')}};
  EXPECT_TRUE(blobs().put("key", "bytes", {.content_type = Bytes(255, 'x'), .metadata = largest}));
  EXPECT_EQ(blobs().stat("key")->metadata, largest);
}

TEST_P(BlobsTest, any_range_can_be_read) {
  const Bytes bytes = noise(9 * kMiB + 7);
  blobs().put("key", bytes);
  for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{kMiB - 1},
                                     std::uint64_t{4 * kMiB}, std::uint64_t{bytes.size() - 1}}) {
    for (const std::uint64_t size :
         {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{kMiB}, std::uint64_t{5 * kMiB + 3}, UINT64_MAX}) {
      const Bytes expected = bytes.substr(offset, size);
      EXPECT_TRUE(blobs().get("key", {.offset = offset, .size_bytes = size})->bytes == expected)
          << offset << " " << size;
      std::ostringstream out;
      blobs().read("key", out, {.offset = offset, .size_bytes = size});
      EXPECT_TRUE(out.str() == expected) << offset << " " << size;
    }
  }
}

TEST_P(BlobsTest, a_range_behind_the_end_is_empty) {
  blobs().put("key", "abc");
  EXPECT_EQ(blobs().get("key", {.offset = 3})->bytes, "");
  EXPECT_EQ(blobs().get("key", {.offset = UINT64_MAX, .size_bytes = UINT64_MAX})->bytes, "");
  EXPECT_EQ(blobs().get("key", {.offset = 2})->info.size_bytes, 3u) << "of the blob, not of the range";
}

TEST_P(BlobsTest, get_refuses_what_is_too_large_for_memory_and_streams_give_it) {
  const std::uint64_t size = limits::kBlobGetBytes + 1;
  const Bytes piece(kMiB, 'x');
  std::uint64_t given = 0;
  blobs().put("key", [&] {
    const Bytes next = piece.substr(0, size - given);
    given += next.size();
    return next;
  });
  EXPECT_EQ(code_of([&] { blobs().get("key"); }), Code::invalid_argument);
  EXPECT_EQ(blobs().get("key", {.offset = 1})->bytes.size(), limits::kBlobGetBytes);
  std::uint64_t read = 0;
  blobs().read("key", [&](View next) { read += next.size(); });
  EXPECT_EQ(read, size);
  blobs().erase("key");
  EXPECT_EQ(entries_left(), 0u);
}

TEST_P(BlobsTest, a_blob_is_replaced_and_erased_without_a_trace) {
  blobs().put("key", noise(3 * kMiB));
  const std::uint64_t entries = stored_entries();
  blobs().put("key", noise(3 * kMiB, 2));
  EXPECT_EQ(stored_entries(), entries);
  EXPECT_TRUE(blobs().erase("key"));
  EXPECT_FALSE(blobs().get("key"));
  EXPECT_EQ(stored_entries(), 0u);
}

TEST_P(BlobsTest, only_if_absent_puts_once) {
  EXPECT_TRUE(blobs().put("key", "a", {.only_if_absent = true}));
  EXPECT_FALSE(blobs().put("key", "b", {.only_if_absent = true}));
  EXPECT_EQ(bytes_of("key"), "a");
}

TEST_P(BlobsTest, only_if_version_puts_on_what_was_read_and_nothing_newer) {
  blobs().put("key", "a");
  const Seq version = blobs().stat("key")->version;
  EXPECT_TRUE(blobs().put("key", "b", {.only_if_version = version}));
  EXPECT_FALSE(blobs().put("key", "c", {.only_if_version = version}));
  EXPECT_FALSE(blobs().put("unknown", "c", {.only_if_version = version}));
  EXPECT_FALSE(blobs().erase("key", version));
  EXPECT_EQ(bytes_of("key"), "b");
  EXPECT_TRUE(blobs().erase("key", blobs().stat("key")->version));
}

TEST_P(BlobsTest, a_condition_that_does_not_hold_spares_the_upload) {
  blobs().put("key", "a");
  const ByteSource source = []() -> Bytes { throw std::logic_error("asked for bytes"); };
  EXPECT_FALSE(blobs().put("key", source, {.only_if_absent = true}));
}

TEST_P(BlobsTest, a_condition_that_breaks_during_the_upload_leaves_nothing) {
  bool is_given = false;
  const ByteSource source = [&]() -> Bytes {
    if (is_given) return {};
    is_given = true;
    blobs().put("key", "first");
    return "second";
  };
  EXPECT_FALSE(blobs().put("key", source, {.only_if_absent = true}));
  EXPECT_EQ(bytes_of("key"), "first");
  blobs().erase("key");
  EXPECT_EQ(stored_entries(), 0u);
}

TEST_P(BlobsTest, a_source_that_throws_changes_nothing_and_leaves_nothing) {
  blobs().put("key", "old");
  const std::uint64_t entries = stored_entries();
  std::size_t given = 0;
  const ByteSource source = [&]() -> Bytes {
    if (++given > 9) throw std::runtime_error("interrupted");
    return Bytes(kMiB, 'x');
  };
  EXPECT_THROW(blobs().put("key", source), std::runtime_error);
  EXPECT_EQ(bytes_of("key"), "old");
  EXPECT_EQ(stored_entries(), entries);
}

TEST_P(BlobsTest, a_stream_that_fails_changes_nothing_and_leaves_nothing) {
  std::istringstream failing("bytes");
  failing.setstate(std::ios::badbit);
  EXPECT_EQ(code_of([&] { blobs().put("key", failing); }), Code::unavailable);
  EXPECT_FALSE(blobs().stat("key"));
  EXPECT_EQ(stored_entries(), 0u);
  blobs().put("key", "bytes");
  std::ostringstream full;
  full.setstate(std::ios::badbit);
  EXPECT_EQ(code_of([&] { blobs().read("key", full); }), Code::unavailable);
}

TEST_P(BlobsTest, an_upload_that_nobody_ends_is_gone_a_day_later) {
  blobs().stage("key", noise(5 * kMiB));
  EXPECT_GT(stored_entries(), 0u);
  EXPECT_FALSE(blobs().stat("key"));
  advance(hours(25));
  EXPECT_EQ(entries_left(), 0u);
}

TEST_P(BlobsTest, a_blob_that_was_put_stays_when_uploads_of_its_age_are_removed) {
  blobs().put("key", noise(5 * kMiB));
  advance(hours(25));
  store()->sweep();
  EXPECT_TRUE(blobs().verify("key"));
}

TEST_P(BlobsTest, progress_tells_how_much_went_through_and_how_much_it_will_be) {
  std::vector<std::uint64_t> done;
  std::optional<std::uint64_t> total;
  const BlobProgress progress = [&](std::uint64_t done_bytes, std::optional<std::uint64_t> total_bytes) {
    done.push_back(done_bytes);
    total = total_bytes;
  };
  const Bytes bytes = noise(5 * kMiB + 1);
  blobs().put("key", bytes, {.progress = progress});
  EXPECT_EQ(total, bytes.size());
  EXPECT_EQ(done.size(), 6u);
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
  EXPECT_EQ(done.back(), bytes.size());

  blobs().put("key", uneven(bytes), {.progress = progress});
  EXPECT_EQ(total, std::nullopt);
  EXPECT_EQ(done.back(), bytes.size());

  done.clear();
  blobs().read("key", [](View) {}, {.offset = 10, .progress = progress});
  EXPECT_EQ(total, bytes.size() - 10);
  EXPECT_EQ(done.size(), 2u);
  EXPECT_EQ(done.back(), bytes.size() - 10);
}

TEST_P(BlobsTest, progress_that_throws_cancels) {
  const BlobProgress progress = [](std::uint64_t done_bytes, std::optional<std::uint64_t>) {
    if (done_bytes > 6 * kMiB) throw std::runtime_error("cancelled");
  };
  EXPECT_THROW(blobs().put("key", noise(9 * kMiB), {.progress = progress}), std::runtime_error);
  EXPECT_FALSE(blobs().stat("key"));
  EXPECT_EQ(stored_entries(), 0u);
}

TEST_P(BlobsTest, another_size_than_announced_is_refused) {
  for (const std::uint64_t announced : {0u, 4u, 6u}) {
    EXPECT_EQ(code_of([&] { blobs().put("key", uneven("12345"), {.size_bytes = announced}); }),
              Code::invalid_argument);
  }
  EXPECT_EQ(stored_entries(), 0u);
  EXPECT_TRUE(blobs().put("key", uneven("12345"), {.size_bytes = 5}));
}

TEST_P(BlobsTest, another_hash_than_announced_is_refused) {
  EXPECT_EQ(code_of([&] { blobs().put("key", "12345", {.hash = blake2b_hex("12346")}); }),
            Code::invalid_argument);
  EXPECT_EQ(stored_entries(), 0u);
  EXPECT_TRUE(blobs().put("key", "12345", {.hash = blake2b_hex("12345")}));
}

TEST_P(BlobsTest, a_reader_of_a_blob_that_is_replaced_gets_an_error_and_never_other_bytes) {
  const Bytes old = noise(9 * kMiB, 1);
  blobs().put("key", old);
  std::optional<BlobReader> reader = blobs().open("key");
  EXPECT_TRUE(reader->next() == old.substr(0, 4 * kMiB));
  blobs().put("key", noise(9 * kMiB, 2));
  EXPECT_EQ(code_of([&] { reader->next(); }), Code::conflict);
}

TEST_P(BlobsTest, a_reader_of_a_blob_that_is_erased_gets_an_error) {
  blobs().put("key", noise(70 * kMiB));
  std::optional<BlobReader> reader = blobs().open("key");
  reader->next();
  blobs().erase("key");
  EXPECT_EQ(code_of([&] { reader->next(); }), Code::conflict);
  store()->sweep();
  EXPECT_EQ(code_of([&] { reader->next(); }), Code::conflict);
}

TEST_P(BlobsTest, sixteen_writers_of_one_key_leave_one_whole_blob_and_nothing_else) {
  const std::size_t each = std::max<std::size_t>(many() / 200, 2);
  in_threads(16, [&](std::size_t thread) {
    Blobs blobs = this->blobs();
    for (std::size_t i = 0; i < each; ++i) {
      EXPECT_TRUE(blobs.put("key", noise(kMiB + 1 + thread, thread * 100 + i)));
    }
  });
  EXPECT_TRUE(blobs().verify("key"));
  // The entry, the description of its object, and two pieces.
  EXPECT_EQ(stored_entries(), 4u);
}

TEST_P(BlobsTest, sixteen_writers_that_find_the_key_absent_put_one_blob) {
  std::atomic<std::size_t> puts{0};
  in_threads(16, [&](std::size_t thread) {
    if (blobs().put("key", noise(kMiB, thread), {.only_if_absent = true})) ++puts;
  });
  EXPECT_EQ(puts, 1u);
  EXPECT_TRUE(blobs().verify("key"));
  EXPECT_EQ(stored_entries(), 3u);
}

TEST_P(BlobsTest, readers_beside_writers_see_whole_blobs_only) {
  constexpr std::size_t kSize = 4 * kMiB + 100;
  const std::size_t reads = many() / 20;
  blobs().put("key", noise(kSize, 0));
  std::atomic<std::size_t> reading{3};
  in_threads(5, [&](std::size_t thread) {
    Blobs blobs = this->blobs();
    if (thread < 2) {
      for (std::size_t i = 1; reading > 0; ++i) blobs.put("key", noise(kSize, 2 * i + thread));
      return;
    }
    for (std::size_t i = 0; i < reads; ++i) {
      const std::optional<Blob> blob = blobs.get("key");
      ASSERT_TRUE(blob);
      EXPECT_EQ(blake2b_hex(blob->bytes), blob->info.hash);
      try {
        EXPECT_TRUE(blobs.verify("key"));
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), Code::conflict);
      }
    }
    --reading;
  });
}

TEST_P(BlobsTest, verify_finds_bytes_that_are_not_those_that_were_put) {
  blobs().put("key", "abc");
  EXPECT_EQ(blobs().verify("key")->hash, blake2b_hex("abc"));
  Bytes text = database().get("blobs/key")->value;
  const std::size_t at = text.find(blake2b_hex("abc"));
  database().put("blobs/key", text.replace(at, 64, blake2b_hex("abd")));
  EXPECT_EQ(code_of([&] { blobs().verify("key"); }), Code::corruption);
  EXPECT_EQ(code_of([&] { blobs().copy("key", "copy"); }), Code::corruption);
  EXPECT_FALSE(blobs().stat("copy"));
}

TEST_P(BlobsTest, bytes_that_are_missing_are_damage_and_no_conflict) {
  blobs().put("key", "abc");
  const Bytes text = database().get("blobs/key")->value;
  blobs().erase("key");
  database().put("blobs/key", text);
  EXPECT_EQ(code_of([&] { blobs().get("key"); }), Code::corruption);
  EXPECT_EQ(code_of([&] { blobs().verify("key"); }), Code::corruption);
  EXPECT_EQ(code_of([&] { database().transact([&](Transaction& t) { blobs().get(t, "key"); }); }),
            Code::corruption);
  EXPECT_TRUE(blobs().put("key", "def")) << "and can be put again";
  EXPECT_EQ(bytes_of("key"), "def");
}

TEST_P(BlobsTest, an_entry_that_is_no_blob_is_damage) {
  for (const View text : {"", "{}", "null", "{\"object\":\"", "{\"object\":\"0\",\"size_bytes\":x"}) {
    database().put("blobs/key", text);
    EXPECT_EQ(code_of([&] { blobs().stat("key"); }), Code::corruption) << text;
    EXPECT_EQ(code_of([&] { blobs().list(); }), Code::corruption) << text;
  }
}

TEST_P(BlobsTest, rename_moves_a_blob_and_replaces_what_is_there) {
  blobs().put("from", noise(2 * kMiB), {.content_type = "text/plain"});
  blobs().put("to", noise(3 * kMiB));
  const BlobInfo info = *blobs().stat("from");
  EXPECT_TRUE(blobs().rename("from", "to"));
  EXPECT_FALSE(blobs().stat("from"));
  EXPECT_EQ(blobs().verify("to")->hash, info.hash);
  EXPECT_EQ(blobs().stat("to")->content_type, "text/plain");
  EXPECT_EQ(stored_entries(), 4u);
  EXPECT_TRUE(blobs().rename("to", "to"));
  EXPECT_TRUE(blobs().verify("to"));
  EXPECT_EQ(code_of([&] { blobs().rename("to", ""); }), Code::invalid_argument);
}

TEST_P(BlobsTest, a_copy_has_bytes_of_its_own) {
  const Payload metadata = nlohmann::json{{"a", 1}};
  const Bytes bytes = noise(5 * kMiB + 3);
  blobs().put("from", bytes, {.content_type = "text/plain", .metadata = metadata});
  const std::optional<BlobInfo> copy = blobs().copy("from", "to");
  ASSERT_TRUE(copy);
  EXPECT_EQ(copy->content_type, "text/plain");
  EXPECT_EQ(copy->metadata, metadata);
  blobs().erase("from");
  EXPECT_TRUE(bytes_of("to") == bytes);
}

TEST_P(BlobsTest, staged_bytes_are_put_by_the_commit_of_a_transaction) {
  const StagedBlob staged = blobs().stage("key", noise(2 * kMiB), {.content_type = "text/plain"});
  EXPECT_EQ(staged.info().hash, blake2b_hex(noise(2 * kMiB)));
  database().transact([&](Transaction& transaction) {
    EXPECT_TRUE(blobs().put(transaction, staged));
    transaction.put("other", "entry");
    EXPECT_EQ(blobs().stat(transaction, "key")->content_type, "text/plain");
    EXPECT_TRUE(blobs().get(transaction, "key")->bytes == noise(2 * kMiB)) << "its own writes";
    EXPECT_FALSE(this->blobs().stat("key")) << "not before the commit";
  });
  EXPECT_TRUE(blobs().verify("key"));
}

TEST_P(BlobsTest, a_transaction_that_fails_puts_and_erases_nothing) {
  blobs().put("old", "bytes");
  const StagedBlob staged = blobs().stage("new", "bytes");
  EXPECT_THROW(database().transact([&](Transaction& transaction) {
    blobs().put(transaction, staged);
    blobs().erase(transaction, "old");
    throw std::runtime_error("no");
  }),
               std::runtime_error);
  EXPECT_FALSE(blobs().stat("new"));
  EXPECT_TRUE(blobs().verify("old"));
  blobs().discard(staged);
  blobs().erase("old");
  EXPECT_EQ(stored_entries(), 0u);
}

TEST_P(BlobsTest, changes_of_a_transaction_see_one_another) {
  blobs().put("a", "1");
  const StagedBlob staged = blobs().stage("b", "2");
  database().transact([&](Transaction& transaction) {
    blobs().put(transaction, staged);
    EXPECT_TRUE(blobs().erase(transaction, "b"));
    EXPECT_TRUE(blobs().rename(transaction, "a", "b"));
    EXPECT_FALSE(blobs().erase(transaction, "a"));
  });
  EXPECT_EQ(bytes_of("b"), "1");
  EXPECT_EQ(stored_entries(), 3u);
}

TEST_P(BlobsTest, conditions_of_staged_bytes_are_judged_by_the_commit) {
  const StagedBlob staged = blobs().stage("key", "late", {.only_if_absent = true});
  blobs().put("key", "early");
  database().transact([&](Transaction& transaction) { EXPECT_FALSE(blobs().put(transaction, staged)); });
  EXPECT_EQ(bytes_of("key"), "early");
}

TEST_P(BlobsTest, to_discard_what_was_put_changes_nothing) {
  const StagedBlob staged = blobs().stage("key", "bytes");
  const auto put = [&](Transaction& transaction) { return blobs().put(transaction, staged); };
  EXPECT_TRUE(database().transact(put));
  blobs().discard(staged);
  EXPECT_TRUE(blobs().verify("key"));
  EXPECT_TRUE(database().transact(put)) << "again, with the bytes that are there";
  EXPECT_TRUE(blobs().verify("key"));
  blobs().erase("key");
  EXPECT_EQ(code_of([&] { database().transact(put); }), Code::not_found);
}

TEST_P(BlobsTest, list_gives_what_starts_with_a_prefix_in_byte_order) {
  for (const View key : {"b", "a/2", "a", "a/1", "\xff"}) blobs().put(key, key);
  std::vector<Bytes> keys;
  for (const BlobInfo& info : blobs().list({.prefix = "a/"}).items) {
    EXPECT_EQ(info, *blobs().stat(info.key));
    keys.push_back(info.key);
  }
  EXPECT_EQ(keys, (std::vector<Bytes>{"a/1", "a/2"}));
  EXPECT_EQ(blobs().list().items.size(), 5u);
}

TEST_P(BlobsTest, pages_of_a_list_are_complete_in_both_directions) {
  for (int i = 10; i < 20; ++i) blobs().put(std::to_string(i), "");
  for (const bool reverse : {false, true}) {
    std::vector<Bytes> keys;
    ListOptions options{.limit = 3, .reverse = reverse};
    do {
      const Listing<BlobInfo> page = blobs().list(options);
      for (const BlobInfo& info : page.items) keys.push_back(info.key);
      options.cursor = page.cursor;
    } while (!options.cursor.empty());
    ASSERT_EQ(keys.size(), 10u);
    if (reverse) std::reverse(keys.begin(), keys.end());
    EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end()));
  }
}

TEST_P(BlobsTest, services_with_other_prefixes_do_not_see_one_another) {
  Blobs other(database(), "blobs2");
  blobs().put("key", "a");
  EXPECT_FALSE(other.stat("key"));
  EXPECT_TRUE(other.list().items.empty());
}

TEST_P(BlobsTest, a_file_that_is_not_there_or_cannot_be_made_is_an_error) {
  EXPECT_EQ(code_of([&] { blobs().put_file("key", path("missing")); }), Code::not_found);
  blobs().put("key", "bytes");
  EXPECT_EQ(code_of([&] { blobs().get_file("key", path("missing/out")); }), Code::not_found);
}

TEST_P(BlobsTest, files_come_from_the_file_system_that_was_given) {
  const auto files = simulated_files();
  files->put_file("/files/in", "bytes");
  Blobs blobs(database(), "blobs", files);
  blobs.put_file("key", "/files/in");
  blobs.get_file("key", "/files/out", {.offset = 1});
  files->power_cycle();
  EXPECT_EQ(files->content("/files/out"), "ytes") << "durable";
}

TEST_P(BlobsTest, a_file_is_replaced_whole_or_not_at_all) {
  const auto files = simulated_files();
  files->put_file("/files/out", "old");
  Blobs blobs(database(), "blobs", files);
  const Bytes bytes = noise(5 * kMiB);
  blobs.put("key", bytes);
  files->set_capacity_bytes(4 * kMiB);
  EXPECT_EQ(code_of([&] { blobs.get_file("key", "/files/out"); }), Code::unavailable);
  EXPECT_EQ(files->content("/files/out"), "old");
  EXPECT_EQ(files->list("/files"), std::vector<std::string>{"out"});
  files->set_capacity_bytes(std::nullopt);
  files->put_file("/files/out.0.part", "of somebody else");
  blobs.get_file("key", "/files/out");
  EXPECT_TRUE(files->content("/files/out") == bytes);
  EXPECT_EQ(files->content("/files/out.0.part"), "of somebody else");
}

TEST_P(BlobsTest, a_file_that_grows_while_it_is_put_is_refused) {
  const auto files = simulated_files();
  files->put_file("/files/in", "bytes");
  Blobs blobs(database(), "blobs", files);
  bool has_grown = false;
  const BlobProgress grow = [&](std::uint64_t, std::optional<std::uint64_t>) {
    if (!std::exchange(has_grown, true)) files->open("/files/in", FileMode::write)->write(5, "more");
  };
  EXPECT_EQ(code_of([&] { blobs.put_file("key", "/files/in", {.progress = grow}); }), Code::invalid_argument);
  EXPECT_EQ(stored_entries(), 0u);
}

}  // namespace
}  // namespace holdfast
