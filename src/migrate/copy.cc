#include <charconv>
#include <utility>

#include "contract/hex.h"
#include "engine/digest.h"
#include "engine/engine.h"
#include "holdfast/migrate.h"
#include "migrate/exporter.h"
#include "migrate/importer.h"
#include "migrate/source.h"
#include "migrate/text.h"

namespace holdfast::migrate {
namespace {

constexpr std::size_t kComparedEntries = 5'000;

/// How far a copy has come, as its import keeps it: "<seq that the scan began at> <scan|follow>".
struct CopyNote {
  Seq since = 0;
  bool is_scanned = false;

  Bytes text() const { return std::to_string(since) + (is_scanned ? " follow" : " scan"); }
  static CopyNote parse(const Bytes& text) {
    CopyNote note;
    std::from_chars(text.data(), text.data() + text.size(), note.since);
    note.is_scanned = text.ends_with(" follow");
    return note;
  }
};

class ImportSink final : public StepSink {
 public:
  ImportSink(Importer& importer, CopyNote note) : importer_(importer), note_(note) {
    importer_.set_note(note_.text());
    importer_.flush();
  }
  void put(const Entry& entry) override {
    importer_.put(entry);
    if (importer_.is_full()) importer_.flush();
  }
  void erase(View key) override {
    importer_.erase(key);
    if (importer_.is_full()) importer_.flush();
  }
  void clear(const Range& range) override { importer_.clear(range); }
  void scanned(std::uint64_t) override {
    note_.is_scanned = true;
    importer_.set_note(note_.text());
    importer_.flush();
  }

 private:
  Importer& importer_;
  CopyNote note_;
};

/// Tells the exporter what an earlier run has written.
void remember(Importer& importer, Exporter& exporter) {
  Range range = Range::all();
  for (bool more = true; more;) {
    const Page page = importer.scan(range, kComparedEntries);
    for (const Entry& entry : page.entries) {
      if (entry.key != kImportNoteKey) exporter.remember(entry);
    }
    more = page.more;
    if (!page.entries.empty()) range.begin = page.entries.back().key + '\0';
  }
}

class Copier {
 public:
  Copier(std::shared_ptr<Backend> source, View database, std::shared_ptr<Backend> target,
         View target_database, const Options& options)
      : source_(std::move(source)),
        target_(std::move(target)),
        database_(database),
        target_database_(target_database.empty() ? database : target_database),
        options_(options),
        engine_(source_engine(source_, options.environment)) {}

  Summary run() {
    const auto source = engine_->database(database_);
    history_ = engine_->read(*source, {}).at.history;
    if (history_ == 0) {
      throw Error(Code::not_found, "there is no database \"" + database_ + "\" in the source");
    }
    const std::string identity = "copy " + hex16(history_) + " " + database_;
    for (;;) {
      std::optional<Importer> importer;
      try {
        importer.emplace(target_, options_.environment, target_database_, identity);
      } catch (const Error& error) {
        if (error.code() != Code::already_exists) throw;
        return compare_with_what_is_there(error);
      }
      try {
        return fill(*importer);
      } catch (const Error& error) {
        // An earlier run began at a commit that the source's log no longer reaches back to.
        if (!is_resuming_ || (error.code() != Code::compacted && error.code() != Code::history_changed))
          throw;
        target_->drop(target_database_, 0, engine_->deadline({}));
      }
    }
  }

 private:
  Summary fill(Importer& importer) {
    Exporter exporter(*engine_, database_, "copy-" + hex16(history_), options_);
    Summary summary;
    summary.database = database_;
    CopyNote note;
    const std::optional<Bytes> earlier = importer.note();
    is_resuming_ = earlier.has_value();
    if (earlier) {
      note = CopyNote::parse(*earlier);
      summary.was_resumed = true;
      exporter.resume({history_, note.since});
      importer.set_time(exporter.begin_time_ms());
      remember(importer, exporter);
      if (note.is_scanned) exporter.set_scanned();
    } else {
      note.since = exporter.begin().seq;
      importer.set_time(exporter.begin_time_ms());
      importer.clear(Range::all());
    }
    if (options_.counts_first) exporter.count_entries();
    ImportSink sink(importer, note);
    const Exporter::Result result = exporter.run(sink);
    importer.flush();
    if (options_.on_progress) options_.on_progress({Progress::Phase::comparing, result.digest.entries, 0});
    if (!(importer.digest(result.time_ms) == result.digest)) refuse_digest();
    if (earlier) compare_with_source(importer, result.at);
    importer.open(result.at.seq, result.time_ms);
    exporter.unpin();
    summary.at = result.at;
    summary.digest = result.digest;
    return summary;
  }

  [[noreturn]] void refuse_digest() const {
    throw Error(Code::corruption,
                "the copy of database \"" + database_ +
                    "\" has another digest than its source; drop the copy and check both stores");
  }

  /// What an earlier run had written was taken as it lies in the target; unless the source goes on, it is now
  /// compared with the source itself. An entry that expires meanwhile makes a difference of a moment.
  void compare_with_source(Importer& importer, Position at) const {
    constexpr int kAttempts = 3;
    for (int attempt = 1;; ++attempt) {
      const std::optional<Digest> digest = digest_now(source_, options_.environment, database_);
      if (!digest || !(digest->at == at)) return;
      if (importer.digest(engine_->now_ms()) == *digest) return;
      if (attempt == kAttempts) refuse_digest();
    }
  }

  Summary compare_with_what_is_there(const Error& already_exists) {
    if (options_.on_progress) options_.on_progress({Progress::Phase::comparing, 0, 0});
    const std::optional<Digest> source = digest_now(source_, options_.environment, database_);
    const std::optional<Digest> target = digest_now(target_, options_.environment, target_database_);
    if (!source || !target || !(*source == *target)) throw already_exists;
    Summary summary;
    summary.database = database_;
    summary.at = source->at;
    summary.digest = *source;
    summary.was_there = true;
    return summary;
  }

  const std::shared_ptr<Backend> source_;
  const std::shared_ptr<Backend> target_;
  const Bytes database_;
  const Bytes target_database_;
  const Options& options_;
  const std::shared_ptr<Engine> engine_;
  std::uint64_t history_ = 0;
  bool is_resuming_ = false;
};

}  // namespace

Summary copy(std::shared_ptr<Backend> source, View database, std::shared_ptr<Backend> target,
             View target_database, const Options& options) {
  return Copier(std::move(source), database, std::move(target), target_database, options).run();
}

}  // namespace holdfast::migrate
