// SPDX-License-Identifier: Apache-2.0
// People: who may do what, and how they get the certificate that says who they
// are.  A code that an admin made and a proven key go in, a certificate comes
// out; strangers all hear the same.  Thread-safe.
#ifndef DUMPWARDEN_SERVER_PEOPLE_H_
#define DUMPWARDEN_SERVER_PEOPLE_H_

#include <functional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/random.h"
#include "dumpwarden/v1/admin.pb.h"
#include "dumpwarden/v1/enrollment.pb.h"
#include "platform/log.h"
#include "server/actor.h"
#include "server/identity/authority.h"
#include "server/identity/enrollment.h"
#include "server/store/store.h"

namespace dumpwarden {

// Of what `dumpctl login` gets; the first operator's, which `init` makes, lives a year.
inline constexpr absl::Duration kPersonLife = absl::Hours(30 * 24);

class People {
 public:
  // Of each login that is refused before the store is asked, which records what it refuses.
  using OnRefused =
      std::function<void(const char* reason, const std::string& peer, const absl::Status& why)>;
  // All must outlive this.
  People(Store& store, Authority& authority, const Clock& clock, Random& random, Log& log,
         OnRefused on_refused = nullptr)
      : store_(store),
        authority_(authority),
        clock_(clock),
        random_(random),
        log_(log),
        on_refused_(std::move(on_refused)),
        failures_(clock) {}

  absl::StatusOr<v1::ListPeopleResponse> List();
  // Both codes are without `address`.
  absl::StatusOr<v1::AddPersonResponse> Add(const v1::AddPersonRequest& request,
                                            const Actor& actor);
  absl::StatusOr<v1::CreateLoginCodeResponse> CreateCode(const v1::CreateLoginCodeRequest& request,
                                                         const Actor& actor);
  absl::StatusOr<v1::SetRolesResponse> SetRoles(const v1::SetRolesRequest& request,
                                                const Actor& actor);
  // In the store; who calls it cuts off the calls that run.
  absl::StatusOr<v1::RevokePersonResponse> Revoke(const v1::RevokePersonRequest& request,
                                                  const Actor& actor);
  // `server`: host:port of the session listener, told to dumpctl.
  absl::StatusOr<v1::LoginResponse> Login(const v1::LoginRequest& request, const std::string& peer,
                                          const std::string& server);
  // As certificates say it, and the audit log.
  std::string IdOf(const std::string& name) const;

 private:
  struct NewCode {
    LoginCodeRow row;
    v1::LoginCode message;
  };
  NewCode MakeCode(const std::string& person, absl::Duration life);
  // What UseLoginCode calls; the chain goes to `issued`.
  IssueLogin MakeIssue(EVP_PKEY& key, const std::string& code_id, const std::string& peer,
                       Issued& issued);
  v1::Person MessageOf(const PersonRow& row) const;
  absl::StatusOr<v1::Person> Read(const std::string& name);
  absl::Status Refuse(const char* reason, const std::string& peer, const absl::Status& why);
  absl::Status RefuseCode(const absl::Status& why, const std::string& code_id,
                          const std::string& peer);

  Store& store_;
  Authority& authority_;
  const Clock& clock_;
  Random& random_;
  Log& log_;
  const OnRefused on_refused_;
  FailureLimit failures_;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_PEOPLE_H_
