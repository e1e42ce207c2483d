// SPDX-License-Identifier: Apache-2.0
// The service: builds everything, then hands what link, files and clock say to
// the core, one at a time, on this thread.
#include <algorithm>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/agent.h"
#include "agent/grpc_link.h"
#include "agent/registry/folders.h"
#include "agent/registry/open.h"
#include "agent/renewer.h"
#include "agent/service.h"
#include "agent/watch.h"
#include "core/base/status_macros.h"
#include "core/policy/facts.h"
#include "platform/log.h"
#include "platform/system.h"

namespace dumpwarden {
namespace {

constexpr std::size_t kMaxFactsBytes = 256 * 1024;
constexpr std::size_t kFullInbox = 64;
constexpr absl::Duration kLongestWait = absl::Hours(1);

// What is to be done on the core's thread.
using Task = std::function<void(AgentCore&)>;

class Inbox {
 public:
  void Push(Task task) {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    changed_.notify_all();
  }
  // Waits while the core is behind: whoever calls reads no more meanwhile.
  void PushWhenRoom(Task task) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return tasks_.size() < kFullInbox || stopped_; });
    if (stopped_) return;
    tasks_.push_back(std::move(task));
    changed_.notify_all();
  }
  // nullopt after `limit`, or when it is time to stop.
  std::optional<Task> Pop(absl::Duration limit) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, absl::ToChronoNanoseconds(limit),
                      [this] { return !tasks_.empty() || stopped_; });
    if (tasks_.empty() || stopped_) return std::nullopt;
    Task task = std::move(tasks_.front());
    tasks_.pop_front();
    changed_.notify_all();
    return task;
  }
  void Stop() {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    changed_.notify_all();
  }
  bool stopped() {
    const std::lock_guard lock(mutex_);
    return stopped_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> tasks_;
  bool stopped_ = false;
};

// The link's events, on their way to the core's thread.
class ToInbox : public LinkEvents {
 public:
  explicit ToInbox(Inbox& inbox) : inbox_(inbox) {}
  void OnConnected() override {
    inbox_.Push([](AgentCore& core) { core.OnConnected(); });
  }
  void OnMessage(v1::ServerMessage message) override {
    inbox_.PushWhenRoom(
        [message = std::move(message)](AgentCore& core) { core.OnMessage(message); });
  }
  void OnDisconnected(absl::Status why) override {
    inbox_.Push([why = std::move(why)](AgentCore& core) { core.OnDisconnected(why); });
  }

 private:
  Inbox& inbox_;
};

// The dump folders under the mounts that the facts name now.
class CurrentFolders : public Folders {
 public:
  explicit CurrentFolders(v1::Facts facts) : folders_(std::move(facts)) {}
  void Use(v1::Facts facts) { folders_ = MountedFolders(std::move(facts)); }
  absl::StatusOr<Presence> Look(const std::string& path) override { return folders_.Look(path); }
  absl::Status Make(const std::string& path) override { return folders_.Make(path); }
  absl::Status RemoveIfEmpty(const std::string& path) override {
    return folders_.RemoveIfEmpty(path);
  }

 private:
  MountedFolders folders_;
};

void UseLabels(const Identity& identity, v1::Facts& facts) {
  for (const auto& [key, value] : identity.labels) (*facts.mutable_labels())[key] = value;
}

// Labels that the token pinned win over those of the facts file.
absl::StatusOr<v1::Facts> WithLabels(const Identity& identity, v1::Facts facts,
                                     const std::string& path) {
  UseLabels(identity, facts);
  const absl::Status fit = CheckLabels({facts.labels().begin(), facts.labels().end()});
  if (fit.ok()) return facts;
  return absl::InvalidArgumentError(absl::StrCat("the labels of the enrolment token and of ", path,
                                                 " together: ", fit.message()));
}

// Everything that lives as long as the service.
class Service {
 public:
  Service(AgentConfig config, Vfs& vfs, const Clock& clock, Random& random, Log& log)
      : config_(std::move(config)), vfs_(vfs), clock_(clock), random_(random), log_(log) {}

  absl::Status Run();

 private:
  absl::Status Open();
  absl::StatusOr<std::unique_ptr<Watch>> StartWatch();
  void OnFileChanged(const std::string& file);
  absl::StatusOr<v1::Facts> LoadFacts();
  v1::Facts LastGoodFacts() const;
  void SayUnusable(const absl::Status& facts);
  // Also at each full check, because a watch can miss a change.
  void ReadFactsAgain(AgentCore& core);
  void ReadIdentityAgain(AgentCore& core);
  // `dialled`: it is the one of the attempt under way.
  void UseIdentity(AgentCore& core, Identity identity, bool dialled);
  std::unique_ptr<Renewer> MakeRenewer();
  absl::StatusOr<Identity> IdentityToDial();
  void Loop(AgentCore& core);

