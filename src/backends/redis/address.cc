#include "backends/redis/address.h"

#include <algorithm>

namespace holdfast::redis {
namespace {

constexpr const char* kForm = "write redis://user:password@host:6379/0 or redis:///path/of/a/socket";

[[noreturn]] void refuse(const std::string& what) {
  throw Error(Code::invalid_argument, what + "; " + kForm);
}

bool is_number(View text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// The authority was judged when the URL was parsed: every '%' has its two digits.
std::string percent_decoded(View text) {
  const auto value = [](char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; };
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      decoded += static_cast<char>(value(text[i + 1]) * 16 + value(text[i + 2]));
      i += 2;
    } else {
      decoded += text[i];
    }
  }
  return decoded;
}

void parse_credentials(View authority, Address& address) {
  const std::size_t at = authority.rfind('@');
  if (at != View::npos) {
    const View credentials = authority.substr(0, at);
    const std::size_t colon = credentials.find(':');
    address.user = percent_decoded(credentials.substr(0, colon));
    if (colon != View::npos) address.password = percent_decoded(credentials.substr(colon + 1));
    if (!address.user.empty() && address.password.empty()) refuse("a user of Redis needs a password");
  }
}

std::vector<View> split(View hosts) {
  std::vector<View> parts;
  for (std::size_t from = 0; from <= hosts.size();) {
    const std::size_t comma = std::min(hosts.find(',', from), hosts.size());
    parts.push_back(hosts.substr(from, comma - from));
    from = comma + 1;
  }
  return parts;
}

View hosts_of(View authority) {
  const std::size_t at = authority.rfind('@');
  return at == View::npos ? authority : authority.substr(at + 1);
}

void parse_host(View authority, Address& address) {
  View port;
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    if (close == View::npos) refuse("the address of the host has no ']'");
    address.host = std::string(authority.substr(1, close - 1));
    const View rest = authority.substr(close + 1);
    if (!rest.empty() && rest[0] != ':') refuse("the host is followed by something that is no port");
    if (!rest.empty()) port = rest.substr(1);
  } else {
    const std::size_t colon = authority.rfind(':');
    address.host = percent_decoded(authority.substr(0, colon));
    if (colon != View::npos) port = authority.substr(colon + 1);
  }
  if (address.host.empty()) address.host = "127.0.0.1";
  if (!port.empty() && (!is_number(port) || port.size() > 5)) refuse("the port is not a number");
  address.port = port.empty() ? "6379" : std::string(port);
}

}  // namespace

std::string Address::text() const {
  if (host.empty()) return socket_path;
  return (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + port;
}

std::vector<Address> parse_addresses(const Url& url, const Options& options) {
  Address address;
  address.cluster = options.boolean("cluster");
  std::vector<View> hosts{""};
  address.tls = url.scheme == "rediss";
  address.database = options.integer("database");
  const View path = url.path;
  const View number = path.starts_with('/') ? path.substr(1) : path;
  const bool is_socket = url.authority.empty() && !number.empty() && !is_number(number);
  if (is_socket) {
    if (address.tls) refuse("a socket of this machine has no TLS");
    if (address.cluster) refuse("the nodes of a cluster are named by host and port");
    if (!path.starts_with('/')) refuse("the path of a socket begins with '/'");
    address.socket_path = std::string(path);
    address.user = options.text("user");
    address.password = options.text("password");
  } else {
    if (!number.empty()) {
      if (!is_number(number) || number.size() > 6) refuse("behind the host stands the number of a database");
      if (url.options.contains("database")) refuse("the number of the database is given twice");
      address.database = std::stoll(std::string(number));
    }
    parse_credentials(url.authority, address);
    hosts = split(hosts_of(url.authority));
    const bool has_credentials = !address.user.empty() || !address.password.empty();
    if (has_credentials && (url.options.contains("user") || url.options.contains("password"))) {
      refuse("user and password are given twice");
    }
    if (!has_credentials) {
      address.user = options.text("user");
      address.password = options.text("password");
    }
  }
  address.tls_authorities = options.text("tls_authorities");
  address.tls_certificate = options.text("tls_certificate");
  address.tls_key = options.text("tls_key");
  address.tls_verify = options.boolean("tls_verify");
  if (!address.tls && (!address.tls_authorities.empty() || !address.tls_certificate.empty() ||
                       !address.tls_key.empty() || !address.tls_verify)) {
    refuse("options of TLS need rediss://");
  }
  if (address.cluster && address.database != 0) refuse("a cluster has no database but 0");
  if (hosts.size() > 1 && !address.cluster) {
    refuse("several hosts are nodes of a cluster, which needs the option cluster=true");
  }
  std::vector<Address> addresses;
  for (const View host : hosts) {
    addresses.push_back(address);
    if (!is_socket) parse_host(host, addresses.back());
  }
  return addresses;
}

}  // namespace holdfast::redis
