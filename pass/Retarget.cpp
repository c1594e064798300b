// Retargets the unit by the call model: a call of F becomes a call of __palisade_F, racy loads and
// stores become calls of __palisade_load/store.
#include "Unit.h"

#include "llvm/ADT/SmallPtrSet.h"
#include "llvm/ADT/Statistic.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Instructions.h"

#define DEBUG_TYPE "palisade"

using namespace llvm;

STATISTIC(NumRetargeted, "Functions retargeted to their hooks");
STATISTIC(NumLoads, "Racy loads logged");
STATISTIC(NumStores, "Racy stores logged");

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

void unit_retarget_calls(Unit &unit)
{
    Module &module = unit.module;
    SmallVector<Function *, 32> outside;
    for (Function &function : module)
        if (is_outside(function) && !function.isIntrinsic() && !function.use_empty())
            outside.push_back(&function);
    for (Function *function : outside) {
        const model_row *row = unit.row(function->getName());
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

static Type *word_type(LLVMContext &context, uint64_t bytes)
{
    return IntegerType::get(context, static_cast<unsigned>(bytes * 8));
}

static Value *to_word(IRBuilder<> &builder, Value *value, Type *word)
{
    if (value->getType() == word)
        return value;
    if (value->getType()->isPointerTy())
        return builder.CreatePtrToInt(value, word);
    if (value->getType()->isIntegerTy()) // i1 and other odd widths
        return builder.CreateZExt(value, word);
    return builder.CreateBitCast(value, word);
}

static Value *from_word(IRBuilder<> &builder, Value *word, Type *type)
{
    if (word->getType() == type)
        return word;
    if (type->isPointerTy())
        return builder.CreateIntToPtr(word, type);
    if (type->isIntegerTy())
        return builder.CreateTrunc(word, type);
    return builder.CreateBitCast(word, type);
}

// A hook neither throws nor returns late, but it reads and writes memory of its own.
static FunctionCallee word_hook(Module &module, const Twine &name, FunctionType *type)
{
    AttributeList attributes;
    attributes = attributes.addFnAttribute(module.getContext(), Attribute::NoUnwind);
    std::string text = name.str();
    return module.getOrInsertFunction(text, type, attributes);
}

static void log_load(Module &module, LoadInst &load)
{
    uint64_t bytes = module.getDataLayout().getTypeStoreSize(load.getType());
    Type *word = word_type(module.getContext(), bytes);
    FunctionCallee hook = word_hook(module, "__palisade_load" + Twine(bytes),
                                    FunctionType::get(word, {load.getPointerOperandType()}, false));
    IRBuilder<> builder(&load);
    CallInst *call = builder.CreateCall(hook, {load.getPointerOperand()});
    if (bytes < 4)
        call->addRetAttr(Attribute::ZExt); // as clang passes uint8_t and uint16_t
    Value *value = from_word(builder, call, load.getType());
    value->takeName(&load);
    load.replaceAllUsesWith(value);
    load.eraseFromParent();
    NumLoads++;
}

static void log_store(Module &module, StoreInst &store)
{
    Value *value = store.getValueOperand();
    uint64_t bytes = module.getDataLayout().getTypeStoreSize(value->getType());
    Type *word = word_type(module.getContext(), bytes);
    FunctionCallee hook =
        word_hook(module, "__palisade_store" + Twine(bytes),
                  FunctionType::get(Type::getVoidTy(module.getContext()),
                                    {store.getPointerOperandType(), word}, false));
    IRBuilder<> builder(&store);
    CallInst *call =
        builder.CreateCall(hook, {store.getPointerOperand(), to_word(builder, value, word)});
    if (bytes < 4)
        call->addParamAttr(1, Attribute::ZExt);
    store.eraseFromParent();
    NumStores++;
}

void unit_retarget_accesses(Unit &unit)
{
    SmallPtrSet<Instruction *, 32> done; // one instruction may stand for several variables
    for (Variable &variable : unit.variables)
        for (Access &access : variable.accesses) {
            if (access.fate != Fate::Logged || access.block || !done.insert(access.at).second)
                continue;
            if (auto *load = dyn_cast<LoadInst>(access.at))
                log_load(unit.module, *load);
            else
                log_store(unit.module, *cast<StoreInst>(access.at));
        }
    for (Variable &variable : unit.variables)
        for (Access &access : variable.accesses)
            access.at = nullptr; // may be gone
}

} // namespace palisade