  const AgentConfig config_;
  Vfs& vfs_;
  const Clock& clock_;
  Random& random_;
  Log& log_;
  Inbox inbox_;
  Identity identity_;
  v1::Facts in_file_;  // the last good ones, without the token's labels
  std::unique_ptr<FileLock> only_one_;
  std::unique_ptr<AgentState> state_;
  OpenedRegistry registry_;
  std::unique_ptr<CurrentFolders> folders_;
  std::unique_ptr<Renewer> renewer_;
};

absl::Status Service::Open() {
  if (config_.registry.empty()) {
    return absl::InvalidArgumentError(
        "no registry is named; say registry: in the configuration, or --registry reg:FILE | "
        "hive:FILE[,FILE]");
  }
  ASSIGN_OR_RETURN(identity_, LoadIdentity(vfs_, config_.data));
  absl::StatusOr<std::unique_ptr<FileLock>> only_one = vfs_.Lock(RunLockPath(config_));
  if (!only_one.ok()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "another dumpwarden-agent run uses ", config_.data, ": ", only_one.status().message()));
  }
  only_one_ = *std::move(only_one);
  ASSIGN_OR_RETURN(state_, AgentState::Open(StatePath(config_), random_));
  ASSIGN_OR_RETURN(registry_, OpenRegistry(config_.registry, vfs_, config_.force_dirty));
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Watch>> Service::StartWatch() {
  std::vector<std::string> files = registry_.files;
  files.push_back(IdentityFolder(config_.data));
  if (!config_.facts.empty()) files.push_back(config_.facts);
  return MakeWatch(
      files, {[this](const std::string& file) { OnFileChanged(file); }, [this] { inbox_.Stop(); }});
}

void Service::OnFileChanged(const std::string& file) {
  inbox_.Push([this, file](AgentCore& core) {
    if (file == config_.facts) return ReadFactsAgain(core);
    if (file == IdentityFolder(config_.data)) return ReadIdentityAgain(core);
    core.OnRegistryChanged();
  });
}

absl::StatusOr<v1::Facts> Service::LoadFacts() {
  v1::Facts in_file;
  if (!config_.facts.empty()) {
    ASSIGN_OR_RETURN(const std::string yaml, vfs_.Read(config_.facts, kMaxFactsBytes));
    ASSIGN_OR_RETURN(in_file, ReadFacts(yaml, config_.facts));
  }
  ASSIGN_OR_RETURN(v1::Facts facts, WithLabels(identity_, in_file, config_.facts));
  in_file_ = std::move(in_file);
  return facts;
}

// For a token that is newer than they are.  Its labels alone, where those of both do not fit.
v1::Facts Service::LastGoodFacts() const {
  absl::StatusOr<v1::Facts> facts = WithLabels(identity_, in_file_, config_.facts);
  if (facts.ok()) return *std::move(facts);
  v1::Facts without = in_file_;
  without.clear_labels();
  UseLabels(identity_, without);
  return without;
}

void Service::ReadFactsAgain(AgentCore& core) {
  const absl::StatusOr<v1::Facts> facts = LoadFacts();
  if (!facts.ok()) return SayUnusable(facts.status());
  folders_->Use(*facts);
  core.OnFactsChanged(*facts);
}

void Service::SayUnusable(const absl::Status& facts) {
  log_.Error("the facts file cannot be used; the last good facts stay",
             {{"why", std::string(facts.message())}});
}

void Service::ReadIdentityAgain(AgentCore& core) {
  absl::StatusOr<Identity> identity = LoadIdentity(vfs_, config_.data);
  // Else the link says why.
  if (identity.ok()) UseIdentity(core, *std::move(identity), /*dialled=*/false);
}

void Service::UseIdentity(AgentCore& core, Identity identity, bool dialled) {
  if (identity.host_id == identity_.host_id && identity.chain_pem == identity_.chain_pem) return;
  renewer_->Use(identity);
  if (identity.host_id == identity_.host_id) {
    identity_ = std::move(identity);
    return dialled ? void() : core.OnRenewed();
  }
  log_.Warning("this host was enrolled anew",
               {{"before", identity_.host_id}, {"host", identity.host_id}});
  identity_ = std::move(identity);
  const absl::StatusOr<v1::Facts> loaded = LoadFacts();
  if (!loaded.ok()) SayUnusable(loaded.status());
  const v1::Facts facts = loaded.ok() ? *loaded : LastGoodFacts();
  folders_->Use(facts);
  core.OnEnrolledAnew(identity_.host_id, facts);
}

