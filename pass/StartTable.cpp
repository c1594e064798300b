// Threads whose start functions stand in a table:
//
//     static struct job jobs[] = {{.run = receive}, {.run = export}};
//     for (int i = 0; i < 2; i++)
//         pthread_create(&jobs[i].thread, NULL, jobs[i].run, &jobs[i]);
//
// When nothing but its initializer can have put them there, the creation in the clone becomes one
// creation a function. It is marked when it passes each entry once at most: then none of them
// counts as one in a loop. A function that stands there twice is started by two creations.
#include "Names.h"
#include "Prepare.h"

#include "llvm/Analysis/ConstantFolding.h"
#include "llvm/IR/CFG.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/Operator.h"

#include <optional>
#include <set>

using namespace llvm;

namespace palisade
{
namespace
{

constexpr unsigned ENTRIES_MAX = 64; // of a table
constexpr unsigned USES_MAX = 2000;  // beyond, anybody may write to it
constexpr const char *ONCE = "palisade.once";

// The places of a table that lie `stride` bytes apart: one field of all its entries.
struct Column {
    GlobalVariable *table;
    uint64_t stride, phase;
    bool operator==(const Column &other) const
    {
        return table == other.table && stride == other.stride && phase == other.phase;
    }
};

using Functions = SmallVector<Function *, 8>; // of a column, in its order

struct Site { // a creation that takes its start out of a table
    CallInst *call;
    LoadInst *load;
    Value *index; // of the entry, or its address; null: always the same entry
};

unsigned start_of(const CallBase &create)
{
    return start_argument(create.getCalledFunction()->getName());
}

const DataLayout &layout_of(const Column &column)
{
    return column.table->getParent()->getDataLayout();
}

uint64_t size_of(const Column &column)
{
    return layout_of(column).getTypeAllocSize(column.table->getValueType());
}

uint64_t modulo(int64_t offset, uint64_t stride)
{
    auto signed_stride = static_cast<int64_t>(stride);
    return static_cast<uint64_t>((offset % signed_stride + signed_stride) % signed_stride);
}

// ---- where the start is found ----

// What a round adds to a pointer that walks through the table; 0: it does something else.
int64_t pointer_step(const PHINode &walker, const Value &incoming)
{
    auto *gep = dyn_cast<GEPOperator>(&incoming);
    if (!gep || gep->getPointerOperand() != &walker)
        return 0;
    std::optional<Step> step = step_of(*gep, walker.getModule()->getDataLayout());
    return step && step->variable.empty() ? step->constant : 0;
}

// Arithmetic with constants, and with one variable at most, followed back to where it started.
struct Origin {
    Value *base = nullptr, *variable = nullptr;
    int64_t constant = 0, scale = 0;
};

std::optional<Origin> origin_of(Value *pointer, const DataLayout &layout)
{
    Origin out;
    for (unsigned depth = 0; depth < 16; depth++) {
        pointer = pointer->stripPointerCasts();
        auto *gep = dyn_cast<GEPOperator>(pointer);
        if (!gep) {
            out.base = pointer;
            return out;
        }
        std::optional<Step> step = step_of(*gep, layout);
        if (!step || step->variable.size() + (out.variable != nullptr) > 1)
            return std::nullopt;
        out.constant += step->constant;
        if (!step->variable.empty())
            std::tie(out.variable, out.scale) = step->variable[0];
        pointer = gep->getPointerOperand();
    }
    return std::nullopt;
}

// For a pointer that walks: where it starts is put into `origin`. Its step, or 0.
int64_t walk_of(const PHINode &walker, Origin &origin, const DataLayout &layout)
{
    int64_t stride = 0;
    origin.base = nullptr;
    for (Value *incoming : walker.incoming_values()) {
        if (int64_t step = pointer_step(walker, *incoming)) {
            if (stride != 0 && stride != step)
                return 0;
            stride = step;
            continue;
        }
        std::optional<Origin> start = origin_of(incoming, layout);
        if (!start || start->variable || origin.base) // one way into the loop is enough
            return 0;
        origin.base = start->base;
        origin.constant += start->constant;
    }
    return stride;
}

// Where the creation's start lies; fills site.index.
std::optional<Column> column_of(Site &site)
{
    const DataLayout &layout = site.call->getModule()->getDataLayout();
    std::optional<Origin> origin = origin_of(site.load->getPointerOperand(), layout);
    if (!origin)
        return std::nullopt;
    site.index = origin->variable;
    int64_t stride = origin->scale;
    auto *walker = dyn_cast<PHINode>(origin->base);
    if (walker && !origin->variable) {
        site.index = walker;
        stride = walk_of(*walker, *origin, layout);
    }
    auto *table = dyn_cast_or_null<GlobalVariable>(origin->base);
    if (!table || !table->hasDefinitiveInitializer() || table->isThreadLocal())
        return std::nullopt;
    if (!site.index)
        stride = layout.getTypeAllocSize(table->getValueType());
    if (stride == 0)
        return std::nullopt;
    return Column{table, static_cast<uint64_t>(std::abs(stride)),
                  modulo(origin->constant, std::abs(stride))};
}

// None when something else stands there, too.
std::optional<Functions> functions_of(const Column &column)
{
    Functions out;
    auto *pointer = PointerType::getUnqual(column.table->getContext());
    uint64_t bytes = layout_of(column).getTypeStoreSize(pointer);
    for (uint64_t at = column.phase; at + bytes <= size_of(column); at += column.stride) {
        Constant *entry = ConstantFoldLoadFromConst(column.table->getInitializer(), pointer,
                                                    APInt(64, at), layout_of(column));
        if (entry && entry->isNullValue())
            continue; // nobody starts there
        auto *function = dyn_cast_or_null<Function>(entry);
        if (!function || out.size() == ENTRIES_MAX)
            return std::nullopt;
        out.push_back(function);
    }
    return out;
}

// ---- who else writes or reads the column ----

class Uses
{
  public:
    Uses(const Column &column, const Functions &functions)
        : column(column), functions(functions), layout(layout_of(column))
    {
        column.table->removeDeadConstantUsers();
        push(column.table, 0);
        while (!lost && !(work.empty() && given.empty())) {
            if (!work.empty()) {
                auto [value, phase] = work.pop_back_val();
                for (const Use &use : value->uses())
                    visit(use, phase);
            } else {
                auto [call, phase] = given.pop_back_val();
                visit_given(*call, phase);
            }
        }
        written |= lost;
        shown |= lost;
    }

