#include "services/tables_layout.h"

#include "services/keys.h"

namespace holdfast::tables {

Bytes key_segment(View key) {
  if (key.size() <= kKeySegmentBytes) return Bytes(key);
  std::size_t cut = kKeySegmentBytes;
  while ((static_cast<unsigned char>(key[cut]) & 0xC0) == 0x80) --cut;  // not within a character
  Bytes segment(key.substr(0, cut));
  segment.resize(kKeySegmentBytes + 1, '~');
  return segment + hash_segment(key);
}

Layout::Layout(View prefix) : prefix_(prefix) {
  validate_service_prefix(prefix);
  prefix_ += '/';
}

Bytes Layout::rows(View table) const { return prefix_ + "row/" + short_segment(table) + "/"; }

Bytes Layout::marks(View table) const { return prefix_ + "mark/" + short_segment(table) + "/"; }

}  // namespace holdfast::tables
