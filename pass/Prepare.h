// A clone of the module made for analysis, and the way back to the original's instructions.
#ifndef PALISADE_PASS_PREPARE_H
#define PALISADE_PASS_PREPARE_H

#include "llvm/IR/InstrTypes.h"
#include "llvm/IR/Module.h"

#include <memory>
#include <vector>

namespace palisade
{

struct Prepared {
    // `whole_program`: other units neither call the module's functions nor touch its variables.
    Prepared(llvm::Module &module, bool whole_program);
    std::unique_ptr<llvm::Module> clone;
    std::vector<llvm::Instruction *> originals; // by number

    // The original that `copy` came from and its number; null for what the clone's making added.
    llvm::Instruction *original(const llvm::Instruction &copy, unsigned *number) const;
};

// callbacks.def: is this argument a function that the call calls back, or handed to such a one? Of
// the former the clone has a direct call behind the library's.
bool is_called_back(const llvm::CallBase &call, unsigned argument);
bool is_passed_on(const llvm::CallBase &call, unsigned argument);

// StartTable.cpp: in the clone, a creation whose start comes out of a table of constants becomes
// one for each function that stands there.
void expand_start_tables(llvm::Module &module, bool whole_program);
// The function of `create` executes it once at most each time it runs, though it lies in a loop.
bool starts_once(const llvm::CallBase &create);

} // namespace palisade
#endif
