// What a handle on a queue stands for.
#pragma once

#include <memory>

#include "holdfast/queue.h"
#include "services/queue_claims.h"
#include "services/queue_keys.h"
#include "services/queue_retention.h"
#include "services/requirements.h"

namespace holdfast {

class Queue::Impl {
 public:
  Impl(Database in, View queue, const QueueOptions& options)
      : database(std::move(in)),
        name(queue),
        keys(options.prefix, queue),
        random(options.random ? options.random : system_random()),
        clock(options.clock ? options.clock : system_clock()),
        claims(database, keys, random),
        retention(database, keys) {
    require_one_history(database, "queue");
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Database database;
  const Bytes name;
  const QueueKeys keys;
  const std::shared_ptr<Random> random;
  const std::shared_ptr<Clock> clock;
  QueueClaims claims;
  QueueRetention retention;
};

}  // namespace holdfast
