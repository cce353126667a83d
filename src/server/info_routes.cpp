#include <fmt/format.h>

#include <ctime>

#include "metrics/request_metrics.h"
#include "server/json_text.h"
#include "server/page.h"
#include "server/routes.h"

namespace musaic {
namespace {

using ReplyPtr = std::shared_ptr<Reply>;

constexpr double kGigabyte = 1 << 30;

double ratio(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0.0;
}

Json program_info(const Services& services) {
  return services.context.program_info ? services.context.program_info() : Json::object();
}

const char* state_name(ServerState state) {
  return state == ServerState::kReady ? "ready" : state == ServerState::kStarting ? "starting" : "draining";
}

Json step_list(const std::vector<StepCount>& counts) {
  Json list = Json::array();
  for (const StepCount& count : counts) {
    list.push_back({{"phase", count.record.kind == StepKind::kExtend ? "extend" : "decode"},
                    {"mode", count.record.replayed ? "replayed" : "eager"},
                    {"bucket", count.record.bucket},
                    {"reason", count.record.reason},
                    {"steps", count.steps},
                    {"pad_rows", count.pad_rows},
                    {"seconds", count.record.seconds}});
  }
  return list;
}

void model_info(Services& services, HttpRequest&&, ReplyPtr reply) {
  const ModelInfo& model = services.context.model;
  send_json(*reply, {{"model_path", model.model_path},
                     {"served_model_name", model.served_model_name},
                     {"tokenizer_path", model.tokenizer_path},
                     {"is_generation", true},
                     {"preferred_sampling_params", nullptr},
                     {"weight_version", "default"},
                     {"has_image_understanding", false},
                     {"has_audio_understanding", false},
                     {"model_type", model.model_type},
                     {"architectures", model.architectures},
                     {"load_format", model.load_format},
                     {"dtype", model.dtype},
                     {"context_length", model.context_length},
                     {"vocab_size", model.vocab_size}});
}

void server_info(Services& services, HttpRequest&&, ReplyPtr reply) {
  const EngineStats stats = services.context.engine.stats();
  const ModelInfo& model = services.context.model;
  Json info = services.context.flags;
  info["served_model_name"] = model.served_model_name;
  info["status"] = state_name(services.state);
  info["version"] = services.options.version;
  info["max_total_num_tokens"] = stats.token_capacity;
  info["max_req_input_len"] = stats.context_length;
  Json memory = {{"weight", static_cast<double>(model.weight_bytes) / kGigabyte},
                 {"kvcache", static_cast<double>(model.kv_cache_bytes) / kGigabyte},
                 {"token_capacity", stats.token_capacity}};
  info["internal_states"] =
      Json::array({{{"effective_max_running_requests_per_dp", stats.max_running_requests},
                    {"last_gen_throughput", stats.last_gen_throughput},
                    {"memory_usage", memory},
                    {"num_running_reqs", stats.running_requests},
                    {"num_waiting_reqs", stats.waiting_requests},
                    {"num_used_tokens", stats.used_tokens},
                    {"num_cached_tokens", stats.cached_tokens},
                    {"cache_hit_rate", stats.cache_hit_rate}}});
  info["programs"] = program_info(services);
  info["steps"] = step_list(services.context.engine.step_counts());
  send_json(*reply, info);
}

void get_load(Services& services, HttpRequest&&, ReplyPtr reply) {
  const EngineStats stats = services.context.engine.stats();
  send_json(*reply, Json::array({{{"dp_rank", 0},
                                  {"num_reqs", stats.running_requests + stats.waiting_requests},
                                  {"num_waiting_reqs", stats.waiting_requests},
                                  {"num_tokens", stats.used_tokens}}}));
}

Json one_load(const Services& services, const EngineStats& stats, const Json& programs) {
  const ModelInfo& model = services.context.model;
  const double graph_bytes = programs.value("graph_bytes", 0.0);
  return {{"dp_rank", 0},
          {"num_running_reqs", stats.running_requests},
          {"num_waiting_reqs", stats.waiting_requests},
          {"num_used_tokens", stats.used_tokens},
          {"num_total_tokens", stats.used_tokens + stats.cached_tokens},
          {"max_total_num_tokens", stats.token_capacity},
          {"max_running_requests", stats.max_running_requests},
          {"token_usage", ratio(stats.used_tokens, stats.token_capacity)},
          {"gen_throughput", stats.last_gen_throughput},
          {"cache_hit_rate", stats.cache_hit_rate},
          {"utilization", ratio(stats.running_requests, stats.max_running_requests)},
          {"memory",
           {{"weight_gb", static_cast<double>(model.weight_bytes) / kGigabyte},
            {"kv_cache_gb", static_cast<double>(model.kv_cache_bytes) / kGigabyte},
            {"graph_gb", graph_bytes / kGigabyte},
            {"token_capacity", stats.token_capacity}}},
          {"queues", {{"waiting", stats.waiting_requests}, {"retracted_total", stats.retracted_requests}}}};
}

std::string utc_time() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

void loads(Services& services, HttpRequest&&, ReplyPtr reply) {
  const EngineStats stats = services.context.engine.stats();
  send_json(*reply, {{"timestamp", utc_time()},
                     {"version", services.options.version},
                     {"accelerator", services.options.accelerator},
                     {"num_accelerators", 1},
                     {"dp_rank_count", 1},
                     {"loads", Json::array({one_load(services, stats, program_info(services))})},
                     {"aggregate",
                      {{"total_running_reqs", stats.running_requests},
                       {"total_waiting_reqs", stats.waiting_requests},
                       {"total_reqs", stats.running_requests + stats.waiting_requests},
                       {"avg_token_usage", ratio(stats.used_tokens, stats.token_capacity)},
                       {"avg_throughput", stats.last_gen_throughput},
                       {"avg_utilization", ratio(stats.running_requests, stats.max_running_requests)}}}});
}

MetricsSnapshot snapshot(const Services& services) {
  const EngineStats stats = services.context.engine.stats();
  const Json programs = program_info(services);
  const Json verify = programs.value("verify", Json::object());
  const Json executables = programs.value("graph_executables", Json::object());
  const Json budget = executables.value("budget", Json());
  const Json calls = programs.value("device_calls", Json::object());
  return {.running_requests = stats.running_requests,
          .waiting_requests = stats.waiting_requests,
          .used_tokens = stats.used_tokens,
          .token_capacity = stats.token_capacity,
          .gen_throughput = stats.last_gen_throughput,
          .cache_hit_rate = stats.cache_hit_rate,
          .aborted_requests = stats.aborted_requests,
          .retracted_requests = stats.retracted_requests,
          .capture_seconds = programs.value("capture_seconds", 0.0),
          .graph_bytes = programs.value("graph_bytes", int64_t{0}),
          .buckets = programs.value("bucket_states", std::map<std::string, int>{}),
          .verified_steps = verify.value("verified_steps", uint64_t{0}),
          .verify_differences = verify.value("differences", Json::array()).size(),
          .graph_executable_budget = budget.is_null() ? 0 : budget.get<int>(),
          .graph_executables = executables.value("live", 0),
          .graph_rotations = executables.value("rotations", uint64_t{0}),
          .graph_rotation_seconds = executables.value("rotation_seconds", 0.0),
          .device_calls = {.allocations = calls.value("allocations", uint64_t{0}),
                           .executables = calls.value("executables", uint64_t{0}),
                           .waits = calls.value("waits", uint64_t{0}),
                           .reads = calls.value("reads", uint64_t{0})},
          .steps = services.context.engine.step_counts()};
}

void metrics(Services& services, HttpRequest&&, ReplyPtr reply) {
  if (!services.options.enable_metrics) {
    return send_error(*reply,
                      {.status = 404, .message = "metrics are switched off", .type = "not_found_error"});
  }
  reply->send({.status = 200,
               .body = services.metrics->render(snapshot(services)),
               .content_type = "text/plain; version=0.0.4; charset=utf-8",
               .headers = {}});
}

void page(Services&, HttpRequest&&, ReplyPtr reply) {
  reply->send(
      {.status = 200,
       .body = std::string(page_html()),
       .content_type = "text/html; charset=utf-8",
       .headers = {
           {"Content-Security-Policy",
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
            "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
           {"X-Content-Type-Options", "nosniff"}}});
}

}  // namespace

void add_info_routes(std::vector<Route>& routes) {
  routes.push_back({"/", {"GET"}, Access::kOpen, page});  // tells nothing; it asks for the key
  for (const char* path : {"/model_info", "/get_model_info"})
    routes.push_back({path, {"GET"}, Access::kKey, model_info});
  for (const char* path : {"/server_info", "/get_server_info"})
    routes.push_back({path, {"GET"}, Access::kKey, server_info});
  routes.push_back({"/get_load", {"GET"}, Access::kKey, get_load});
  routes.push_back({"/v1/loads", {"GET"}, Access::kKey, loads});
  routes.push_back({"/metrics", {"GET"}, Access::kOpen, metrics});
}

}  // namespace musaic
