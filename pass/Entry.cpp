// main: the user's becomes __palisade_nf_main; the new one hands it to the runtime.
#include "Unit.h"

#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Instructions.h"

extern "C" {
#include "abi.h"
}

using namespace llvm;

namespace palisade
{

// nf_main takes (argc, argv, envp) and returns int, whatever the user's main declares.
static Function *make_nf_main(Module &module, Function &user, FunctionType *type)
{
    if (user.getFunctionType() == type)
        return &user;
    Function *thunk =
        Function::Create(type, GlobalValue::InternalLinkage, "__palisade_nf_main_thunk", module);
    IRBuilder<> builder(BasicBlock::Create(module.getContext(), "", thunk));
    SmallVector<Value *, 3> arguments;
    for (unsigned i = 0; i < user.arg_size(); i++) {
        Value *argument = i < thunk->arg_size() ? thunk->getArg(i) : nullptr;
        Type *wanted = user.getArg(i)->getType();
        if (!argument || argument->getType() != wanted)
            argument = Constant::getNullValue(wanted);
        arguments.push_back(argument);
    }
    CallInst *call = builder.CreateCall(&user, arguments);
    if (call->getType()->isIntegerTy(32))
        builder.CreateRet(call);
    else
        builder.CreateRet(ConstantInt::get(type->getReturnType(), 0));
    return thunk;
}

void unit_wrap_main(Unit &unit)
{
    Module &module = unit.module;
    Function *user = module.getFunction("main");
    if (!user || is_outside(*user))
        return;
    LLVMContext &context = module.getContext();
    Type *i32 = Type::getInt32Ty(context);
    Type *pointer = PointerType::getUnqual(context);
    FunctionType *type = FunctionType::get(i32, {i32, pointer, pointer}, false);

    user->setName("__palisade_nf_main");
    user->setLinkage(GlobalValue::InternalLinkage);
    user->setVisibility(GlobalValue::DefaultVisibility);
    Function *nf_main = make_nf_main(module, *user, type);
    unit_call_constructors(module, *nf_main);

    Function *entry = Function::Create(type, GlobalValue::ExternalLinkage, "main", module);
    AttrBuilder attributes(context, user->getAttributes().getFnAttrs());
    for (Attribute::AttrKind kind : {Attribute::OptimizeNone, Attribute::NoInline,
                                     Attribute::AlwaysInline, Attribute::NoReturn})
        attributes.removeAttribute(kind);
    attributes.addAttribute(Attribute::NoInline); // __palisade_start never sees it twice
    entry->addFnAttrs(attributes);
    entry->setDSOLocal(true);

    FunctionCallee start = module.getOrInsertFunction(
        "__palisade_start", FunctionType::get(i32, {i32, pointer, pointer, pointer, i32}, false));
    IRBuilder<> builder(BasicBlock::Create(context, "", entry));
    CallInst *call =
        builder.CreateCall(start, {entry->getArg(0), entry->getArg(1), entry->getArg(2), nf_main,
                                   builder.getInt32(PALISADE_ABI_VERSION)});
    call->setTailCall();
    builder.CreateRet(call);
}

} // namespace palisade
