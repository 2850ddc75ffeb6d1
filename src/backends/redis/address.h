// Where a Redis server is and how one gets in, from a store's URL:
//   redis://[user[:password]@]host[:port][/number]     rediss:// for TLS
//   redis:///path/to/socket                            a socket of this machine
//   redis://host:port,host:port?cluster=true           nodes of a cluster, some of them at least
#pragma once

#include <string>
#include <vector>

#include "contract/url.h"

namespace holdfast::redis {

struct Address {
  std::string host;  ///< empty: `socket_path`
  std::string port;
  std::string socket_path;
  bool tls = false;
  std::string user;  ///< empty: the default user
  std::string password;
  std::int64_t database = 0;    ///< SELECT
  std::string tls_authorities;  ///< a file; empty: the machine's own
  std::string tls_certificate;
  std::string tls_key;
  bool tls_verify = true;
  bool cluster = false;  ///< a node of one

  /// For messages: host and port, or the path of the socket; never a user or a password.
  std::string text() const;
};

/// One, or those of several nodes of a cluster. Throws invalid_argument.
std::vector<Address> parse_addresses(const Url& url, const Options& options);

}  // namespace holdfast::redis
