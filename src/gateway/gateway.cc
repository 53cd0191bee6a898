// A request passes these gates in order, each cheaper than the next: token, size of the body, its fields, its tokens, a
// free session. The first part of an answer is waited for before the status line is written, so that what fails at the
// start has an HTTP code of its own; what fails later is an event of the stream.
#include "gateway/gateway.h"

#include <fmt/format.h>

#include <chrono>

#include "wire/session_id.h"

namespace sluice {
namespace {

constexpr char kJson[] = "application/json";
constexpr char kCompletions[] = "/v1/completions";
constexpr char kChatCompletions[] = "/v1/chat/completions";
constexpr char kHealth[] = "/health";
constexpr char kMetrics[] = "/metrics";
constexpr char kModels[] = "/v1/models";
constexpr size_t kHeadBytes = 64 << 10;

// A body in chunks has a frame around each of them: twice its bytes is room enough.
ClientPatience PatienceOf(const GatewayOptions& options) {
  ClientPatience patience = options.patience;
  patience.request_bytes = kHeadBytes + 2 * options.limits.body_bytes;
  return patience;
}

/// The method that a path takes; empty for none that there is.
std::string_view MethodOf(std::string_view path) {
  if (path == kCompletions || path == kChatCompletions) return "POST";
  if (path == kHealth || path == kMetrics || path == kModels) return "GET";
  return "";
}

std::string NoSuchRoute(const httplib::Request& request) {
  return fmt::format("there is no {} {}", request.method, request.path);
}

int64_t Now() { return std::chrono::system_clock::to_time_t(std::chrono::system_clock::now()); }

Status CheckAddress(const GatewayOptions& options) {
  SLUICE_ASSIGN_OR_RETURN(const bool loopback, IsLoopback(options.listen));
  if (loopback) return OkStatus();
  if (options.trust.certificate.empty() && !options.trust.plaintext) {
    return InvalidArgument(
        fmt::format("listening on {} without keys: make them with `sluice keys` and give them with "
                    "--keys, or listen on 127.0.0.1; --no-tls sends everything readable",
                    options.listen));
  }
  if (!options.token.empty()) return OkStatus();
  return InvalidArgument(fmt::format(
      "listening on {} without a token: give one with --api-token-file or the environment's SLUICE_API_TOKEN",
      options.listen));
}

bool IsJsonType(const std::string& type) {
  std::string lower;
  for (const char c : type.substr(0, type.find(';'))) {
    if (c != ' ') lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return lower == kJson;
}

/// The body, unless it is larger than allowed.
std::optional<std::string> ReadBody(const httplib::ContentReader& read, size_t most) {
  std::string body;
  const bool whole = read([&](const char* data, size_t size) {
    if (size > most - body.size()) return false;
    body.append(data, size);
    return true;
  });
  if (!whole) return std::nullopt;
  return body;
}

}  // namespace

/// A request that holds a session until it is destroyed.
struct Gateway::Active {
  explicit Active(Gateway& owner) : gateway(owner) {}
  ~Active() {
    job.reset();
    gateway.Leave();
  }
  Active(const Active&) = delete;
  Active& operator=(const Active&) = delete;