    bool written = false; // otherwise than by the initializer
    bool shown = false;   // its functions become known otherwise than by being started
    SmallPtrSet<const CallBase *, 8> starts; // creations that start what lies there

  private:
    static constexpr int64_t ANYWHERE = -1;

    void push(const Value *value, int64_t phase)
    {
        lost |= seen.size() > USES_MAX;
        if (seen.insert({value, phase}).second)
            work.push_back({value, phase});
    }

    bool touches(int64_t phase, uint64_t bytes) const
    {
        int64_t from = column.phase;
        return phase == ANYWHERE || modulo(from - phase, column.stride) < bytes ||
               modulo(phase - from, column.stride) < layout.getPointerSize();
    }

    void visit(const Use &use, int64_t phase)
    {
        User *user = use.getUser();
        if (auto *gep = dyn_cast<GEPOperator>(user)) {
            std::optional<Step> step = step_of(*gep, layout);
            lost |= use.getOperandNo() != 0;
            bool known = step && phase != ANYWHERE;
            if (known)
                for (auto [index, scale] : step->variable)
                    known &= scale % static_cast<int64_t>(column.stride) == 0;
            push(gep, known ? static_cast<int64_t>(modulo(phase + step->constant, column.stride))
                            : ANYWHERE);
        } else if (isa<BitCastOperator>(user) || isa<AddrSpaceCastOperator>(user) ||
                   isa<PHINode>(user) || isa<SelectInst>(user)) {
            push(user, phase);
        } else if (auto *load = dyn_cast<LoadInst>(user)) {
            if (touches(phase, layout.getTypeStoreSize(load->getType())))
                visit_load(*load, phase == static_cast<int64_t>(column.phase));
        } else if (auto *store = dyn_cast<StoreInst>(user)) {
            lost |= use.getOperandNo() != store->getPointerOperandIndex();
            written |= touches(phase, layout.getTypeStoreSize(store->getValueOperand()->getType()));
        } else if (auto *call = dyn_cast<CallBase>(user)) {
            visit_call(*call, use, phase);
        } else {
            lost |= !isa<ICmpInst>(user);
        }
    }

    void visit_load(const LoadInst &load, bool exact)
    {
        for (const Use &use : load.uses()) {
            auto *call = dyn_cast<CallBase>(use.getUser());
            if (exact && call && is_thread_create(*call) && use.getOperandNo() == start_of(*call))
                starts.insert(call);
            else
                shown |= !isa<ICmpInst>(use.getUser());
        }
    }

