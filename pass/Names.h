// Where a pointer leads, and what a person calls that place.
#ifndef PALISADE_PASS_NAMES_H
#define PALISADE_PASS_NAMES_H

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SmallPtrSet.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/IR/DebugInfoMetadata.h"
#include "llvm/IR/DerivedTypes.h"
#include "llvm/IR/GlobalVariable.h"
#include "llvm/IR/InstrTypes.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/Operator.h"

#include <optional>
#include <string>

namespace palisade
{

// The argument of a function that creates threads where the new one starts; -1: it creates none.
int start_argument(llvm::StringRef name);
// Such a call, with the arguments it ought to have: configure scripts make others.
bool is_thread_create(const llvm::CallBase &call);
// All of them, the last first.
llvm::SmallVector<llvm::CallBase *, 8> thread_creates(llvm::Module &module);

// What a step of pointer arithmetic adds: bytes, and bytes for each of a variable's ones.
struct Step {
    int64_t constant = 0;
    llvm::SmallVector<std::pair<llvm::Value *, int64_t>, 2> variable;
};
std::optional<Step> step_of(const llvm::GEPOperator &gep, const llvm::DataLayout &layout);
// The struct that `gep` steps into, for pointers of which nothing else is known; or null.
llvm::StructType *stepped_into(const llvm::GEPOperator &gep);

struct Location {
    enum Root { Global, Heap, Local, Unknown } root = Unknown;
    const llvm::GlobalVariable *global = nullptr; // Global
    llvm::StructType *type = nullptr;             // Heap: objects are told apart by type only
    int64_t offset = 0;                           // variable array indexes count as 0
    bool own = false; // in the element that the thread was given when it was created

    bool operator==(const Location &other) const
    {
        return root == other.root && global == other.global && type == other.type &&
               offset == other.offset && own == other.own;
    }
};
using Locations = llvm::SmallVector<Location, 2>;

// Two names of locks may be names of one: a struct has the one, and lies in what has the other.
bool may_be_same(const Location &a, const Location &b, const llvm::DataLayout &layout);

// Follows pointers through arithmetic, phis, arguments and results of functions whose calls are
// all known. `starts` are the pthread_create calls, whose argument becomes the thread's.
class Resolver
{
  public:
    explicit Resolver(llvm::Module &module);
    Locations resolve(llvm::Value *pointer);
    // Of a lock: one that is handed over as a bare pointer is the first member of the struct that
    // is at that pointer elsewhere in the function.
    Locations resolve_lock(llvm::Value *pointer);

  private:
    void walk(llvm::Value *value, Locations &out);
    void walk_argument(llvm::Argument &argument, Locations &out);
    void walk_result(llvm::CallBase &call, Locations &out);
    void walk_handed(llvm::Value &handed, Locations &out);
    void add(Locations &out, const Location &location);

    const llvm::DataLayout &layout;
    llvm::SmallPtrSet<llvm::Value *, 16> visited;
    llvm::DenseMap<llvm::Value *, Locations> known;
    llvm::SmallPtrSet<const llvm::Value *, 8> handed_over; // allocas given to a thread
};

// "table.buckets[].first", "(struct mapping).expires"; field numbers without debug information.
class Namer
{
  public:
    explicit Namer(llvm::Module &module);
    // `bytes`: size of the access; 0: as deep as a lock lies.
    std::string name(const Location &location, uint64_t bytes);
    // "(struct mapping)", and the same of the structs that such an object begins with.
    llvm::SmallVector<std::string, 2> objects(llvm::StructType &type);

  private:
    std::string path(const llvm::DIType *type, uint64_t offset, uint64_t bytes);
    std::string path(llvm::Type *type, uint64_t offset, uint64_t bytes);

    const llvm::DataLayout &layout;
    llvm::StringMap<const llvm::DIType *> types; // by name, structs and typedefs of structs
};

} // namespace palisade
#endif