  Gateway& gateway;
  ApiRequest request;
  AnswerHead head;
  std::unique_ptr<CompletionJob> job;
};

Result<std::string> ReadApiToken(const std::filesystem::path& file) { return ReadToken(file, "SLUICE_API_TOKEN"); }

Result<std::unique_ptr<Gateway>> Gateway::Start(const GatewayModel& model, GatewayOptions options,
                                                const WireMetrics& wire, const WireLog& log) {
  SLUICE_RETURN_IF_ERROR(CheckAddress(options));
  SslContext tls;
  if (!options.trust.certificate.empty()) {
    SLUICE_ASSIGN_OR_RETURN(tls, MakeServerTls(options.trust));
  }
  std::unique_ptr<Gateway> gateway(new Gateway(model, std::move(options), wire, log));
  gateway->server_ =
      std::make_unique<HttpServer>(std::move(tls), PatienceOf(gateway->options_), gateway->options_.connections);
  gateway->AddRoutes();
  SLUICE_RETURN_IF_ERROR(gateway->Listen());
  return gateway;
}

Status Gateway::Listen() {
  const size_t colon = options_.listen.rfind(':');
  std::string host = options_.listen.substr(0, colon);
  const std::string name = host;
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  int port = std::atoi(options_.listen.c_str() + colon + 1);
  if (port == 0) {
    port = server_->bind_to_any_port(host);
  } else if (!server_->bind_to_port(host, port)) {
    port = -1;
  }
  if (port <= 0) return IoError(fmt::format("{}: cannot be listened on", options_.listen));
  address_ = fmt::format("{}:{}", name, port);
  thread_ = std::thread([this] { server_->listen_after_bind(); });
  return OkStatus();
}

Gateway::~Gateway() {
  draining_ = ending_ = true;
  // A server that is stopped before its thread listens would listen for ever.
  constexpr int kMostWaits = 2000;
  for (int i = 0; i < kMostWaits && thread_.joinable() && !server_->is_running(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  server_->stop();
  if (thread_.joinable()) thread_.join();
}

bool Gateway::Drain(double seconds) {
  draining_ = true;
  std::unique_lock<std::mutex> lock(mutex_);
  const bool finished = left_.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return active_ == 0; });
  ending_ = true;
  left_.wait(lock, [this] { return active_ == 0; });
  return finished;
}

size_t Gateway::active() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return active_;
}

std::shared_ptr<Gateway::Active> Gateway::Enter() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (active_ >= options_.sessions || draining_) return nullptr;
  ++active_;
  return std::make_shared<Active>(*this);
}

void Gateway::Leave() {
  const std::lock_guard<std::mutex> lock(mutex_);
  --active_;
  left_.notify_all();
}

bool Gateway::GoOn() const { return !ending_ && HttpServer::CurrentClient().ClientThere(); }

void Gateway::Refuse(httplib::Response& response, const ApiError& error) const {
  response.status = error.http;
  if (error.http == 429 || error.http == 503) response.set_header("Retry-After", "1");
  if (error.http == 401) response.set_header("WWW-Authenticate", "Bearer");
  response.set_content(JsonText(ErrorJson(error)) + "\n", kJson);
}

bool Gateway::MayEnter(const httplib::Request& request) const {
  if (options_.token.empty()) return true;
  constexpr std::string_view kScheme = "bearer ";
  const std::string shown = request.get_header_value("Authorization");
  if (shown.size() <= kScheme.size()) return false;
  for (size_t i = 0; i < kScheme.size(); ++i) {
    if (std::tolower(static_cast<unsigned char>(shown[i])) != kScheme[i]) return false;
  }
  return SameToken(options_.token, std::string_view(shown).substr(kScheme.size()));
}

httplib::Server::HandlerResponse Gateway::Admit(const httplib::Request& request, httplib::Response& response) const {
  using enum httplib::Server::HandlerResponse;
  if (request.path != kHealth && !MayEnter(request)) {
    Refuse(response, {.http = 401,
                      .message = "this server wants its token as 'Authorization: Bearer TOKEN'",
                      .type = "authentication_error",
                      .code = "invalid_api_key"});
    return Handled;
  }
  // What has a body is answered before httplib would read it: its own limits do not hold for all methods.
  const std::string_view taken = MethodOf(request.path);
  const bool head = request.method == "HEAD" && taken == "GET";
  if (request.method != taken && !head) {
    if (!taken.empty()) response.set_header("Allow", taken == "GET" ? "GET, HEAD" : std::string(taken));
    Refuse(response, {.http = taken.empty() ? 404 : 405, .message = NoSuchRoute(request)});
    return Handled;
  }
  if (taken == "GET") return Unhandled;
  if (!IsJsonType(request.get_header_value("Content-Type")) || request.has_header("Content-Encoding")) {
    Refuse(response,
           {.http = 415, .message = "a request's body must be of Content-Type application/json, without an encoding"});
    return Handled;
  }
  return Unhandled;
}

