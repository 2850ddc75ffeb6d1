#include "backends/redis/codec.h"

#include <algorithm>
#include <charconv>

namespace holdfast::redis {
namespace {

[[noreturn]] void damaged(const char* what) {
  throw Error(Code::corruption,
              std::string(what) + " on the Redis server is damaged; restore it from a copy");
}

template <class Number>
Number parse(View text, int base) {
  Number number = 0;
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const auto [stopped, problem] = std::from_chars(begin, end, number, base);
  if (text.empty() || problem != std::errc{} || stopped != end) damaged("a number");
  return number;
}

/// The text up to the next space, which is taken off `rest` too.
View next_word(View& rest) {
  const std::size_t space = rest.find(' ');
  if (space == View::npos) damaged("a record");
  const View word = rest.substr(0, space);
  rest.remove_prefix(space + 1);
  return word;
}

constexpr View kStates[] = {"open", "frozen", "moved", "importing"};

}  // namespace

std::uint64_t parse_hex(View text) { return parse<std::uint64_t>(text, 16); }
std::uint64_t parse_unsigned(View text) { return parse<std::uint64_t>(text, 10); }
std::int64_t parse_signed(View text) { return parse<std::int64_t>(text, 10); }

std::string encode_fence(const Fence& fence) {
  if (fence == Fence{}) return "";
  return std::string(kStates[static_cast<std::size_t>(fence.state)]) + " " + hex16(fence.token) + " " +
         hex16(fence.at.history) + " " + std::to_string(fence.at.seq) + " " + std::to_string(fence.time_ms) +
         " " + fence.place;
}

Fence decode_fence(View text) {
  Fence fence;
  if (text.empty()) return fence;
  const auto* state = std::find(std::begin(kStates), std::end(kStates), next_word(text));
  if (state == std::end(kStates)) damaged("a fence");
  fence.state = static_cast<Fence::State>(state - std::begin(kStates));
  fence.token = parse_hex(next_word(text));
  fence.at.history = parse_hex(next_word(text));
  fence.at.seq = parse_unsigned(next_word(text));
  fence.time_ms = parse_signed(next_word(text));
  fence.place = Bytes(text);
  return fence;
}

std::string encode_expiry(const std::optional<UnixMs>& expires_at_ms) {
  return (expires_at_ms ? std::to_string(*expires_at_ms) : "-") + " ";
}

Entry decode_entry(View key, View stored) {
  Entry entry;
  entry.key = Bytes(key);
  entry.version = parse_unsigned(next_word(stored));
  const View expiry = next_word(stored);
  if (expiry != "-") entry.expires_at_ms = parse_signed(expiry);
  entry.value = Bytes(stored);
  return entry;
}

GroupAnswer decode_answer(View text) {
  GroupAnswer answer;
  answer.at.history = parse_hex(next_word(text));
  answer.at.seq = parse_unsigned(next_word(text));
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const View item = text.substr(0, comma);
    if (item.starts_with('+')) {
      const std::uint64_t count = parse_unsigned(item.substr(1));
      if (count > limits::kGroupBatches) damaged("the record of a session");
      answer.outcomes.resize(answer.outcomes.size() + count);
    } else {
      answer.outcomes.push_back({0, parse_unsigned(item)});
    }
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  // Commits of an import use no seqs.
  if (answer.at.history == 0) return answer;
  Seq seq = answer.at.seq;
  for (auto outcome = answer.outcomes.rbegin(); outcome != answer.outcomes.rend(); ++outcome) {
    if (outcome->committed()) outcome->seq = seq--;
  }
  return answer;
}

SessionRecord decode_session(View text) {
  SessionRecord record;
  record.number = parse_unsigned(next_word(text));
  record.content_hash = parse_hex(next_word(text));
  record.used_at_ms = parse_signed(next_word(text));
  GroupAnswer answer = decode_answer(text);
  record.outcomes = std::move(answer.outcomes);
  record.at = answer.at;
  return record;
}

StoredHead decode_head(std::span<const std::optional<View>> fields) {
  if (fields.size() < kHeadFields) damaged("a head");
  StoredHead stored;
  if (fields[0]) stored.head.history = parse_hex(*fields[0]);
  if (fields[1]) stored.head.seq = parse_unsigned(*fields[1]);
  if (fields[2]) stored.head.time_ms = parse_signed(*fields[2]);
  if (fields[3]) stored.head.floor = parse_unsigned(*fields[3]);
  stored.fence = std::string(fields[4].value_or(""));
  stored.head.fence = decode_fence(stored.fence);
  stored.server = std::string(fields[5].value_or(""));
  return stored;
}

}  // namespace holdfast::redis
