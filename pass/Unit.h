// What the pass learns about one translation unit, filled by Scan and Analysis, used by Retarget,
// told by Report.
#ifndef PALISADE_PASS_UNIT_H
#define PALISADE_PASS_UNIT_H

#include "Options.h"
#include "Plan.h"
#include "model.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/IR/Module.h"

#include <deque>
#include <string>
#include <vector>

namespace llvm::json
{
class OStream;
}

namespace palisade
{

struct Place {
    std::string file;
    unsigned line = 0; // 0: unknown
};

// Something that stands in the way of replay (G8), or (kind "note") something worth telling.
struct Item {
    std::string kind; // call, atomic, volatile, asm, intrinsic, block
    std::string what;
    Place place;
    std::string advice;
    const llvm::Instruction *at = nullptr; // for the remark; null: no single instruction
};

enum class Fate { Logged, Elided, Init, Private, ReadOnly, AssumedCovered, AssumedPrivate };
const char *fate_name(Fate fate);

struct Access {
    llvm::Instruction *at = nullptr; // in the original module
    unsigned order = 0;              // of the instruction in the unit
    bool write = false;
    bool block = false; // memcpy, memset, or a scalar no hook takes
    bool mixed = false; // a load of what is stored without hooks, too (R10)
    Fate fate = Fate::Private;
    std::string lock; // held there, when one is
    Place place;
    std::string function;
};

// A named global, a field of one, or a field of heap objects: "stats.dropped",
// "nat_table.buckets[].head", "(struct mapping).expires".
struct Variable {
    std::string name;
    std::string class_; // covered, racy, init, private, read-only, assumed-covered, assumed-private
    std::string lock;   // common lock, when covered
    std::string why;    // racy: the access that no lock covers
    bool external = false; // other units may touch it
    std::vector<Access> accesses;
};

struct Thread {
    std::string entry;
    Place created; // of pthread_create; none for main
    bool many = false;
};

// The unit as the analysis of the whole program needs it, see Summary.h.
struct SummaryAccess {
    bool write = false, is_volatile = false, is_atomic = false;
    bool block = false; // no hook can take it
    bool own = false;   // in the element that its thread was given
    bool fresh = false; // in a block that nobody else can know yet
    std::string flags() const;
};
struct SummaryEvent {
    enum Kind { Lock, Unlock, Call, Start, Use, ReadLock, Find } kind;
    std::string name; // lock ("": any), callee ("": anyone), thread function ("": anyone)
    Place place = {};
    bool loop = false;     // Call, Start: lies on a cycle of its function
    unsigned variable = 0; // Use; Find: number of the pointer in its function
    SummaryAccess access = {};
    std::vector<unsigned> found = {}; // Use: by these pointers
};
struct SummaryBlock {
    std::vector<SummaryEvent> events;
    std::vector<unsigned> next;
    bool returns = false;
    bool calls_back = false; // calls functions of libraries, which may call what they were given
};
struct SummaryFunction {
    std::string name, hash;
    bool external = false, taken = false;
    std::vector<SummaryBlock> blocks; // the first is the entry
};
struct SummaryVariable {
    std::string name;
    bool is_static = false, heap = false;
    bool shown = false;                   // its address goes elsewhere than into accesses
    std::vector<std::string> begins = {}; // heap: "(struct NAME)" that the object begins with
};
struct Summary {
    std::string identity;
    std::vector<SummaryVariable> variables;
    std::vector<SummaryFunction> functions;
    std::vector<std::string> taken; // functions of other units whose address is used
};

struct Unit {
    explicit Unit(llvm::Module &module) : module(module) {}
    llvm::Module &module;
    Options options;

    std::vector<Thread> threads;
    llvm::MapVector<llvm::StringRef, unsigned> locks; // name -> acquisitions; keys in `names`
    std::vector<Variable> variables;
    llvm::MapVector<llvm::StringRef, unsigned> calls; // modelled function -> call sites
    Summary summary;
    Plan plan; // that it is compiled with, if any
    std::vector<Item> unhandled;
    std::vector<Item> notes;
    std::vector<Item> externals;         // functions without a row: another unit may define them
    std::vector<std::string> defines;    // functions other units may call
    std::deque<std::string> names;       // owns keys
    std::deque<std::string> model_names; // owns the strings of user_rows
    llvm::StringMap<model_row> user_rows;
    llvm::StringMap<bool> skips; // options.skip; true: met

    // The tests want to see what happens without this hook.
    bool skipped(llvm::StringRef hook)
    {
        auto found = skips.find(hook);
        return found != skips.end() && (found->second = true);
    }

    // The row of a function; null when it has none.
    const model_row *row(llvm::StringRef name) const;
    llvm::StringRef keep(llvm::StringRef text)
    {
        for (const std::string &name : names)
            if (name == text)
                return name;
        names.push_back(text.str());
        return names.back();
    }
};

// File and line of an instruction; the unit's file and line 0 without debug information.
Place place_of(const llvm::Instruction &instruction);
// A function that other code than this unit's runs.
bool is_outside(const llvm::Function &function);

// Scan.cpp: inline functions whose body stands in another unit or library too become this unit's
// own: the copy here is instrumented. Those of libc that the model knows stay outside, those of
// other libraries that it knows (inline.def) lose their body and are outside from now on.
void unit_adopt_inline(Unit &unit);
// AtomicCalls.cpp: calls of libatomic become atomic instructions.
void unit_lower_atomic_calls(Unit &unit);
// Scan.cpp: unhandled items, notes, externals, defines, calls.
void unit_scan(Unit &unit);
// UserModel.cpp: reads options.model_file; false and a sentence on stderr when it is malformed.
bool user_model_read(Unit &unit, std::string &error);
// Retarget.cpp: calls of modelled functions to their hooks, racy accesses to theirs.
void unit_retarget_calls(Unit &unit);
void unit_retarget_accesses(Unit &unit);
// Check.cpp: with options.check_private, what runs in front of each access.
void unit_check_accesses(Unit &unit);
// Retarget.cpp: reads options.skip; and afterwards notes what was skipped, or that there was
// nothing.
void unit_skips_read(Unit &unit);
void unit_skips_tell(Unit &unit);
// Entry.cpp: main becomes __palisade_nf_main behind __palisade_start.
void unit_wrap_main(Unit &unit);
// Constructors.cpp: out of the loader's lists; and the call that runs them, at the start of
// nf_main.
void unit_move_constructors(Unit &unit);
void unit_call_constructors(llvm::Module &module, llvm::Function &nf_main);
// Report.cpp
void unit_emit_remarks(Unit &unit);
void unit_emit_note(Unit &unit);
// SummaryNote.cpp: the members of the open object.
void summary_write(llvm::json::OStream &out, const Summary &summary);

} // namespace palisade
#endif
