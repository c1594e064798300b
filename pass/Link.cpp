// The link step of a full LTO build. Each unit that `palisade-cc -flto` compiled carries a marker
// (tools/palisade-lto.h) whose reference nothing but this pass takes away: a link without the
// plugin fails instead of leaving a program without protection.
//
// lld has made local what nothing outside the module names; so what is not local may be used by
// objects compiled without LTO and by shared libraries, and the analysis treats it so.
#include "Options.h"

#include "llvm/IR/GlobalVariable.h"
#include "llvm/IR/Module.h"
#include "llvm/Transforms/Utils/ModuleUtils.h"

#include <cstdlib>

using namespace llvm;

namespace palisade
{

static constexpr const char *MARKER = "__palisade_link_marker";

bool link_take_markers(Module &module);
void link_options(Options &options);

bool link_take_markers(Module &module)
{
    auto is_marker = [](const Constant *value) {
        return value->stripPointerCasts()->getName().starts_with(MARKER);
    };
    bool any = false;
    for (GlobalVariable &global : module.globals())
        any |= is_marker(&global);
    removeFromUsedLists(module, is_marker);
    for (GlobalVariable &global : make_early_inc_range(module.globals()))
        if (is_marker(&global))
            global.eraseFromParent();
    if (any)
        module.setSourceFileName("(link step)");
    return any;
}

// lld reads -mllvm before it loads plugins, so palisade-cc hands the options over this way.
void link_options(Options &options)
{
    options.linking = true;
    if (const char *model = getenv("PALISADE_LTO_MODEL"))
        options.model_file = model;
    if (getenv("PALISADE_LTO_CHECK"))
        options.check_private = true;
}

} // namespace palisade
