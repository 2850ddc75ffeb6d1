#include "services/requirements.h"

#include "holdfast/error.h"

namespace holdfast {

void require_one_history(const Database& database, View service) {
  const Traits& traits = database.traits();
  if (!traits.mergeable) return;
  throw Error(Code::capability_missing,
              "the service \"" + Bytes(service) + "\" lets one caller win, which \"" + traits.name +
                  "\" cannot promise: copies of its databases are changed apart; bind the database \"" +
                  database.name() + "\" to another store");
}

}  // namespace holdfast
