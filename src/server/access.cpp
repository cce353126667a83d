#include "server/access.h"

#include <algorithm>

namespace musaic {
namespace {

// "Bearer KEY" → KEY; the scheme's case does not matter.
std::string_view bearer_key(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() < kScheme.size()) return {};
  for (size_t i = 0; i < kScheme.size(); ++i) {
    if ((authorization[i] | 0x20) != (kScheme[i] | 0x20)) return {};
  }
  authorization.remove_prefix(kScheme.size());
  while (!authorization.empty() && authorization.front() == ' ') authorization.remove_prefix(1);
  while (!authorization.empty() && authorization.back() == ' ') authorization.remove_suffix(1);
  return authorization;
}

}  // namespace

bool equal_in_constant_time(std::string_view given, std::string_view key) {
  if (key.empty()) return false;
  unsigned difference = given.size() == key.size() ? 0 : 1;
  for (size_t i = 0; i < given.size(); ++i) {
    difference |= static_cast<unsigned char>(given[i]) ^ static_cast<unsigned char>(key[i % key.size()]);
  }
  return difference == 0;
}

std::optional<ApiError> check_access(const HttpRequest& request, Access access,
                                     const ServerOptions& options) {
  if (access == Access::kOpen) return std::nullopt;
  const bool has_admin_key = !options.admin_api_key.empty();
  const bool needs_admin = access == Access::kAdmin && has_admin_key;
  if (!needs_admin && options.api_key.empty()) return std::nullopt;
  const std::string_view given = bearer_key(request.authorization);
  const bool is_admin = equal_in_constant_time(given, options.admin_api_key);
  const bool is_user = equal_in_constant_time(given, options.api_key);
  if (is_admin || (is_user && !needs_admin)) return std::nullopt;
  if (is_user)
    return ApiError{.status = 403, .message = "this route needs the admin key", .type = "permission_error"};
  return ApiError{.status = 401,
                  .message = "send the key as `Authorization: Bearer KEY`",
                  .type = "authentication_error"};
}

bool is_cross_origin(const HttpRequest& request) {
  if (request.origin.empty()) return false;
  const size_t scheme = request.origin.find("://");
  return scheme == std::string::npos || request.origin.substr(scheme + 3) != request.host;
}

bool is_allowed_origin(const HttpRequest& request, const ServerOptions& options) {
  if (!is_cross_origin(request)) return true;
  return std::any_of(options.allowed_origins.begin(), options.allowed_origins.end(),
                     [&](const std::string& origin) { return origin == "*" || origin == request.origin; });
}

}  // namespace musaic
