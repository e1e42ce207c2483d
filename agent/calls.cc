// SPDX-License-Identifier: Apache-2.0
// The single calls: enrolment and renewal.
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/channel.h"
#include "agent/config.h"
#include "agent/grpc_link.h"
#include "core/base/digest.h"
#include "core/base/host_port.h"
#include "core/base/status_macros.h"
#include "dumpwarden/v1/enrollment.grpc.pb.h"
#include "dumpwarden/v1/session.grpc.pb.h"
#include "proto/grpc_status.h"

namespace dumpwarden {
namespace {

// How soon a call notices that nobody waits for it any more.
constexpr std::chrono::milliseconds kLookAround(100);

// The chain's last certificate is the root that the token names.
absl::Status CheckPinnedChain(absl::string_view chain_pem, const std::string& root_pin,
                              const std::string& host, absl::Time now) {
  absl::StatusOr<std::vector<CertificatePtr>> chain = ReadCertificatesPem(chain_pem);
  if (!chain.ok()) {
    return absl::UnauthenticatedError(
        absl::StrCat("the server's certificate is unreadable: ", chain.status().message()));
  }
  ASSIGN_OR_RETURN(const std::string root, CertificateDer(*chain->back()));
  if (Sha256Hex(root) != root_pin) {
    return absl::UnauthenticatedError(
        "the server is not the one that made this token (its CA has another fingerprint); "
        "nothing was sent to it. Is the address right?");
  }
  std::vector<CertificatePtr> roots;
  roots.push_back(std::move(chain->back()));
  return CheckServerChain(chain_pem, roots, host, now);
}

// For the one call of `queue`; cancels it when nobody waits any more.
void WaitForEnd(grpc::CompletionQueue& queue, grpc::ClientContext& context,
                const std::function<bool()>& stopped) {
  void* tag = nullptr;
  bool ok = false;
  while (queue.AsyncNext(&tag, &ok, std::chrono::system_clock::now() + kLookAround) ==
         grpc::CompletionQueue::TIMEOUT) {
    if (stopped()) context.TryCancel();
  }
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) continue;
}

absl::StatusOr<v1::RenewResponse> RenewFrom(const std::string& server, const std::string& proxy,
                                            const Identity& identity, const Clock& clock,
                                            const v1::RenewRequest& request,
                                            const std::function<bool()>& stopped) {
  ASSIGN_OR_RETURN(const HostPort address, ParseServerAddress(server));
  ASSIGN_OR_RETURN(std::vector<CertificatePtr> certificates, ReadCertificatesPem(identity.ca_pem));
  auto roots = std::make_shared<const std::vector<CertificatePtr>>(std::move(certificates));
  auto verdict = std::make_shared<Verdict>();
  const CheckChain check = [roots, host = address.host, &clock](absl::string_view chain) {
    return CheckServerChain(chain, *roots, host, clock.Now());
  };
  const auto channel = MakeChannel(server, proxy, MakeCredentials(&identity, check, verdict));
  const auto stub = v1::AgentSession::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoSeconds(kConnectLimit));
  grpc::CompletionQueue queue;
  const auto call = stub->AsyncRenew(&context, request, &queue);
  v1::RenewResponse response;
  grpc::Status status;
  call->Finish(&response, &status, nullptr);
  WaitForEnd(queue, context, stopped);
  RETURN_IF_ERROR(verdict->Get());
  if (status.ok()) return response;
  const absl::Status why = FromGrpc(status);
  return absl::Status(why.code(), Blame(server, proxy, why.message()));
}

}  // namespace

absl::StatusOr<v1::EnrollResponse> CallEnroll(const std::string& server, const std::string& proxy,
                                              const std::string& root_pin, const Clock& clock,
                                              const v1::EnrollRequest& request) {
  ASSIGN_OR_RETURN(const HostPort address, ParseServerAddress(server));
  auto verdict = std::make_shared<Verdict>();
  // By value: a handshake that was given up may ask later.
  const CheckChain check = [root_pin, host = address.host, &clock](absl::string_view chain) {
    return CheckPinnedChain(chain, root_pin, host, clock.Now());
  };
  const std::shared_ptr<grpc::Channel> channel =
      MakeChannel(server, proxy, MakeCredentials(nullptr, check, verdict));
  const std::unique_ptr<v1::Enrollment::Stub> stub = v1::Enrollment::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoSeconds(kConnectLimit));
  v1::EnrollResponse response;
  const grpc::Status called = stub->Enroll(&context, request, &response);
  RETURN_IF_ERROR(verdict->Get());
  if (called.ok()) return response;
  const absl::Status status = FromGrpc(called);
  const std::string why = Blame(server, proxy, status.message());
  if (!proxy.empty() || !NobodyThere(status.message())) return absl::Status(status.code(), why);
  return absl::Status(
      status.code(),
      absl::StrCat(why,
                   "; the enrolment port is open only while an unused token waits: is this "
                   "the ADDRESS that `dumpctl token create` printed, and the token unused?"));
}

absl::StatusOr<v1::RenewResponse> CallRenew(const Way& way, const Identity& identity,
                                            const Clock& clock, const v1::RenewRequest& request,
                                            const std::function<bool()>& stopped) {
  std::vector<std::string> servers = way.servers;
  if (servers.empty()) servers.push_back(identity.server);
  absl::Status why;
  for (const std::string& server : servers) {
    absl::StatusOr<v1::RenewResponse> response =
        RenewFrom(server, way.proxy, identity, clock, request, stopped);
    why = response.status();
    // Whoever answered is the server; another way to it would say the same.
    if (stopped() || !(absl::IsUnavailable(why) || absl::IsDeadlineExceeded(why))) return response;
  }
  return why;
}

}  // namespace dumpwarden
