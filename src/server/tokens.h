// Bearer tokens: who may read and write which databases. A file has one line per token:
//
//     # name   hash              scopes
//     backup   sha256:9f86d0...  read:*
//     worker   sha256:60303a...  write:jobs/,read:config
//
// A scope is read: or write: and the beginning of a database's name, or * for all; write: includes reading.
// In a prefix, spaces, commas, '*' and '%' are percent-encoded. The file has hashes only: a token is 256
// random bits, for which one SHA-256 is enough.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "holdfast/environment.h"
#include "holdfast/types.h"

namespace holdfast::server {

struct TokenScope {
  bool may_write = false;
  Bytes prefix;
  bool operator==(const TokenScope&) const = default;
};

struct Token {
  std::string name;
  std::array<unsigned char, 32> hash{};
  std::vector<TokenScope> scopes;

  bool may_read(View database) const;
  bool may_write(View database) const;
};

/// All tokens of a server. Immutable; threads may share it.
class Tokens {
 public:
  Tokens() = default;
  /// Throws invalid_argument naming the line.
  static Tokens parse(View text);

  bool empty() const { return tokens_.empty(); }
  std::size_t size() const { return tokens_.size(); }
  /// The token with this secret, or null. The time it takes tells nothing of how near a guess was.
  const Token* find(View secret) const;

 private:
  std::vector<Token> tokens_;
};

struct NewToken {
  std::string secret;  ///< to be given to its owner; it cannot be recovered
  std::string line;    ///< for the file
};
/// Makes a token. `scopes` are as in the file: "read:*,write:jobs/". Throws invalid_argument.
NewToken make_token(View name, View scopes, Random& random);

}  // namespace holdfast::server
