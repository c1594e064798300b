// The clone that is analysed: small functions inlined whatever their attributes, locals in
// registers. It is thrown away; what it teaches about an instruction is carried to the original by
// the number in its metadata, which inlining copies along.
#include "Prepare.h"
#include "Names.h"

#include "llvm/ADT/PostOrderIterator.h"
#include "llvm/IR/Dominators.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/Transforms/Utils/Cloning.h"
#include "llvm/Transforms/Utils/PromoteMemToReg.h"
#include "llvm/Transforms/Utils/ValueMapper.h"

using namespace llvm;

namespace palisade
{

static constexpr unsigned INLINE_MAX = 500;   // instructions of a function that is inlined
static constexpr unsigned CALLER_MAX = 20000; // beyond which a function takes no more in
static constexpr unsigned UNIT_MAX = 400000;  // instructions added to all of the unit's functions
static constexpr unsigned SMALL = 40;         // such functions are inlined nevertheless
static constexpr const char *NUMBER = "palisade.number";
static constexpr const char *FIRST = "palisade.first"; // see hide_first_members

static unsigned size_of(const Function &function)
{
    unsigned count = 0;
    for (const Instruction &instruction : instructions(function))
        count += !isa<DbgInfoIntrinsic>(instruction);
    return count;
}

static void promote_locals(Function &function)
{
    DominatorTree tree(function);
    for (;;) {
        SmallVector<AllocaInst *, 16> locals;
        for (Instruction &instruction : function.getEntryBlock())
            if (auto *local = dyn_cast<AllocaInst>(&instruction))
                if (isAllocaPromotable(local))
                    locals.push_back(local);
        if (locals.empty())
            return;
        PromoteMemToReg(locals, tree);
    }
}

// Inlining drops steps of no bytes, but one to a first member tells the struct. Until it is done
// they have an index that nobody knows.
static void hide_first_members(Function &function, unsigned kind)
{
    LLVMContext &context = function.getContext();
    Type *type = Type::getInt64Ty(context);
    Instruction *unknown = nullptr;
    for (Instruction &instruction : instructions(function)) {
        auto *gep = dyn_cast<GetElementPtrInst>(&instruction);
        if (!gep || !gep->hasAllZeroIndices() || !stepped_into(*cast<GEPOperator>(gep)) ||
            isa<AllocaInst>(gep->getPointerOperand()))
            continue;
        if (!unknown) {
            IRBuilder<> builder(&*function.getEntryBlock().getFirstInsertionPt());
            unknown = cast<Instruction>(builder.CreateFreeze(PoisonValue::get(type)));
            unknown->setMetadata(kind, MDNode::get(context, {}));
        }
        gep->setOperand(1, unknown);
    }
}

static void show_first_members(Function &function, unsigned kind)
{
    for (Instruction &instruction : make_early_inc_range(instructions(function)))
        if (isa<FreezeInst>(instruction) && instruction.getMetadata(kind)) {
            instruction.replaceAllUsesWith(Constant::getNullValue(instruction.getType()));
            instruction.eraseFromParent();
        }
}

class Inliner
{
  public:
    void visit(Function &function)
    {
        if (function.isDeclaration() || !begun.insert(&function).second)
            return;
        unsigned size = size_of(function);
        SmallVector<CallBase *, 16> calls;
        for (Instruction &instruction : instructions(function))
            if (auto *call = dyn_cast<CallBase>(&instruction))
                calls.push_back(call);
        for (CallBase *call : calls) {
            Function *callee = call->getCalledFunction();
            if (!callee || callee->isDeclaration())
                continue;
            visit(*callee);
            // Functions still being visited are recursive.
            if (!done.contains(callee) || callee->isVarArg() || callee->isInterposable() ||
                callee->getFunctionType() != call->getFunctionType())
                continue;
            unsigned more = size_of(*callee);
            if (more > INLINE_MAX || size + more > CALLER_MAX)
                continue;
            if (more > SMALL && added + more > UNIT_MAX)
                continue;
            InlineFunctionInfo info;
            if (InlineFunction(*call, info).isSuccess()) {
                size += more;
                added += more;
            }
        }
        promote_locals(function); // pointers to inlined locals are gone now
        done.insert(&function);
    }

