// What services need of the backend below them. A service whose promises a backend cannot keep refuses it
// when it is opened.
#pragma once

#include "holdfast/store.h"

namespace holdfast {

/// For a service in which only one caller may win. Throws capability_missing, naming `service` and the
/// backend, where copies of the database are changed apart.
void require_one_history(const Database& database, View service);

}  // namespace holdfast
