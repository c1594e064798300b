// Looks at every instruction that will run and names what replay cannot repeat (G8).
#include "Assembly.h"
#include "Escape.h"
#include "Unit.h"
#include "Words.h"

#include "llvm/ADT/SmallPtrSet.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/Statistic.h"
#include "llvm/IR/DebugInfoMetadata.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/IntrinsicsX86.h"
#include "llvm/IR/Operator.h"
#include "llvm/Support/Path.h"

#define DEBUG_TYPE "palisade"

using namespace llvm;

STATISTIC(NumUnhandled, "Items that stand in the way of replay");
STATISTIC(NumExternals, "Functions left to other units of the program");

namespace palisade
{

const model_row *Unit::row(StringRef name) const
{
    auto user = user_rows.find(name);
    if (user != user_rows.end())
        return &user->second;
    return model_find(name.str().c_str());
}

bool is_outside(const Function &function)
{
    return function.isDeclaration() || function.hasAvailableExternallyLinkage();
}

Place place_of(const Instruction &instruction)
{
    Place place;
    if (const DebugLoc &location = instruction.getDebugLoc()) {
        place.file = location->getFilename().str();
        place.line = location.getLine();
        return place;
    }
    if (const Function *function = instruction.getFunction())
        if (const DISubprogram *subprogram = function->getSubprogram()) {
            place.file = subprogram->getFilename().str();
            place.line = subprogram->getLine();
            return place;
        }
    place.file = instruction.getModule()->getSourceFileName();
    return place;
}

namespace
{

// Functions that run: not those that -O0 keeps of unused static-inline code in headers.
class Liveness
{
  public:
    explicit Liveness(Module &module)
    {
        for (Function &function : module)
            if (!is_outside(function) && !function.hasLocalLinkage())
                mark(&function);
        for (GlobalVariable &global : module.globals())
            if (!global.hasLocalLinkage() && global.hasInitializer())
                mark(&global);
        while (!work.empty()) {
            const GlobalValue *value = work.pop_back_val();
            if (auto *function = dyn_cast<Function>(value)) {
                if (!is_outside(*function))
                    for (const Instruction &instruction : instructions(*function))
                        mark_operands(instruction);
            } else if (auto *global = dyn_cast<GlobalVariable>(value)) {
                if (global->hasInitializer())
                    mark_constant(global->getInitializer());
            } else if (auto *alias = dyn_cast<GlobalAlias>(value)) {
                mark_constant(alias->getAliasee());
            }
        }
    }
    bool has(const GlobalValue *value) const { return live.contains(value); }

  private:
    void mark(const GlobalValue *value)
    {
        if (live.insert(value).second)
            work.push_back(value);
    }
    void mark_operands(const User &user)
    {
        for (const Use &use : user.operands())
            if (auto *constant = dyn_cast<Constant>(use.get()))
                mark_constant(constant);
    }
    void mark_constant(const Constant *constant)
    {
        if (auto *value = dyn_cast<GlobalValue>(constant))
            mark(value);
        else if (seen.insert(constant).second)
            mark_operands(*constant);
    }
    SmallPtrSet<const GlobalValue *, 32> live;
    SmallPtrSet<const Constant *, 32> seen;
    SmallVector<const GlobalValue *, 32> work;
};

std::string asm_summary(StringRef text)
{
    std::string line = text.trim().take_front(60).str();
    for (char &c : line)
        if (c == '\n' || c == '\t' || c == '"')
            c = ' ';
    return line;
}

class Scanner
{
  public:
    explicit Scanner(Unit &unit) : unit(unit), live(unit.module) {}

    void run()
    {
        Module &module = unit.module;
        if (!module.getModuleInlineAsm().empty())
            unit.unhandled.push_back({"asm",
                                      "assembly outside functions",
                                      {module.getSourceFileName(), 0},
                                      "move it into a unit of its own, compiled without Palisade",
                                      nullptr});
        for (Function &function : module) {
            if (is_outside(function)) {
                scan_declaration(function);
                continue;
            }
            if (!live.has(&function))
                continue;
            if (!function.hasLocalLinkage())
                unit.defines.push_back(function.getName().str());
            for (Instruction &instruction : instructions(function))
                scan(instruction);
        }
        NumUnhandled += unit.unhandled.size();
        NumExternals += unit.externals.size();
    }

