// Tells what the pass did: the ELF note that `palisade report` and the runtime read, and remarks.
// Schema of the note: docs/report.md.
#include "Unit.h"

#include "llvm/Analysis/OptimizationRemarkEmitter.h"
#include "llvm/BinaryFormat/ELF.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/DebugInfoMetadata.h"
#include "llvm/IR/Instructions.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Transforms/Utils/ModuleUtils.h"

#include <algorithm>
#include <map>
#include <tuple>

extern "C" {
#include "abi.h"
}

#define PASS_NAME "palisade"

using namespace llvm;

namespace palisade
{

static constexpr int SCHEMA = 1;
static constexpr size_t ACCESSES_MAX = 4096; // listed per variable; the counts tell the rest

const char *fate_name(Fate fate)
{
    switch (fate) {
    case Fate::Logged:
        return "logged";
    case Fate::Elided:
        return "elided";
    case Fate::Init:
        return "init";
    case Fate::Private:
        return "private";
    case Fate::ReadOnly:
        return "read-only";
    case Fate::AssumedCovered:
        return "assumed-covered";
    case Fate::AssumedPrivate:
        return "assumed-private";
    }
    return "?";
}

static std::string compiler_of(const Module &module)
{
    for (const DICompileUnit *unit : module.debug_compile_units())
        return unit->getProducer().str();
    if (const NamedMDNode *ident = module.getNamedMetadata("llvm.ident"))
        if (ident->getNumOperands() > 0)
            if (auto *text = dyn_cast<MDString>(ident->getOperand(0)->getOperand(0)))
                return text->getString().str();
    return "unknown";
}

// The folder of each source file, by the name that debug information gives the file.
static std::map<std::string, std::string> folders_of(const Module &module)
{
    std::map<std::string, std::string> folders;
    for (const DICompileUnit *unit : module.debug_compile_units())
        folders.emplace(unit->getFilename().str(), unit->getDirectory().str());
    for (const Function &function : module)
        if (const DISubprogram *subprogram = function.getSubprogram())
            folders.emplace(subprogram->getFilename().str(), subprogram->getDirectory().str());
    return folders;
}

static void write_place(json::OStream &out, const Place &place)
{
    out.attribute("file", place.file);
    out.attribute("line", static_cast<int64_t>(place.line));
}

static void write_items(json::OStream &out, StringRef key, const std::vector<Item> &items)
{
    out.attributeArray(key, [&] {
        for (const Item &item : items)
            out.object([&] {
                out.attribute("kind", item.kind);
                out.attribute("what", item.what);
                write_place(out, item.place);
                out.attribute("advice", item.advice);
            });
    });
}

static void write_variable(json::OStream &out, const Variable &variable)
{
    out.attribute("name", variable.name);
    out.attribute("class", variable.class_);
    if (!variable.lock.empty())
        out.attribute("lock", variable.lock);
    if (!variable.why.empty())
        out.attribute("why", variable.why);
    out.attribute("external", variable.external);
    std::map<std::string, int64_t> counts;
    for (const Access &access : variable.accesses)
        counts[fate_name(access.fate)]++;
    out.attributeObject("counts", [&] {
        for (const auto &[fate, count] : counts)
            out.attribute(fate, count);
    });
    out.attributeArray("accesses", [&] {
        for (size_t i = 0; i < variable.accesses.size() && i < ACCESSES_MAX; i++) {
            const Access &access = variable.accesses[i];
            out.object([&] {
                out.attribute("op", access.write ? "store" : "load");
                out.attribute("fate", fate_name(access.fate));
                if (!access.lock.empty())
                    out.attribute("lock", access.lock);
                out.attribute("function", access.function);
                write_place(out, access.place);
            });
        }
    });
}

static void write_json(raw_ostream &stream, const Unit &unit)
{
    std::map<std::string, int64_t> counters, classes;
    for (const Variable &variable : unit.variables)
        for (const Access &access : variable.accesses)
            counters[fate_name(access.fate)]++;
    for (const auto &[name, count] : unit.calls)
        classes[model_class_name(unit.row(name)->class_)] += count;

    json::OStream out(stream);
    out.object([&] {
        out.attribute("schema", SCHEMA);
        out.attribute("file", unit.module.getSourceFileName());
        if (unit.options.linking)
            out.attributeArray("sources", [&] {
                for (const DICompileUnit *source : unit.module.debug_compile_units())
                    out.value(source->getFilename());
            });
        out.attributeObject("files", [&] {
            for (const auto &[file, folder] : folders_of(unit.module))
                out.attribute(file, folder);
        });
        out.attribute("compiler", compiler_of(unit.module));
        out.attribute("whole_program", unit.options.whole_program);
        out.attributeArray("threads", [&] {
            for (const Thread &thread : unit.threads)
                out.object([&] {
                    out.attribute("entry", thread.entry);
                    out.attribute("many", thread.many);
                    write_place(out, thread.created);
                });
        });
        out.attributeArray("locks", [&] {
            for (const auto &lock : unit.locks)
                out.object([&] {
                    out.attribute("name", lock.first);
                    out.attribute("acquisitions", static_cast<int64_t>(lock.second));
                });
        });
        out.attributeArray("variables", [&] {
            for (const Variable &variable : unit.variables)
                out.object([&] { write_variable(out, variable); });
        });
        if (!unit.plan.identity.empty())
            out.attribute("plan", unit.plan.identity);
        out.attributeObject("summary", [&] { summary_write(out, unit.summary); });
        out.attributeObject("classes", [&] {
            for (const auto &[name, count] : classes)
                out.attribute(name, count);
        });
        out.attributeArray("calls", [&] {
            for (const auto &call : unit.calls)
                out.object([&] {
                    const model_row *row = unit.row(call.first);
                    out.attribute("name", call.first);
                    out.attribute("class", model_class_name(row->class_));
                    out.attribute("hooked", *row->hook != 0);
                    out.attribute("count", static_cast<int64_t>(call.second));
                });
        });
        write_items(out, "unhandled", unit.unhandled);
        write_items(out, "externals", unit.externals);
        write_items(out, "notes", unit.notes);
        out.attributeObject("counters", [&] {
            for (const auto &[name, count] : counters)
                out.attribute(name, count);
            out.attribute("unhandled", static_cast<int64_t>(unit.unhandled.size()));
        });
    });
}

// Lists of names follow the JSON so that the runtime, which reads no JSON, can tell which
// functions no unit of the program defines: docs/report.md, "Note".
static void append_names(std::string &out, const std::vector<std::string> &names)
{
    for (const std::string &name : names) {
        out += name;
        out += '\0';
    }
    out += '\0';
}

static void pad(std::string &text)
{
    while (text.size() % 4 != 0)
        text += '\0';
}

static void append_word(std::string &out, uint32_t word)
{
    out.append(reinterpret_cast<const char *>(&word), sizeof word);
}

void unit_emit_note(Unit &unit)
{
    std::string text;
    {
        raw_string_ostream stream(text);
        write_json(stream, unit);
    }
    std::vector<std::string> externals;
    for (const Item &item : unit.externals)
        externals.push_back(item.what);

    std::string description;
    append_word(description, PALISADE_NOTE_FORMAT);
    append_word(description, static_cast<uint32_t>(unit.unhandled.size()));
    append_word(description, static_cast<uint32_t>(text.size()));
    append_word(description, PALISADE_ABI_VERSION);
    description += text;
    description += '\0';
    append_names(description, unit.defines);
    append_names(description, externals);
    description += unit.plan.identity;
    description += '\0';

    std::string note, name(PALISADE_NOTE_NAME);
    name += '\0';
    append_word(note, static_cast<uint32_t>(name.size()));
    append_word(note, static_cast<uint32_t>(description.size()));
    append_word(note, PALISADE_NOTE_TYPE);
    note += name;
    pad(note);
    note += description;
    pad(note);

    LLVMContext &context = unit.module.getContext();
    Constant *bytes = ConstantDataArray::getString(context, note, /*AddNull=*/false);
    auto *global = new GlobalVariable(unit.module, bytes->getType(), true,
                                      GlobalValue::PrivateLinkage, bytes, "__palisade_note");
    global->setSection(".note.palisade");
    global->setAlignment(Align(4));
    appendToUsed(unit.module, {global}); // survives --gc-sections and LTO
}

// ---- remarks ----

// One emitter a function: they are dear.
class Remarks
{
  public:
    OptimizationRemarkEmitter &of(const Function &function)
    {
        auto &slot = emitters[&function];
        if (!slot)
            slot = std::make_unique<OptimizationRemarkEmitter>(&function);
        return *slot;
    }

