// The codecs of what is stored as one value each: any bytes are refused as corruption or decoded, and what
// was decoded survives the way back through its bytes. The first byte of the input says which codec.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <utility>
#include <vector>

#include "backends/sqlite/records.h"
#include "engine/log_samples.h"
#include "holdfast/error.h"
#include "services/index_value.h"
#include "services/json_text.h"
#include "services/keys.h"

namespace {

using namespace holdfast;

void require(bool holds) {
  if (!holds) std::abort();
}

using Commits = std::vector<std::pair<Seq, std::set<Bytes>>>;

Commits commits_of(View row) {
  Commits commits;
  sqlite::for_each_commit(row, [&](Seq seq, const std::vector<View>& keys) {
    commits.emplace_back(seq, std::set<Bytes>(keys.begin(), keys.end()));
    return true;
  });
  return commits;
}

void log_row(View input) {
  const Commits commits = commits_of(input);
  sqlite::LogRow row;
  for (const auto& [seq, keys] : commits) {
    std::vector<Bytes> list(keys.begin(), keys.end());
    row.append(seq, list);
  }
  require(commits_of(row.bytes()) == commits);
}

void outcomes(View input) {
  const Position at{1, 1'000'000};
  const Bytes bytes = sqlite::encode_outcomes(sqlite::decode_outcomes(input, at));
  require(sqlite::encode_outcomes(sqlite::decode_outcomes(bytes, at)) == bytes);
}

void session(View input) {
  const sqlite::StoredSession stored = sqlite::decode_session(input);
  const SessionId id{1, 2};
  const Bytes bytes = sqlite::encode_session(id, stored.record);
  const sqlite::StoredSession again = sqlite::decode_session(bytes);
  require(again.key == sqlite::session_key(id));
  require(sqlite::encode_session(id, again.record) == bytes);
}

void fence(View input) {
  const std::optional<Bytes> bytes = sqlite::encode_fence(sqlite::decode_fence(input));
  if (bytes) require(sqlite::encode_fence(sqlite::decode_fence(*bytes)) == bytes);
}

void samples(View input) {
  const Bytes text = LogSamples::parse(input).text();
  require(LogSamples::parse(text).text() == text);
  static_cast<void>(parse_pin(input));
}

void segments(View input) {
  require(unescaped_segment(escaped_segment(input)) == input);
  require(escaped_segment(unescaped_segment(input)) == input);
}

void numbers(View input) {
  require(number_segment(segment_number(input)) == input);
  require(signed_segment(segment_signed(input)) == input);
}

void index_values(View input) {
  Bytes json;
  try {
    json = minified_json(input);
  } catch (const Error&) {
    return;  // what is stored was looked through
  }
  const std::optional<Bytes> value = index_value(json);
  if (!value) return;
  const Bytes segment = index_segment(*value);
  require(index_segment_size(segment + "rest") == segment.size());
  require(is_cut(*value) == is_cut_segment(segment));
  require(IndexRange::equal_to(*value).suffixes().contains(segment + "rest"));
}

void index_suffixes(View input) { require(index_segment_size(input) <= input.size()); }

constexpr std::array kCodecs = {log_row,  outcomes, session,      fence,         samples,
                                segments, numbers,  index_values, index_suffixes};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  try {
    kCodecs[data[0] % kCodecs.size()]({reinterpret_cast<const char*>(data) + 1, size - 1});
  } catch (const Error& error) {
    if (error.code() != Code::corruption) throw;
  }
  return 0;
}
