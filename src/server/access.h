#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "server/api_error.h"
#include "server/http.h"
#include "server/server_context.h"

namespace musaic {

// Who may call a route.
enum class Access { kOpen, kKey, kAdmin };

// Nothing when the request may go on; else the 401 or 403.
std::optional<ApiError> check_access(const HttpRequest& request, Access access, const ServerOptions& options);

// Compares without telling by its time how much was right.
bool equal_in_constant_time(std::string_view given, std::string_view key);

// True when the request comes from no browser, from our own page, or from an allowed origin.
bool is_allowed_origin(const HttpRequest& request, const ServerOptions& options);
// Whether the answer has to name the origin as allowed.
bool is_cross_origin(const HttpRequest& request);

}  // namespace musaic
