#include "Summary.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/IR/CFG.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/Support/xxhash.h"

using namespace llvm;

namespace palisade
{

void Summariser::use(const Instruction &copy, const std::string &variable, const Location &location,
                     bool write, bool block)
{
    if (location.root == Location::Unknown)
        return;
    bool heap = location.root == Location::Heap;
    auto [at, fresh] = numbers.insert({variable, unit.summary.variables.size()});
    if (fresh)
        unit.summary.variables.push_back(
            {variable, !heap && location.global->hasLocalLinkage(), heap});
    Use use{at->second, write, copy.isVolatile() && !copy.isAtomic() && !isa<CallBase>(copy),
            block};
    auto &list = uses[&copy];
    if (!is_contained(list, use))
        list.push_back(use);
}

// Locks in variables of this unit alone are marked: another unit may use the same name.
std::string Summariser::lock_name(StringRef name) const
{
    const GlobalVariable *best = nullptr;
    for (const GlobalVariable &global : clone->globals()) {
        StringRef own = global.getName();
        if (own.empty() || !name.starts_with(own) || (best && best->getName().size() > own.size()))
            continue;
        if (name.size() == own.size() || name[own.size()] == '.' || name[own.size()] == '[')
            best = &global;
    }
    return (best && best->hasLocalLinkage() ? "static " : "") + name.str();
}

// Held for reading only: where the flow knows reader-writer locks, its State has `shared`.
template <class S>
static auto reads(const S &state, unsigned lock, int) -> decltype(state.shared.test(lock))
{
    return state.shared.test(lock);
}
template <class S> static bool reads(const S &, unsigned, ...)
{
    return false;
}
template <class S>
static auto make_room(S &state, unsigned locks, int) -> decltype(state.shared.resize(locks))
{
    state.shared.resize(locks);
}
template <class S> static void make_room(S &, unsigned, ...) {}

// No lock held, or all of them for writing. The last stands for those this unit does not know.
static State example(const Flow &flow, bool all)
{
    State state;
    state.held.resize(flow.lock_names.size() + 1, all);
    make_room(state, flow.lock_names.size() + 1, 0);
    return state;
}

// What happens to held locks, by example: from none held and from all held.
void Summariser::lock_changes(const State &none, const State &all, const Flow &flow,
                              SummaryBlock &out)
{
    unsigned unknown = flow.lock_names.size();
    if (!all.held.test(unknown))
        out.events.push_back({SummaryEvent::Unlock, ""});
    for (unsigned lock = 0; lock < unknown; lock++) {
        bool local = flow.lock_names[lock] == "(a local lock)";
        if (all.held.test(unknown) && !all.held.test(lock))
            out.events.push_back({SummaryEvent::Unlock, lock_name(flow.lock_names[lock])});
        if (none.held.test(lock) && !local)
            out.events.push_back(
                {reads(none, lock, 0) ? SummaryEvent::ReadLock : SummaryEvent::Lock,
                 lock_name(flow.lock_names[lock])});
    }
}

void Summariser::describe_call(Flow &flow, CallBase &call, SummaryBlock &out)
{
    if (isa<IntrinsicInst>(call) || call.isInlineAsm())
        return;
    Function *callee = call.getCalledFunction();
    bool loop = in_loop(*call.getParent());
    const model_row *row = flow.row_of(call);
    if (!row) {
        out.events.push_back({SummaryEvent::Call, callee ? callee->getName().str() : "",
                              place_of(call), 0, false, false, false, loop});
        return;
    }
    out.calls_back = true;
    if (is_create(row)) {
        auto *start = dyn_cast<Function>(call.getArgOperand(2)->stripPointerCasts());
        out.events.push_back({SummaryEvent::Start, start ? start->getName().str() : "",
                              place_of(call), 0, false, false, false, loop});
    }
    State none = example(flow, false), all = example(flow, true);
    flow.step(call, none);
    flow.step(call, all);
    lock_changes(none, all, flow, out);
}

SummaryFunction Summariser::describe(Flow &flow, Function &function)
{
    SummaryFunction out;
    out.name = function.getName().str();
    out.external = !function.hasLocalLinkage();
    out.taken = flow.taken.contains(&function);
    DenseMap<const BasicBlock *, unsigned> numbers;
    for (BasicBlock &block : function) {
        unsigned number = numbers.size();
        numbers[&block] = number;
    }
    out.blocks.resize(numbers.size());
    for (BasicBlock &block : function) {
        unsigned number = numbers[&block];
        for (Instruction &instruction : block) {
            auto found = uses.find(&instruction);
            if (found != uses.end())
                for (const Use &use : found->second)
                    out.blocks[number].events.push_back(
                        {SummaryEvent::Use, "", place_of(instruction), use.variable, use.write,
                         use.is_volatile, use.block, false});
            if (auto *call = dyn_cast<CallBase>(&instruction))
                describe_call(flow, *call, out.blocks[number]);
        }
        out.blocks[number].returns = isa<ReturnInst>(block.getTerminator());
        for (BasicBlock *next : successors(&block)) {
            State none = flow.along_edge(block, *next, example(flow, false));
            State all = flow.along_edge(block, *next, example(flow, true));
            SummaryBlock edge;
            lock_changes(none, all, flow, edge);
            unsigned to = numbers[next];
            if (!edge.events.empty()) { // a block of its own, where a try-lock succeeded
                edge.next.push_back(to);
                to = out.blocks.size();
                out.blocks.push_back(edge);
            }
            out.blocks[number].next.push_back(to);
        }
    }
    return out;
}

// Blocks that do nothing and lead to one other are stepped over.
static void compress(SummaryFunction &function)
{
    std::vector<SummaryBlock> &blocks = function.blocks;
    auto skip = [&](unsigned at) {
        for (size_t i = 0; i < blocks.size(); i++) {
            const SummaryBlock &block = blocks[at];
            if (!block.events.empty() || block.returns || block.calls_back ||
                block.next.size() != 1)
                break;
            at = block.next[0];
        }
        return at;
    };
    for (SummaryBlock &block : blocks) {
        for (unsigned &next : block.next)
            next = skip(next);
        sort(block.next);
        block.next.erase(std::unique(block.next.begin(), block.next.end()), block.next.end());
    }
    std::vector<unsigned> order{0}, number(blocks.size(), UINT_MAX);
    number[0] = 0;
    for (size_t i = 0; i < order.size(); i++)
        for (unsigned next : blocks[order[i]].next)
            if (number[next] == UINT_MAX) {
                number[next] = order.size();
                order.push_back(next);
            }
    std::vector<SummaryBlock> kept;
    for (unsigned old : order) {
        kept.push_back(std::move(blocks[old]));
        for (unsigned &next : kept.back().next)
            next = number[next];
    }
    blocks = std::move(kept);
}

// Of all that the merged analysis looks at; not of lines, which change all the time.
static std::string hash_of(const SummaryFunction &function, const Summary &summary)
{
    std::string text =
        function.name + (function.external ? " external" : "") + (function.taken ? " taken" : "");
    for (const SummaryBlock &block : function.blocks) {
        text += block.returns ? "\nreturns" : "\nblock";
        text += block.calls_back ? " back" : "";
        for (unsigned next : block.next)
            text += " " + std::to_string(next);
        for (const SummaryEvent &event : block.events) {
            text += "\n" + std::to_string(event.kind) + " " + event.name;
            text += event.loop ? " loop" : "";
            if (event.kind != SummaryEvent::Use)
                continue;
            const SummaryVariable &variable = summary.variables[event.variable];
            text += variable.name + (variable.is_static ? " static" : "") +
                    (event.write ? " write" : "") + (event.is_volatile ? " volatile" : "") +
                    (event.block ? " block" : "");
        }
    }
    return utohexstr(xxHash64(text), /*LowerCase=*/true);
}

void Summariser::finish(Flow &flow)
{
    clone = flow.prepared.clone.get();
    for (Function *function : flow.functions) {
        SummaryFunction described = describe(flow, *function);
        compress(described);
        described.hash = hash_of(described, unit.summary);
        unit.summary.functions.push_back(std::move(described));
    }
    for (Function &function : *clone)
        if (is_outside(function) && !function.isIntrinsic() && !unit.row(function.getName()))
            for (const llvm::Use &use : function.uses()) {
                auto *call = dyn_cast<CallBase>(use.getUser());
                bool start = call && flow.row_of(*call) && is_create(flow.row_of(*call)) &&
                             call->getArgOperandNo(&use) == 2;
                if (call && (call->isCallee(&use) || start))
                    continue;
                unit.summary.taken.push_back(function.getName().str());
                break;
            }
    sort(unit.summary.functions,
         [](const SummaryFunction &a, const SummaryFunction &b) { return a.name < b.name; });
    sort(unit.summary.taken);
    std::string text;
    for (const SummaryFunction &function : unit.summary.functions)
        text += function.name + " " + function.hash + "\n";
    for (const std::string &name : unit.summary.taken)
        text += "taken " + name + "\n";
    unit.summary.identity = utohexstr(xxHash64(text), /*LowerCase=*/true);
}

} // namespace palisade
