#include "Summary.h"
#include "Escape.h"
#include "Words.h"

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
                     bool write, bool block, bool fresh)
{
    if (location.root == Location::Unknown)
        return;
    bool heap = location.root == Location::Heap;
    auto [at, first] = numbers.insert({variable, unit.summary.variables.size()});
    if (first) {
        unit.summary.variables.push_back({variable, !heap && location.global->hasLocalLinkage(),
                                          heap, !heap && !is_own_global(*location.global)});
        if (heap) {
            auto objects = namer.objects(*location.type);
            unit.summary.variables.back().begins.assign(objects.begin() + 1, objects.end());
        }
    }
    bool strict = is_strict(copy), atomic = copy.isAtomic();
    Use use{at->second, {write, strict && !atomic, strict && atomic, block, location.own, fresh}};
    auto &list = uses[&copy];
    if (!is_contained(list, use))
        list.push_back(use);
    const Value *pointer = word_pointer(const_cast<Instruction &>(copy));
    if (!heap || !pointer || finds.count(&copy))
        return;
    for (const Value *base : bases_of(*pointer))
        if (auto *load = dyn_cast<LoadInst>(base))
            finds[&copy].push_back(load);
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

// No lock held, or all of them for writing. The last stands for those this unit does not know.
static State example(const Flow &flow, bool all)
{
    State state;
    state.held.resize(flow.lock_names.size() + 1, all);
    state.shared.resize(flow.lock_names.size() + 1);
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
                {none.shared.test(lock) ? SummaryEvent::ReadLock : SummaryEvent::Lock,
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
        out.events.push_back(
            {SummaryEvent::Call, callee ? callee->getName().str() : "", place_of(call), loop});
        return;
    }
    out.calls_back = true;
    if (is_create(row) && is_thread_create(call)) {
        auto *start =
            dyn_cast<Function>(call.getArgOperand(start_argument(row->name))->stripPointerCasts());
        out.events.push_back({SummaryEvent::Start, start ? start->getName().str() : "",
                              place_of(call), loop && !starts_once(call)});
    }
    // Prepare.cpp put a call behind this one, unless it is a function of another unit.
    for (const llvm::Use &argument : call.args())
        if (is_called_back(call, call.getArgOperandNo(&argument))) {
            auto *target = dyn_cast<Function>(argument->stripPointerCasts());
            if (target && is_outside(*target) && !unit.row(target->getName()))
                out.events.push_back(
                    {SummaryEvent::Call, target->getName().str(), place_of(call), true});
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
    DenseMap<const Instruction *, unsigned> found;
    for (Instruction &instruction : instructions(function))
        for (const Instruction *load : finds.lookup(&instruction))
            found.insert({load, found.size()});
    for (BasicBlock &block : function) {
        unsigned number = numbers[&block];
        for (Instruction &instruction : block) {
            if (found.count(&instruction))
                out.blocks[number].events.push_back(
                    {SummaryEvent::Find, "", {}, false, found[&instruction]});
            for (const Use &use : uses.lookup(&instruction)) {
                SummaryEvent event{SummaryEvent::Use, "",        place_of(instruction), false,
                                   use.variable,      use.access};
                for (const Instruction *load : finds.lookup(&instruction))
                    event.found.push_back(found[load]);
                out.blocks[number].events.push_back(event);
            }
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
            if (event.kind == SummaryEvent::Find)
                text += " " + std::to_string(event.variable);
            if (event.kind != SummaryEvent::Use)
                continue;
            const SummaryVariable &variable = summary.variables[event.variable];
            text += variable.name + (variable.is_static ? " static " : " ") +
                    (variable.shown ? "shown " : "") + event.access.flags();
            for (const std::string &object : variable.begins)
                text += " " + object;
            for (unsigned found : event.found)
                text += " " + std::to_string(found);
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
                int argument = call && !call->isCallee(&use) && call->isArgOperand(&use)
                                   ? static_cast<int>(call->getArgOperandNo(&use))
                                   : -1;
                const model_row *row = call ? flow.row_of(*call) : nullptr;
                bool start = argument >= 0 && is_create(row) && is_thread_create(*call) &&
                             argument == start_argument(row->name);
                if (call && (call->isCallee(&use) || start ||
                             (argument >= 0 && is_called_back(*call, argument))))
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
