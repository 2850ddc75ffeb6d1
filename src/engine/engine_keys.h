// Every key and every database that the engine keeps for itself. Keys beginning with '!' are refused to
// services, databases beginning with '!' are refused by Store::database and left out by Store::databases;
// both are ordinary to a backend.
//
//     in any database
//       !pin/<consumer>              seq in decimal, or {"seq":n}; expires: the change log above it is kept
//       !compact                     seq in decimal: the change log may be gone up to here
//       !wake/<service>              the service's own; expires when the service is to be called
//       !object/info/<id>            JSON of ObjectRecord (entry_objects.h); expires while it is unfinished
//       !object/data/<id>/<8 hex>    one piece of an object's bytes
//     in the database "!store"
//       !sweeper                     {"holder":"<32 hex>"}; expires: the lease, its version is the token
//       !cycle                       Unix ms in decimal: when change logs were last looked at
//       !log/<database>              {"history":n,"samples":[[Unix ms,seq],...]}: when the log was how long
#pragma once

#include "holdfast/types.h"

namespace holdfast {

inline constexpr View kStoreDatabase = "!store";
inline constexpr View kSweeperKey = "!sweeper";
inline constexpr View kCycleKey = "!cycle";
inline constexpr View kLogPrefix = "!log/";

inline constexpr View kPinPrefix = "!pin/";
inline constexpr View kCompactKey = "!compact";
inline constexpr View kWakePrefix = "!wake/";
inline constexpr View kObjectInfoPrefix = "!object/info/";
inline constexpr View kObjectDataPrefix = "!object/data/";

}  // namespace holdfast
