// A plan is trusted for the variables of a unit only after the unit's summary was found equal to
// the one that the plan was made from.
#include "Plan.h"
#include "Unit.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/xxhash.h"

using namespace llvm;

namespace palisade
{

static constexpr int64_t VERSION = 1;

const Plan::Variable *Plan::variable(StringRef name) const
{
    auto found = variables.find(name);
    return found == variables.end() ? nullptr : &found->second;
}

const Plan::Function *Plan::function(StringRef name) const
{
    auto found = functions.find(name);
    return found == functions.end() ? nullptr : &found->second;
}

static std::string text_of(const json::Object &object, StringRef key)
{
    return object.getString(key).value_or("").str();
}

static std::vector<std::string> names_of(const json::Object &object, StringRef key)
{
    std::vector<std::string> out;
    if (const json::Array *names = object.getArray(key))
        for (const json::Value &name : *names)
            out.push_back(name.getAsString().value_or("").str());
    return out;
}

// Calls back for the entries of an array that concern `file`: its own, and those of all units.
template <typename Visit>
static void each(const json::Object &plan, StringRef key, StringRef file, bool own_only,
                 Visit visit)
{
    if (const json::Array *list = plan.getArray(key))
        for (const json::Value &value : *list)
            if (const json::Object *entry = value.getAsObject()) {
                std::string of = text_of(*entry, "unit");
                if (!own_only || of.empty() || of == file)
                    visit(*entry, of == file);
            }
}

static bool read_unit(Plan &plan, const json::Object &object)
{
    const json::Array *units = object.getArray("units");
    for (const json::Value &value : units ? *units : json::Array()) {
        const json::Object *unit = value.getAsObject();
        if (!unit || text_of(*unit, "file") != plan.unit_file)
            continue;
        plan.unit_identity = text_of(*unit, "identity");
        if (const json::Object *functions = unit->getObject("functions"))
            for (const auto &[name, hash] : *functions)
                plan.unit_functions[name.str()] = hash.getAsString().value_or("").str();
        return true;
    }
    return false;
}

bool plan_read(Unit &unit, std::string &error)
{
    const std::string &path = unit.options.plan_file;
    if (path.empty())
        return true;
    auto file = MemoryBuffer::getFile(path, /*IsText=*/true);
    if (!file) {
        error = "plan '" + path + "': " + file.getError().message();
        return false;
    }
    Expected<json::Value> parsed = json::parse((*file)->getBuffer());
    const json::Object *object = parsed ? parsed->getAsObject() : nullptr;
    if (!parsed)
        consumeError(parsed.takeError());
    if (!object || object->getInteger("palisade_plan") != VERSION) {
        error = "plan '" + path + "': not a plan of this version of Palisade: make it with " +
                "`palisade report --plan`";
        return false;
    }
    Plan &plan = unit.plan;
    plan.unit_file = unit.module.getSourceFileName();
    if (!read_unit(plan, *object)) {
        error = "plan '" + path + "' does not know unit " + plan.unit_file +
                ": build the program without the plan and make a new one";
        return false;
    }
    plan.identity = utohexstr(xxHash64((*file)->getBuffer()), /*LowerCase=*/true);
    each(*object, "variables", plan.unit_file, true, [&](const json::Object &entry, bool own) {
        Plan::Variable variable{text_of(entry, "class"), text_of(entry, "lock"),
                                text_of(entry, "why"), entry.getBoolean("meet").value_or(false),
                                entry.getBoolean("blind").value_or(false)};
        StringRef name = entry.getString("name").value_or("");
        // A static variable hides one that other units share.
        if (own)
            plan.variables[name] = variable;
        else
            plan.variables.insert({name, variable});
    });
    each(*object, "functions", plan.unit_file, false, [&](const json::Object &entry, bool own) {
        Plan::Function function;
        function.threaded = entry.getBoolean("threaded").value_or(true);
        function.creates = entry.getBoolean("creates_threads").value_or(true);
        function.gives_any = entry.getBoolean("gives_any").value_or(false);
        function.locks = names_of(entry, "locks");
        function.takes = names_of(entry, "takes");
        function.gives = names_of(entry, "gives");
        bool external = entry.getBoolean("external").value_or(false);
        StringRef name = entry.getString("name").value_or("");
        if (own)
            plan.functions[name] = function;
        else if (external)
            plan.functions.insert({name, function});
    });
    return true;
}

bool plan_check(const Unit &unit, std::string &error)
{
    const Plan &plan = unit.plan;
    if (plan.identity.empty() || plan.unit_identity == unit.summary.identity)
        return true;
    std::string what = "what it takes the address of changed";
    auto shown = [](StringRef name) { return name.split('.').first.str(); }; // see separate_starts
    StringMap<std::string> gone = plan.unit_functions;
    for (const SummaryFunction &function : unit.summary.functions) {
        auto known = plan.unit_functions.find(function.name);
        gone.erase(function.name);
        if (known == plan.unit_functions.end())
            what = "function " + shown(function.name) + " is new";
        else if (known->second != function.hash)
            what = "function " + shown(function.name) + " changed";
        else
            continue;
        gone.clear();
        break;
    }
    if (!gone.empty())
        what = "function " + shown(gone.begin()->first()) + " is gone";
    error = "plan '" + unit.options.plan_file + "' does not fit unit " + plan.unit_file + ": " +
            what + "; build the program without the plan and make a new one";
    return false;
}

} // namespace palisade
