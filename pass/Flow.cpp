// Forward dataflow over the whole unit. Locks: must be held, so paths and callers are intersected;
// a function that others may call from outside starts with none. Threads: may exist, so joined.
//
// A call of a function in another unit is assumed to give back what it takes; it may create
// threads, unless the unit is the whole program.
#include "Flow.h"

#include "llvm/IR/CFG.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/IntrinsicInst.h"

using namespace llvm;

namespace palisade
{

bool State::join(const State &other)
{
    if (!other.reached)
        return false;
    if (!reached) {
        *this = other;
        return true;
    }
    State before = *this;
    held &= other.held;
    shared |= other.shared;
    shared &= held;
    threaded |= other.threaded;
    certain |= other.certain;
    return held != before.held || shared != before.shared || threaded != before.threaded ||
           certain != before.certain;
}

void State::take(int lock, bool reads)
{
    if (lock < 0)
        return;
    held.set(lock);
    reads ? shared.set(lock) : shared.reset(lock);
}

void State::release(int lock)
{
    if (lock < 0)
        return release_all();
    held.reset(lock);
    shared.reset(lock);
}

void State::release_all()
{
    held.reset();
    shared.reset();
}

BitVector State::covering(bool write) const
{
    BitVector locks = held;
    if (write)
        locks.reset(shared);
    return locks;
}

Flow::Flow(Unit &unit, Prepared &prepared, Resolver &resolver, Namer &namer)
    : unit(unit), prepared(prepared), resolver(resolver), namer(namer)
{
    find_functions();
    number_locks();
    find_roots();
    summarise();
    spread_roots();
    solve();
}

const model_row *Flow::row_of(const CallBase &call) const
{
    const Function *callee = call.getCalledFunction();
    return callee && is_outside(*callee) ? unit.row(callee->getName()) : nullptr;
}

bool is_create(const model_row *row)
{
    return row && start_argument(row->name) >= 0;
}

// Functions with bodies, and those whose address goes elsewhere than into a call's callee or a
// thread's start.
void Flow::find_functions()
{
    for (Function &function : *prepared.clone) {
        if (is_outside(function))
            continue;
        functions.insert(&function);
        for (Use &use : function.uses()) {
            auto *call = dyn_cast<CallBase>(use.getUser());
            if (call && call->isCallee(&use))
                continue;
            if (call && is_create(row_of(*call)) &&
                static_cast<int>(call->getArgOperandNo(&use)) ==
                    start_argument(row_of(*call)->name))
                continue;
            if (call && is_called_back(*call, call->getArgOperandNo(&use)))
                continue; // Prepare put a call there
            taken.insert(&function);
        }
    }
}

SmallVector<int, 2> Flow::locks_of(CallBase &call, const model_row &row)
{
    SmallVector<int, 2> out;
    auto number = [this](StringRef name) {
        auto found = find(lock_names, name);
        int at = static_cast<int>(found - lock_names.begin());
        if (found == lock_names.end())
            lock_names.push_back(name.str());
        return at;
    };
    if (*row.note == '@') // named in the model file
        return {number(row.note)};
    if (row.lock < 0 || static_cast<unsigned>(row.lock) >= call.arg_size())
        return {-1};
    for (const Location &location : resolver.resolve_lock(call.getArgOperand(row.lock))) {
        if (location.root == Location::Unknown) {
            out.push_back(-1);
            continue;
        }
        std::string name =
            location.root == Location::Local ? "(a local lock)" : namer.name(location, 0);
        out.push_back(number(name));
        lock_places.resize(lock_names.size());
        lock_places[out.back()] = location;
    }
    return out;
}

void Flow::number_locks()
{
    SmallPtrSet<Instruction *, 32> counted;
    for (Function *function : functions)
        for (Instruction &instruction : instructions(*function)) {
            auto *call = dyn_cast<CallBase>(&instruction);
            const model_row *row = call ? row_of(*call) : nullptr;
            if (!row || !model_is_lock(row->class_) || (row->lock < 0 && *row->note != '@'))
                continue;
            SmallVector<int, 2> numbers = locks_of(*call, *row);
            locks[call] = numbers;
            unsigned number;
            Instruction *original = prepared.original(instruction, &number);
            bool waits = row->class_ == MODEL_LOCK && row->lock == 1 && // on a condition
                         !unit.user_rows.count(row->name);
            if (!original || waits || row->class_ == MODEL_UNLOCK ||
                !counted.insert(original).second)
                continue;
            for (int lock : numbers)
                unit.locks[unit.keep(lock < 0 ? "(through a pointer)" : lock_names[lock])]++;
        }
    lock_places.resize(lock_names.size());
    for (auto &[call, numbers] : locks)
        if (row_of(*call)->class_ == MODEL_UNLOCK)
            add_aliases(numbers);
}

// One lock may be known by several names, as a member of a struct and of what it lies in. Who
// gives it back by one of them does not hold the others.
void Flow::add_aliases(SmallVectorImpl<int> &numbers) const
{
    const DataLayout &layout = prepared.clone->getDataLayout();
    for (size_t i = 0, given = numbers.size(); i < given; i++)
        for (size_t lock = 0; numbers[i] >= 0 && lock < lock_places.size(); lock++)
            if (!is_contained(numbers, static_cast<int>(lock)) &&
                may_be_same(lock_places[numbers[i]], lock_places[lock], layout))
                numbers.push_back(static_cast<int>(lock));
}

// True when the block lies on a cycle.
bool in_loop(const BasicBlock &block)
{
    SmallPtrSet<const BasicBlock *, 16> seen;
    SmallVector<const BasicBlock *, 16> work(successors(&block));
    while (!work.empty()) {
        const BasicBlock *next = work.pop_back_val();
        if (next == &block)
            return true;
        if (seen.insert(next).second)
            work.append(succ_begin(next), succ_end(next));
    }
    return false;
}

bool Flow::runs_once(const Function &function, unsigned depth) const
{
    if (function.getName() == "main")
        return true;
    if (depth > 16 || taken.contains(&function) ||
        (!function.hasLocalLinkage() && !unit.options.whole_program) || !function.hasOneUse())
        return false;
    auto *call = dyn_cast<CallBase>(*function.user_begin());
    return call && call->getCalledFunction() == &function && !in_loop(*call->getParent()) &&
           runs_once(*call->getFunction(), depth + 1);
}

void Flow::find_roots()
{
    MapVector<const Function *, Root> found;
    if (Function *main = prepared.clone->getFunction("main"))
        if (functions.contains(main))
            found[main] = {main, false, nullptr};
    for (Function *function : functions)
        for (Instruction &instruction : instructions(*function)) {
            auto *call = dyn_cast<CallBase>(&instruction);
            if (!call || !is_create(row_of(*call)) || !is_thread_create(*call))
                continue;
            unsigned number;
            Instruction *original = prepared.original(instruction, &number);
            bool many = (in_loop(*instruction.getParent()) && !starts_once(*call)) ||
                        !runs_once(*function, 0);
            SmallVector<const Function *, 4> starts;
            if (auto *start = dyn_cast<Function>(
                    call->getArgOperand(start_argument(row_of(*call)->name))->stripPointerCasts()))
                starts.push_back(start);
            else // any function whose address is taken may be it
                for (Function *other : functions)
                    if (taken.contains(other))
                        starts.push_back(other);
            for (const Function *start : starts) {
                auto [at, fresh] = found.insert({start, {start, many, original}});
                if (!fresh)
                    at->second.many = true;
            }
        }
    for (auto &[function, root] : found)
        roots.push_back(root);
    roots.push_back({nullptr, true, nullptr});
}

// What a call may do, through all it calls itself.
void Flow::summarise()
{
    BitVector none(lock_names.size());
    for (Function *function : functions)
        summaries[function].unlocks = none;
    Summary anyone; // of an indirect call
    anyone.unlocks = none;
    auto absorb = [](Summary &into, const Summary &from) {
        Summary before = into;
        into.unlocks |= from.unlocks;
        into.unlocks_any |= from.unlocks_any;
        into.creates |= from.creates;
        into.creates_certain |= from.creates_certain;
        into.indirect |= from.indirect;
        return into.unlocks != before.unlocks || into.unlocks_any != before.unlocks_any ||
               into.creates != before.creates || into.creates_certain != before.creates_certain ||
               into.indirect != before.indirect;
    };
    for (bool again = true; again;) {
        again = false;
        for (Function *function : functions) {
            Summary sum = summaries[function];
            for (Instruction &instruction : instructions(*function)) {
                auto *call = dyn_cast<CallBase>(&instruction);
                if (!call || isa<IntrinsicInst>(call) || call->isInlineAsm())
                    continue;
                Function *callee = call->getCalledFunction();
                const model_row *row = row_of(*call);
                if (!callee) {
                    sum.indirect = true;
                    absorb(sum, anyone);
                } else if (functions.contains(callee)) {
                    absorb(sum, summaries[callee]);
                } else if (!row) {
                    sum.creates |= !unit.options.whole_program;
                } else if (is_create(row)) {
                    sum.creates = sum.creates_certain = true;
                } else if (row->class_ == MODEL_UNLOCK) {
                    for (int lock : locks[call])
                        lock < 0 ? void(sum.unlocks_any = true) : void(sum.unlocks.set(lock));
                    if (locks[call].empty())
                        sum.unlocks_any = true;
                }
            }
            again |= absorb(summaries[function], sum);
            if (taken.contains(function))
                again |= absorb(anyone, sum);
        }
    }
    summaries[nullptr] = anyone;
}

void Flow::spread_roots()
{
    nobody.resize(roots.size());
    unsigned outside = roots.size() - 1;
    auto spread = [&](Function *from, unsigned root) {
        SmallVector<Function *, 16> work{from};
        while (!work.empty()) {
            Function *function = work.pop_back_val();
            BitVector &here = reach[function];
            here.resize(roots.size());
            if (here.test(root))
                continue;
            here.set(root);
            bool indirect = false;
            for (Instruction &instruction : instructions(*function))
                if (auto *call = dyn_cast<CallBase>(&instruction)) {
                    Function *callee = call->getCalledFunction();
                    if (callee && functions.contains(callee))
                        work.push_back(callee);
                    // Functions of libc call back too (qsort), so any call may be indirect.
                    indirect |= !callee || (!isa<IntrinsicInst>(call) && is_outside(*callee));
                }
            if (indirect)
                for (Function *other : functions)
                    if (taken.contains(other))
                        work.push_back(other);
        }
    };
    for (unsigned root = 0; root < outside; root++)
        spread(const_cast<Function *>(roots[root].function), root);
    for (Function *function : functions)
        if (!function->hasLocalLinkage() && !unit.options.whole_program &&
            function->getName() != "main")
            spread(function, outside);
}

const BitVector &Flow::roots_of(const Function &function) const
{
    auto found = reach.find(&function);
    return found == reach.end() ? nobody : found->second;
}

// The locks of a plan that this unit knows.
void Flow::plan_locks(ArrayRef<std::string> names, BitVector &out) const
{
    for (size_t lock = 0; lock < lock_names.size(); lock++) {
        StringRef base = StringRef(lock_names[lock]).split('.').first.split('[').first;
        const GlobalVariable *global = prepared.clone->getGlobalVariable(base, true);
        bool is_static = global && global->hasLocalLinkage();
        if (is_contained(names, (is_static ? unit.plan.unit_file + ":" : "") + lock_names[lock]))
            out.set(lock);
    }
}

// What is known at the entry before any call is seen.
State Flow::entry_state(const Function &function) const
{
    State state;
    state.held.resize(lock_names.size());
    state.shared.resize(lock_names.size());
    for (const Root &root : roots)
        if (root.function == &function) {
            state.reached = true;
            state.threaded = state.certain = function.getName() != "main";
            if (state.threaded)
                return state;
        }
    bool seen_by_others = !function.hasLocalLinkage() || taken.contains(&function);
    if (const Plan::Function *planned =
            seen_by_others ? unit.plan.function(function.getName()) : nullptr) {
        state.reached = true;
        state.threaded = state.certain = planned->threaded;
        plan_locks(planned->locks, state.held);
        return state;
    }
    if (taken.contains(&function)) { // handlers and callbacks: at any time
        state.reached = state.threaded = true;
        state.certain = roots.size() > 2;
    } else if (!state.reached && !function.hasLocalLinkage() && !unit.options.whole_program) {
        state.reached = state.threaded = true;
    }
    return state;
}

void Flow::step(Instruction &instruction, State &state)
{
    auto *call = dyn_cast<CallBase>(&instruction);
    if (!call || isa<IntrinsicInst>(call) || call->isInlineAsm())
        return;
    Function *callee = call->getCalledFunction();
    if (const model_row *row = row_of(*call)) {
        if (is_create(row))
            state.threaded = state.certain = true;
        auto found = locks.find(call);
        if (found == locks.end()) {
            if (row->class_ == MODEL_UNLOCK)
                state.release_all();
            return;
        }
        const SmallVector<int, 2> &numbers = found->second;
        if ((row->class_ == MODEL_LOCK || row->class_ == MODEL_RDLOCK) && numbers.size() == 1)
            state.take(numbers[0], row->class_ == MODEL_RDLOCK);
        if (row->class_ == MODEL_UNLOCK)
            for (int lock : numbers)
                state.release(lock);
        return;
    }
    const Summary *summary = nullptr;
    if (!callee)
        summary = &summaries[nullptr];
    else if (functions.contains(callee))
        summary = &summaries[callee];
    if (const Plan::Function *planned =
            callee && !summary ? unit.plan.function(callee->getName()) : nullptr) {
        BitVector gives(lock_names.size(), planned->gives_any), takes(lock_names.size());
        plan_locks(planned->gives, gives);
        plan_locks(planned->takes, takes);
        state.held.reset(gives);
        state.held |= takes;
        state.shared.reset(gives).reset(takes);
        state.threaded |= planned->creates;
        state.certain |= planned->creates;
        return;
    }
    if (!summary) {
        state.threaded |= !unit.options.whole_program;
        return;
    }
    if (summary->unlocks_any)
        state.release_all();
    for (unsigned lock : summary->unlocks.set_bits())
        state.release(static_cast<int>(lock));
    state.threaded |= summary->creates;
    state.certain |= summary->creates_certain;
}

// `value` is 0 exactly when the call returned 0 (then *zero), or exactly when it did not.
static CallBase *tested_call(Value *value, bool *zero)
{
    *zero = true;
    for (unsigned i = 0; i < 8; i++) {
        if (auto *call = dyn_cast<CallBase>(value))
            return call;
        if (auto *cast_ = dyn_cast<CastInst>(value)) {
            value = cast_->getOperand(0);
        } else if (auto *compare = dyn_cast<ICmpInst>(value)) {
            auto *right = dyn_cast<ConstantInt>(compare->getOperand(1));
            if (!right || !right->isZero() || !compare->isEquality())
                return nullptr;
            if (compare->getPredicate() == ICmpInst::ICMP_EQ)
                *zero = !*zero;
            value = compare->getOperand(0);
        } else if (auto *binary = dyn_cast<BinaryOperator>(value)) {
            auto *right = dyn_cast<ConstantInt>(binary->getOperand(1));
            if (binary->getOpcode() != Instruction::Xor || !right || !right->isOne())
                return nullptr;
            *zero = !*zero;
            value = binary->getOperand(0);
        } else {
            return nullptr;
        }
    }
    return nullptr;
}

// A try-lock is held where its result was compared with 0, or was not 0 (take).
State Flow::along_edge(BasicBlock &from, BasicBlock &to, State state)
{
    auto *branch = dyn_cast<BranchInst>(from.getTerminator());
    if (!branch || !branch->isConditional() || branch->getSuccessor(0) == branch->getSuccessor(1))
        return state;
    bool zero;
    CallBase *call = tested_call(branch->getCondition(), &zero);
    const model_row *row = call ? row_of(*call) : nullptr;
    bool takes = row && row->class_ == MODEL_TAKE;
    if (!row || (row->class_ != MODEL_TRY && row->class_ != MODEL_RDTRY && !takes) ||
        call->getParent() != &from)
        return state;
    const SmallVector<int, 2> &numbers = locks[call];
    // The condition is false exactly when the call returned 0 (zero) or when it did not.
    BasicBlock *taken_at = branch->getSuccessor(zero != takes ? 1 : 0);
    if (&to == taken_at && numbers.size() == 1)
        state.take(numbers[0], row->class_ == MODEL_RDTRY);
    return state;
}

void Flow::walk_function(Function &function,
                         const std::function<void(Instruction &, const State &)> &visit)
{
    DenseMap<BasicBlock *, State> at;
    at[&function.getEntryBlock()] = entries[&function];
    SetVector<BasicBlock *> work;
    work.insert(&function.getEntryBlock());
    while (!work.empty()) {
        BasicBlock *block = work.pop_back_val();
        State state = at[block];
        for (Instruction &instruction : *block)
            step(instruction, state);
        for (BasicBlock *next : successors(block))
            if (at[next].join(along_edge(*block, *next, state)))
                work.insert(next);
    }
    for (BasicBlock &block : function) {
        State state = at[&block];
        if (!state.reached)
            continue;
        for (Instruction &instruction : block) {
            visit(instruction, state);
            step(instruction, state);
        }
    }
}

void Flow::solve()
{
    for (Function *function : functions)
        entries[function] = entry_state(*function);
    for (bool again = true; again;) {
        again = false;
        for (Function *function : functions) {
            if (!entries[function].reached)
                continue;
            walk_function(*function, [&](Instruction &instruction, const State &state) {
                auto *call = dyn_cast<CallBase>(&instruction);
                Function *callee = call ? call->getCalledFunction() : nullptr;
                if (callee && functions.contains(callee))
                    again |= entries[callee].join(state);
            });
        }
    }
}

void Flow::for_each(const std::function<void(Instruction &, const State &)> &visit)
{
    for (Function *function : functions)
        if (entries[function].reached)
            walk_function(*function, visit);
}

} // namespace palisade
