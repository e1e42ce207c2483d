// SPDX-License-Identifier: Apache-2.0
// The real clock, randomness and disk.
#ifndef DUMPWARDEN_PLATFORM_SYSTEM_H_
#define DUMPWARDEN_PLATFORM_SYSTEM_H_

#include <memory>
#include <string>

#include "core/base/clock.h"
#include "core/base/random.h"
#include "core/base/vfs.h"

namespace dumpwarden {

// First in main.  At exit OpenSSL would free what gRPC's threads, which nobody waits for, may be
// using; so it frees nothing, and the system takes it all.  No effect once OpenSSL was used.
void KeepOpenSslToTheEnd();

std::unique_ptr<Clock> MakeSystemClock();
std::unique_ptr<Random> MakeSystemRandom();  // OpenSSL's generator
std::unique_ptr<Vfs> MakeSystemVfs();
std::string HostName();

}  // namespace dumpwarden

#endif  // DUMPWARDEN_PLATFORM_SYSTEM_H_
