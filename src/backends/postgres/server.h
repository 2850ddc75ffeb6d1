// A server as one store uses it: its connections, for commits and for reads, and the thread that tells of
// commits across processes. The stores of a per_database layer share one. Thread-safe.
#pragma once

#include <memory>

#include "backends/postgres/pool.h"
#include "backends/postgres/signals.h"
#include "holdfast/backend.h"

namespace holdfast::postgres {

class Server {
 public:
  Server(Settings settings, const Environment& environment)
      : settings_(std::move(settings)),
        environment_(environment),
        writers_(settings_, settings_.lanes, environment_, "commits", "lanes"),
        readers_(settings_, settings_.pool_size, environment_, "reads", "pool_size"),
        signals_(settings_, environment_.clock) {}

  const Settings& settings() const { return settings_; }
  const Environment& environment() const { return environment_; }
  Pool& writers() { return writers_; }
  Pool& readers() { return readers_; }
  Signals& signals() { return signals_; }

 private:
  const Settings settings_;
  const Environment environment_;
  Pool writers_;
  Pool readers_;
  Signals signals_;
};

}  // namespace holdfast::postgres
