// From the one list of errors to HTTP, in one place.
#pragma once

#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "holdfast/error.h"
#include "server/http/message.h"

namespace holdfast::server {

/// The HTTP status of an error of the house.
int http_status(Code code);
/// The code that stands in the body of an HTTP status that no code leads to (401, 405, 413 ...).
Code code_of_status(int status);

/// An error that HTTP has a status of its own for, such as a precondition that failed (412) or a range that
/// cannot be met (416).
class HttpError : public std::runtime_error {
 public:
  HttpError(int status, const std::string& message, std::vector<Header> headers = {});
  /// With further members for the error's body, as JSON text: "\"failed_check\":2".
  HttpError(int status, Code code, const std::string& message, std::string details = "");

  int status() const { return status_; }
  Code code() const { return code_; }
  const std::vector<Header>& headers() const { return headers_; }
  const std::string& details() const { return details_; }

 private:
  int status_;
  Code code_;
  std::vector<Header> headers_;
  std::string details_;
};

/// {"error": {"code", "retry", "message", "request_id"}}
Response error_response(const HttpError& error, View request_id);
Response error_response(const Error& error, View request_id);
/// For an exception that is neither: its text may tell what is nobody's business, so it goes to the log only.
Response internal_error_response(const std::string& what, View request_id);

/// What `make` returns, or the response of what it throws.
template <class F>
Response response_of(View request_id, F&& make) noexcept {
  try {
    return make();
  } catch (const HttpError& error) {
    return error_response(error, request_id);
  } catch (const Error& error) {
    return error_response(error, request_id);
  } catch (const std::bad_alloc&) {
    return error_response(Error(Code::unavailable, "the server is short of memory; try again later"),
                          request_id);
  } catch (const std::exception& error) {
    return internal_error_response(error.what(), request_id);
  }
}

}  // namespace holdfast::server
