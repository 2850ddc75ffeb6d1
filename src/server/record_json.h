// A record in an answer.
#pragma once

#include <string>

#include "holdfast/records.h"
#include "server/json.h"

namespace holdfast::server {

std::string record_text(const Record& record);
Json record_schema();

}  // namespace holdfast::server
