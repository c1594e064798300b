// What a unit's functions do to locks, threads and variables, in the order they do it: enough to
// repeat the analysis over all units of a program without their code. `palisade report` does so
// (tools/merge*.c). A plan does not change it, so that a unit can be compared with its plan.
#ifndef PALISADE_PASS_SUMMARY_H
#define PALISADE_PASS_SUMMARY_H

#include "Flow.h"

#include <map>

namespace palisade
{

class Summariser
{
  public:
    Summariser(Unit &unit, Namer &namer) : unit(unit), namer(namer) {}
    // `copy`, of the prepared clone, accesses `variable`.
    void use(const llvm::Instruction &copy, const std::string &variable, const Location &location,
             bool write, bool block, bool fresh);
    // Once all uses are known.
    void finish(Flow &flow);

  private:
    struct Use {
        unsigned variable;
        SummaryAccess access;
        bool operator==(const Use &other) const
        {
            return variable == other.variable && access.flags() == other.access.flags();
        }
    };
    SummaryFunction describe(Flow &flow, llvm::Function &function);
    void describe_call(Flow &flow, llvm::CallBase &call, SummaryBlock &out);
    void lock_changes(const State &none, const State &all, const Flow &flow, SummaryBlock &out);
    std::string lock_name(llvm::StringRef name) const;

    Unit &unit;
    Namer &namer;
    std::map<std::string, unsigned> numbers; // of variables
    llvm::DenseMap<const llvm::Instruction *, llvm::SmallVector<Use, 1>> uses;
    // The loads of pointers by which a copy found its object.
    llvm::DenseMap<const llvm::Instruction *, llvm::SmallVector<const llvm::Instruction *, 2>>
        finds;
    llvm::Module *clone = nullptr;
};

} // namespace palisade
#endif
