#include "holdfast/types.h"

namespace holdfast {

Range Range::prefix(View prefix) {
  Bytes end(prefix);
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xFF) end.pop_back();
  if (!end.empty()) end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  return {Bytes(prefix), std::move(end)};
}

Range Range::all() { return {}; }

bool Range::contains(View key) const { return key >= View(begin) && (end.empty() || key < View(end)); }

Check Check::absent(View key) { return {Kind::absent, Bytes(key), {}, 0, 0}; }
Check Check::has_version(View key, Seq version) { return {Kind::version, Bytes(key), {}, version, 0}; }
Check Check::unchanged(const Range& range, Seq since, UnixMs read_time_ms) {
  return {Kind::unchanged, range.begin, range.end, since, read_time_ms};
}

Write Write::put(View key, View value, std::optional<UnixMs> expires_at_ms) {
  return {Kind::put, Bytes(key), {}, Bytes(value), expires_at_ms, 0};
}
Write Write::put_stamped(View prefix, View suffix, View value, std::optional<UnixMs> expires_at_ms) {
  return {Kind::put_stamped, Bytes(prefix), Bytes(suffix), Bytes(value), expires_at_ms, 0};
}
Write Write::erase(View key) { return {Kind::erase, Bytes(key), {}, {}, {}, 0}; }
Write Write::reap(View key) { return {Kind::reap, Bytes(key), {}, {}, {}, 0}; }

}  // namespace holdfast
