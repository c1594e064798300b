// Loads, stores, atomic operations and small blocks become calls of the hooks of words. Whether
// they must is the analysis's business.
//
// Every hook is sequentially consistent, so the order that the program asked for is not passed on.
// A weak compare-exchange becomes one that does not fail for no reason. Fences stay as they are: a
// fence orders what its own thread does natively, tells it nothing, and so is no event.
#include "Words.h"
#include "Escape.h"

#include "llvm/ADT/Statistic.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/Module.h"

extern "C" {
#include "abi.h"
}

#define DEBUG_TYPE "palisade"

using namespace llvm;

STATISTIC(NumLoads, "Loads logged");
STATISTIC(NumStores, "Stores logged");
STATISTIC(NumAtomics, "Atomic operations logged");
STATISTIC(NumBlocks, "Blocks logged word by word");

namespace palisade
{

static constexpr uint64_t BLOCK_PIECES_MAX = 32;

bool is_strict(const Instruction &instruction)
{
    if (auto *copy = dyn_cast<MemIntrinsic>(&instruction))
        return copy->isVolatile();
    return instruction.isAtomic() ? !isa<FenceInst>(instruction) : instruction.isVolatile();
}

Value *word_pointer(Instruction &instruction)
{
    if (auto *load = dyn_cast<LoadInst>(&instruction))
        return load->getPointerOperand();
    if (auto *store = dyn_cast<StoreInst>(&instruction))
        return store->getPointerOperand();
    if (auto *rmw = dyn_cast<AtomicRMWInst>(&instruction))
        return rmw->getPointerOperand();
    if (auto *exchange = dyn_cast<AtomicCmpXchgInst>(&instruction))
        return exchange->getPointerOperand();
    return nullptr;
}

static Type *word_type_of(const Instruction &instruction)
{
    if (auto *rmw = dyn_cast<AtomicRMWInst>(&instruction))
        return rmw->getValOperand()->getType();
    if (auto *exchange = dyn_cast<AtomicCmpXchgInst>(&instruction))
        return exchange->getCompareOperand()->getType();
    return getLoadStoreType(const_cast<Instruction *>(&instruction));
}

static Align word_align_of(const Instruction &instruction)
{
    if (auto *rmw = dyn_cast<AtomicRMWInst>(&instruction))
        return rmw->getAlign();
    if (auto *exchange = dyn_cast<AtomicCmpXchgInst>(&instruction))
        return exchange->getAlign();
    return getLoadStoreAlignment(const_cast<Instruction *>(&instruction));
}

// -1: no hook does it.
static int operation_of(const AtomicRMWInst &rmw)
{
    switch (rmw.getOperation()) {
    case AtomicRMWInst::Xchg:
        return PALISADE_RMW_EXCHANGE;
    case AtomicRMWInst::Add:
        return PALISADE_RMW_ADD;
    case AtomicRMWInst::Sub:
        return PALISADE_RMW_SUB;
    case AtomicRMWInst::And:
        return PALISADE_RMW_AND;
    case AtomicRMWInst::Nand:
        return PALISADE_RMW_NAND;
    case AtomicRMWInst::Or:
        return PALISADE_RMW_OR;
    case AtomicRMWInst::Xor:
        return PALISADE_RMW_XOR;
    case AtomicRMWInst::Max:
        return PALISADE_RMW_MAX;
    case AtomicRMWInst::Min:
        return PALISADE_RMW_MIN;
    case AtomicRMWInst::UMax:
        return PALISADE_RMW_UMAX;
    case AtomicRMWInst::UMin:
        return PALISADE_RMW_UMIN;
    default:
        return -1;
    }
}

std::string word_refusal(const Instruction &instruction)
{
    if (auto *rmw = dyn_cast<AtomicRMWInst>(&instruction))
        if (operation_of(*rmw) < 0)
            return ("atomic " + AtomicRMWInst::getOperationName(rmw->getOperation())).str();
    if (isa<MemIntrinsic>(instruction))
        return is_small_block(instruction) ? "" : "volatile block that is large or of unknown size";
    Type *type = word_type_of(instruction);
    std::string kind = instruction.isAtomic() ? "atomic" : "volatile";
    if (!type->isIntegerTy() && !type->isPointerTy() && !type->isFloatTy() && !type->isDoubleTy())
        return kind + " access of a type that is no word";
    uint64_t bytes = instruction.getModule()->getDataLayout().getTypeStoreSize(type);
    if (!isPowerOf2_64(bytes) || bytes > 16)
        return kind + " access of " + std::to_string(bytes) + " bytes";
    if (word_align_of(instruction).value() < bytes)
        return kind + " access that may not be aligned";
    return "";
}

std::string word_hook(const Instruction &instruction, bool mixed)
{
    if (isa<MemIntrinsic>(instruction))
        return "block";
    uint64_t bytes =
        instruction.getModule()->getDataLayout().getTypeStoreSize(word_type_of(instruction));
    const char *name = isa<LoadInst>(instruction)        ? mixed && bytes <= 8 ? "mixed" : "load"
                       : isa<StoreInst>(instruction)     ? "store"
                       : isa<AtomicRMWInst>(instruction) ? "rmw"
                                                         : "cas";
    return name + std::to_string(bytes);
}

static uint64_t piece_of(uint64_t align, uint64_t offset, uint64_t left)
{
    uint64_t piece = 8;
    while (piece > align || offset % piece != 0 || piece > left)
        piece /= 2;
    return piece;
}

// Of a local that stays one no word is logged, and its alignment does not matter.
static uint64_t block_align(const MemIntrinsic &block)
{
    uint64_t align = 8;
    auto limit = [&](const Value *pointer, MaybeAlign known) {
        if (!is_own_local(*pointer))
            align = std::min(align, known ? known->value() : 1);
    };
    limit(block.getRawDest(), block.getDestAlign());
    if (auto *copy = dyn_cast<MemTransferInst>(&block))
        limit(copy->getRawSource(), copy->getSourceAlign());
    return align;
}

bool is_small_block(const Instruction &instruction)
{
    auto *block = dyn_cast<MemIntrinsic>(&instruction);
    auto *length = block ? dyn_cast<ConstantInt>(block->getLength()) : nullptr;
    if (!length || length->getZExtValue() > 8 * BLOCK_PIECES_MAX)
        return false;
    uint64_t pieces = 0, align = block_align(*block), bytes = length->getZExtValue();
    for (uint64_t at = 0; at < bytes; pieces++)
        at += piece_of(align, at, bytes - at);
    return pieces <= BLOCK_PIECES_MAX;
}

// ---- calls of hooks ----

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

// Calls __palisade_NAMEn(pointer, arguments...): words of n bytes, and numbers as they are.
static CallInst *call_hook(IRBuilder<> &builder, StringRef name, Type *word, bool returns,
                           Value *pointer, ArrayRef<Value *> arguments)
{
    Module &module = *builder.GetInsertBlock()->getModule();
    SmallVector<Type *, 4> types{pointer->getType()};
    SmallVector<Value *, 4> values{pointer};
    for (Value *argument : arguments) {
        types.push_back(argument->getType());
        values.push_back(argument);
    }
    Type *result = returns ? word : Type::getVoidTy(module.getContext());
    // A hook neither throws nor returns late, but it reads and writes memory of its own.
    AttributeList attributes;
    attributes = attributes.addFnAttribute(module.getContext(), Attribute::NoUnwind);
    std::string text = ("__palisade_" + name + Twine(word->getIntegerBitWidth() / 8)).str();
    FunctionCallee hook =
        module.getOrInsertFunction(text, FunctionType::get(result, types, false), attributes);
    CallInst *call = builder.CreateCall(hook, values);
    bool narrow = word->getIntegerBitWidth() < 32; // as clang passes uint8_t and uint16_t
    if (narrow && returns)
        call->addRetAttr(Attribute::ZExt);
    for (unsigned i = 1; i < values.size(); i++)
        if (narrow && types[i] == word)
            call->addParamAttr(i, Attribute::ZExt);
    return call;
}

static void retarget_exchange(IRBuilder<> &builder, AtomicCmpXchgInst &exchange, Type *word)
{
    Value *expected = to_word(builder, exchange.getCompareOperand(), word);
    Value *desired = to_word(builder, exchange.getNewValOperand(), word);
    Value *old =
        call_hook(builder, "cas", word, true, exchange.getPointerOperand(), {expected, desired});
    Value *both = PoisonValue::get(exchange.getType());
    Value *done = builder.CreateICmpEQ(old, expected);
    old = from_word(builder, old, exchange.getCompareOperand()->getType());
    both = builder.CreateInsertValue(both, old, 0);
    exchange.replaceAllUsesWith(builder.CreateInsertValue(both, done, 1));
    NumAtomics++;
}

static Value *piece_at(IRBuilder<> &builder, Value *pointer, uint64_t offset)
{
    return offset == 0 ? pointer
                       : builder.CreateConstInBoundsGEP1_64(builder.getInt8Ty(), pointer, offset);
}

// All words are read before the first is written: the blocks of a memmove may overlap.
static void retarget_block(IRBuilder<> &builder, MemIntrinsic &block)
{
    uint64_t bytes = cast<ConstantInt>(block.getLength())->getZExtValue();
    uint64_t align = block_align(block);
    auto *copy = dyn_cast<MemTransferInst>(&block);
    SmallVector<Value *, 32> words;
    for (uint64_t at = 0, piece; at < bytes; at += piece) {
        piece = piece_of(align, at, bytes - at);
        Type *word = builder.getIntNTy(piece * 8);
        if (!copy) {
            Value *fill = builder.CreateZExtOrTrunc(cast<MemSetInst>(block).getValue(), word);
            uint64_t ones = 0x0101010101010101ull;
            words.push_back(builder.CreateMul(
                fill,
                ConstantInt::get(word, piece == 8 ? ones : ones & ((1ull << piece * 8) - 1))));
        } else {
            Value *from = piece_at(builder, copy->getRawSource(), at);
            words.push_back(is_own_local(*from) ? static_cast<Value *>(builder.CreateAlignedLoad(
                                                      word, from, Align(1)))
                                                : call_hook(builder, "load", word, true, from, {}));
        }
    }
    unsigned n = 0;
    for (uint64_t at = 0, piece; at < bytes; at += piece, n++) {
        piece = piece_of(align, at, bytes - at);
        Value *to = piece_at(builder, block.getRawDest(), at);
        if (is_own_local(*to))
            builder.CreateAlignedStore(words[n], to, Align(1));
        else
            call_hook(builder, "store", words[n]->getType(), false, to, {words[n]});
    }
    NumBlocks++;
}

void word_retarget(Instruction &instruction, bool mixed)
{
    IRBuilder<> builder(&instruction);
    if (auto *block = dyn_cast<MemIntrinsic>(&instruction)) {
        retarget_block(builder, *block);
        instruction.eraseFromParent();
        return;
    }
    Type *type = word_type_of(instruction);
    uint64_t bytes = instruction.getModule()->getDataLayout().getTypeStoreSize(type);
    Type *word = builder.getIntNTy(static_cast<unsigned>(bytes * 8));
    Value *pointer = word_pointer(instruction), *value = nullptr;
    if (isa<LoadInst>(instruction)) {
        value = call_hook(builder, mixed && bytes <= 8 ? "mixed" : "load", word, true, pointer, {});
        NumLoads++;
    } else if (auto *store = dyn_cast<StoreInst>(&instruction)) {
        call_hook(builder, "store", word, false, pointer,
                  {to_word(builder, store->getValueOperand(), word)});
        NumStores++;
    } else if (auto *rmw = dyn_cast<AtomicRMWInst>(&instruction)) {
        value = call_hook(builder, "rmw", word, true, pointer,
                          {to_word(builder, rmw->getValOperand(), word),
                           builder.getInt32(static_cast<uint32_t>(operation_of(*rmw)))});
        NumAtomics++;
    } else {
        retarget_exchange(builder, cast<AtomicCmpXchgInst>(instruction), word);
    }
    if (value) {
        value = from_word(builder, value, type);
        value->takeName(&instruction);
        instruction.replaceAllUsesWith(value);
    }
    instruction.eraseFromParent();
}

} // namespace palisade
