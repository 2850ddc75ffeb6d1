// Assertions stay on in release builds: they guard invariants, and no input of a user may reach them.
#pragma once

namespace holdfast {

[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);

}  // namespace holdfast

#define HOLDFAST_ASSERT(expression) \
  ((expression) ? static_cast<void>(0) : ::holdfast::assertion_failed(#expression, __FILE__, __LINE__))
