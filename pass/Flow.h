// Which locks are held at each instruction, which threads can be there, and whether any other
// thread can exist yet. Works on the prepared clone.
#ifndef PALISADE_PASS_FLOW_H
#define PALISADE_PASS_FLOW_H

#include "Names.h"
#include "Prepare.h"
#include "Unit.h"

#include "llvm/ADT/BitVector.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"

#include <functional>

namespace palisade
{

struct State {
    bool reached = false;
    llvm::BitVector held;   // by lock number
    llvm::BitVector shared; // of these, those held for reading only, on some path
    bool threaded = false;  // another thread may exist
    bool certain = false;   // and that without assuming callers in other units
    // Joins `other` in; true when that changed something.
    bool join(const State &other);
    // `lock` is a number, or -1: cannot be told.
    void take(int lock, bool reads);
    void release(int lock);
    void release_all();
    // The locks that keep everybody else from doing what an access here conflicts with.
    llvm::BitVector covering(bool write) const;
};

struct Root {                                   // where a thread starts
    const llvm::Function *function = nullptr;   // null: other units
    bool many = false;                          // several threads may run it at once
    const llvm::Instruction *created = nullptr; // in the original
};

bool is_create(const model_row *row);
bool in_loop(const llvm::BasicBlock &block); // it lies on a cycle

class Flow
{
    friend class Summariser; // Summary.h

  public:
    Flow(Unit &unit, Prepared &prepared, Resolver &resolver, Namer &namer);

    // Calls back for every instruction that can run, in the order of the module.
    void for_each(const std::function<void(llvm::Instruction &, const State &)> &visit);
    const llvm::BitVector &roots_of(const llvm::Function &function) const;

    std::vector<Root> roots;             // 0: main; last: other units
    std::vector<std::string> lock_names; // by number

  private:
    struct Summary {
        llvm::BitVector unlocks;
        bool unlocks_any = false;
        bool creates = false;
        bool creates_certain = false;
        bool indirect = false;
    };

    const model_row *row_of(const llvm::CallBase &call) const;
    // Number of the lock that `call` names; -1: cannot be told.
    int lock_of(llvm::CallBase &call, const model_row &row);
    llvm::SmallVector<int, 2> locks_of(llvm::CallBase &call, const model_row &row);
    void number_locks();
    void add_aliases(llvm::SmallVectorImpl<int> &numbers) const;
    void find_functions();
    void find_roots();
    bool runs_once(const llvm::Function &function, unsigned depth) const;
    void summarise();
    void plan_locks(llvm::ArrayRef<std::string> names, llvm::BitVector &out) const;
    void spread_roots();
    void solve();
    State entry_state(const llvm::Function &function) const;
    void walk_function(llvm::Function &function,
                       const std::function<void(llvm::Instruction &, const State &)> &visit);
    void step(llvm::Instruction &instruction, State &state);
    State along_edge(llvm::BasicBlock &from, llvm::BasicBlock &to, State state);

    Unit &unit;
    Prepared &prepared;
    Resolver &resolver;
    Namer &namer;
    llvm::SetVector<llvm::Function *> functions;        // with bodies
    llvm::SmallPtrSet<const llvm::Function *, 8> taken; // address taken, callable by anyone
    std::vector<Location> lock_places;                  // by number
    llvm::DenseMap<const llvm::CallBase *, llvm::SmallVector<int, 2>> locks;
    llvm::DenseMap<const llvm::Function *, Summary> summaries;
    llvm::DenseMap<const llvm::Function *, State> entries;
    llvm::DenseMap<const llvm::Function *, llvm::BitVector> reach;
    llvm::BitVector nobody;
};

} // namespace palisade
#endif
