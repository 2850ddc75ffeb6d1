// The text of responses and events.
#pragma once

#include <string>

#include "server/http/message.h"

namespace holdfast::server {

struct Framing {
  bool keep_alive = false;
  bool is_http_1_0 = false;
  /// The size of the body is not known when it begins. HTTP/1.0 learns the end from the connection's.
  bool is_open_ended = false;
};

/// Everything up to the empty line, which is included. Fields whose value has a control byte are left out: a
/// value that came from a user cannot break out of its line.
std::string response_head(const Response& response, View request_id, View date, Framing framing);

/// One chunk of a chunked body; the last one for no bytes.
std::string chunk(View bytes);

std::string server_sent_event(const Event& event);
/// {"event": name, "id": id, "data": data}; the data are JSON already.
std::string websocket_message(const Event& event);

/// A client's own request id if it is 1..64 letters, digits, '-', '_', '.', ':'; else "".
std::string accepted_request_id(View id);

bool equals_ignoring_case(View a, View b);

/// "Not Found".
const char* reason(int status);

}  // namespace holdfast::server
