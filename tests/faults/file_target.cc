#include "tests/faults/file_target.h"

#include "backends/file/file_backend.h"

namespace holdfast::faults {
namespace {

constexpr char kFolder[] = "/data/store";

Url url_of(bool durable) {
  Url url;
  url.scheme = "file";
  url.path = kFolder;
  url.options = {{"durable", durable ? "true" : "false"},
                 {"segment_size_bytes", "65536"},
                 {"checkpoint_size_bytes", "65536"}};
  return url;
}

Options options_of(const BackendFactory& factory, const Url& url) {
  return {"file:", factory.options, url.options};
}

}  // namespace

CrashTarget file_target() {
  const BackendFactory factory = file_factory();
  CrashTarget target;
  target.folder = kFolder;
  target.open = [factory](const Environment& environment, bool durable) {
    const Url url = url_of(durable);
    return factory.open(url, options_of(factory, url), environment);
  };
  const auto maintained = [&factory](const auto& work) -> decltype(target.check) {
    if (!work) return nullptr;
    return [factory, work](const Environment& environment) {
      const Url url = url_of(true);
      return work(url, options_of(factory, url), environment);
    };
  };
  target.check = maintained(factory.check);
  target.repair = maintained(factory.repair);
  return target;
}

}  // namespace holdfast::faults