  private:
    void unhandled(const Instruction &at, StringRef kind, const Twine &what, const Twine &advice)
    {
        unit.unhandled.push_back({kind.str(), what.str(), place_of(at), advice.str(), &at});
    }

    static std::string of(const Value &pointer)
    {
        auto *global = dyn_cast<GlobalVariable>(pointer.stripInBoundsOffsets());
        return global ? " of " + global->getName().str() : "";
    }

    // One item per use of a function of the outside that is not harmless.
    void scan_declaration(Function &function)
    {
        if (function.isIntrinsic() || !live.has(&function))
            return;
        StringRef name = function.getName();
        if (name.starts_with("__palisade_"))
            return;
        const model_row *row = unit.row(name);
        SmallVector<const Instruction *, 8> sites;
        bool table = false; // named in the initializer of a global
        find_uses(function, sites, table);
        if (sites.empty() && !table)
            return;
        if (row)
            unit.calls[unit.keep(name)] += sites.size();
        if (!row) {
            Item item{"call", name.str(), {unit.module.getSourceFileName(), 0}, "", nullptr};
            if (!sites.empty()) {
                item.place = place_of(*sites.front());
                item.at = sites.front();
            }
            item.advice = "compile the unit that defines it with palisade-cc and link it into the "
                          "program, or describe it in a model file (-mllvm -palisade-model=FILE)";
            unit.externals.push_back(item);
            return;
        }
        bool own = unit.user_rows.count(name) && row->class_ != MODEL_FORBIDDEN;
        if (row->class_ == MODEL_PURE) {
            if (*row->note && !sites.empty())
                unit.notes.push_back(
                    {"call", name.str(), place_of(*sites.front()), row->note, sites.front()});
            return;
        }
        if (*row->hook || own)
            return;
        if (row->class_ == MODEL_FORBIDDEN) {
            refused_when_called(name, *row, sites);
            return;
        }
        for (const Instruction *site : sites)
            unhandled(*site, "call", name, row->note);
        if (sites.empty())
            unit.unhandled.push_back(
                {"call", name.str(), {unit.module.getSourceFileName(), 0}, row->note, nullptr});
    }

    // Options that nobody uses (daemon(), system() ...) need not keep a program from starting.
    void refused_when_called(StringRef name, const model_row &row,
                             ArrayRef<const Instruction *> sites)
    {
        std::string advice =
            (Twine("ends the program, status 65, when it is called: ") + row.note).str();
        for (const Instruction *site : sites)
            unit.notes.push_back({"call", name.str(), place_of(*site), advice, site});
        if (sites.empty())
            unit.notes.push_back(
                {"call", name.str(), {unit.module.getSourceFileName(), 0}, advice, nullptr});
    }

    // Instructions that name `value`, through constant expressions too.
    void find_uses(const Value &value, SmallVectorImpl<const Instruction *> &sites, bool &table)
    {
        for (const User *user : value.users()) {
            if (auto *instruction = dyn_cast<Instruction>(user)) {
                const Function *in = instruction->getFunction();
                if (!is_outside(*in) && live.has(in))
                    sites.push_back(instruction);
            } else if (auto *global = dyn_cast<GlobalVariable>(user)) {
                table |= live.has(global);
            } else if (isa<Constant>(user) && !isa<GlobalValue>(user)) {
                find_uses(*user, sites, table);
            }
        }
        // In the order of the source: use lists run backwards.
        std::reverse(sites.begin(), sites.end());
    }

    void scan(Instruction &instruction)
    {
        if (auto *call = dyn_cast<CallBase>(&instruction)) {
            scan_call(*call);
            if (!isa<MemIntrinsic>(call))
                return;
        }
        if (is_strict(instruction))
            scan_strict(instruction);
    }