void Gateway::AddRoutes() {
  server_->set_payload_max_length(options_.limits.body_bytes);
  server_->set_pre_routing_handler([this](const auto& request, auto& response) { return Admit(request, response); });
  server_->Get(kHealth, [this](const httplib::Request&, httplib::Response& response) {
    response.status = draining_ ? 503 : 200;
    response.set_content(draining_ ? "{\"status\":\"draining\"}\n" : "{\"status\":\"ok\"}\n", kJson);
  });
  server_->Get(kMetrics, [this](const httplib::Request&, httplib::Response& response) {
    response.set_content(wire_.Text() + metrics_.Text(active(), server_->refused()), "text/plain; version=0.0.4");
  });
  server_->Get(kModels, [this](const httplib::Request&, httplib::Response& response) { AnswerModels(response); });
  for (const bool chat : {false, true}) {
    server_->Post(chat ? kChatCompletions : kCompletions,
                  [this, chat](const httplib::Request& request, httplib::Response& response,
                               const httplib::ContentReader& read) { Complete(request, response, read, chat); });
  }
  server_->set_error_handler(httplib::Server::HandlerWithResponse([this](const auto& request, auto& response) {
    if (!response.body.empty()) return httplib::Server::HandlerResponse::Unhandled;
    const std::string what = response.status == 404 ? NoSuchRoute(request) : "the request is not sound HTTP";
    Refuse(response, {.http = response.status, .message = what});
    return httplib::Server::HandlerResponse::Handled;
  }));
}

void Gateway::AnswerModels(httplib::Response& response) const {
  const nlohmann::ordered_json model = {
      {"id", model_.name}, {"object", "model"}, {"created", started_}, {"owned_by", "sluice"}};
  response.set_content(JsonText({{"object", "list"}, {"data", nlohmann::ordered_json::array({model})}}) + "\n", kJson);
}

void Gateway::Complete(const httplib::Request& request, httplib::Response& response, const httplib::ContentReader& read,
                       bool chat) {
  const std::optional<std::string> body = ReadBody(read, options_.limits.body_bytes);
  std::shared_ptr<Active> active;
  std::optional<ApiError> error;
  if (!body) {
    // Whatever httplib says, it could not be read to its end.
    error = ApiError{
        .http = HttpServer::CurrentClient().Late() ? 408 : 413,
        .message = fmt::format("the body did not come whole, or has more than {} bytes", options_.limits.body_bytes)};
  } else {
    error = Prepare(*body, chat, active);
  }
  if (error) {
    Refuse(response, *error);
  } else {
    Answer(active, response);
  }
  metrics_.CountRequest(request.path, response.status == -1 ? 200 : response.status);
}

std::optional<ApiError> Gateway::Prepare(const std::string& body, bool chat, std::shared_ptr<Active>& active) {
  Result<ApiRequest> request = chat ? ParseChatRequest(body) : ParseCompletionRequest(body);
  if (!request.ok()) return FieldErrorOf(request.status());
  if (!request->model.empty() && request->model != model_.name) {
    return ApiError{.http = 404,
                    .message = fmt::format("model: there is no '{}' here; this server has '{}'",
                                           request->model.substr(0, 100), model_.name),
                    .param = "model",
                    .code = "model_not_found"};
  }
  Result<std::unique_ptr<CompletionJob>> job = CompletionJob::Make(model_, options_.limits, *request);
  if (!job.ok()) {
    ApiError error = FieldErrorOf(job.status());
    if (error.message.find("context of") != std::string::npos) error.code = "context_length_exceeded";
    return error;
  }
  active = Enter();
  if (active == nullptr) {
    if (draining_) return ErrorOf(Unavailable("this server is about to stop"));
    return ApiError{.http = 429,
                    .message = fmt::format("all {} sessions are taken; try again", options_.sessions),
                    .type = "server_error",
                    .code = "rate_limit_exceeded"};
  }
  const Result<std::string> id = NewSessionId();
  if (!id.ok()) return ErrorOf(id.status());
  active->request = std::move(*request);
  active->job = std::move(*job);
  active->head = {.chat = chat,
                  .id = (chat ? "chatcmpl-" : "cmpl-") + *id,
                  .model = model_.name,
                  .created = Now(),
                  .include_usage = active->request.include_usage,
                  .log_probabilities = active->request.log_probabilities,
                  .token_ids = active->request.token_ids};
  return std::nullopt;
}

