// Constructors and destructors: the loader would run them in every process, the backup included,
// before the runtime is there. Here they are left in two sections of the program, which the start
// of the NF's main hands to the runtime: so they are a part of the NF.
#include "Unit.h"

#include "llvm/IR/Constants.h"
#include "llvm/IR/DebugInfoMetadata.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/Transforms/Utils/ModuleUtils.h"

using namespace llvm;

namespace palisade
{

static constexpr const char *CONSTRUCTORS = "palisade_constructors";
static constexpr const char *DESTRUCTORS = "palisade_destructors";

// struct palisade_constructor of abi.h for each entry of the loader's list.
static void move_list(Module &module, const char *list_name, const char *section)
{
    GlobalVariable *list = module.getGlobalVariable(list_name);
    if (!list || !list->hasInitializer())
        return;
    auto *entries = dyn_cast<ConstantArray>(list->getInitializer());
    if (!entries)
        return;
    LLVMContext &context = module.getContext();
    Type *i64 = Type::getInt64Ty(context);
    StructType *type = StructType::get(context, {i64, PointerType::getUnqual(context)});
    SmallVector<GlobalValue *, 4> kept;
    for (const Use &use : entries->operands()) {
        auto *entry = cast<Constant>(use.get());
        auto *priority = cast<ConstantInt>(entry->getAggregateElement(0u));
        Constant *function = entry->getAggregateElement(1u);
        if (function->isNullValue())
            continue;
        Constant *value =
            ConstantStruct::get(type, {ConstantInt::get(i64, priority->getZExtValue()), function});
        auto *made = new GlobalVariable(module, type, true, GlobalValue::InternalLinkage, value,
                                        "__palisade_constructor");
        made->setSection(section);
        made->setAlignment(Align(8));
        kept.push_back(made);
    }
    appendToUsed(module, kept);
    list->eraseFromParent();
}

void unit_move_constructors(Unit &unit)
{
    move_list(unit.module, "llvm.global_ctors", CONSTRUCTORS);
    move_list(unit.module, "llvm.global_dtors", DESTRUCTORS);
}

// Defined by the linker when any unit of the program has such a section, else NULL.
static Constant *bound(Module &module, const Twine &name)
{
    std::string text = name.str();
    if (GlobalVariable *known = module.getGlobalVariable(text))
        return known;
    auto *made = new GlobalVariable(module, Type::getInt8Ty(module.getContext()), true,
                                    GlobalValue::ExternalWeakLinkage, nullptr, text);
    made->setVisibility(GlobalValue::HiddenVisibility);
    return made;
}

void unit_call_constructors(Module &module, Function &nf_main)
{
    LLVMContext &context = module.getContext();
    Type *pointer = PointerType::getUnqual(context);
    FunctionType *type = FunctionType::get(
        Type::getVoidTy(context),
        {pointer, pointer, pointer, pointer, Type::getInt32Ty(context), pointer, pointer}, false);
    FunctionCallee run = module.getOrInsertFunction("__palisade_constructors", type);
    IRBuilder<> builder(&*nf_main.getEntryBlock().getFirstInsertionPt());
    if (const DISubprogram *subprogram = nf_main.getSubprogram())
        builder.SetCurrentDebugLocation(DILocation::get(context, subprogram->getLine(), 0,
                                                        const_cast<DISubprogram *>(subprogram)));
    builder.CreateCall(run, {bound(module, Twine("__start_") + CONSTRUCTORS),
                             bound(module, Twine("__stop_") + CONSTRUCTORS),
                             bound(module, Twine("__start_") + DESTRUCTORS),
                             bound(module, Twine("__stop_") + DESTRUCTORS), nf_main.getArg(0),
                             nf_main.getArg(1), nf_main.getArg(2)});
}

} // namespace palisade
