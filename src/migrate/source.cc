#include "migrate/source.h"

#include <utility>

#include "contract/forwarding.h"

namespace holdfast::migrate {

std::shared_ptr<Engine> source_engine(std::shared_ptr<Backend> backend, const Environment& environment) {
  if (backend->objects() != nullptr) {
    throw Error(Code::capability_missing, "a store of " + backend->traits().name +
                                              " keeps objects outside its entries; they cannot be moved");
  }
  StoreOptions options;
  options.environment = environment.completed();
  options.sweeper = false;
  return std::make_shared<Engine>(std::make_unique<ForwardingBackend>(std::move(backend)),
                                  std::move(options));
}

}  // namespace holdfast::migrate
