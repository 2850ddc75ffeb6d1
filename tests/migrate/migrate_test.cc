// Dump, load and copy between all kinds of stores: what arrives is one state of the source, whatever happens
// meanwhile.

#include "holdfast/migrate.h"

#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <random>
#include <stdexcept>
#include <thread>

#include "contract/forwarding.h"
#include "holdfast/layers.h"
#include "holdfast/objects.h"
#include "holdfast/queue.h"
#include "support/targets.h"

namespace holdfast::migrate {
namespace {

using testing_support::Target;
using testing_support::TemporaryFolder;

struct Stop : std::runtime_error {
  Stop() : std::runtime_error("stopped") {}
};

/// A store that is looked at both ways: as a backend, and by a program.
struct TestStore {
  explicit TestStore(const Target& target, const Environment& environment = {})
      : backend(target.open(folder.path(), environment)) {
    StoreOptions options;
    options.environment = environment;
    options.sweeper = false;
    store = Store::open(std::make_unique<ForwardingBackend>(backend), options);
  }
  Database database(View name = "agents") { return store->database(name); }

  TemporaryFolder folder;
  std::shared_ptr<Backend> backend;
  std::shared_ptr<Store> store;
};

Bytes random_bytes(std::mt19937_64& random, std::size_t size) {
  Bytes bytes;
  while (bytes.size() < size) bytes += static_cast<char>(random());
  return bytes;
}

/// Texts, bytes, empty values, large values, expiring entries, an object of several pieces.
void fill(TestStore& store, int entries = 300) {
  std::mt19937_64 random(7);
  Database database = store.database();
  for (int i = 0; i < entries;) {
    Batch batch;
    for (int k = 0; k < 100 && i < entries; ++k, ++i) {
      Bytes key = "key/" + std::to_string(i);
      if (i % 7 == 0)
        key = Bytes(1, static_cast<char>(i % 256 == '!' ? 1 : i % 256)) + random_bytes(random, 5);
      if (key.starts_with('!')) key[0] = 'x';
      Bytes value = i % 5 == 0 ? random_bytes(random, 40) : "\"value\\ \x7F\t" + std::to_string(i);
      if (i % 11 == 0) value.clear();
      std::optional<UnixMs> expires_at_ms;
      if (i % 13 == 0) expires_at_ms = 4'000'000'000'000 + i;
      batch.writes.push_back(Write::put(key, value, expires_at_ms));
    }
    database.commit(std::move(batch));
  }
  database.put("large", random_bytes(random, 1'000'000));
  bool is_given = false;
  store.store->objects("agents").put(
      [&] { return std::exchange(is_given, true) ? Bytes() : random_bytes(random, 2'500'000); });
}

using Lines = std::vector<std::string>;

Lines dumped(TestStore& store, const Options& options = {}) {
  Lines lines;
  dump(store.backend, "agents", [&](View line) { lines.emplace_back(line); }, options);
  return lines;
}

ReadLine reader(const Lines& lines) {
  return [&lines, at = std::size_t{0}]() mutable -> std::optional<std::string> {
    return at == lines.size() ? std::nullopt : std::optional(lines[at++]);
  };
}

void expect_same(TestStore& one, TestStore& other, View name = "agents") {
  const Digest expected = one.database().digest();
  EXPECT_EQ(other.database(name).digest(), expected);
  for (Range range = Range::all();;) {
    const Page page = one.database().scan(range, {.limit = 100});
    const Page same = other.database(name).scan(range, {.limit = 100});
    ASSERT_EQ(page.entries, same.entries);
    if (!page.more) break;
    range.begin = page.entries.back().key + '\0';
  }
}

template <class F>
Error error_of(F&& body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return {Code::internal, ""};
}

class Migrate : public testing::TestWithParam<Target> {
 protected:
  TestStore source_{GetParam()};
  TestStore target_{GetParam()};
};

TEST_P(Migrate, LoadsWhatWasDumped) {
  fill(source_);
  const Lines lines = dumped(source_);
  const Summary summary = load(target_.backend, "", reader(lines));
  EXPECT_EQ(summary.database, "agents");
  EXPECT_EQ(summary.digest, source_.database().digest());
  expect_same(source_, target_);
  EXPECT_EQ(target_.database().position().seq, summary.at.seq);
  EXPECT_NE(target_.database().position().history, source_.database().position().history);
}

TEST_P(Migrate, CopiesObjectsThatCanBeReadAgain) {
  fill(source_, 10);
  copy(source_.backend, "agents", target_.backend);
  const auto objects = source_.store->objects("agents").list(INT64_MAX, "", 10);
  ASSERT_EQ(objects.size(), 1u);
  EXPECT_EQ(target_.store->objects("agents").get(objects[0].id, 2'000'000, 100),
            source_.store->objects("agents").get(objects[0].id, 2'000'000, 100));
}

/// Releases the object in a commit that has no room for its pieces: they wait for the sweeper.
void release_for_the_sweeper(Database database, const ObjectId& id) {
  database.transact([&](Transaction& transaction) {
    transaction.release(id);
    for (std::size_t i = 1; i < limits::kBatchWrites; ++i) transaction.put("pad/" + std::to_string(i), "");
  });
}

std::size_t object_entries(TestStore& store) {
  const Scan scan{Range::prefix("!object/"), {.limit = 1'000, .keys_only = true}};
  const std::shared_ptr<Clock> clock = Environment{}.completed().clock;
  ReadRequest request{.scans = {&scan, 1}, .now_ms = clock->now_ms()};
  request.deadline = clock->steady_now() + std::chrono::seconds(30);
  return store.backend->read("agents", request).pages.front().entries.size();
}

TEST_P(Migrate, LetsTheTargetSweepWhatIsLeftOfReleasedObjects) {
  fill(source_, 10);
  const auto objects = source_.store->objects("agents").list(INT64_MAX, "", 10);
  ASSERT_EQ(objects.size(), 1u);
  release_for_the_sweeper(source_.database(), objects[0].id);
  ASSERT_EQ(object_entries(source_), 3u) << "three pieces and no description";

  copy(source_.backend, "agents", target_.backend);
  TestStore loaded{GetParam()};
  load(loaded.backend, "", reader(dumped(source_)));
  for (TestStore* const target : {&target_, &loaded}) {
    expect_same(source_, *target);
    while (target->store->sweep().reaped > 0) {
    }
    EXPECT_EQ(object_entries(*target), 0u);
  }
}

TEST_P(Migrate, KeepsObjectsThatAreReleasedWhileTheyAreCopied) {
  fill(source_, 10);
  const auto objects = source_.store->objects("agents").list(INT64_MAX, "", 10);
  ASSERT_EQ(objects.size(), 1u);
  bool is_released = false;
  Options options;
  options.on_progress = [&](const Progress& progress) {
    if (progress.phase != Progress::Phase::following || std::exchange(is_released, true)) return;
    release_for_the_sweeper(source_.database(), objects[0].id);
  };
  copy(source_.backend, "agents", target_.backend, "", options);
  ASSERT_TRUE(is_released);
  while (target_.store->sweep().reaped > 0) {
  }
  // The copy is of a state before the release, or of one behind it.
  const bool is_there = target_.store->objects("agents").stat(objects[0].id).has_value();
  EXPECT_EQ(object_entries(target_), is_there ? 4u : 0u);
}

TEST_P(Migrate, GoesOnWritingInTheCopy) {
  source_.database().put("a", "1");
  const Seq version = source_.database().get("a")->version;
  copy(source_.backend, "agents", target_.backend);
  Database database = target_.database();
  EXPECT_TRUE(database.commit({{Check::has_version("a", version)}, {Write::put("a", "2")}}).committed());
  EXPECT_GT(database.get("a")->version, version);
}

TEST_P(Migrate, LetsWorkersGoOnWithTheirJobsInTheCopy) {
  Queue queue(source_.database(), "q");
  const std::vector<NewJob> flow = {
      {.body = "first", .parent = 2}, {.body = "second", .parent = 2}, {.body = "last"}};
  queue.send_many(flow);
  const std::vector<Delivery> leased = queue.receive(1, std::chrono::hours(1));
  const Lines lines = dumped(source_);
  copy(source_.backend, "agents", target_.backend);
  load(target_.backend, "loaded", reader(lines));
  for (const char* name : {"agents", "loaded"}) {
    Queue there(target_.database(name), "q");
    EXPECT_TRUE(there.complete_many(leased).at(0)) << name;
    const std::vector<Delivery> second = there.receive(10);
    ASSERT_EQ(second.size(), 1u) << name;
    EXPECT_EQ(second[0].body, Payload("second"));
    EXPECT_EQ(there.stats().blocked, 1u);
    EXPECT_GT(there.send("new").id, second[0].id) << "an id was given twice";
    there.complete(second[0]);
    EXPECT_EQ(there.receive(10).size(), 2u) << name;
  }
}

TEST_P(Migrate, DumpsAnEmptyDatabase) {
  source_.database().put("a", "1");
  source_.database().erase("a");
  load(target_.backend, "", reader(dumped(source_)));
  EXPECT_EQ(target_.database().digest().entries, 0u);
  EXPECT_EQ(target_.store->databases(), std::vector<Bytes>{"agents"});
}

TEST_P(Migrate, ShowsNobodyAnUnfinishedLoad) {
  fill(source_);
  Lines lines = dumped(source_);
  lines.pop_back();
  EXPECT_EQ(error_of([&] { load(target_.backend, "", reader(lines)); }).code(), Code::corruption);
  EXPECT_EQ(error_of([&] { target_.database().get("key/1"); }).code(), Code::unavailable);
}

TEST_P(Migrate, TakesOneStateWhileOthersWrite) {
  fill(source_, 2'000);
  source_.database().commit({{}, {Write::put("aa/pair", "-"), Write::put("zz/pair", "-")}});
  std::atomic<bool> is_done{false};
  // Two keys always change together: a dump that holds half of a commit shows it.
  std::thread writer([&] {
    std::mt19937_64 random(3);
    for (int i = 0; !is_done; ++i) {
      Batch batch;
      batch.writes = {Write::put("aa/pair", std::to_string(i)), Write::put("zz/pair", std::to_string(i)),
                      Write::put("key/" + std::to_string(random() % 2'000), std::to_string(i)),
                      Write::erase("key/" + std::to_string(2'000 + random() % 10))};
      if (i % 3 == 0) batch.writes.push_back(Write::put("key/20" + std::to_string(10 + i % 90), "new"));
      source_.database().commit(std::move(batch));
    }
  });
  Lines lines;
  Summary copied;
  try {
    lines = dumped(source_);
    copied = copy(source_.backend, "agents", target_.backend, "copied");
  } catch (const std::exception& error) {
    ADD_FAILURE() << error.what();
  }
  is_done = true;
  writer.join();
  if (lines.empty()) return;
  load(target_.backend, "loaded", reader(lines));
  for (const char* name : {"copied", "loaded"}) {
    const auto one = target_.database(name).get("aa/pair");
    const auto other = target_.database(name).get("zz/pair");
    ASSERT_TRUE(one && other);
    EXPECT_EQ(one->value, other->value);
  }
  EXPECT_EQ(target_.database("copied").digest(), copied.digest);
}

TEST_P(Migrate, GoesOnWithALoadThatWasStoppedAnywhere) {
  fill(source_, 3'000);
  const Lines lines = dumped(source_);
  std::mt19937_64 random(11);
  int attempts = 0;
  for (;; ++attempts) {
    Options options;
    std::size_t left = 1 + random() % 2;
    options.on_progress = [&](const Progress&) {
      if (left-- == 0) throw Stop();
    };
    try {
      const Summary summary = load(target_.backend, "", reader(lines), options);
      EXPECT_TRUE(summary.was_resumed || attempts == 0);
      break;
    } catch (const Stop&) {
      ASSERT_LT(attempts, 1'000);
    }
  }
  EXPECT_GT(attempts, 0);
  expect_same(source_, target_);
}

TEST_P(Migrate, GoesOnWithACopyThatWasStoppedWhileTheSourceChanges) {
  fill(source_, 500);
  std::mt19937_64 random(5);
  int attempts = 0;
  for (bool is_done = false; !is_done; ++attempts) {
    Options options;
    // The source has few pages: each further attempt gets one step further.
    int left = attempts;
    options.on_progress = [&](const Progress&) {
      if (left-- == 0) throw Stop();
    };
    try {
      EXPECT_EQ(copy(source_.backend, "agents", target_.backend, "", options).was_resumed, attempts > 0);
      is_done = true;
    } catch (const Stop&) {
      source_.database().put("key/" + std::to_string(random() % 600), std::to_string(attempts));
      source_.database().erase("key/" + std::to_string(random() % 600));
    }
    ASSERT_LT(attempts, 1'000);
  }
  EXPECT_GT(attempts, 1);
  expect_same(source_, target_);
}

TEST_P(Migrate, GoesOnWithADumpThatWasCutAnywhere) {
  fill(source_, 200);
  const Lines whole = dumped(source_);
  for (const std::size_t kept :
       {std::size_t{1}, std::size_t{2}, whole.size() / 2, whole.size() - 2, whole.size() - 1}) {
    source_.database().put("key/1", "changed " + std::to_string(kept));
    source_.database().erase("key/2");
    Lines lines(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(kept));
    const Lines before = lines;
    const EarlierDump earlier{reader(before), [&](std::uint64_t count) { lines.resize(count); }};
    dump(source_.backend, "", [&](View line) { lines.emplace_back(line); }, {}, &earlier);
    const Bytes name = "from " + std::to_string(kept);
    load(target_.backend, name, reader(lines));
    expect_same(source_, target_, name);
  }
}

TEST_P(Migrate, LeavesAWholeDumpAlone) {
  fill(source_, 10);
  const Lines whole = dumped(source_);
  const EarlierDump earlier{reader(whole), [](std::uint64_t) { FAIL() << "it was cut"; }};
  EXPECT_TRUE(
      dump(source_.backend, "", [](View) { FAIL() << "a line was written"; }, {}, &earlier).was_there);
}

TEST_P(Migrate, RefusesADumpThatTheLogNoLongerReaches) {
  fill(source_, 100);
  Lines lines = dumped(source_);
  lines.resize(20);
  source_.database().put("key/1", "new");
  source_.database().compact(source_.database().position().seq);
  const EarlierDump earlier{reader(lines), [](std::uint64_t) {}};
  const Error error = error_of([&] { dump(source_.backend, "", [](View) {}, {}, &earlier); });
  EXPECT_EQ(error.code(), Code::compacted);
}

TEST_P(Migrate, StartsACopyAnewIfTheLogNoLongerReaches) {
  fill(source_, 100);
  Options stopping;
  stopping.on_progress = [](const Progress&) { throw Stop(); };
  EXPECT_THROW(copy(source_.backend, "agents", target_.backend, "", stopping), Stop);
  Database database = source_.database();
  for (const auto& entry : database.scan({"!pin/", "!pin0"}).entries) database.unpin(entry.key.substr(5));
  database.erase("key/1");
  database.compact(database.position().seq);
  copy(source_.backend, "agents", target_.backend);
  expect_same(source_, target_);
}

TEST_P(Migrate, KnowsACopyThatIsThereAlready) {
  fill(source_, 100);
  copy(source_.backend, "agents", target_.backend);
  EXPECT_TRUE(copy(source_.backend, "agents", target_.backend).was_there);
  EXPECT_TRUE(load(target_.backend, "", reader(dumped(source_))).was_there);
  target_.database().put("key/1", "other");
  EXPECT_EQ(error_of([&] { copy(source_.backend, "agents", target_.backend); }).code(), Code::already_exists);
  EXPECT_EQ(error_of([&] { load(target_.backend, "", reader(dumped(source_))); }).code(),
            Code::already_exists);
}

TEST_P(Migrate, RefusesASecondSourceForAnUnfinishedTarget) {
  fill(source_, 100);
  Lines lines = dumped(source_);
  const Lines others = dumped(source_);
  lines.pop_back();
  EXPECT_EQ(error_of([&] { load(target_.backend, "", reader(lines)); }).code(), Code::corruption);
  EXPECT_EQ(error_of([&] { load(target_.backend, "", reader(others)); }).code(), Code::unavailable);
}

TEST_P(Migrate, LeavesNoPinBehind) {
  fill(source_, 10);
  dumped(source_);
  copy(source_.backend, "agents", target_.backend);
  EXPECT_TRUE(source_.database().scan({"!pin/", "!pin0"}).entries.empty());
}

TEST_P(Migrate, NamesTheLineThatMakesNoSense) {
  fill(source_, 100);
  const Lines whole = dumped(source_);
  struct Damage {
    std::size_t line;
    std::string text;
    std::string part;
  };
  const std::vector<Damage> damages = {
      {1, "", "line 1: this is not JSON"},
      {1, whole[1], "line 1: a dump begins with another line"},
      {1, R"({"holdfast_dump":2})", "newer format"},
      {30, "{\"key\":\"a", "line 30: this is not JSON"},
      {30, "[]", "line 30: an object was expected"},
      {30, "{}", "line 30: this is no line of a dump"},
      {30, R"({"key":"a","value":"b","version":0})", "line 30: \"version\" is out of range"},
      {30, R"({"key":"a","value":"b","version":"1"})", "line 30: \"version\" must be a whole number"},
      {30, R"({"key":"","value":"b","version":1})", "line 30: a key has 1 to 2048 bytes"},
      {30, R"({"key64":"?","value":"b","version":1})", "line 30: \"key64\" is not base64"},
      {30, R"({"key":"a","value":"b","version":1,"more":1})",
       "line 30: the object has members that are not known"},
      {30, R"({"key":"a","value":"b","version":1,"version":1})", "line 30: a member is there twice"},
      {30, R"({"key":"a","value":"b","version":1.0})", "line 30: \"version\" must be a whole number"},
      {30, R"({"key":"a","value":"b","version":1}})", "line 30: this is not JSON"},
      {30, R"({"key":"a","value":"\uD800","version":1})", "line 30: \"value\" has half of a character"},
      {30, whole[0], "line 30: a second dump begins here"},
      {30, "{\"key\":\"a\xFF\",\"value\":\"b\",\"version\":1}", "line 30: this is not JSON"}};
  for (const Damage& damage : damages) {
    Lines lines = whole;
    lines[damage.line - 1] = damage.text;
    const Error error = error_of([&] { load(target_.backend, "", reader(lines)); });
    EXPECT_EQ(error.code(), Code::invalid_argument);
    EXPECT_NE(std::string(error.what()).find(damage.part), std::string::npos) << error.what();
  }
  // The same load goes on with the repaired dump.
  EXPECT_TRUE(load(target_.backend, "", reader(whole)).was_resumed);
  expect_same(source_, target_);
}

TEST_P(Migrate, RefusesADumpWhoseEntriesWereChanged) {
  fill(source_, 100);
  Lines lines = dumped(source_);
  lines[30] = R"({"key":"another","value":"b","version":1})";
  EXPECT_EQ(error_of([&] { load(target_.backend, "", reader(lines)); }).code(), Code::corruption);
  EXPECT_EQ(error_of([&] { target_.database().get("another"); }).code(), Code::unavailable);
}

TEST_P(Migrate, SaysThatThereIsNoSuchDatabase) {
  EXPECT_EQ(error_of([&] { dumped(source_); }).code(), Code::not_found);
  EXPECT_EQ(error_of([&] { copy(source_.backend, "agents", target_.backend); }).code(), Code::not_found);
  EXPECT_TRUE(source_.store->databases().empty());
}

INSTANTIATE_TEST_SUITE_P(Stores, Migrate, testing::ValuesIn(testing_support::targets()),
                         [](const auto& one) { return one.param.test_name(); });

TEST(MigrateTime, KeepsEntriesThatExpireBetweenDumpAndLoad) {
  const auto clock = std::make_shared<ManualClock>();
  Environment environment;
  environment.clock = clock;
  TestStore source({"memory:"}, environment);
  TestStore target({"memory:"}, environment);
  source.database().put("lasting", "1");
  source.database().put("expiring", "2", clock->now_ms() + 5'000);
  source.database().put("gone", "3", clock->now_ms() + 1'000);
  clock->advance(std::chrono::seconds(1));
  Options options;
  options.environment = environment;
  const Lines lines = dumped(source, options);
  clock->advance(std::chrono::seconds(10));
  const Summary summary = load(target.backend, "", reader(lines), options);
  EXPECT_EQ(summary.digest.entries, 2u);
  EXPECT_EQ(target.database().digest().entries, 1u);
  EXPECT_FALSE(target.database().get("expiring"));
}

TEST(MigrateFaults, ArriveWholeThroughAStoreThatFails) {
  TestStore source({"memory:"});
  fill(source, 3'000);
  Faults faults;
  faults.seed = 5;
  faults.error_per_mille = 20;
  faults.lost_answer_per_mille = 200;
  faults.parked_copy_per_mille = 200;
  TestStore target({"memory:"});
  const std::shared_ptr<Backend> failing =
      faulty(std::make_unique<ForwardingBackend>(target.backend), faults, Environment{}.completed());
  const Lines lines = dumped(source);
  int attempts = 0;
  for (bool is_done = false; !is_done && attempts < 200; ++attempts) {
    try {
      load(failing, "", reader(lines));
      is_done = true;
    } catch (const Error& error) {
      ASSERT_NE(error.code(), Code::corruption) << error.what();
    }
  }
  expect_same(source, target);
}

}  // namespace
}  // namespace holdfast::migrate
