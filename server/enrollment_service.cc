// SPDX-License-Identifier: Apache-2.0
#include "server/enrollment_service.h"

#include <grpcpp/grpcpp.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "dumpwarden/v1/enrollment.grpc.pb.h"
#include "proto/grpc_status.h"

namespace dumpwarden {
namespace {

constexpr absl::Duration kGrace = absl::Seconds(2);

class EnrollmentService final : public v1::Enrollment::Service {
 public:
  EnrollmentService(Authorizer& authorizer, HostEnrollment& enrollment, People& people,
                    std::string server)
      : authorizer_(authorizer),
        enrollment_(enrollment),
        people_(people),
        server_(std::move(server)) {}

  grpc::Status Enroll(grpc::ServerContext* context, const v1::EnrollRequest* request,
                      v1::EnrollResponse* response) override {
    return Answer(*context, "Enroll", *response, [&](const Caller& caller) {
      return enrollment_.Enroll(*request, caller.source, server_);
    });
  }
  grpc::Status Login(grpc::ServerContext* context, const v1::LoginRequest* request,
                     v1::LoginResponse* response) override {
    return Answer(*context, "Login", *response, [&](const Caller& caller) {
      return people_.Login(*request, caller.source, server_);
    });
  }

 private:
  template <typename Response, typename Call>
  grpc::Status Answer(const grpc::ServerContext& context, absl::string_view method,
                      Response& response, Call call) {
    const absl::StatusOr<Caller> caller =
        authorizer_.Authorize(context, absl::StrCat("dumpwarden.v1.Enrollment.", method));
    if (!caller.ok()) return ToGrpc(caller.status());
    absl::StatusOr<Response> answer = call(*caller);
    if (!answer.ok()) return ToGrpc(answer.status());
    response = *std::move(answer);
    return grpc::Status::OK;
  }

  Authorizer& authorizer_;
  HostEnrollment& enrollment_;
  People& people_;
  const std::string server_;
};

}  // namespace

std::shared_ptr<grpc::Service> MakeEnrollmentService(Authorizer& authorizer,
                                                     HostEnrollment& enrollment, People& people,
                                                     std::string server) {
  return std::make_shared<EnrollmentService>(authorizer, enrollment, people, std::move(server));
}

absl::Status EnrollmentDoor::CheckNotClosed() const {
  return closed_ ? absl::UnavailableError("the server is going down") : absl::OkStatus();
}

absl::Status EnrollmentDoor::Open() {
  if (listener_ != nullptr) return absl::OkStatus();
  ASSIGN_OR_RETURN(listener_, Listener::Start(options_, {make_service_()}));
  options_.address = listener_->address();
  log_.Info("enrolment open", {{"address", options_.address}});
  return absl::OkStatus();
}

absl::Status EnrollmentDoor::Refresh() {
  std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(CheckNotClosed());
  ASSIGN_OR_RETURN(const std::optional<absl::Time> expiry, store_.NewestTokenExpiry(clock_.Now()));
  if (expiry.has_value() && *expiry > clock_.Now()) return Open();
  if (listener_ == nullptr) return absl::OkStatus();
  listener_->Stop(kGrace);
  listener_.reset();
  log_.Info("enrolment closed: no token or login code waits");
  return absl::OkStatus();
}

absl::StatusOr<std::string> EnrollmentDoor::OpenFor(absl::FunctionRef<absl::Status()> make_token) {
  std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(CheckNotClosed());
  RETURN_IF_ERROR(Open());
  RETURN_IF_ERROR(make_token());
  return options_.address;
}

void EnrollmentDoor::Close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
  if (listener_ != nullptr) listener_->Stop(kGrace);
  listener_.reset();
}

std::optional<std::string> EnrollmentDoor::Address() const {
  std::lock_guard lock(mutex_);
  if (listener_ == nullptr) return std::nullopt;
  return options_.address;
}

}  // namespace dumpwarden
