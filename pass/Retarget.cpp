// Retargets the unit by the call model: a call of F becomes a call of __palisade_F, and the
// accesses that the analysis chose become calls of the hooks of words (Words.cpp).
#include "Unit.h"
#include "Words.h"

#include "llvm/ADT/SmallPtrSet.h"
#include "llvm/ADT/Statistic.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Instructions.h"

#define DEBUG_TYPE "palisade"

using namespace llvm;

STATISTIC(NumRetargeted, "Functions retargeted to their hooks");

namespace palisade
{

// getOrInsertFunction alone would lose the declaration's attributes.
static Function *declare_like(Module &module, const Function &like, FunctionType *type,
                              const Twine &name)
{
    std::string text = name.str();
    if (Function *known = module.getFunction(text))
        return known;
    Function *hook = Function::Create(type, GlobalValue::ExternalLinkage, text, module);
    hook->setCallingConv(like.getCallingConv());
    if (type == like.getFunctionType())
        hook->setAttributes(like.getAttributes());
    hook->setDSOLocal(false);
    return hook;
}

// A function of F's prototype that calls the hook without argument `drop`: tables of pointers to
// fortified variants keep working.
static Function *make_thunk(Module &module, const Function &from, const model_row &row)
{
    FunctionType *type = from.getFunctionType();
    SmallVector<Type *, 8> parameters(type->params());
    if (row.drop >= static_cast<int>(parameters.size()))
        return nullptr;
    parameters.erase(parameters.begin() + row.drop);
    FunctionType *hook_type =
        FunctionType::get(type->getReturnType(), parameters, type->isVarArg());
    Function *hook = declare_like(module, from, hook_type, Twine("__palisade_") + row.hook);
    Function *thunk = Function::Create(type, GlobalValue::InternalLinkage,
                                       Twine("__palisade_thunk_") + row.name, module);
    IRBuilder<> builder(BasicBlock::Create(module.getContext(), "", thunk));
    SmallVector<Value *, 8> arguments;
    for (Argument &argument : thunk->args())
        if (static_cast<int>(argument.getArgNo()) != row.drop)
            arguments.push_back(&argument);
    CallInst *call = builder.CreateCall(hook, arguments);
    if (type->getReturnType()->isVoidTy())
        builder.CreateRetVoid();
    else
        builder.CreateRet(call);
    return thunk;
}

// Fortified functions with variable arguments cannot have a thunk: rewrite each call.
static void rewrite_calls(Module &module, Function &from, const model_row &row)
{
    SmallVector<Type *, 8> parameters(from.getFunctionType()->params());
    if (row.drop >= static_cast<int>(parameters.size()))
        return;
    parameters.erase(parameters.begin() + row.drop);
    FunctionType *type =
        FunctionType::get(from.getFunctionType()->getReturnType(), parameters, true);
    Function *hook = declare_like(module, from, type, Twine("__palisade_") + row.hook);
    for (User *user : make_early_inc_range(from.users())) {
        auto *call = dyn_cast<CallInst>(user);
        if (!call || call->getCalledOperand() != &from)
            continue;
        SmallVector<Value *, 8> arguments(call->args());
        arguments.erase(arguments.begin() + row.drop);
        CallInst *made = IRBuilder<>(call).CreateCall(type, hook, arguments);
        made->takeName(call);
        call->replaceAllUsesWith(made);
        call->eraseFromParent();
    }
}

static void call_opaque(IRBuilder<> &builder, StringRef name, Value *lock)
{
    Module &module = *builder.GetInsertBlock()->getModule();
    FunctionType *type = FunctionType::get(builder.getVoidTy(), {lock->getType()}, false);
    builder.CreateCall(module.getOrInsertFunction(name, type), {lock});
}

// A function that calls the library's between the hooks that put it in order (opaque rows).
static void wrap_opaque(Unit &unit, Function &library, const model_row &row)
{
    Module &module = unit.module;
    FunctionType *type = library.getFunctionType();
    if (type->isVarArg() || static_cast<unsigned>(row.lock) >= type->getNumParams() ||
        !type->getParamType(row.lock)->isPointerTy()) {
        module.getContext().emitError(
            "palisade: model file '" + unit.options.model_file + "': argument " + Twine(row.lock) +
            " of " + row.name + " is not a pointer, so it cannot be the lock of an opaque row");
        return;
    }
    Function *wrapper = Function::Create(type, GlobalValue::InternalLinkage,
                                         Twine("__palisade_opaque_") + row.name, module);
    wrapper->setAttributes(library.getAttributes());
    wrapper->setCallingConv(library.getCallingConv());
    library.replaceAllUsesWith(wrapper);
    IRBuilder<> builder(BasicBlock::Create(module.getContext(), "", wrapper));
    SmallVector<Value *, 8> arguments;
    for (Argument &argument : wrapper->args())
        arguments.push_back(&argument);
    if (row.class_ != MODEL_UNLOCK)
        call_opaque(builder, "__palisade_opaque_lock", arguments[row.lock]);
    CallInst *call = builder.CreateCall(&library, arguments);
    call->setAttributes(library.getAttributes());
    call->setCallingConv(library.getCallingConv());
    if (row.class_ == MODEL_UNLOCK)
        call_opaque(builder, "__palisade_opaque_unlock", arguments[row.lock]);
    if (type->getReturnType()->isVoidTy())
        builder.CreateRetVoid();
    else
        builder.CreateRet(call);
}

// A function that tells the runtime before it goes on to the library's: that ends the program, or
// lets it pass (role=off, unmodelled=allow). A tail call: fork and getcontext see the caller's
// frame.
static void refuse_when_called(Module &module, Function &library, const model_row &row)
{
    LLVMContext &context = module.getContext();
    Function *gate = Function::Create(library.getFunctionType(), GlobalValue::InternalLinkage,
                                      Twine("__palisade_refuse_") + row.name, module);
    gate->setAttributes(library.getAttributes());
    gate->removeFnAttr(Attribute::NoReturn); // both calls may come back to this code
    gate->setCallingConv(library.getCallingConv());
    library.replaceAllUsesWith(gate);
    IRBuilder<> builder(BasicBlock::Create(context, "", gate));
    Value *name = builder.CreateGlobalString(row.name),
          *note = builder.CreateGlobalString(row.note);
    FunctionType *type =
        FunctionType::get(builder.getVoidTy(), {name->getType(), note->getType()}, false);
    builder.CreateCall(module.getOrInsertFunction("__palisade_refused", type), {name, note});
    SmallVector<Value *, 8> arguments;
    for (Argument &argument : gate->args())
        arguments.push_back(&argument);
    CallInst *call = builder.CreateCall(&library, arguments);
    call->setAttributes(library.getAttributes());
    call->setCallingConv(library.getCallingConv());
    call->setTailCallKind(CallInst::TCK_MustTail);
    if (call->getType()->isVoidTy())
        builder.CreateRetVoid();
    else
        builder.CreateRet(call);
}

void unit_retarget_calls(Unit &unit)
{
    Module &module = unit.module;
    SmallVector<Function *, 32> outside;
    for (Function &function : module)
        if (is_outside(function) && !function.isIntrinsic() && !function.use_empty())
            outside.push_back(&function);
    for (Function *function : outside) {
        const model_row *row = unit.row(function->getName());
        if (unit.skipped(function->getName()))
            continue;
        if (row && row->opaque) {
            wrap_opaque(unit, *function, *row);
            continue;
        }
        if (row && row->class_ == MODEL_FORBIDDEN) {
            refuse_when_called(module, *function, *row);
            continue;
        }
        if (!row || !*row->hook)
            continue;
        NumRetargeted++;
        if (row->drop >= 0 && function->isVarArg()) {
            rewrite_calls(module, *function, *row);
            continue;
        }
        Function *hook = row->drop >= 0
                             ? make_thunk(module, *function, *row)
                             : declare_like(module, *function, function->getFunctionType(),
                                            Twine("__palisade_") + row->hook);
        if (hook && hook != function)
            function->replaceAllUsesWith(hook);
    }
}

void unit_retarget_accesses(Unit &unit)
{
    SmallPtrSet<Instruction *, 32> done; // one instruction may stand for several variables
    for (Variable &variable : unit.variables)
        for (Access &access : variable.accesses) {
            if (access.fate != Fate::Logged || access.block || !done.insert(access.at).second)
                continue;
            std::string hook = word_hook(*access.at, access.mixed);
            if (unit.skipped(hook) || unit.skipped(StringRef(hook).rtrim("0123456789")))
                continue;
            word_retarget(*access.at, access.mixed);
        }
    for (Variable &variable : unit.variables)
        for (Access &access : variable.accesses)
            access.at = nullptr; // may be gone
}

void unit_skips_read(Unit &unit)
{
    SmallVector<StringRef, 8> names;
    StringRef(unit.options.skip).split(names, ',', -1, false);
    for (StringRef name : names)
        unit.skips[name] = false;
}

void unit_skips_tell(Unit &unit)
{
    for (const auto &skip : unit.skips)
        if (skip.second)
            unit.notes.push_back({"call",
                                  skip.first().str(),
                                  {unit.module.getSourceFileName(), 0},
                                  "left out by -palisade-skip, which is for tests: this program "
                                  "cannot be replayed",
                                  nullptr});
        else
            unit.module.getContext().emitError("palisade: -palisade-skip: nothing here meets the "
                                               "hook '" +
                                               skip.first() + "'");
}

} // namespace palisade
