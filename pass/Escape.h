// Who else can know an object: locals that stay in their function, heap objects before they are
// shown.
#ifndef PALISADE_PASS_ESCAPE_H
#define PALISADE_PASS_ESCAPE_H

#include "llvm/ADT/SmallVector.h"
#include "llvm/IR/GlobalVariable.h"
#include "llvm/IR/Instructions.h"

#include <functional>

namespace palisade
{

// What arithmetic on pointers started from; null: too far away.
const llvm::Value *base_of(const llvm::Value &pointer);
// The same through phis: all that it may have started from.
llvm::SmallVector<const llvm::Value *, 4> bases_of(const llvm::Value &pointer);
// `pointer` leads into a local variable whose address never leaves the function's registers.
bool is_own_local(const llvm::Value &pointer);
// The address of the variable goes nowhere: it is reached by its name alone.
bool is_own_global(const llvm::GlobalVariable &global);
// `pointer` leads into a block that `allocates` (a call) returned, and up to `at` nothing else can
// have learned its address.
bool is_fresh(const llvm::Value &pointer, const llvm::Instruction &at,
              const std::function<bool(const llvm::CallBase &)> &allocates);

} // namespace palisade
#endif
