#include "contract/answer.h"

namespace holdfast {

Bytes stamp(Seq seq) {
  static constexpr char kDigits[] = "0123456789abcdef";
  Bytes digits(limits::kStampDigits, '0');
  for (std::size_t i = digits.size(); seq != 0; seq >>= 4) digits[--i] = kDigits[seq & 15];
  return digits;
}

Bytes written_key(const Write& write, Seq seq) {
  if (write.kind != Write::Kind::put_stamped) return write.key;
  return write.key + stamp(seq) + write.suffix;
}

}  // namespace holdfast
