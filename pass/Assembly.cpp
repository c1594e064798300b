// The text of inline assembly is judged instruction by instruction; one that is not known here
// makes the whole unknown.
#include "Assembly.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/IntrinsicsX86.h"

using namespace llvm;

namespace palisade
{

// "lock; addl $$0, -128(%rsp)" and the like: a full barrier, an older spelling of mfence.
static bool is_stack_barrier(StringRef line)
{
    return (line.starts_with("add") || line.starts_with("or")) && line.contains("$$0") &&
           (line.contains("(%rsp)") || line.contains("(%%rsp)") || line.contains("(%esp)"));
}

static bool is_harmless(StringRef line)
{
    StringRef name = line.take_until([](char c) { return c == ' ' || c == '\t'; });
    for (StringRef known : {"pause", "nop", "rep", "lock", "mfence", "sfence", "lfence"})
        if (name == known)
            return true;
    return name.starts_with("prefetch");
}

static SmallVector<SmallString<48>, 4> lines_of(const InlineAsm &text)
{
    SmallVector<SmallString<48>, 4> lines;
    SmallVector<StringRef, 8> parts;
    std::string code = StringRef(text.getAsmString()).str();
    for (char &c : code)
        if (c == '\n')
            c = ';';
    StringRef(code).split(parts, ';', -1, false);
    for (StringRef part : parts) {
        part = part.trim();
        if (part.consume_front("lock ") || part.consume_front("lock\t"))
            part = part.trim();
        if (!part.empty() && !part.starts_with("#"))
            lines.push_back(part);
    }
    return lines;
}

// Where each result of the assembly comes from: "{ax}", "{dx}", "{cx}"; empty: something else.
static SmallVector<std::string, 3> results_of(const InlineAsm &text)
{
    SmallVector<std::string, 3> results;
    for (const InlineAsm::ConstraintInfo &constraint : text.ParseConstraints()) {
        if (constraint.Type == InlineAsm::isClobber)
            continue;
        bool plain = constraint.Type == InlineAsm::isOutput && !constraint.isIndirect &&
                     constraint.Codes.size() == 1;
        std::string code = plain ? constraint.Codes[0] : "";
        if (code != "{ax}" && code != "{dx}" && code != "{cx}")
            return {};
        results.push_back(code);
    }
    return results;
}

AsmKind asm_kind(const CallBase &call)
{
    auto *text = cast<InlineAsm>(call.getCalledOperand());
    bool cycles = false, joined = false;
    for (StringRef line : lines_of(*text)) {
        if (is_harmless(line) || is_stack_barrier(line))
            continue;
        if ((line == "rdtsc" || line == "rdtscp") && !cycles)
            cycles = true;
        else if (cycles && (line.starts_with("shl") || line.starts_with("or")) &&
                 line.contains("dx"))
            joined = true;
        else
            return AsmKind::Unknown;
    }
    if (!cycles)
        return AsmKind::Harmless;
    SmallVector<std::string, 3> results = results_of(*text);
    if (results.empty() || (joined && (results.size() > 1 || results[0] != "{ax}")))
        return AsmKind::Unknown;
    return AsmKind::Cycles;
}

static Value *cycles_call(IRBuilder<> &builder)
{
    Module &module = *builder.GetInsertBlock()->getModule();
    return builder.CreateCall(module.getOrInsertFunction(
        "__palisade_rdtsc", FunctionType::get(builder.getInt64Ty(), false)));
}

// In the registers where the instruction leaves it; the CPU's number is 0.
static void retarget_asm(CallBase &call)
{
    auto *text = cast<InlineAsm>(call.getCalledOperand());
    bool joined = false;
    for (StringRef line : lines_of(*text))
        joined |= line.starts_with("or");
    IRBuilder<> builder(&call);
    Value *cycles = cycles_call(builder);
    SmallVector<std::string, 3> results = results_of(*text);
    auto part = [&](const std::string &code, Type *type) -> Value * {
        Value *value = cycles;
        if (code == "{cx}")
            value = builder.getInt64(0);
        else if (code == "{dx}")
            value = builder.CreateLShr(cycles, 32);
        else if (!joined)
            value = builder.CreateAnd(cycles, builder.getInt64(UINT32_MAX));
        return builder.CreateZExtOrTrunc(value, type);
    };
    if (auto *type = dyn_cast<StructType>(call.getType())) {
        Value *all = PoisonValue::get(type);
        for (unsigned i = 0; i < results.size(); i++)
            all = builder.CreateInsertValue(all, part(results[i], type->getElementType(i)), i);
        call.replaceAllUsesWith(all);
    } else {
        call.replaceAllUsesWith(part(results[0], call.getType()));
    }
    call.eraseFromParent();
}

// A second result: the CPU's number, or that there was a random number.
static void retarget_intrinsic(Unit &unit, IntrinsicInst &call)
{
    IRBuilder<> builder(&call);
    Module &module = *call.getModule();
    Value *value = nullptr;
    uint64_t second = 1;
    switch (call.getIntrinsicID()) {
    case Intrinsic::x86_rdtsc:
    case Intrinsic::readcyclecounter:
        if (unit.skipped("rdtsc"))
            return;
        value = cycles_call(builder);
        break;
    case Intrinsic::x86_rdtscp:
        if (unit.skipped("rdtsc"))
            return;
        value = cycles_call(builder);
        second = 0;
        break;
    case Intrinsic::x86_rdrand_16:
    case Intrinsic::x86_rdrand_32:
    case Intrinsic::x86_rdrand_64:
    case Intrinsic::x86_rdseed_16:
    case Intrinsic::x86_rdseed_32:
    case Intrinsic::x86_rdseed_64:
        if (unit.skipped("rdrand"))
            return;
        value = builder.CreateCall(module.getOrInsertFunction(
            "__palisade_rdrand", FunctionType::get(builder.getInt64Ty(), false)));
        break;
    default:
        return;
    }
    if (auto *type = dyn_cast<StructType>(call.getType())) {
        Value *both = PoisonValue::get(type);
        Value *first = builder.CreateZExtOrTrunc(value, type->getElementType(0));
        both = builder.CreateInsertValue(both, first, 0);
        value =
            builder.CreateInsertValue(both, ConstantInt::get(type->getElementType(1), second), 1);
    }
    call.replaceAllUsesWith(value);
    call.eraseFromParent();
}

void unit_retarget_assembly(Unit &unit)
{
    SmallVector<CallBase *, 16> calls;
    for (Function &function : unit.module)
        if (!is_outside(function))
            for (Instruction &instruction : instructions(function))
                if (auto *call = dyn_cast<CallBase>(&instruction))
                    calls.push_back(call);
    for (CallBase *call : calls) {
        if (auto *intrinsic = dyn_cast<IntrinsicInst>(call))
            retarget_intrinsic(unit, *intrinsic);
        else if (call->isInlineAsm() && asm_kind(*call) == AsmKind::Cycles &&
                 !unit.skipped("rdtsc"))
            retarget_asm(*call);
    }
}

} // namespace palisade
