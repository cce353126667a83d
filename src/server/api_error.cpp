#include "server/api_error.h"

#include "formats/json.h"
#include "server/json_text.h"

namespace musaic {
namespace {

Json error_object(const ApiError& error) {
  Json object = {{"message", error.message}, {"type", error.type}};
  object["param"] = error.param.empty() ? Json() : Json(error.param);
  object["code"] = error.status;
  return object;
}

int http_status(StatusCode code) {
  switch (code) {
    case StatusCode::kOk:
      return 200;
    case StatusCode::kInvalidArgument:
      return 400;
    case StatusCode::kNotFound:
      return 404;
    case StatusCode::kBusy:
      return 400;
    case StatusCode::kOverloaded:
      return 503;
    case StatusCode::kUnavailable:
      return 503;
    case StatusCode::kInternal:
      return 500;
  }
  return 500;
}

}  // namespace

HttpResponse error_response(const ApiError& error) {
  HttpResponse response{
      .status = error.status, .body = to_text(Json{{"error", error_object(error)}}), .headers = {}};
  if (error.status == 503) response.headers.emplace_back("Retry-After", "1");
  return response;
}

std::string error_event(const ApiError& error) {
  Json object = error_object(error);
  object["retryable"] = error.status >= 500;
  return "data: " + to_text(Json{{"error", object}}) + "\n\n";
}

ApiError api_error(const Status& status) {
  ApiError error{.status = http_status(status.code()), .message = status.message()};
  if (error.status == 503) error.type = "overloaded_error";
  if (error.status == 500) error.type = "server_error";
  return error;
}

}  // namespace musaic