void Gateway::Answer(const std::shared_ptr<Active>& active, httplib::Response& response) {
  if (!active->request.stream) return AnswerWhole(*active, response);
  Result<std::optional<CompletionJob::Part>> first = active->job->Next([this] { return GoOn(); });
  if (!first.ok()) {
    CountFailure(*active, first.status());
    return Refuse(response, ErrorOf(first.status()));
  }
  response.set_header("Cache-Control", "no-store");
  response.set_chunked_content_provider("text/event-stream",
                                        [this, active, first = *first](size_t, httplib::DataSink& sink) {
                                          const bool whole = Stream(*active, first, sink);
                                          metrics_.CountTokens(active->job->usage());
                                          return whole;
                                        });
}

void Gateway::AnswerWhole(Active& active, httplib::Response& response) {
  std::vector<AnswerPart> choices(active.job->choices());
  while (true) {
    Result<std::optional<CompletionJob::Part>> next = active.job->Next([this] { return GoOn(); });
    if (!next.ok()) {
      metrics_.CountTokens(active.job->usage());
      CountFailure(active, next.status());
      return Refuse(response, ErrorOf(next.status()));
    }
    if (!next->has_value()) break;
    AnswerPart& choice = choices[(*next)->choice];
    AnswerPart& part = (*next)->part;
    choice.text += part.text;
    for (AnswerToken& token : part.tokens) choice.tokens.push_back(std::move(token));
    choice.finish_reason = part.finish_reason;
  }
  metrics_.CountTokens(active.job->usage());
  response.set_content(JsonText(WholeAnswer(active.head, choices, active.job->usage())) + "\n", kJson);
}

void Gateway::CountFailure(Active& active, const Status& status) {
  if (status.code() == StatusCode::kInterrupted) metrics_.CountCancelled();
  log_.Event(LogLevel::kWarning, "request_failed", {{"id", active.head.id}, {"status", status.ToString()}});
}

bool Gateway::Stream(Active& active, const std::optional<CompletionJob::Part>& first, httplib::DataSink& sink) {
  const auto send = [&](const std::string& text) {
    const bool taken = sink.write(text.data(), text.size());
    if (!taken) CountFailure(active, Interrupted("the client does not take its answer"));
    return taken;
  };
  for (size_t i = 0; active.head.chat && i < active.job->choices(); ++i) {
    if (!send(EventText(RoleEvent(active.head, i)))) return false;
  }
  for (std::optional<CompletionJob::Part> part = first; part;) {
    if (!send(EventText(PartEvent(active.head, part->choice, part->part)))) return false;
    Result<std::optional<CompletionJob::Part>> next = active.job->Next([this] { return GoOn(); });
    if (!next.ok()) {
      CountFailure(active, next.status());
      if (!send(EventText(ErrorJson(ErrorOf(next.status()))))) return false;
      sink.done();
      return true;
    }
    part = std::move(*next);
  }
  if (active.head.include_usage && !send(EventText(UsageEvent(active.head, active.job->usage())))) return false;
  if (!send(kLastEvent)) return false;
  sink.done();
  return true;
}

}  // namespace sluice
