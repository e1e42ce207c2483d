// SPDX-License-Identifier: Apache-2.0
#include "core/base/host_port.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"

namespace dumpwarden {
namespace {

absl::Status Refused(absl::string_view text) {
  return absl::InvalidArgumentError(
      absl::StrCat("found ", Quote(text),
                   "; accepted is HOST:PORT, such as dump.corp.example:7443 or [::1]:7443"));
}

bool IsName(absl::string_view host) {
  return !host.empty() && std::all_of(host.begin(), host.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("-._", c);
  });
}

// With a zone, as in fe80::1%eth0.
bool IsV6(absl::string_view host) {
  const std::size_t percent = host.find('%');
  if (percent != absl::string_view::npos && !IsName(host.substr(percent + 1))) return false;
  host = host.substr(0, percent);
  return absl::StrContains(host, ':') && std::all_of(host.begin(), host.end(), [](char c) {
           return absl::ascii_isxdigit(static_cast<unsigned char>(c)) || c == ':' || c == '.';
         });
}

}  // namespace

absl::StatusOr<HostPort> ParseHostPort(absl::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos) return Refused(text);
  absl::string_view host = text.substr(0, colon);
  const absl::string_view port = text.substr(colon + 1);
  const bool bracketed = absl::ConsumePrefix(&host, "[") && absl::ConsumeSuffix(&host, "]");
  const bool digits = !port.empty() && port.size() <= 5 &&
                      std::all_of(port.begin(), port.end(), absl::ascii_isdigit);
  HostPort out;
  if (!digits || !absl::SimpleAtoi(port, &out.port) || out.port > 65535) return Refused(text);
  if (bracketed ? !IsV6(host) : !IsName(host)) return Refused(text);
  out.host = std::string(host);
  return out;
}

absl::StatusOr<HostPort> ParseServerAddress(absl::string_view text) {
  ASSIGN_OR_RETURN(HostPort address, ParseHostPort(text));
  if (address.port == 0) return Refused(text);
  return address;
}

std::string JoinHostPort(absl::string_view host, int port) {
  const bool v6 = absl::StrContains(host, ':');
  return v6 ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

}  // namespace dumpwarden
