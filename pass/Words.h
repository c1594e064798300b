// Accesses that hooks take: aligned words of 1, 2, 4, 8 and 16 bytes, and small blocks by pieces.
#ifndef PALISADE_PASS_WORDS_H
#define PALISADE_PASS_WORDS_H

#include "llvm/IR/Instructions.h"

#include <string>

namespace palisade
{

// Atomic or volatile: meant to be shared.
bool is_strict(const llvm::Instruction &instruction);
// The pointer of a load, store, RMW or compare-exchange; null for everything else.
llvm::Value *word_pointer(llvm::Instruction &instruction);
// Why no hook takes such an instruction, in words; empty: one does.
std::string word_refusal(const llvm::Instruction &instruction);
// The name of its hook, without the prefix: "load8"; of a block "block".
std::string word_hook(const llvm::Instruction &instruction, bool mixed);
// A copy or fill of a block that is done by words: few, of a known number.
bool is_small_block(const llvm::Instruction &instruction);
// The instruction becomes a call of its hook, or several. `mixed`: the word is stored without
// hooks, too (R10).
void word_retarget(llvm::Instruction &instruction, bool mixed);

} // namespace palisade
#endif
