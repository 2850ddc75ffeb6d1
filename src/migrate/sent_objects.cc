#include "migrate/sent_objects.h"

#include <charconv>

#include "contract/hex.h"
#include "engine/engine_keys.h"

namespace holdfast::migrate {

std::optional<SentObjects::Id> SentObjects::parse(View key, View prefix) {
  constexpr std::size_t kHalf = 16;
  if (!key.starts_with(prefix)) return std::nullopt;
  const View digits = key.substr(prefix.size(), 2 * kHalf);
  if (digits.size() != 2 * kHalf) return std::nullopt;
  Id id;
  const auto parse_half = [](View half, std::uint64_t& number) {
    const char* const end = half.data() + half.size();
    return std::from_chars(half.data(), end, number, 16).ptr == end;
  };
  if (!parse_half(digits.substr(0, kHalf), id.first)) return std::nullopt;
  if (!parse_half(digits.substr(kHalf), id.second)) return std::nullopt;
  return id;
}

Bytes SentObjects::info_key(const Id& id) {
  return Bytes(kObjectInfoPrefix) + hex16(id.first) + hex16(id.second);
}

void SentObjects::put(View key) {
  if (const auto piece_of = parse(key, kObjectDataPrefix)) with_pieces_.insert(*piece_of);
  if (const auto described = parse(key, kObjectInfoPrefix)) described_.insert(*described);
}

void SentObjects::erase(View key) {
  if (const auto described = parse(key, kObjectInfoPrefix)) described_.erase(*described);
}

void SentObjects::clear(const Range& range) {
  const Range infos = Range::prefix(kObjectInfoPrefix);
  const bool is_apart = range.begin >= infos.end || (!range.end.empty() && range.end <= infos.begin);
  if (is_apart) return;
  absl::erase_if(described_, [&](const Id& id) { return range.contains(info_key(id)); });
}

std::vector<Bytes> SentObjects::missing() const {
  std::vector<Bytes> keys;
  for (const Id& id : with_pieces_) {
    if (!described_.contains(id)) keys.push_back(info_key(id));
  }
  return keys;
}

}  // namespace holdfast::migrate
