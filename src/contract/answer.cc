#include "contract/answer.h"

#include "contract/hex.h"

namespace holdfast {

Bytes stamp(Seq seq) {
  static_assert(limits::kStampDigits == 16);
  return hex16(seq);
}

Bytes written_key(const Write& write, Seq seq) {
  if (write.kind != Write::Kind::put_stamped) return write.key;
  return write.key + stamp(seq) + write.suffix;
}

}  // namespace holdfast
