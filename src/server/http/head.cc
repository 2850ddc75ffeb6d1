#include "server/http/head.h"

#include <algorithm>

namespace holdfast::server {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool is_printable(View text) {
  return std::none_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

void append_field(std::string& head, View name, View value) {
  if (!is_printable(name) || !is_printable(value)) return;
  head.append(name).append(": ").append(value).append("\r\n");
}

std::string hexadecimal(std::size_t number) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string digits;
  do {
    digits.insert(digits.begin(), kDigits[number & 15]);
    number >>= 4;
  } while (number != 0);
  return digits;
}

}  // namespace

std::string response_head(const Response& response, View request_id, View date, Framing framing) {
  std::string head;
  head.reserve(320);
  head.append("HTTP/1.1 ")
      .append(std::to_string(response.status))
      .append(" ")
      .append(reason(response.status));
  head.append("\r\nServer: holdfast\r\nDate: ").append(date).append("\r\n");
  append_field(head, "X-Request-Id", request_id);
  if (!response.content_type.empty()) append_field(head, "Content-Type", response.content_type);
  for (const auto& [name, value] : response.headers) append_field(head, name, value);
  const bool has_body = response.status >= 200 && response.status != 204 && response.status != 304;
  bool keep_alive = framing.keep_alive;
  if (has_body && framing.is_open_ended) {
    if (framing.is_http_1_0) {
      keep_alive = false;
    } else {
      head.append("Transfer-Encoding: chunked\r\n");
    }
  } else if (has_body) {
    const std::uint64_t size = response.source_size_bytes.value_or(response.body.size());
    head.append("Content-Length: ").append(std::to_string(size)).append("\r\n");
  }
  if (!keep_alive) {
    head.append("Connection: close\r\n");
  } else if (framing.is_http_1_0) {
    head.append("Connection: keep-alive\r\n");
  }
  return head.append("\r\n");
}

std::string chunk(View bytes) {
  std::string text = hexadecimal(bytes.size());
  text.reserve(text.size() + bytes.size() + 4);
  return text.append("\r\n").append(bytes).append("\r\n");
}

std::string server_sent_event(const Event& event) {
  std::string text;
  text.reserve(event.data.size() + 64);
  if (!event.id.empty()) text.append("id: ").append(event.id).append("\n");
  return text.append("event: ").append(event.name).append("\ndata: ").append(event.data).append("\n\n");
}

std::string websocket_message(const Event& event) {
  std::string text = "{\"event\":\"" + event.name + "\"";
  if (!event.id.empty()) text.append(",\"id\":\"").append(event.id).append("\"");
  return text.append(",\"data\":").append(event.data.empty() ? "null" : event.data).append("}");
}

std::string accepted_request_id(View id) {
  const bool is_plain = std::all_of(id.begin(), id.end(), [](char c) {
    const char l = lower(c);
    return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == ':';
  });
  return is_plain && id.size() <= 64 ? std::string(id) : std::string();
}

bool equals_ignoring_case(View a, View b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

const char* reason(int status) {
  switch (status) {
    case 101:
      return "Switching Protocols";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 421:
      return "Misdirected Request";
    case 426:
      return "Upgrade Required";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "Status";
  }
}

}  // namespace holdfast::server
