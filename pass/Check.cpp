// With -palisade-check-private: in front of every access that the report lists the runtime is told
// address and site, so that a backup with standby=check can see what the classes promise: that no
// two threads meet there without an event between them (runtime/check).
//
// Logged accesses are told of, too: an access that is called private may meet one. Only mixed loads
// are not: they are meant to race (R10). What the report does not list is not told of: locals, and
// what functions of libraries do with the pointers they are given.
#include "Unit.h"
#include "Words.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/Statistic.h"
#include "llvm/Analysis/ValueTracking.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/IntrinsicInst.h"

extern "C" {
#include "abi.h"
}

#define DEBUG_TYPE "palisade"

using namespace llvm;

STATISTIC(NumChecked, "Accesses that standby=check looks at");

namespace palisade
{
namespace
{

palisade_site_kind kind_of(Fate fate)
{
    switch (fate) {
    case Fate::Logged:
        return PALISADE_SITE_LOGGED;
    case Fate::Elided:
    case Fate::AssumedCovered:
        return PALISADE_SITE_COVERED;
    case Fate::Private:
    case Fate::AssumedPrivate:
        return PALISADE_SITE_PRIVATE;
    case Fate::Init:
    case Fate::ReadOnly:
        return PALISADE_SITE_UNWRITTEN;
    }
    return PALISADE_SITE_PRIVATE;
}

// One instruction as a variable of the report.
struct Told {
    const Variable *variable;
    const Access *access;
};

class Checker
{
  public:
    explicit Checker(Unit &unit) : unit(unit), context(unit.module.getContext())
    {
        Type *pointer = PointerType::getUnqual(context);
        Type *word = Type::getInt32Ty(context), *half = Type::getInt16Ty(context);
        site_type = StructType::get(context, {pointer, pointer, word, half, half});
        Type *bytes = Type::getInt64Ty(context);
        hook = unit.module.getOrInsertFunction(
            "__palisade_private",
            FunctionType::get(Type::getVoidTy(context), {pointer, bytes, pointer}, false),
            AttributeList().addFnAttribute(context, Attribute::NoUnwind));
    }

    void check(Instruction &at, ArrayRef<Told> told)
    {
        bool logged = false;
        for (const Told &one : told) {
            if (one.access->fate == Fate::Logged && one.access->mixed && isa<LoadInst>(at))
                return;
            logged |= one.access->fate == Fate::Logged && !one.access->block;
        }
        IRBuilder<> builder(&at);
        if (auto *block = dyn_cast<MemIntrinsic>(&at)) {
            Value *bytes = builder.CreateZExtOrTrunc(block->getLength(), builder.getInt64Ty());
            if (auto *copy = dyn_cast<MemTransferInst>(block))
                tell_source(builder, *copy, bytes, told, logged);
            tell(builder, block->getRawDest(), bytes, of_kind(told, true), true, logged);
        } else if (Value *pointer = word_pointer(at)) {
            uint64_t bytes = unit.module.getDataLayout().getTypeStoreSize(type_of(at));
            tell(builder, pointer, builder.getInt64(bytes), told, !isa<LoadInst>(at), logged);
        }
    }

  private:
    static Type *type_of(Instruction &at)
    {
        if (auto *rmw = dyn_cast<AtomicRMWInst>(&at))
            return rmw->getValOperand()->getType();
        if (auto *exchange = dyn_cast<AtomicCmpXchgInst>(&at))
            return exchange->getCompareOperand()->getType();
        return getLoadStoreType(&at);
    }

    static SmallVector<Told, 1> of_kind(ArrayRef<Told> told, bool write)
    {
        SmallVector<Told, 1> some;
        for (const Told &one : told)
            if (one.access->write == write)
                some.push_back(one);
        return some;
    }

    // The ends of a copy are an access each. Two of one variable are a single one, which writes;
    // and a source that is a local has none.
    void tell_source(IRBuilder<> &builder, const MemTransferInst &copy, Value *bytes,
                     ArrayRef<Told> told, bool logged)
    {
        SmallVector<Told, 1> source = of_kind(told, false);
        if (!source.empty())
            tell(builder, copy.getRawSource(), bytes, source, false, logged);
        else if (!isa<AllocaInst, Constant>(getUnderlyingObject(copy.getRawSource())))
            tell(builder, copy.getRawSource(), bytes, told, false, logged, "what is copied to ");
    }

    // One instruction may stand for several variables: the name is of that whose class promises
    // the most.
    void tell(IRBuilder<> &builder, Value *pointer, Value *bytes, ArrayRef<Told> told, bool write,
              bool logged, StringRef words = "")
    {
        const Told *best = nullptr;
        for (const Told &one : told)
            if (!best || kind_of(one.access->fate) > kind_of(best->access->fate))
                best = &one;
        if (!best || pointer->getType()->getPointerAddressSpace() != 0)
            return;
        palisade_site_kind kind = logged ? PALISADE_SITE_LOGGED : kind_of(best->access->fate);
        builder.CreateCall(hook, {pointer, bytes, site(*best, kind, write, words)});
        NumChecked++;
    }

    Constant *text(StringRef content)
    {
        Constant *&known = texts[content];
        if (!known) {
            Constant *bytes = ConstantDataArray::getString(context, content);
            auto *global = new GlobalVariable(unit.module, bytes->getType(), true,
                                              GlobalValue::PrivateLinkage, bytes);
            global->setUnnamedAddr(GlobalValue::UnnamedAddr::Global);
            known = global;
        }
        return known;
    }

    Constant *site(const Told &told, palisade_site_kind kind, bool write, StringRef words)
    {
        auto number = [&](unsigned field, uint64_t value) {
            return ConstantInt::get(site_type->getElementType(field), value);
        };
        Constant *content = ConstantStruct::get(
            site_type, {text(told.access->place.file), text((words + told.variable->name).str()),
                        number(2, told.access->place.line), number(3, kind), number(4, write)});
        auto *global = new GlobalVariable(unit.module, site_type, true, GlobalValue::PrivateLinkage,
                                          content, "__palisade_site");
        global->setSection("palisade_sites");
        return global;
    }

    Unit &unit;
    LLVMContext &context;
    StructType *site_type;
    FunctionCallee hook;
    StringMap<Constant *> texts;
};

} // namespace

void unit_check_accesses(Unit &unit)
{
    if (!unit.options.check_private)
        return;
    MapVector<Instruction *, SmallVector<Told, 1>> found;
    for (const Variable &variable : unit.variables)
        for (const Access &access : variable.accesses)
            found[access.at].push_back({&variable, &access});
    Checker checker(unit);
    for (auto &[at, told] : found)
        checker.check(*at, told);
}

} // namespace palisade
