// Command line of the pass. The options register themselves only after the version check: the
// constructors of cl::opt crash inside another LLVM.
#ifndef PALISADE_PASS_OPTIONS_H
#define PALISADE_PASS_OPTIONS_H

#include <string>

namespace palisade
{

struct Options {
#define PALISADE_OPTION(id, name, value, help) bool id = value;
#include "options.def"
    std::string model_file; // rows for a program's own functions; docs/pass.md
    std::string plan_file;  // of `palisade report --plan`; docs/report.md
    bool linking = false;   // the unit is the merged module of a full LTO build
    std::string skip;       // NAME[,NAME]: for tests
};

// Makes -mllvm -palisade-... known. Idempotent; only after loaded_by_own_version().
void options_register();
// The values as given on the command line.
Options options_read();

// True when the LLVM that loads the plugin is the one it was built for.
bool loaded_by_own_version();

} // namespace palisade
#endif
