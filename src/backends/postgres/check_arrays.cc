#include "backends/postgres/check_arrays.h"

#include "holdfast/limits.h"

namespace holdfast::postgres {

View beyond_all_keys() {
  static const std::string kBeyond(limits::kKeyBytes + 1, '\xff');
  return kBeyond;
}

std::int64_t wanted_version(const Check& check) {
  if (check.kind == Check::Kind::absent) return 0;
  return check.version == 0 ? -1 : static_cast<std::int64_t>(check.version);
}

void CheckArrays::add(std::int32_t batch, std::int32_t number, const Check& check) {
  if (check.kind == Check::Kind::unchanged) {
    range_batch_.add(batch);
    range_no_.add(number);
    begin_.add(View(check.key));
    end_.add(end_or_beyond(check.end));
    since_.add(static_cast<std::int64_t>(check.version));
    time_.add(check.read_time_ms);
    return;
  }
  batch_.add(batch);
  no_.add(number);
  key_.add(View(check.key));
  version_.add(wanted_version(check));
}

void CheckArrays::move_to(Parameters& parameters) {
  parameters.array(std::move(batch_)).array(std::move(no_)).array(std::move(key_)).array(std::move(version_));
  parameters.array(std::move(range_batch_)).array(std::move(range_no_)).array(std::move(begin_));
  parameters.array(std::move(end_)).array(std::move(since_)).array(std::move(time_));
}

}  // namespace holdfast::postgres