    void visit_call(const CallBase &call, const Use &use, int64_t phase)
    {
        const Function *callee = call.getCalledFunction();
        auto *intrinsic = dyn_cast<IntrinsicInst>(&call);
        if (intrinsic && (isa<DbgInfoIntrinsic>(intrinsic) || intrinsic->isLifetimeStartOrEnd()))
            return;
        if (!callee || !call.isArgOperand(&use))
            lost = true;
        else if (!is_thread_create(call))
            hand(*callee, call.getArgOperandNo(&use), phase);
        else if (call.getArgOperandNo(&use) == 0) // the thread's handle
            written |= touches(phase, layout.getPointerSize());
        else if (call.getArgOperandNo(&use) == start_of(call) + 1)
            given.push_back({&call, phase});
        else
            lost = true;
    }

    // The new thread's argument.
    void visit_given(const CallBase &call, int64_t phase)
    {
        if (auto *start = dyn_cast<Function>(call.getArgOperand(start_of(call))))
            hand(*start, 0, phase);
        else if (starts.contains(&call))
            for (const Function *start : functions)
                hand(*start, 0, phase);
        else
            lost = true;
    }

    void hand(const Function &function, unsigned argument, int64_t phase)
    {
        lost |= function.isDeclaration() || function.isInterposable();
        if (argument < function.arg_size())
            push(function.getArg(argument), phase);
        else
            lost |= function.isVarArg();
    }

