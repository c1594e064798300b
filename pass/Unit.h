// What the pass learns about one translation unit, filled by Scan and Analysis, used by Retarget,
// told by Report.
#ifndef PALISADE_PASS_UNIT_H
#define PALISADE_PASS_UNIT_H

#include "Options.h"
#include "model.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/IR/Module.h"

#include <deque>
#include <string>
#include <vector>

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

struct Unit {
    explicit Unit(llvm::Module &module) : module(module) {}
    llvm::Module &module;
    Options options;

    std::vector<Thread> threads;
    llvm::MapVector<llvm::StringRef, unsigned> locks; // name -> acquisitions; keys in `names`
    std::vector<Variable> variables;
    llvm::MapVector<llvm::StringRef, unsigned> calls; // modelled function -> call sites
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
// Scan.cpp: unhandled items, notes, externals, defines, calls.
void unit_scan(Unit &unit);
// UserModel.cpp: reads options.model_file; false and a sentence on stderr when it is malformed.
bool user_model_read(Unit &unit, std::string &error);
// Retarget.cpp: calls of modelled functions to their hooks, racy accesses to theirs.
void unit_retarget_calls(Unit &unit);
void unit_retarget_accesses(Unit &unit);
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

} // namespace palisade
#endif
