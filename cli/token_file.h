// SPDX-License-Identifier: Apache-2.0
// The file of `token create -f`: a YAML list with a token an entry.
#ifndef DUMPWARDEN_CLI_TOKEN_FILE_H_
#define DUMPWARDEN_CLI_TOKEN_FILE_H_

#include <istream>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "dumpwarden/v1/admin.pb.h"

namespace dumpwarden {

// - { name: web-01, labels: { role: web }, hold: true }, all of them optional but one of name and
// labels.  kInvalidArgument with every mistake of the file, 1 to 1,000 entries.
absl::StatusOr<v1::CreateTokensRequest> ParseTokens(absl::string_view yaml,
                                                    const std::string& file);
// `path` - is `in`.
absl::StatusOr<v1::CreateTokensRequest> ReadTokenFile(const std::string& path, std::istream& in);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CLI_TOKEN_FILE_H_
