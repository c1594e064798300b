// Calls of libatomic become the instructions they stand for, before anybody looks: Clang 16 makes
// such calls of 16-byte atomics, and programs call the sized functions by name. What libatomic is
// called for because an object may not be aligned stays a call, and is refused like any unknown
// one.
#include "Unit.h"

#include "llvm/ADT/StringSwitch.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Instructions.h"

using namespace llvm;

namespace palisade
{
namespace
{

constexpr unsigned WIDE = 16;

// "__atomic_fetch_add_16": operation "fetch_add", 16 bytes. The sizeless ones have their size as
// first argument.
bool split(StringRef name, StringRef &operation, unsigned &bytes)
{
    if (!name.consume_front("__atomic_"))
        return false;
    auto [stem, size] = name.rsplit('_');
    bytes = 0;
    if (!size.getAsInteger(10, bytes) &&
        (bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8 || bytes == WIDE)) {
        operation = stem;
        return true;
    }
    bytes = 0;
    operation = name;
    return name == "load" || name == "store" || name == "exchange" || name == "compare_exchange";
}

// Of the constants of <stdatomic.h>; what is not known at compile time is the strongest.
AtomicOrdering ordering(const Value *value)
{
    auto *constant = dyn_cast<ConstantInt>(value);
    return constant && constant->isZero() ? AtomicOrdering::Monotonic
                                          : AtomicOrdering::SequentiallyConsistent;
}

AtomicRMWInst::BinOp operation_of(StringRef name)
{
    return StringSwitch<AtomicRMWInst::BinOp>(name)
        .Case("exchange", AtomicRMWInst::Xchg)
        .Case("fetch_add", AtomicRMWInst::Add)
        .Case("fetch_sub", AtomicRMWInst::Sub)
        .Case("fetch_and", AtomicRMWInst::And)
        .Case("fetch_or", AtomicRMWInst::Or)
        .Case("fetch_xor", AtomicRMWInst::Xor)
        .Case("fetch_nand", AtomicRMWInst::Nand)
        .Default(AtomicRMWInst::BAD_BINOP);
}

class Rewriter
{
  public:
    Rewriter(CallInst &call, StringRef operation, unsigned bytes)
        : call(call), operation(operation), builder(&call)
    {
        sizeless = bytes == 0;
        if (sizeless)
            if (auto *size = dyn_cast<ConstantInt>(call.getArgOperand(0)))
                bytes = size->getZExtValue();
        this->bytes = bytes;
        word = builder.getIntNTy(bytes * 8);
    }

    // False: left alone.
    bool run()
    {
        if (sizeless && bytes != WIDE)
            return false; // the object may not be aligned
        unsigned first = sizeless ? 1 : 0, count = call.arg_size() - first;
        // A value of 16 bytes may come in two registers.
        halves = !sizeless && bytes == WIDE && operation != "load" &&
                 operation != "compare_exchange" && argument(1)->getType()->isIntegerTy(64);
        count -= halves;
        Value *result = nullptr;
        if (operation == "load" && count == (sizeless ? 3u : 2u))
            result = load(first);
        else if (operation == "store" && count == 3)
            store(first);
        else if (operation == "compare_exchange" && count == (sizeless ? 5u : 6u))
            result = exchange_compared(first);
        else if (operation_of(operation) != AtomicRMWInst::BAD_BINOP &&
                 count == (sizeless ? 4u : 3u))
            result = modify(first);
        else
            return false;
        if (result && !call.getType()->isVoidTy()) {
            if (call.getType()->isStructTy())
                result = in_halves(result);
            else if (result->getType() != call.getType())
                result = builder.CreateZExtOrTrunc(result, call.getType());
            call.replaceAllUsesWith(result);
        }
        call.eraseFromParent();
        return true;
    }

  private:
    Value *argument(unsigned number) { return call.getArgOperand(number); }
    Value *in_halves(Value *whole)
    {
        Value *pair = PoisonValue::get(call.getType());
        for (unsigned half = 0; half < 2; half++)
            pair = builder.CreateInsertValue(
                pair,
                builder.CreateTrunc(builder.CreateLShr(whole, half * 64), builder.getInt64Ty()),
                half);
        return pair;
    }
    // The sizeless functions take values by their address.
    Value *value(unsigned number)
    {
        Value *given = argument(number);
        if (halves)
            return builder.CreateOr(
                builder.CreateZExt(given, word),
                builder.CreateShl(builder.CreateZExt(argument(number + 1), word), 64));
        return given->getType()->isPointerTy() ? builder.CreateLoad(word, given) : given;
    }

    Value *load(unsigned first)
    {
        LoadInst *made = builder.CreateAlignedLoad(word, argument(first), Align(bytes));
        AtomicOrdering order = ordering(argument(call.arg_size() - 1));
        made->setAtomic(order);
        if (sizeless)
            builder.CreateStore(made, argument(first + 1));
        return made;
    }

    void store(unsigned first)
    {
        StoreInst *made =
            builder.CreateAlignedStore(value(first + 1), argument(first), Align(bytes));
        made->setAtomic(ordering(argument(call.arg_size() - 1)));
    }

    Value *modify(unsigned first)
    {
        Value *old =
            builder.CreateAtomicRMW(operation_of(operation), argument(first), value(first + 1),
                                    Align(bytes), ordering(argument(call.arg_size() - 1)));
        if (sizeless)
            builder.CreateStore(old, argument(first + 2));
        return old;
    }

    // Both forms know the expected value by its address, and write back what was there.
    Value *exchange_compared(unsigned first)
    {
        Value *expected = builder.CreateLoad(word, argument(first + 1));
        Value *pair = builder.CreateAtomicCmpXchg(
            argument(first), expected, value(first + 2), Align(bytes),
            AtomicOrdering::SequentiallyConsistent, AtomicOrdering::SequentiallyConsistent);
        builder.CreateStore(builder.CreateExtractValue(pair, 0), argument(first + 1));
        return builder.CreateExtractValue(pair, 1);
    }

    CallInst &call;
    StringRef operation;
    unsigned bytes;
    bool sizeless, halves = false;
    IRBuilder<> builder;
    Type *word;
};

} // namespace

void unit_lower_atomic_calls(Unit &unit)
{
    for (Function &function : make_early_inc_range(unit.module)) {
        StringRef operation;
        unsigned bytes;
        if (!function.isDeclaration() || !split(function.getName(), operation, bytes))
            continue;
        for (User *user : make_early_inc_range(function.users())) {
            auto *call = dyn_cast<CallInst>(user);
            if (call && call->getCalledFunction() == &function && call->arg_size() >= 2)
                Rewriter(*call, operation, bytes).run();
        }
        if (function.use_empty())
            function.eraseFromParent();
    }
}

} // namespace palisade
