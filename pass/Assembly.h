// Inline assembly and intrinsics that are no functions of the model.
#ifndef PALISADE_PASS_ASSEMBLY_H
#define PALISADE_PASS_ASSEMBLY_H

#include "Unit.h"

#include "llvm/IR/InstrTypes.h"

namespace palisade
{

enum class AsmKind {
    Harmless, // nothing, hints, fences: what the thread does alone
    Cycles,   // reads the time stamp counter
    Unknown,
};
AsmKind asm_kind(const llvm::CallBase &call);

// Readings of the time stamp counter and of the CPU's random numbers become hooks.
void unit_retarget_assembly(Unit &unit);

} // namespace palisade
#endif
