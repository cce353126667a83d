#pragma once

#include <string>

#include "base/status.h"
#include "server/http.h"

namespace musaic {

// What a client is told when its request cannot be served.
struct ApiError {
  int status = 400;
  std::string message;
  std::string type = "invalid_request_error";
  std::string param;  // the offending parameter, empty when none
};

// {"error":{"message","type","param","code"}} with the HTTP status; 503 carries Retry-After.
HttpResponse error_response(const ApiError& error);
// `data: {"error":{...,"retryable"}}\n\n` for a stream that has begun.
std::string error_event(const ApiError& error);
ApiError api_error(const Status& status);

}  // namespace musaic
