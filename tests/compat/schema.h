// SPDX-License-Identifier: Apache-2.0
// The wire as data: the schema of this build, and what of an earlier one it no
// longer keeps.
#ifndef DUMPWARDEN_TESTS_COMPAT_SCHEMA_H_
#define DUMPWARDEN_TESTS_COMPAT_SCHEMA_H_

#include <google/protobuf/descriptor.pb.h>

#include <string>
#include <vector>

namespace dumpwarden {

// Every file of proto/dumpwarden, and what they import.
google::protobuf::FileDescriptorSet PresentSchema();

// A line for each thing that `after` does not keep: a field gone without its number and name being
// reserved; another type, label, name, oneof or packing of a number; an enum value, message, rpc
// that is gone; an rpc with other types or streaming.
std::vector<std::string> BrokenPromises(const google::protobuf::FileDescriptorSet& before,
                                        const google::protobuf::FileDescriptorSet& after);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_COMPAT_SCHEMA_H_
