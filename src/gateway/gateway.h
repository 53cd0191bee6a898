#ifndef SLUICE_GATEWAY_GATEWAY_H_
#define SLUICE_GATEWAY_GATEWAY_H_

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "gateway/api_error.h"
#include "gateway/completion_job.h"
#include "gateway/gateway_metrics.h"
#include "gateway/http_server.h"
#include "wire/wire_log.h"
#include "wire/wire_metrics.h"

namespace sluice {

struct GatewayOptions {
  std::string listen = "127.0.0.1:8080";  ///< HOST:PORT; port 0: any that is free
  TrustOptions trust = {};                ///< certificate and key of the HTTP side; its token is not looked at
  std::string token = {};                 ///< that clients show as bearers; empty: none is asked for
  size_t sessions = 16;                   ///< requests that generate at once
  size_t connections = 128;               ///< clients at once
  ClientPatience patience = {};
  GatewayLimits limits = {};
};

/// The secret of HTTP clients: in a file, or without one in the environment's SLUICE_API_TOKEN; empty when there is
/// neither. Errors: those of ReadToken.
Result<std::string> ReadApiToken(const std::filesystem::path& file);

/// An HTTP server that OpenAI's clients can talk to. docs/serving.md has its routes, fields and errors. Threads: any.
class Gateway {
 public:
  /// Listens. `model`, `wire` and `log` outlive the gateway. Errors: InvalidArgument for an address that is not
  /// loopback without both TLS and a token (TrustOptions::plaintext waives TLS), for keys that do not fit; Io when the
  /// address cannot be listened on.
  static Result<std::unique_ptr<Gateway>> Start(const GatewayModel& model, GatewayOptions options,
                                                const WireMetrics& wire, const WireLog& log);
  /// Ends what is left at once.
  ~Gateway();

  /// HOST:PORT with the port that was taken.
  const std::string& address() const { return address_; }
  /// Requests that generate now.
  size_t active() const;
  /// Takes no new requests, lets the others finish for `seconds`, then ends them. False when some had to be ended.
  bool Drain(double seconds);

 private:
  struct Active;

  Gateway(const GatewayModel& model, GatewayOptions options, const WireMetrics& wire, const WireLog& log)
      : model_(model), options_(std::move(options)), wire_(wire), log_(log) {}
  Status Listen();
  void AddRoutes();
  httplib::Server::HandlerResponse Admit(const httplib::Request& request, httplib::Response& response) const;
  bool MayEnter(const httplib::Request& request) const;
  void Complete(const httplib::Request& request, httplib::Response& response, const httplib::ContentReader& read,
                bool chat);
  std::optional<ApiError> Prepare(const std::string& body, bool chat, std::shared_ptr<Active>& active);
  void Answer(const std::shared_ptr<Active>& active, httplib::Response& response);
  void AnswerWhole(Active& active, httplib::Response& response);
  bool Stream(Active& active, const std::optional<CompletionJob::Part>& first, httplib::DataSink& sink);
  void CountFailure(Active& active, const Status& status);
  void Refuse(httplib::Response& response, const ApiError& error) const;
  std::shared_ptr<Active> Enter();
  void Leave();
  bool GoOn() const;
  void AnswerModels(httplib::Response& response) const;

  const GatewayModel& model_;
  const GatewayOptions options_;
  const WireMetrics& wire_;
  const WireLog& log_;
  const int64_t started_ = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::string address_;
  GatewayMetrics metrics_;
  mutable std::mutex mutex_;
  std::condition_variable left_;
  size_t active_ = 0;
  std::atomic<bool> draining_ = false;
  std::atomic<bool> ending_ = false;
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
};

}  // namespace sluice

#endif  // SLUICE_GATEWAY_GATEWAY_H_
