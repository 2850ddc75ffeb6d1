#include "server/tokens.h"

#include <sodium.h>

#include <algorithm>

#include "contract/percent.h"
#include "holdfast/error.h"
#include "server/json.h"

namespace holdfast::server {
namespace {

constexpr View kHashPrefix = "sha256:";

std::array<unsigned char, 32> hash_of(View secret) {
  std::array<unsigned char, 32> hash{};
  crypto_hash_sha256(hash.data(), reinterpret_cast<const unsigned char*>(secret.data()), secret.size());
  return hash;
}

std::string hexadecimal(const std::array<unsigned char, 32>& hash) {
  std::string text(2 * hash.size() + 1, '\0');
  sodium_bin2hex(text.data(), text.size(), hash.data(), hash.size());
  text.pop_back();
  return text;
}

std::vector<View> words_of(View line) {
  std::vector<View> words;
  while (true) {
    const std::size_t begin = line.find_first_not_of(" \t\r");
    if (begin == View::npos) return words;
    line.remove_prefix(begin);
    const std::size_t size = std::min(line.find_first_of(" \t\r"), line.size());
    words.push_back(line.substr(0, size));
    line.remove_prefix(size);
  }
}

TokenScope parse_scope(View text, const std::string& where) {
  TokenScope scope;
  if (text.starts_with("write:")) {
    scope.may_write = true;
  } else if (!text.starts_with("read:")) {
    refuse_request(where + ": a scope is read:PREFIX or write:PREFIX, with * for all databases");
  }
  text.remove_prefix(text.find(':') + 1);
  if (text.empty()) refuse_request(where + ": a scope has an empty prefix; write * for all databases");
  if (text == "*") return scope;
  if (text.find('*') != View::npos) {
    refuse_request(where + ": a scope's prefix has a '*' in it; it is a prefix anyway, or write %2A");
  }
  const auto prefix = percent_decoded(text, false);
  if (!prefix) refuse_request(where + ": a scope has a '%' without two hexadecimal digits");
  scope.prefix = *prefix;
  return scope;
}

std::vector<TokenScope> parse_scopes(View text, const std::string& where) {
  std::vector<TokenScope> scopes;
  while (true) {
    const std::size_t size = std::min(text.find(','), text.size());
    scopes.push_back(parse_scope(text.substr(0, size), where));
    if (size == text.size()) return scopes;
    text.remove_prefix(size + 1);
  }
}

void validate_name(View name, const std::string& where) {
  const bool is_plain = !name.empty() && name.size() <= 64 && name.front() != '#' &&
                        std::all_of(name.begin(), name.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (!is_plain)
    refuse_request(where + ": a token's name is 1 to 64 visible ASCII characters, without spaces");
}

Token parse_token(View line, const std::string& where) {
  const std::vector<View> words = words_of(line);
  if (words.size() != 3)
    refuse_request(where + ": a token is NAME sha256:HASH SCOPE,SCOPE, as `holdfast token` prints it");
  Token token;
  validate_name(words[0], where);
  token.name = std::string(words[0]);
  std::size_t size = 0;
  const char* end = nullptr;
  const View hash = words[1].starts_with(kHashPrefix) ? words[1].substr(kHashPrefix.size()) : View();
  if (hash.size() != 2 * token.hash.size() ||
      sodium_hex2bin(token.hash.data(), token.hash.size(), hash.data(), hash.size(), nullptr, &size, &end) !=
          0 ||
      size != token.hash.size()) {
    refuse_request(where + ": the second word is sha256: and 64 hexadecimal digits");
  }
  token.scopes = parse_scopes(words[2], where);
  return token;
}

}  // namespace

bool Token::may_read(View database) const {
  return std::any_of(scopes.begin(), scopes.end(),
                     [&](const TokenScope& scope) { return database.starts_with(scope.prefix); });
}

bool Token::may_write(View database) const {
  return std::any_of(scopes.begin(), scopes.end(), [&](const TokenScope& scope) {
    return scope.may_write && database.starts_with(scope.prefix);
  });
}

Tokens Tokens::parse(View text) {
  Tokens tokens;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t size = std::min(text.find('\n'), text.size());
    const View line = text.substr(0, size);
    text.remove_prefix(std::min(size + 1, text.size()));
    const std::size_t begin = line.find_first_not_of(" \t\r");
    if (begin == View::npos || line[begin] == '#') continue;
    const std::string where = "line " + std::to_string(number) + " of the token file";
    Token token = parse_token(line, where);
    for (const Token& other : tokens.tokens_) {
      if (other.name == token.name || other.hash == token.hash) {
        refuse_request(where + ": this name or hash was there before");
      }
    }
    tokens.tokens_.push_back(std::move(token));
  }
  return tokens;
}

const Token* Tokens::find(View secret) const {
  const auto hash = hash_of(secret);
  const Token* found = nullptr;
  for (const Token& token : tokens_) {
    if (sodium_memcmp(token.hash.data(), hash.data(), hash.size()) == 0) found = &token;
  }
  return found;
}

NewToken make_token(View name, View scopes, Random& random) {
  validate_name(name, "a new token");
  static_cast<void>(parse_scopes(scopes, "a new token"));
  if (scopes.find_first_of(" \t\r\n") != View::npos) refuse_request("scopes are separated by ',' alone");
  Bytes secret;
  for (int i = 0; i < 4; ++i) {
    std::uint64_t number = random.next();
    for (int k = 0; k < 8; ++k, number >>= 8) secret += static_cast<char>(number & 0xff);
  }
  NewToken token;
  token.secret = "hf_" + base64url(secret);
  token.line = std::string(name) + " " + std::string(kHashPrefix) + hexadecimal(hash_of(token.secret)) + " " +
               std::string(scopes);
  return token;
}

}  // namespace holdfast::server