    // Atomic and volatile accesses meet a hook, if there is one for such words.
    void scan_strict(Instruction &at)
    {
        const Value *pointer = word_pointer(at);
        if (auto *block = dyn_cast<MemIntrinsic>(&at))
            pointer = block->getRawDest();
        std::string refusal = word_refusal(at);
        auto *global = dyn_cast<GlobalVariable>(pointer->stripInBoundsOffsets());
        if (!refusal.empty() && !is_own_local(*pointer))
            unhandled(
                at, at.isAtomic() ? "atomic" : "volatile", refusal + of(*pointer),
                "use aligned integers or pointers of 1, 2, 4, 8 or 16 bytes, or guard it with "
                "a mutex");
        else if (global && !at.isAtomic())
            unit.notes.push_back({"volatile", global->getName().str(), place_of(at),
                                  "a volatile variable: its accesses are logged", &at});
    }

    void scan_call(CallBase &call)
    {
        if (auto *text = dyn_cast<InlineAsm>(call.getCalledOperand())) {
            scan_asm(call, *text);
            return;
        }
        auto *intrinsic = dyn_cast<IntrinsicInst>(&call);
        if (!intrinsic)
            return;
        switch (intrinsic->getIntrinsicID()) {
        case Intrinsic::x86_rdpmc:
        case Intrinsic::x86_rdpid:
        case Intrinsic::x86_xbegin:
        case Intrinsic::x86_xend:
            unhandled(call, "intrinsic", intrinsic->getCalledFunction()->getName(),
                      "what it returns cannot be repeated");
            break;
        default:
            break;
        }
    }

    void scan_asm(CallBase &call, const InlineAsm &text)
    {
        if (asm_kind(call) != AsmKind::Unknown)
            return;
        StringRef code = StringRef(text.getAsmString()).trim();
        for (StringRef word :
             {"rdtsc", "rdpmc", "rdrand", "rdseed", "rdpid", "syscall", "int $$0x80"})
            if (code.contains(word)) {
                unhandled(call, "asm", "assembly: " + asm_summary(code),
                          word == "rdtsc" ? "use clock_gettime(CLOCK_MONOTONIC)"
                                          : "use libc's function instead");
                return;
            }
        bool memory = StringRef(text.getConstraintString()).contains("~{memory}");
        for (const InlineAsm::ConstraintInfo &constraint : text.ParseConstraints())
            memory |= constraint.Type == InlineAsm::isOutput && constraint.isIndirect;
        if (memory)
            unhandled(call, "asm", "assembly that writes memory: " + asm_summary(code),
                      "use C or a compiler builtin, under a mutex where threads share the data");
    }

    Unit &unit;
    Liveness live;
};

} // namespace

static std::string path_of(const DIFile &file)
{
    if (sys::path::is_absolute(file.getFilename()))
        return file.getFilename().str();
    SmallString<128> path(file.getDirectory());
    sys::path::append(path, file.getFilename());
    return path.str().str();
}

// The merged module of a full LTO build has a copy for each unit: "f", "f.12".
static StringRef plain_name(const Function &function)
{
    return function.hasLocalLinkage() ? function.getName().split('.').first : function.getName();
}

// The body of a function of the model, in a header: not in the program's own source file.
static bool is_library_inline(const Function &function)
{
    if (function.isDeclaration() || !model_is_inline(plain_name(function).str().c_str()))
        return false;
    const DISubprogram *subprogram = function.getSubprogram();
    return !subprogram || !subprogram->getUnit() ||
           path_of(*subprogram->getFile()) != path_of(*subprogram->getUnit()->getFile());
}

void unit_adopt_inline(Unit &unit)
{
    for (Function &function : make_early_inc_range(unit.module))
        if (is_library_inline(function) && !unit.skipped(plain_name(function))) {
            std::string name = plain_name(function).str();
            function.deleteBody();
            function.setLinkage(GlobalValue::ExternalLinkage);
            function.setComdat(nullptr);
            function.removeFnAttr(Attribute::AlwaysInline);
            Function *first = unit.module.getFunction(name);
            if (!first) {
                function.setName(name);
            } else if (first != &function) {
                function.replaceAllUsesWith(first);
                function.eraseFromParent();
            }
        }
    for (Function &function : unit.module)
        if (function.hasAvailableExternallyLinkage() && !unit.row(function.getName()))
            function.setLinkage(GlobalValue::InternalLinkage);
}

void unit_scan(Unit &unit)
{
    Scanner(unit).run();
}

} // namespace palisade
