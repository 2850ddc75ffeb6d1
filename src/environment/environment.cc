#include "holdfast/environment.h"

namespace holdfast {

Environment Environment::completed() const {
  Environment whole = *this;
  if (!whole.clock) whole.clock = system_clock();
  if (!whole.random) whole.random = system_random();
  if (!whole.files) whole.files = system_files();
  return whole;
}

}  // namespace holdfast
