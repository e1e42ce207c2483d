// SPDX-License-Identifier: Apache-2.0
// EnrollmentDoor is the enrolment listener: open only while a token or a login code waits, so
// that most of the time there is nothing to attack.
#ifndef DUMPWARDEN_SERVER_ENROLLMENT_SERVICE_H_
#define DUMPWARDEN_SERVER_ENROLLMENT_SERVICE_H_

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/clock.h"
#include "platform/log.h"
#include "server/authorize.h"
#include "server/identity/enrollment.h"
#include "server/listener.h"
#include "server/people.h"
#include "server/store/store.h"

namespace dumpwarden {

// The references must outlive the service.  `server`: host:port of the session listener, for hosts
// and people.
std::shared_ptr<grpc::Service> MakeEnrollmentService(Authorizer& authorizer,
                                                     HostEnrollment& enrollment, People& people,
                                                     std::string server);

class EnrollmentDoor {
 public:
  // All must outlive this.
  EnrollmentDoor(Store& store, const Clock& clock, Log& log, ListenerOptions options,
                 std::function<std::shared_ptr<grpc::Service>()> make_service)
      : store_(store),
        clock_(clock),
        log_(log),
        options_(std::move(options)),
        make_service_(std::move(make_service)) {}

  // Opens or closes it as the tokens say.  Not from an enrolment's own thread.  kUnavailable: the
  // address is taken, or Close was called.
  absl::Status Refresh();
  // Opens it, and only then calls `make_token`, so that no token is made which nobody can use.  The
  // address with the bound port.
  absl::StatusOr<std::string> OpenFor(absl::FunctionRef<absl::Status()> make_token);
  // For good: the server stops.  Others may still call this object.
  void Close();
  // With the bound port; nullopt when it is closed.
  std::optional<std::string> Address() const;

 private:
  absl::Status Open();  // mutex_ is held
  absl::Status CheckNotClosed() const;

  Store& store_;
  const Clock& clock_;
  Log& log_;
  mutable std::mutex mutex_;
  ListenerOptions options_;  // once opened, with the port that it got
  const std::function<std::shared_ptr<grpc::Service>()> make_service_;
  std::unique_ptr<Listener> listener_;
  bool closed_ = false;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_ENROLLMENT_SERVICE_H_