  private:
    SmallPtrSet<Function *, 32> begun, done;
    unsigned added = 0;
};

struct Callback {
    StringRef name;
    unsigned function;
    int parameters[2];
};

static const Callback callbacks[] = {
#define PALISADE_CALLBACK(name, function, first, second) {#name, function, {first, second}},
#include "callbacks.def"
};

static const Callback *callback_of(const CallBase &call)
{
    const Function *callee = call.getCalledFunction();
    if (callee && callee->isDeclaration())
        for (const Callback &callback : callbacks)
            if (callee->getName() == callback.name && callback.function < call.arg_size())
                return &callback;
    return nullptr;
}

bool is_called_back(const CallBase &call, unsigned argument)
{
    const Callback *callback = callback_of(call);
    return callback && callback->function == argument;
}

bool is_passed_on(const CallBase &call, unsigned argument)
{
    const Callback *callback = callback_of(call);
    return callback && is_contained(callback->parameters, static_cast<int>(argument));
}

// Every creation of a thread gets a copy of the start function: what a thread does with its
// argument is then told apart from what the others do with theirs. The copy is named "start.N".
static void separate_starts(Module &module)
{
    SmallPtrSet<Function *, 8> used;
    SmallVector<CallBase *, 8> calls = thread_creates(module);
    for (CallBase *call : reverse(calls)) {
        unsigned argument = start_argument(call->getCalledFunction()->getName());
        auto *start = dyn_cast<Function>(call->getArgOperand(argument)->stripPointerCasts());
        if (!start || start->isDeclaration() || used.insert(start).second)
            continue;
        ValueToValueMapTy map;
        Function *copy = CloneFunction(start, map);
        copy->setLinkage(GlobalValue::InternalLinkage);
        call->setArgOperand(argument, copy);
    }
}

// A library that calls back is, to the analysis, a call of that function right behind its own.
static void add_callbacks(Function &function)
{
    SmallVector<CallInst *, 4> calls;
    for (Instruction &instruction : instructions(function))
        if (auto *call = dyn_cast<CallInst>(&instruction))
            if (callback_of(*call))
                calls.push_back(call);
    for (CallInst *call : calls) {
        const Callback &callback = *callback_of(*call);
        auto *target =
            dyn_cast<Function>(call->getArgOperand(callback.function)->stripPointerCasts());
        if (!target || target->isDeclaration() || target->isVarArg())
            continue;
        SmallVector<Value *, 4> arguments;
        for (Argument &parameter : target->args()) {
            unsigned number = parameter.getArgNo();
            int from = number < 2 ? callback.parameters[number] : -1;
            Value *value = Constant::getNullValue(parameter.getType());
            if (from >= 0 && call->getArgOperand(from)->getType() == parameter.getType())
                value = call->getArgOperand(from);
            arguments.push_back(value);
        }
        IRBuilder<> builder(call->getNextNode());
        builder.SetCurrentDebugLocation(call->getDebugLoc());
        builder.CreateCall(target, arguments);
    }
}

static void drop_unused(Module &module)
{
    for (bool again = true; again;) {
        again = false;
        for (Function &function : make_early_inc_range(module)) {
            function.removeDeadConstantUsers();
            if (!function.isDeclaration() && function.use_empty() &&
                (function.hasLocalLinkage() || function.hasAvailableExternallyLinkage())) {
                function.eraseFromParent();
                again = true;
            }
        }
    }
}

Prepared::Prepared(Module &module, bool whole_program)
{
    ValueToValueMapTy map;
    clone = CloneModule(module, map);
    LLVMContext &context = module.getContext();
    unsigned kind = context.getMDKindID(NUMBER);
    for (Function &function : module)
        for (Instruction &instruction : instructions(function)) {
            auto *copy = dyn_cast_or_null<Instruction>(map.lookup(&instruction));
            if (!copy)
                continue;
            copy->setMetadata(
                kind, MDNode::get(context, ConstantAsMetadata::get(ConstantInt::get(
                                               Type::getInt32Ty(context), originals.size()))));
            originals.push_back(&instruction);
        }
    for (Function &function : *clone) {
        if (function.isDeclaration())
            continue;
        add_callbacks(function);
        hide_first_members(function, context.getMDKindID(FIRST));
        promote_locals(function);
    }
    Inliner inliner;
    for (Function &function : *clone)
        inliner.visit(function);
    for (Function &function : *clone)
        show_first_members(function, context.getMDKindID(FIRST));
    drop_unused(*clone); // wrappers of pthread_create are gone by now
    expand_start_tables(*clone, whole_program);
    separate_starts(*clone);
    drop_unused(*clone);
}

Instruction *Prepared::original(const Instruction &copy, unsigned *number) const
{
    const MDNode *node = copy.getMetadata(NUMBER);
    if (!node)
        return nullptr;
    *number = mdconst::extract<ConstantInt>(node->getOperand(0))->getZExtValue();
    return originals[*number];
}

} // namespace palisade
