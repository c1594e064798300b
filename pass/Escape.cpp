#include "Escape.h"

#include "llvm/ADT/SmallPtrSet.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/IR/CFG.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/Operator.h"

using namespace llvm;

namespace palisade
{

static constexpr unsigned USES_MAX = 2000; // beyond, anybody may know it

const Value *base_of(const Value &pointer)
{
    const Value *value = &pointer;
    for (unsigned i = 0; i < 32; i++) {
        value = value->stripPointerCasts();
        auto *step = dyn_cast<GEPOperator>(value);
        if (!step)
            return value;
        value = step->getPointerOperand();
    }
    return nullptr;
}

SmallVector<const Value *, 4> bases_of(const Value &pointer)
{
    SmallVector<const Value *, 4> out, work{base_of(pointer)};
    SmallPtrSet<const Value *, 4> seen;
    while (!work.empty()) {
        const Value *base = work.pop_back_val();
        if (!base || !seen.insert(base).second)
            continue;
        out.push_back(base);
        if (auto *phi = dyn_cast<PHINode>(base))
            for (const Value *incoming : phi->incoming_values())
                work.push_back(base_of(*incoming));
    }
    return out;
}

// Calls back for each use that shows the address to somebody; false stops. False: there are too
// many uses.
static bool for_each_show(const Value &object, const std::function<bool(const Instruction &)> &show)
{
    SmallPtrSet<const Value *, 16> seen;
    SmallVector<const Value *, 16> work{&object};
    unsigned uses = 0;
    while (!work.empty()) {
        const Value *value = work.pop_back_val();
        if (!seen.insert(value).second)
            continue;
        for (const Use &use : value->uses()) {
            if (++uses > USES_MAX)
                return false;
            if (isa<ConstantExpr>(use.getUser())) {
                work.push_back(use.getUser());
                continue;
            }
            auto *user = dyn_cast<Instruction>(use.getUser());
            if (!user)
                return false;
            if (isa<GetElementPtrInst>(user) || isa<CastInst>(user) || isa<PHINode>(user) ||
                isa<SelectInst>(user)) {
                if (isa<PtrToIntInst>(user)) {
                    if (!show(*user))
                        return true;
                    continue;
                }
                work.push_back(user);
                continue;
            }
            bool harmless = isa<LoadInst>(user) || isa<ICmpInst>(user);
            if (auto *store = dyn_cast<StoreInst>(user))
                harmless = use.getOperandNo() == store->getPointerOperandIndex();
            if (auto *rmw = dyn_cast<AtomicRMWInst>(user))
                harmless = use.getOperandNo() == rmw->getPointerOperandIndex();
            if (auto *exchange = dyn_cast<AtomicCmpXchgInst>(user))
                harmless = use.getOperandNo() == exchange->getPointerOperandIndex();
            if (auto *intrinsic = dyn_cast<IntrinsicInst>(user))
                harmless = isa<MemIntrinsic>(intrinsic) || isa<DbgInfoIntrinsic>(intrinsic) ||
                           intrinsic->isLifetimeStartOrEnd();
            if (!harmless && !show(*user))
                return true;
        }
    }
    return true;
}

bool is_own_local(const Value &pointer)
{
    const Value *base = base_of(pointer);
    if (!base || !isa<AllocaInst>(base))
        return false;
    bool shown = false;
    bool all = for_each_show(*base, [&](const Instruction &) {
        shown = true;
        return false;
    });
    return all && !shown;
}

bool is_own_global(const GlobalVariable &global)
{
    bool shown = false;
    bool all = for_each_show(global, [&](const Instruction &) {
        shown = true;
        return false;
    });
    return all && !shown;
}

// From behind `from`, without passing `birth` again, to `to`.
static bool reaches(const Instruction &from, const Instruction &to, const Instruction &birth)
{
    SmallPtrSet<const BasicBlock *, 16> seen;
    SmallVector<const BasicBlock *, 16> work;
    const Instruction *at = from.getNextNode();
    for (const BasicBlock *block = from.getParent();;) {
        bool through = true;
        for (; at; at = at->getNextNode()) {
            if (at == &to)
                return true;
            if (at == &birth) {
                through = false;
                break;
            }
        }
        if (through)
            work.append(succ_begin(block), succ_end(block));
        do {
            if (work.empty())
                return false;
            block = work.pop_back_val();
        } while (!seen.insert(block).second);
        at = &block->front();
    }
}

bool is_fresh(const Value &pointer, const Instruction &at,
              const std::function<bool(const CallBase &)> &allocates)
{
    const Value *base = base_of(pointer);
    auto *birth = dyn_cast_or_null<CallBase>(base);
    if (!birth || birth->getFunction() != at.getFunction() || !allocates(*birth))
        return false;
    bool known = false;
    bool all = for_each_show(*birth, [&](const Instruction &show) {
        known = reaches(show, at, *birth);
        return !known;
    });
    return all && !known;
}

} // namespace palisade
