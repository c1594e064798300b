// The plugin: where the pass enters Clang's pipeline.
//
// The pass runs at PipelineStart: only there are static-inline functions still calls. It is
// required, so that it also runs at -O0 and on optnone code. In a full LTO build (`palisade-cc
// -flto`) the compile steps optimise nothing and the pass runs once, on the merged module; the
// optimisations follow there.
#include "Assembly.h"
#include "Unit.h"

#include "llvm/IR/Module.h"
#include "llvm/Passes/PassBuilder.h"
#if LLVM_VERSION_MAJOR >= 22
#include "llvm/Plugins/PassPlugin.h"
#else
#include "llvm/Passes/PassPlugin.h"
#endif
#include "llvm/TargetParser/Triple.h"

using namespace llvm;

namespace palisade
{

void unit_analyse(Unit &unit); // Analysis.cpp
// Link.cpp
bool link_take_markers(Module &module);
void link_options(Options &options);

namespace
{

constexpr const char *DONE = "palisade.done"; // a unit compiled from IR has met the pass before

struct PalisadePass : PassInfoMixin<PalisadePass> {
    explicit PalisadePass(bool linking = false) : linking(linking) {}
    static bool isRequired() { return true; }

    PreservedAnalyses run(Module &module, ModuleAnalysisManager &)
    {
        if (linking && !link_begin(module))
            return PreservedAnalyses::all();
        // Other targets (eBPF programs built by the same makefile) are not part of the NF.
        Triple triple(module.getTargetTriple());
        if (triple.getArch() != Triple::x86_64 || !triple.isOSLinux())
            return PreservedAnalyses::all();
        if (module.getNamedMetadata(DONE))
            return PreservedAnalyses::all();
        module.getOrInsertNamedMetadata(DONE);

        Unit unit(module);
        unit.options = options_read();
        if (linking)
            link_options(unit.options);
        std::string error;
        if (!user_model_read(unit, error) || !plan_read(unit, error)) {
            module.getContext().emitError("palisade: " + error);
            return PreservedAnalyses::all();
        }
        unit_skips_read(unit);
        unit_adopt_inline(unit);
        unit_lower_atomic_calls(unit);
        unit_scan(unit);
        unit_analyse(unit);
        if (!plan_check(unit, error)) {
            module.getContext().emitError("palisade: " + error);
            return PreservedAnalyses::all();
        }
        unit_emit_remarks(unit);
        unit_check_accesses(unit);
        unit_retarget_accesses(unit);
        unit_retarget_assembly(unit);
        unit_retarget_calls(unit);
        unit_skips_tell(unit);
        unit_move_constructors(unit);
        unit_wrap_main(unit);
        unit_emit_note(unit);
        return PreservedAnalyses::none();
    }

  private:
    // False when no unit of the merged module waits for this pass.
    static bool link_begin(Module &module)
    {
        if (!link_take_markers(module))
            return false;
        if (!module.getNamedMetadata(DONE))
            return true;
        module.getContext().emitError(
            "palisade: some units were compiled with `palisade-cc -flto`, others by clang with "
            "-fpass-plugin and -flto: compile all of them with `palisade-cc -flto`");
        return false;
    }

    bool linking;
};

} // namespace
} // namespace palisade

extern "C" LLVM_ATTRIBUTE_WEAK __attribute__((visibility("default"))) PassPluginLibraryInfo
llvmGetPassPluginInfo()
{
    if (!palisade::loaded_by_own_version())
        return {0, "palisade", "", nullptr}; // no LLVM accepts API version 0
    palisade::options_register();
    return {LLVM_PLUGIN_API_VERSION, "palisade", LLVM_VERSION_STRING, [](PassBuilder &builder) {
                builder.registerPipelineStartEPCallback(
                    [](ModulePassManager &manager, OptimizationLevel) {
                        manager.addPass(palisade::PalisadePass());
                    });
                // What the compile steps left undone is done here, before LTO's own passes.
                builder.registerFullLinkTimeOptimizationEarlyEPCallback(
                    [&builder](ModulePassManager &manager, OptimizationLevel level) {
                        manager.addPass(palisade::PalisadePass(true));
                        manager.addPass(builder.buildLTOPreLinkDefaultPipeline(level));
                    });
                builder.registerPipelineParsingCallback([](StringRef name,
                                                           ModulePassManager &manager,
                                                           ArrayRef<PassBuilder::PipelineElement>) {
                    if (name != "palisade")
                        return false;
                    manager.addPass(palisade::PalisadePass());
                    return true;
                });
            }};
}
