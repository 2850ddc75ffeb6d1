// Whatever text comes in as a URL: it is refused with an error of ours, or it survives the way through
// text().
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "contract/url.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const holdfast::View text(reinterpret_cast<const char*>(data), size);
  try {
    const holdfast::Url url = holdfast::Url::parse(text);
    if (!(holdfast::Url::parse(url.text()) == url)) std::abort();
  } catch (const holdfast::Error& error) {
    if (error.code() != holdfast::Code::invalid_argument) std::abort();
  }
  return 0;
}
