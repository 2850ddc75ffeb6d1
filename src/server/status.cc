#include "server/status.h"

#include <utility>

#include "server/json.h"

namespace holdfast::server {
namespace {

std::string body_of(Code code, Retry retry, const std::string& message, View request_id,
                    const std::string& details) {
  std::string body = "{\"error\":{\"code\":\"";
  body.append(name(code)).append("\",\"retry\":\"").append(name(retry));
  body.append("\",\"message\":")
      .append(json_quoted(message))
      .append(",\"request_id\":")
      .append(json_quoted(request_id));
  if (!details.empty()) body.append(",").append(details);
  return body.append("}}\n");
}

Response response_of(int status, Code code, Retry retry, const std::string& message, View request_id,
                     const std::string& details) {
  Response response;
  response.status = status;
  response.content_type = "application/json";
  response.body = body_of(code, retry, message, request_id, details);
  if (status == 503 || status == 429) response.headers.emplace_back("Retry-After", "1");
  response.error_code = name(code);
  response.error_message = message;
  return response;
}

}  // namespace

int http_status(Code code) {
  switch (code) {
    case Code::invalid_argument:
      return 400;
    case Code::permission_denied:
      return 403;
    case Code::not_found:
      return 404;
    case Code::already_exists:
    case Code::conflict:
    case Code::history_changed:
    case Code::session_conflict:
      return 409;
    case Code::compacted:
      return 410;
    case Code::moved:
      return 421;
    case Code::capability_missing:
      return 501;
    case Code::unavailable:
    case Code::clock_skew:
    case Code::closed:
      return 503;
    case Code::timeout:
      return 504;
    case Code::corruption:
    case Code::internal:
      return 500;
  }
  return 500;
}

Code code_of_status(int status) {
  switch (status) {
    case 401:
    case 403:
      return Code::permission_denied;
    case 404:
      return Code::not_found;
    case 409:
    case 412:
      return Code::conflict;
    case 501:
      return Code::capability_missing;
    case 503:
      return Code::unavailable;
    case 500:
      return Code::internal;
    default:
      return Code::invalid_argument;
  }
}

HttpError::HttpError(int status, const std::string& message, std::vector<Header> headers)
    : std::runtime_error(message),
      status_(status),
      code_(code_of_status(status)),
      headers_(std::move(headers)) {}

HttpError::HttpError(int status, Code code, const std::string& message, std::string details)
    : std::runtime_error(message), status_(status), code_(code), details_(std::move(details)) {}

Response error_response(const HttpError& error, View request_id) {
  Response response = response_of(error.status(), error.code(), default_retry(error.code()), error.what(),
                                  request_id, error.details());
  for (const Header& header : error.headers()) response.headers.push_back(header);
  return response;
}

Response error_response(const Error& error, View request_id) {
  std::string details;
  if (error.code() == Code::history_changed) details = "\"position\":" + json_quoted(text_of(error.at()));
  if (error.code() == Code::moved) details = "\"place\":" + json_quoted(error.place());
  return response_of(http_status(error.code()), error.code(), error.retry(), error.what(), request_id,
                     details);
}

Response internal_error_response(const std::string& what, View request_id) {
  Response response = response_of(
      500, Code::internal, Retry::never,
      "an error that should not be; the server's log has it under this request id", request_id, "");
  response.error_message = what;
  return response;
}

}  // namespace holdfast::server