// On the link's thread.  The core hears of another identity before it hears of its connection.
absl::StatusOr<Identity> Service::IdentityToDial() {
  ASSIGN_OR_RETURN(Identity identity, LoadIdentity(vfs_, config_.data));
  inbox_.Push([this, identity](AgentCore& core) { UseIdentity(core, identity, true); });
  return identity;
}

std::unique_ptr<Renewer> Service::MakeRenewer() {
  auto renewer = std::make_unique<Renewer>(
      Renewer::Parts{vfs_, clock_, random_, log_, config_.data},
      [this](const Identity& identity, const v1::RenewRequest& request,
             const std::function<bool()>& stopped) {
        return CallRenew({config_.servers, config_.proxy}, identity, clock_, request, stopped);
      },
      [this] { inbox_.Push([this](AgentCore& core) { ReadIdentityAgain(core); }); });
  renewer->Use(identity_);
  return renewer;
}

void Service::Loop(AgentCore& core) {
  while (!inbox_.stopped()) {
    const absl::Duration wait =
        std::clamp(core.NextDeadline() - clock_.Monotonic(), absl::ZeroDuration(), kLongestWait);
    const std::optional<Task> task = inbox_.Pop(wait);
    if (task.has_value()) (*task)(core);
    if (clock_.Monotonic() >= core.full_check_at()) {
      ReadIdentityAgain(core);
      ReadFactsAgain(core);
    }
    core.Tick();
  }
}

absl::Status Service::Run() {
  RETURN_IF_ERROR(Open());
  // The watch first: what changes while the rest is read is seen.
  ASSIGN_OR_RETURN(const std::unique_ptr<Watch> watch, StartWatch());
  ASSIGN_OR_RETURN(const v1::Facts facts, LoadFacts());
  folders_ = std::make_unique<CurrentFolders>(facts);
  Applier applier(*registry_.registry, *folders_, vfs_, clock_, registry_.place);
  ToInbox events(inbox_);
  const std::unique_ptr<Link> link = MakeGrpcLink(
      {config_.servers, config_.proxy}, [this] { return IdentityToDial(); }, clock_, events);
  AgentCore core({clock_, random_, *registry_.registry, *folders_, applier, *state_, *link, log_},
                 {DUMPWARDEN_VERSION, HostName(), config_.check});
  log_.Info("running", {{"host", identity_.host_id}, {"registry", config_.registry}});
  ASSIGN_OR_RETURN(const std::optional<std::size_t> dropped,
                   state_->ActAs(identity_.host_id, random_));
  WarnOfDropped(dropped.value_or(0), log_);
  // A kill may have left "connected" there.
  RETURN_IF_ERROR(state_->SetNotConnected(clock_.Now()));
  RETURN_IF_ERROR(core.Start(facts));
  renewer_ = MakeRenewer();
  Loop(core);
  renewer_.reset();
  inbox_.Stop();  // lets go of a link that waits for room
  log_.Info("stopped");
  return state_->SetNotConnected(clock_.Now());
}

}  // namespace

int RunService(Invocation& invocation) {
  ServiceOptions options;
  AgentConfig flags;
  std::int64_t check_seconds = 0;
  AddServiceOptions(invocation.app, options);
  CLI::App& app = invocation.app;
  app.add_option("--server", flags.servers,
                 "HOST:PORT of the server (default: as enrolled); may be repeated");
  app.add_option("--registry", flags.registry, "reg:FILE | hive:FILE[,FILE]")
      ->check(CLI::Validator(WhyNoRegistry, ""));
  app.add_option("--facts", flags.facts, "what is known of the host: a YAML file");
  app.add_option("--check-seconds", check_seconds, "between full checks (default 300)")
      ->check(CLI::Range(1, 86400));
  app.add_flag("--force-dirty", flags.force_dirty, "write hives that have logs to replay");
  if (const std::optional<int> code = ParseArguments(invocation)) return *code;
  const std::unique_ptr<Vfs> vfs = MakeSystemVfs();
  const std::unique_ptr<Clock> clock = MakeSystemClock();
  const std::unique_ptr<Random> random = MakeSystemRandom();
  absl::StatusOr<AgentConfig> config = ConfigOf(*vfs, app, options);
  if (!config.ok()) return Fail(invocation, config.status());
  if (!flags.servers.empty()) config->servers = flags.servers;
  if (!flags.registry.empty()) config->registry = flags.registry;
  if (!flags.facts.empty()) config->facts = flags.facts;
  if (check_seconds != 0) config->check = absl::Seconds(check_seconds);
  config->force_dirty |= flags.force_dirty;
  const std::unique_ptr<Log> log = MakeLog(*clock, "dumpwarden-agent");
  Service service(*std::move(config), *vfs, *clock, *random, *log);
  const absl::Status ran = service.Run();
  return ran.ok() ? kExitDone : Fail(invocation, ran);
}

}  // namespace dumpwarden
