#include "server/openapi.h"

#include "holdfast/limits.h"

namespace holdfast::server {
namespace {

std::string path_of(const std::string& pattern) {
  std::string path = pattern;
  const std::size_t plus = path.find("+}");
  if (plus != std::string::npos) path.erase(plus, 1);
  return path;
}

std::string description_of(const std::string& path_parameter) {
  if (path_parameter == "db") {
    return "The name of a database: 1 to 200 bytes of UTF-8, percent-encoded; a '/' in it is %2F.";
  }
  return "Percent-encoded; the rest of the path, so that a '/' may stand as it is.";
}

Json path_parameters(const std::string& path) {
  Json parameters = Json::array();
  for (std::size_t open = path.find('{'); open != std::string::npos; open = path.find('{', open + 1)) {
    const std::string name = path.substr(open + 1, path.find('}', open) - open - 1);
    parameters.push_back({{"name", name},
                          {"in", "path"},
                          {"required", true},
                          {"description", description_of(name)},
                          {"schema", text_schema()}});
  }
  return parameters;
}

/// `content_types` may be several, as in "application/json, text/plain".
Json content_of(const std::string& content_types, const Json& schema) {
  Json media = Json::object();
  if (!schema.is_null() && !schema.empty()) media["schema"] = schema;
  Json content = Json::object();
  for (std::size_t begin = 0; begin < content_types.size();) {
    const std::size_t end = std::min(content_types.find(", ", begin), content_types.size());
    content[content_types.substr(begin, end - begin)] = media;
    begin = end + 2;
  }
  return content;
}

Json operation_of(const Route& route) {
  Json operation = {
      {"operationId", route.name}, {"summary", route.summary}, {"tags", Json::array({route.tag})}};
  Json parameters = path_parameters(path_of(route.pattern));
  for (const Parameter& parameter : route.parameters) {
    parameters.push_back({{"name", parameter.name},
                          {"in", parameter.is_header ? "header" : "query"},
                          {"description", parameter.description},
                          {"schema", parameter.schema}});
  }
  if (!parameters.empty()) operation["parameters"] = parameters;
  if (route.body) {
    operation["requestBody"] = {{"required", true},
                                {"description", route.body->description},
                                {"content", content_of(route.body->content_type, route.body->schema)}};
  }
  Json responses = Json::object();
  for (const Answer& answer : route.answers) {
    Json response = {{"description", answer.description}};
    if (!answer.content_type.empty()) response["content"] = content_of(answer.content_type, answer.schema);
    responses[std::to_string(answer.status)] = response;
  }
  responses["default"] = {{"description", "An error: its code says which, retry what to do."},
                          {"content", content_of("application/json", ref("Error"))}};
  operation["responses"] = responses;
  if (route.scope == Scope::open) {
    operation["security"] = Json::array();
  } else {
    Json requirement = Json::object();
    requirement["token"] = Json::array();
    operation["security"] = Json::array();
    operation["security"].push_back(requirement);
    const char* needs = route.scope == Scope::read    ? "A token that may read the database."
                        : route.scope == Scope::write ? "A token that may write the database."
                                                      : "Any token.";
    operation["description"] = needs;
  }
  return operation;
}

std::string lower_case(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}

}  // namespace

Json ref(const char* name) { return {{"$ref", std::string("#/components/schemas/") + name}}; }

Json text_schema(const char* description) {
  Json schema = {{"type", "string"}};
  if (*description != '\0') schema["description"] = description;
  return schema;
}

Json integer_schema(std::int64_t minimum) { return {{"type", "integer"}, {"minimum", minimum}}; }
Json boolean_schema() { return {{"type", "boolean"}}; }
Json array_schema(Json items) { return {{"type", "array"}, {"items", std::move(items)}}; }

Json object_schema(std::vector<std::pair<std::string, Json>> members, std::vector<std::string> required) {
  Json properties = Json::object();
  for (auto& [name, schema] : members) properties[name] = std::move(schema);
  Json schema = {{"type", "object"}, {"properties", properties}, {"additionalProperties", false}};
  if (!required.empty()) schema["required"] = required;
  return schema;
}

std::vector<std::pair<std::string, Json>> bytes_members(const std::string& name, const std::string& what) {
  return {{name, {{"type", "string"}, {"description", what + ", if it is UTF-8"}}},
          {name + "_base64",
           {{"type", "string"}, {"contentEncoding", "base64"}, {"description", what + ", otherwise"}}}};
}

Json shared_schemas() {
  Json schemas = Json::object();
  Json codes = Json::array();
  for (int code = 0; code <= static_cast<int>(Code::internal); ++code) {
    codes.push_back(name(static_cast<Code>(code)));
  }
  Json retries = Json::array();
  for (int retry = 0; retry <= static_cast<int>(Retry::unknown_outcome); ++retry) {
    retries.push_back(name(static_cast<Retry>(retry)));
  }
  schemas["Error"] = object_schema(
      {{"error", object_schema({{"code", {{"type", "string"}, {"enum", codes}}},
                                {"retry", {{"type", "string"}, {"enum", retries}}},
                                {"message", text_schema("What went wrong and what to do")},
                                {"request_id", text_schema("To be found in the server's log")},
                                {"failed_check", integer_schema()},
                                {"position", text_schema("history_changed: where the database is now")},
                                {"place", text_schema("moved: where the database is now")}},
                               {"code", "retry", "message", "request_id"})}},
      {"error"});
  schemas["Position"] = text_schema(
      "A state of a database for ever: its history in 16 hexadecimal digits, '-', and the number of its "
      "newest "
      "commit");

  std::vector<std::pair<std::string, Json>> entry = bytes_members("key", "The key");
  for (auto& member : bytes_members("value", "The value")) entry.push_back(std::move(member));
  entry.emplace_back("version", integer_schema(1));
  entry.emplace_back("expires_at_ms", integer_schema(INT64_MIN));
  schemas["Entry"] = object_schema(entry, {"version"});
  return schemas;
}

Json openapi_document(const std::vector<Route>& routes) {
  Json paths = Json::object();
  for (const Route& route : routes)
    paths[path_of(route.pattern)][lower_case(route.method)] = operation_of(route);
  return {
      {"openapi", "3.1.0"},
      {"info",
       {{"title", "Holdfast"},
        {"version", "1"},
        {"description",
         "A store's databases over HTTP. Bytes in JSON are text where they are UTF-8, and a member with the "
         "suffix _base64 where they are not. GET routes answer HEAD too."}}},
      {"paths", paths},
      {"components",
       {{"schemas", shared_schemas()},
        {"securitySchemes", {{"token", {{"type", "http"}, {"scheme", "bearer"}}}}}}}};
}

}  // namespace holdfast::server
