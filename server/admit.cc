// SPDX-License-Identifier: Apache-2.0
#include "server/admit.h"

#include <memory>

#include "absl/strings/str_cat.h"
#include "core/base/host_port.h"
#include "core/base/status_macros.h"
#include "platform/log.h"
#include "server/config.h"
#include "server/identity/authority.h"
#include "server/people.h"
#include "server/store/sqlite_store.h"

namespace dumpwarden {
namespace {

const Actor kLocal = {"local", ""};

// With the code of one who was not there.
absl::StatusOr<std::string> AddAdmin(People& people, const std::string& name) {
  v1::AddPersonRequest request;
  request.set_name(name);
  request.add_roles(kAdminRole);
  ASSIGN_OR_RETURN(const v1::AddPersonResponse added, people.Add(request, kLocal));
  return added.code().code();
}

absl::StatusOr<std::string> CodeFor(Store& store, People& people, const std::string& name) {
  const absl::StatusOr<PersonRow> there = store.FindPerson(name);
  if (absl::IsNotFound(there.status())) return AddAdmin(people, name);
  RETURN_IF_ERROR(there.status());
  if (there->revoked.has_value()) return AddAdmin(people, name);
  v1::SetRolesRequest roles;
  roles.set_name(name);
  roles.mutable_roles()->Add(there->roles.begin(), there->roles.end());
  roles.add_roles(kAdminRole);
  RETURN_IF_ERROR(people.SetRoles(roles, kLocal).status());
  v1::CreateLoginCodeRequest request;
  request.set_name(name);
  ASSIGN_OR_RETURN(const v1::CreateLoginCodeResponse made, people.CreateCode(request, kLocal));
  return made.code().code();
}

}  // namespace

absl::StatusOr<Admitted> Admit(const AdmitOptions& options, Vfs& vfs, const Clock& clock,
                               Random& random) {
  ASSIGN_OR_RETURN(const ServerConfig config, ReadServerConfig(vfs, options.config));
  ASSIGN_OR_RETURN(const auto authority, Authority::Open(vfs, random, config.ca));
  ASSIGN_OR_RETURN(const bool made, vfs.Exists(config.store));
  if (!made) return absl::NotFoundError(absl::StrCat("there is no store ", config.store));
  ASSIGN_OR_RETURN(const auto store, MakeSqliteStore(config.store, clock));
  const auto log = MakeLog(clock, "dumpwarden-server");
  People people(*store, *authority, clock, random, *log);
  Admitted admitted;
  ASSIGN_OR_RETURN(admitted.code, CodeFor(*store, people, options.name));
  ASSIGN_OR_RETURN(const HostPort door, ParseHostPort(config.enrollment_listener));
  admitted.server = JoinHostPort(config.names.front(), door.port);
  return admitted;
}

}  // namespace dumpwarden
