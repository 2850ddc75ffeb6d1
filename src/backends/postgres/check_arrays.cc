#include "backends/postgres/check_arrays.h"

#include "holdfast/limits.h"

namespace holdfast::postgres {

View beyond_all_keys() {
  static const std::string kBeyond(limits::kKeyBytes + 1, '\xff');
  return kBeyond;
}

void CheckArrays::add(std::int32_t batch, std::int32_t number, const Check& check) {
  const auto version = static_cast<std::int64_t>(check.version);
  if (check.kind == Check::Kind::unchanged) {
    range_batch_.add(batch);
    range_no_.add(number);
    begin_.add(View(check.key));
    end_.add(end_or_beyond(check.end));
    since_.add(version);
    time_.add(check.read_time_ms);
    return;
  }
  batch_.add(batch);
  no_.add(number);
  key_.add(View(check.key));
  // 0 demands that there is no entry; no entry has version -1.
  const std::int64_t wanted = version == 0 ? -1 : version;
  version_.add(check.kind == Check::Kind::absent ? std::int64_t{0} : wanted);
}

void CheckArrays::move_to(Parameters& parameters) {
  parameters.array(std::move(batch_)).array(std::move(no_)).array(std::move(key_)).array(std::move(version_));
  parameters.array(std::move(range_batch_)).array(std::move(range_no_)).array(std::move(begin_));
  parameters.array(std::move(end_)).array(std::move(since_)).array(std::move(time_));
}

}  // namespace holdfast::postgres
