// SPDX-License-Identifier: Apache-2.0
// The wiring: members are built in the order in which they need each other,
// and go in the other one.
#include "server/serve.h"

#include <signal.h>
#include <time.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/host_port.h"
#include "core/base/status_macros.h"
#include "platform/keys.h"
#include "platform/log.h"
#include "platform/system.h"
#include "server/accept_watch.h"
#include "server/admin_service.h"
#include "server/authorize.h"
#include "server/config.h"
#include "server/descriptors.h"
#include "server/enrollment_service.h"
#include "server/fleet/checks.h"
#include "server/fleet/drift_feed.h"
#include "server/fleet/fleet.h"
#include "server/fleet/hosts.h"
#include "server/fleet/policies.h"
#include "server/fleet/session.h"
#include "server/identity/credentials.h"
#include "server/identity/enrollment.h"
#include "server/identity/renewal.h"
#include "server/identity/server_identity.h"
#include "server/library_log.h"
#include "server/listener.h"
#include "server/people.h"
#include "server/retention_runs.h"
#include "server/store/sqlite_store.h"

namespace dumpwarden {
namespace {

constexpr int kMaxSessionMessage = 5 * 1024 * 1024;  // a whole set of policies; hosts get less
constexpr int kMaxEnrollMessage = 64 * 1024;
constexpr int kMaxThreads = 64;
// Of a connection without a session or call: agents and operators have one as long as they stay.
constexpr absl::Duration kMaxIdle = absl::Minutes(1);
constexpr absl::Duration kStaleMargin = absl::Minutes(1);
constexpr absl::Duration kDrainTime = absl::Seconds(3);
constexpr absl::Duration kCertificateCheck = absl::Seconds(10);

// From here on they are waited for, in this thread only.
sigset_t BlockSignals() {
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigaddset(&stop, SIGINT);
  pthread_sigmask(SIG_BLOCK, &stop, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return stop;
}

bool StopAsked(const sigset_t& stop, absl::Duration wait) {
  const timespec time = absl::ToTimespec(wait);
  return sigtimedwait(&stop, nullptr, &time) > 0;
}

class Server {
 public:
  Server(ServerConfig config, Vfs& vfs, const Clock& clock, Random& random, Log& log)
      : config_(std::move(config)),
        vfs_(vfs),
        clock_(clock),
        random_(random),
        log_(log),
        refusals_(clock, [this](const Refusal& refusal) { SayRefusal(refusal); }),
        troubles_(clock, [this](const Refusal& trouble) { SayTrouble(trouble); }),
        descriptors_(clock, log),
        accept_watch_(clock) {}

  absl::Status Start() {
    RETURN_IF_ERROR(CheckPermissions(
        {"dumpwarden.v1.Admin", "dumpwarden.v1.AgentSession", "dumpwarden.v1.Enrollment"}));
    descriptors_.Raise(config_.max_sessions);
    ASSIGN_OR_RETURN(authority_, Authority::Open(vfs_, random_, config_.ca));
    if (authority_->trust_domain() != config_.trust_domain) {
      return absl::FailedPreconditionError(
          absl::StrCat("trust-domain is ", config_.trust_domain, ", but the authority in ",
                       config_.ca, " is that of ", authority_->trust_domain()));
    }
    RETURN_IF_ERROR(CheckPrivate(FolderOf(config_.store)));
    ASSIGN_OR_RETURN(store_, MakeSqliteStore(config_.store, clock_));
    BuildRetention();
    RETURN_IF_ERROR(retention_->Start());  // before anything is audited by a clock of today
    ASSIGN_OR_RETURN(certificate_expires_, RefreshIdentity());
    certificate_checked_ = clock_.Monotonic();
    BuildParts();
    RETURN_IF_ERROR(StartSessions());
    return door_->Refresh();
  }

  // One line for whoever started it.
  void SayReady() const {
    const nlohmann::json ready = {{"event", "ready"},
                                  {"listen", listener_->address()},
                                  {"enrollment", door_->Address().value_or("closed")}};
    std::printf("%s\n", ready.dump().c_str());
    std::fflush(stdout);
    log_.Info("serving", {{"listen", listener_->address()},
                          {"certificate-expires",
                           absl::FormatTime(certificate_expires_, absl::UTCTimeZone())}});
  }

  // An error: it serves nobody any more, and must be started anew.
  absl::Status Tick() {
    fleet_->Tick();
    refusals_.Tick();
    troubles_.Tick();
    RefreshDoor();
    RefreshCertificate();
    retention_->Tick();
    descriptors_.Tick();
    return accept_watch_.Check();
  }

  // Goodbye to every session, which gets time to leave.
  void Stop(const sigset_t& stop) {
    log_.Info("stopping", {{"sessions", absl::StrCat(fleet_->OpenStreams())}});
    feed_.Close();
    door_->Close();  // not gone yet: operators' calls use it until the listener has stopped
    fleet_->Drain();
    const absl::Duration end = clock_.Monotonic() + kDrainTime;
    while (fleet_->OpenStreams() > 0 && clock_.Monotonic() < end) {
      if (StopAsked(stop, absl::Milliseconds(20))) break;  // asked twice: at once
    }
    fleet_->Tick();  // who was heard last
    listener_->Stop(absl::Milliseconds(500));
    refusals_.Flush();
    troubles_.Flush();
    log_.Info("stopped");
  }

 private:
  // Tried every second, said when it changes.
  void RefreshDoor() {
    const absl::Status done = door_->Refresh();
    if (done != door_status_ && !done.ok()) {
      log_.Error("enrolment cannot be opened or closed; tried again every second",
                 {{"why", std::string(done.message())}});
    }
    door_status_ = done;
  }

  ServerIdentityFiles Files() const { return {config_.tls_chain, config_.tls_key}; }

  absl::StatusOr<absl::Time> RefreshIdentity() {
    return RefreshServerIdentity(vfs_, *authority_, Files(), config_.names, clock_.Now(),
                                 [this](const Renewal& renewal) {
                                   return store_
                                       ->RecordAudit({.actor = "server",
                                                      .source = "",
                                                      .action = "server.certificate",
                                                      .object = config_.names.front(),
                                                      .detail = renewal.detail,
                                                      .before = renewal.before,
                                                      .after = renewal.after})
                                       .status();
                                 });
  }

  // Renewed long before it expires; the listeners read it from its file.
  void RefreshCertificate() {
    if (clock_.Monotonic() - certificate_checked_ < kCertificateCheck) return;
    certificate_checked_ = clock_.Monotonic();
    const absl::StatusOr<absl::Time> expires = RefreshIdentity();
    if (!expires.ok()) {
      troubles_.Count(
          {.action = "trouble",
           .reason = "check or renew the server's certificate",
           .source = "",
           .detail = absl::StrCat(expires.status().message(), "; the one shown expires ",
                                  absl::FormatTime(certificate_expires_, absl::UTCTimeZone())),
           .count = 0});
      return;
    }
    if (*expires == certificate_expires_) return;
    certificate_expires_ = *expires;
    log_.Info("the server's certificate was renewed",
              {{"expires", absl::FormatTime(certificate_expires_, absl::UTCTimeZone())}});
  }

  void BuildRetention() {
    retention_ = std::make_unique<RetentionRuns>(
        *store_, clock_, log_, config_.retention, [this](const std::string& why) {
          troubles_.Count({.action = "trouble",
                           .reason = "delete what retention lets go of",
                           .source = "",
                           .detail = why,
                           .count = 0});
        });
  }

  HostEnrollment::OnRefused CountRefused(const char* action) {
    return [this, action](const char* reason, const std::string& peer, const absl::Status& why) {
      refusals_.Count({.action = action,
                       .reason = reason,
                       .source = peer,
                       .detail = std::string(why.message()),
                       .count = 0});
    };
  }

  void BuildParts() {
    FleetOptions options;
    options.max_sessions = config_.max_sessions;
    options.check_in_seconds = config_.check_in_seconds;
    options.messages_per_second = config_.messages_per_second;
    options.reconnect_window_max = config_.reconnect_window_max;
    options.on_drift = [this] { feed_.Wake(); };
    options.on_trouble = [this](const std::string& what, const std::string& why) {
      troubles_.Count(
          {.action = "trouble", .reason = what, .source = "", .detail = why, .count = 0});
    };
    options.on_refused = [this](const std::string& word, const std::string& host,
                                const std::string& detail) {
      refusals_.Count({.action = "session.refused",
                       .reason = word,
                       .source = "",
                       .detail = absl::StrCat("host ", host, ": ", detail),
                       .count = 0});
    };
    fleet_ = MakeFleet(*store_, clock_, random_, std::move(options));
    authorizer_ = std::make_unique<Authorizer>(*store_, config_.trust_domain, clock_, refusals_);
    policies_ = std::make_unique<Policies>(*store_, *fleet_);
    hosts_ = std::make_unique<Hosts>(*store_, *fleet_, clock_,
                                     3 * absl::Seconds(config_.check_in_seconds) + kStaleMargin);
    enrollment_ = std::make_unique<HostEnrollment>(*store_, *authority_, clock_, random_, log_,
                                                   CountRefused("host.enroll.refused"));
    people_ = std::make_unique<People>(*store_, *authority_, clock_, random_, log_,
                                       CountRefused("person.login.refused"));
    renewal_ = std::make_unique<HostRenewal>(
        *store_, *authority_, clock_, refusals_,
        HostRenewal::Fleet{[this](HostId host) { return fleet_->IsConnected(host); },
                           [this](HostId host) { fleet_->Hold(host); },
                           [this](HostId host) { fleet_->Approve(host); }});
    ListenerOptions door;
    door.address = config_.enrollment_listener;
    door.credentials = ServerTls(Files());
    door.max_message_bytes = kMaxEnrollMessage;
    door.max_threads = kMaxThreads;
    door.max_age = absl::Minutes(1);
    door_ = std::make_unique<EnrollmentDoor>(*store_, clock_, log_, std::move(door), [this] {
      return MakeEnrollmentService(*authorizer_, *enrollment_, *people_,
                                   PublicAddress(listener_->address()));
    });
  }

  absl::Status StartSessions() {
    ListenerOptions options;
    options.address = config_.agents_listener;
    ASSIGN_OR_RETURN(options.credentials,
                     MutualTls(Files(), authority_->root_pem(), clock_, refusals_,
                               [this] { accept_watch_.NoteHandshake(); }));
    options.max_message_bytes = kMaxSessionMessage;
    options.max_threads = kMaxThreads;
    options.max_idle = kMaxIdle;
    AdminParts parts{
        .store = *store_,
        .clock = clock_,
        .authorizer = *authorizer_,
        .fleet = *fleet_,
        .policies = *policies_,
        .hosts = *hosts_,
        .enrollment = *enrollment_,
        .people = *people_,
        .door = *door_,
        .feed = feed_,
        .refusals = refusals_,
        .public_address = [this](const std::string& bound) { return PublicAddress(bound); }};
    ASSIGN_OR_RETURN(listener_,
                     Listener::Start(options, {MakeSessionService(*fleet_, *authorizer_, *renewal_),
                                               MakeAdminService(std::move(parts))}));
    ASSIGN_OR_RETURN(const HostPort bound, ParseHostPort(listener_->address()));
    accept_watch_.Watch(bound.port);
    return absl::OkStatus();
  }

  // The name that others use, with the port that was bound.
  std::string PublicAddress(const std::string& bound) const {
    const auto parsed = ParseHostPort(bound);
    return JoinHostPort(config_.names.front(), parsed.ok() ? parsed->port : 0);
  }

  void SayTrouble(const Refusal& trouble) {
    log_.Error(absl::StrCat("cannot ", trouble.reason),
               {{"why", trouble.detail}, {"count", absl::StrCat(trouble.count)}});
  }

  void SayRefusal(const Refusal& refusal) {
    const std::string count = absl::StrCat(refusal.count);
    log_.Warning(refusal.action, {{"reason", refusal.reason},
                                  {"count", count},
                                  {"source", refusal.source},
                                  {"detail", refusal.detail}});
    if (store_ == nullptr) return;
    const auto kept =
        store_->RecordAudit({.actor = "nobody",
                             .source = refusal.source,
                             .action = refusal.action,
                             .object = refusal.reason,
                             .detail = absl::StrCat("count ", count, "; ", refusal.detail),
                             .before = "",
                             .after = ""});
    if (!kept.ok()) log_.Error("audit failed", {{"why", std::string(kept.status().message())}});
  }

  const ServerConfig config_;
  Vfs& vfs_;
  const Clock& clock_;
  Random& random_;
  Log& log_;
  DriftFeed feed_;
  Refusals refusals_;
  Refusals troubles_;  // a full disk says the same for every report of every host
  DescriptorLimit descriptors_;
  AcceptWatch accept_watch_;
  std::unique_ptr<Authority> authority_;
  absl::Time certificate_expires_;
  absl::Duration certificate_checked_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<RetentionRuns> retention_;
  std::unique_ptr<Fleet> fleet_;
  std::unique_ptr<Authorizer> authorizer_;
  std::unique_ptr<Policies> policies_;
  std::unique_ptr<Hosts> hosts_;
  std::unique_ptr<HostEnrollment> enrollment_;
  std::unique_ptr<People> people_;
  std::unique_ptr<HostRenewal> renewal_;
  std::unique_ptr<EnrollmentDoor> door_;
  absl::Status door_status_;
  std::unique_ptr<Listener> listener_;
};

}  // namespace

absl::Status Serve(const std::string& config_file) {
  const sigset_t stop = BlockSignals();
  const auto clock = MakeSystemClock();
  const auto random = MakeSystemRandom();
  const auto vfs = MakeSystemVfs();
  const auto log = MakeLog(*clock, "dumpwarden-server");
  LibraryLog library_log(*log, *clock);
  ASSIGN_OR_RETURN(ServerConfig config, ReadServerConfig(*vfs, config_file));
  Server server(std::move(config), *vfs, *clock, *random, *log);
  RETURN_IF_ERROR(server.Start());
  server.SayReady();
  absl::Status serves;
  while (serves.ok() && !StopAsked(stop, absl::Seconds(1))) {
    serves = server.Tick();
    library_log.Tick();
  }
  server.Stop(stop);
  return serves;
}

}  // namespace dumpwarden
