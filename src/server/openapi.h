// /openapi.json, made from the table of routes.
#pragma once

#include <vector>

#include "server/route.h"

namespace holdfast::server {

/// The OpenAPI 3.1 document of these routes.
Json openapi_document(const std::vector<Route>& routes);

/// Schemas that routes share; `$ref`s to them come from ref().
Json shared_schemas();
/// {"$ref": "#/components/schemas/NAME"}
Json ref(const char* name);

// Schemas, written short.
Json text_schema(const char* description = "");
Json integer_schema(std::int64_t minimum = 0);
Json boolean_schema();
Json array_schema(Json items);
/// An object of these members; those that are `required` have to be there, and there are no others.
Json object_schema(std::vector<std::pair<std::string, Json>> members, std::vector<std::string> required);
/// The members `name` and `name`_base64, of which one is there.
std::vector<std::pair<std::string, Json>> bytes_members(const std::string& name, const std::string& what);

}  // namespace holdfast::server