  private:
    std::map<const Function *, std::unique_ptr<OptimizationRemarkEmitter>> emitters;
};

static void remark_access(Remarks &remarks, const Variable &variable, const Access &access)
{
    std::string text = (access.write ? "store to " : "load of ") + variable.name;
    OptimizationRemarkEmitter &emitter = remarks.of(*access.at->getFunction());
    switch (access.fate) {
    case Fate::Logged:
        emitter.emit(OptimizationRemark(PASS_NAME, "Logged", access.at)
                     << text << " logged: " << variable.why);
        break;
    case Fate::Elided:
        emitter.emit(OptimizationRemark(PASS_NAME, "Elided", access.at)
                     << text << " elided: covered by " << access.lock);
        break;
    case Fate::AssumedCovered:
        emitter.emit(OptimizationRemark(PASS_NAME, "Elided", access.at)
                     << text << " elided: covered by " << access.lock << " (assumed)");
        break;
    case Fate::Init:
        emitter.emit(OptimizationRemark(PASS_NAME, "Elided", access.at)
                     << text
                     << " elided: before any other thread exists, or nobody writes it afterwards");
        break;
    case Fate::Private:
        emitter.emit(OptimizationRemark(PASS_NAME, "Elided", access.at)
                     << text << " elided: one thread alone");
        break;
    case Fate::ReadOnly:
        emitter.emit(OptimizationRemark(PASS_NAME, "Elided", access.at)
                     << text << " elided: never written");
        break;
    case Fate::AssumedPrivate:
        emitter.emit(OptimizationRemarkMissed(PASS_NAME, "AssumedPrivate", access.at)
                     << text << " assumed private: no lock is held, the object is not named");
        break;
    }
}

static void sort_items(std::vector<Item> &items)
{
    std::sort(items.begin(), items.end(), [](const Item &a, const Item &b) {
        return std::tie(a.place.file, a.place.line, a.what) <
               std::tie(b.place.file, b.place.line, b.what);
    });
}

void unit_emit_remarks(Unit &unit)
{
    sort_items(unit.unhandled);
    sort_items(unit.externals);
    sort_items(unit.notes);
    Remarks remarks;
    // As the source goes: Clang emits static functions when they are first used.
    using Key = std::tuple<StringRef, unsigned, unsigned>;
    std::multimap<Key, std::pair<const Variable *, const Access *>> accesses;
    for (const Variable &variable : unit.variables)
        for (const Access &access : variable.accesses)
            accesses.insert(
                {{access.place.file, access.place.line, access.order}, {&variable, &access}});
    for (const auto &[key, access] : accesses)
        remark_access(remarks, *access.first, *access.second);
    for (const Item &item : unit.unhandled)
        if (item.at)
            remarks.of(*item.at->getFunction())
                .emit(OptimizationRemarkMissed(PASS_NAME, "Unhandled", item.at)
                      << item.kind << " " << item.what << " is not modelled: " << item.advice);
    for (const Item &item : unit.externals)
        if (item.at)
            remarks.of(*item.at->getFunction())
                .emit(OptimizationRemarkMissed(PASS_NAME, "External", item.at)
                      << "call of " << item.what
                      << " is not modelled, unless another unit of the program defines it");
}

} // namespace palisade
