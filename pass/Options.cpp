#include "Options.h"

#include "llvm/Support/CommandLine.h"

#include <cstdio>
#include <memory>

// Weak: LLVM before 16 does not have it, and says so by its absence.
extern "C" __attribute__((weak)) void LLVMGetVersion(unsigned *, unsigned *, unsigned *);

namespace palisade
{
namespace
{

struct Registered {
#define PALISADE_OPTION(id, name, value, help)                                                     \
    llvm::cl::opt<bool> id{name, llvm::cl::init(value), llvm::cl::desc(help), llvm::cl::Hidden};
#include "options.def"
    llvm::cl::opt<std::string> model_file{
        "palisade-model", llvm::cl::value_desc("file"), llvm::cl::Hidden,
        llvm::cl::desc("Rows of the call model for the program's own functions")};
    llvm::cl::opt<std::string> plan_file{
        "palisade-plan", llvm::cl::value_desc("file"), llvm::cl::Hidden,
        llvm::cl::desc("What `palisade report --plan` found out about the whole program")};
    llvm::cl::opt<std::string> skip{"palisade-skip", llvm::cl::value_desc("hooks"),
                                    llvm::cl::Hidden,
                                    llvm::cl::desc("For tests: leaves these hooks out")};
};

std::unique_ptr<Registered> registered;

// clang loads -fplugin libraries before it reads -mllvm options, so this is early enough; and so
// that the one sentence about versions comes before what another LLVM says of options it lacks.
__attribute__((constructor)) void register_at_load()
{
    if (loaded_by_own_version())
        options_register();
    else
        fprintf(stderr,
                "palisade: this plugin was built for LLVM %d and another version loads it: use "
                "clang-%d, or build Palisade with the LLVM of this compiler\n",
                LLVM_VERSION_MAJOR, LLVM_VERSION_MAJOR);
}

} // namespace

bool loaded_by_own_version()
{
    if (&LLVMGetVersion == nullptr)
        return false;
    unsigned major = 0, minor = 0, patch = 0;
    LLVMGetVersion(&major, &minor, &patch);
    return major == LLVM_VERSION_MAJOR;
}

void options_register()
{
    if (!registered)
        registered = std::make_unique<Registered>();
}

Options options_read()
{
    Options options;
    if (!registered)
        return options;
#define PALISADE_OPTION(id, name, value, help) options.id = registered->id;
#include "options.def"
    options.model_file = registered->model_file;
    options.plan_file = registered->plan_file;
    options.skip = registered->skip;
    return options;
}

} // namespace palisade
