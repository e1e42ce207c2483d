// SPDX-License-Identifier: Apache-2.0
#include "server/listener.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/resource_quota.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/host_port.h"
#include "core/base/status_macros.h"
#include "server/config.h"

namespace dumpwarden {
namespace {

constexpr int kKeepaliveMs = 120'000;
constexpr int kHandshakeMs = 10'000;
constexpr int kMaxMetadataBytes = 8 * 1024;
constexpr int kMaxStreams = 64;  // of one connection

void SetLimits(const ListenerOptions& options, grpc::ServerBuilder& builder) {
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  // An idle session is pinged for as long as it lasts.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeMs);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreams);
  // A second server on the port must fail, not share it.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  if (options.max_age > absl::ZeroDuration()) {
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS,
                               static_cast<int>(absl::ToInt64Milliseconds(options.max_age)));
  }
  if (options.max_idle > absl::ZeroDuration()) {
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS,
                               static_cast<int>(absl::ToInt64Milliseconds(options.max_idle)));
  }
  builder.SetMaxReceiveMessageSize(options.max_message_bytes);
  // A few compressed bytes may stand for many: peers of ours send none.
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  grpc::ResourceQuota quota("dumpwarden");
  quota.SetMaxThreads(options.max_threads);
  builder.SetResourceQuota(quota);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> Listener::Start(
    const ListenerOptions& options, std::vector<std::shared_ptr<grpc::Service>> services) {
  ASSIGN_OR_RETURN(const HostPort wanted, ParseHostPort(options.address));
  grpc::ServerBuilder builder;
  SetLimits(options, builder);
  int port = 0;
  builder.AddListeningPort(options.address, options.credentials, &port);
  std::unique_ptr<Listener> listener(new Listener);
  listener->services_ = std::move(services);
  for (const auto& service : listener->services_) builder.RegisterService(service.get());
  listener->server_ = builder.BuildAndStart();
  if (listener->server_ == nullptr || port <= 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", options.address,
                     ": is the address this machine's, and the port free and allowed?"));
  }
  listener->address_ = JoinHostPort(wanted.host, port);
  return listener;
}

Listener::~Listener() { Stop(absl::ZeroDuration()); }

void Listener::Stop(absl::Duration grace) {
  if (server_ == nullptr) return;
  server_->Shutdown(absl::ToChronoTime(absl::Now() + grace));
  server_->Wait();
  server_.reset();
}

}  // namespace dumpwarden