    const Column &column;
    const Functions &functions;
    const DataLayout &layout;
    bool lost = false; // its address goes where it cannot be followed
    std::set<std::pair<const Value *, int64_t>> seen;
    SmallVector<std::pair<const Value *, int64_t>, 16> work;
    SmallVector<std::pair<const CallBase *, int64_t>, 4> given;
};

// ---- a creation that passes each entry at most once ----

// A path of at least one step, that does not lead through `without`.
bool reaches(const BasicBlock &from, const BasicBlock &to, const BasicBlock *without)
{
    SmallPtrSet<const BasicBlock *, 16> seen;
    SmallVector<const BasicBlock *, 16> work(successors(&from));
    while (!work.empty()) {
        const BasicBlock *block = work.pop_back_val();
        if (block == &to)
            return true;
        if (block != without && seen.insert(block).second)
            work.append(succ_begin(block), succ_end(block));
    }
    return false;
}

// The counter behind an index: widened, or a constant away from it.
PHINode *counter_of(Value *index)
{
    for (unsigned depth = 0; depth < 8; depth++) {
        auto *add = dyn_cast<BinaryOperator>(index);
        if (isa<SExtInst>(index) || isa<ZExtInst>(index) || isa<FreezeInst>(index) ||
            (add && isa<ConstantInt>(add->getOperand(1)) &&
             (add->getOpcode() == Instruction::Add || add->getOpcode() == Instruction::Sub)))
            index = cast<Instruction>(index)->getOperand(0);
        else
            break;
    }
    return dyn_cast<PHINode>(index);
}

// How much a round adds to an integer: 1 or -1; 0: it does something else.
int64_t counter_step(const PHINode &counter, const Value &incoming, bool *may_wrap)
{
    auto *binary = dyn_cast<BinaryOperator>(&incoming);
    auto *by = binary ? dyn_cast<ConstantInt>(binary->getOperand(1)) : nullptr;
    if (!by || binary->getOperand(0) != &counter || !(by->isOne() || by->isMinusOne()) ||
        (binary->getOpcode() != Instruction::Add && binary->getOpcode() != Instruction::Sub))
        return 0;
    *may_wrap |= !binary->hasNoSignedWrap();
    return by->isOne() == (binary->getOpcode() == Instruction::Add) ? 1 : -1;
}

// A counter that is no pointer and may wrap does not come back to an entry when every round looks
// into the table: it would have had to look behind its end before.
bool stays_inside(const Site &site, const PHINode &counter, const Column &column)
{
    const BasicBlock &round = *counter.getParent(), &look = *site.load->getParent();
    unsigned bits = counter.getType()->getIntegerBitWidth();
    return bits >= 64 || (size_of(column) / column.stride < uint64_t(1) << (bits - 1) &&
                          (&look == &round || !reaches(round, round, &look)));
}

// On the way from the creation back to itself the counter takes a step, always in the same
// direction, and never starts anew.
bool passes_once(const Site &site, const Column &column)
{
    PHINode *counter = site.index ? counter_of(site.index) : nullptr;
    if (!counter || site.call->getFunction()->callsFunctionThatReturnsTwice())
        return false;
    const BasicBlock &at = *site.call->getParent(), &round = *counter->getParent();
    if (&at != &round && reaches(at, at, &round))
        return false;
    bool walks = counter->getType()->isPointerTy(), may_wrap = false;
    int64_t direction = 0;
    for (unsigned i = 0; i < counter->getNumIncomingValues(); i++) {
        const Value &incoming = *counter->getIncomingValue(i);
        const BasicBlock &from = *counter->getIncomingBlock(i);
        int64_t step =
            walks ? pointer_step(*counter, incoming) : counter_step(*counter, incoming, &may_wrap);
        if (step == 0 ? &from == &at || reaches(at, from, nullptr)
                      : direction != 0 && direction != step)
            return false;
        direction = step != 0 ? step : direction;
    }
    return direction != 0 && (walks || !may_wrap || stays_inside(site, *counter, column));
}

// ---- the clone ----

// The initializer without the functions of the column: they are started, and known to nobody else.
Constant *without_functions(Constant *value, uint64_t at, const Column &column)
{
    const DataLayout &layout = layout_of(column);
    if (isa<Function>(value))
        return at % column.stride == column.phase ? Constant::getNullValue(value->getType())
                                                  : value;
    if (!isa<ConstantArray>(value) && !isa<ConstantStruct>(value))
        return value;
    SmallVector<Constant *, 16> parts;
    for (unsigned i = 0; i < value->getNumOperands(); i++) {
        uint64_t offset;
        if (auto *structure = dyn_cast<StructType>(value->getType()))
            offset = layout.getStructLayout(structure)->getElementOffset(i);
        else
            offset = i * layout.getTypeAllocSize(value->getType()->getArrayElementType());
        parts.push_back(
            without_functions(cast<Constant>(value->getOperand(i)), at + offset, column));
    }
    if (auto *structure = dyn_cast<StructType>(value->getType()))
        return ConstantStruct::get(structure, parts);
    return ConstantArray::get(cast<ArrayType>(value->getType()), parts);
}

void start_each(const Site &site, const Functions &functions, bool once)
{
    if (once)
        site.call->setMetadata(ONCE, MDNode::get(site.call->getContext(), {}));
    IRBuilder<> builder(site.call);
    for (Function *function : ArrayRef<Function *>(functions).drop_back()) {
        auto *more = cast<CallInst>(site.call->clone());
        more->setArgOperand(start_of(*more), function);
        builder.Insert(more);
    }
    site.call->setArgOperand(start_of(*site.call), functions.back());
}

} // namespace

bool starts_once(const CallBase &create)
{
    return create.getMetadata(ONCE) != nullptr;
}

void expand_start_tables(Module &module, bool whole_program)
{
    std::vector<std::pair<Column, SmallVector<Site, 2>>> columns;
    for (CallBase *call : thread_creates(module)) {
        auto *load = dyn_cast<LoadInst>(call->getArgOperand(start_of(*call)));
        Site site{dyn_cast<CallInst>(call), load, nullptr};
        std::optional<Column> column =
            site.call && load && load->isSimple() ? column_of(site) : std::nullopt;
        if (!column)
            continue;
        auto known = find_if(columns, [&](auto &entry) { return entry.first == *column; });
        if (known == columns.end())
            known = columns.insert(known, {*column, {}});
        known->second.push_back(site);
    }
    SmallPtrSet<const CallBase *, 8> expanded;
    std::vector<std::pair<Column, SmallPtrSet<const CallBase *, 8>>> hidden;
    for (auto &[column, sites] : columns) {
        std::optional<Functions> functions = functions_of(column);
        if (!functions || functions->empty())
            continue;
        Uses uses(column, *functions);
        bool own = column.table->hasLocalLinkage() || whole_program;
        if (!column.table->isConstant() && (uses.written || !own))
            continue;
        for (const Site &site : sites) {
            start_each(site, *functions, passes_once(site, column));
            expanded.insert(site.call);
        }
        if (own && !uses.shown)
            hidden.push_back({column, uses.starts});
    }
    for (auto &[column, starts] : hidden)
        if (all_of(starts, [&](const CallBase *start) { return expanded.contains(start); }))
            column.table->setInitializer(
                without_functions(column.table->getInitializer(), 0, column));
}

} // namespace palisade
