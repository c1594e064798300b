// Decides for every access to shared memory whether it must be logged.
//
// Variables are named globals, their fields (all elements of an array together), and fields of
// heap objects by type. Of a named variable all accesses that happen while another thread may
// exist are compared:
//
//   nobody writes                        init       what main set up before the threads
//   one thread alone is there            private
//   all hold the same lock               covered    the lock's order repeats them: elided
//   else                                 racy       relaxed atomics: logged; the loads of the only
//                                                   thread that writes are its own values: elided
//
// What is atomic or volatile is racy wherever it lies, unless it is named, its address goes
// nowhere, and one thread alone is there.
//
// Objects reached through pointers alone are assumed to be guarded as the program does it: covered
// where a lock is held, private to the thread where none is; both are reported. A field that is
// touched both ways, or under different locks, is racy. What a function does to a block before
// anybody else can know it does not count.
//
// A lock out of an array, or in a heap object, covers what lies in the same element or object: it
// is assumed to be that element's lock.
#include "Escape.h"
#include "Flow.h"
#include "Names.h"
#include "Prepare.h"
#include "Summary.h"
#include "Unit.h"
#include "Words.h"

#include "llvm/ADT/SmallPtrSet.h"
#include "llvm/ADT/Statistic.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/IntrinsicInst.h"

#include <map>

#define DEBUG_TYPE "palisade"

using namespace llvm;

STATISTIC(NumElided, "Accesses elided: a lock covers them");
STATISTIC(NumInit, "Accesses elided: before the threads, or nobody writes afterwards");
STATISTIC(NumPrivate, "Accesses elided: one thread alone");
STATISTIC(NumLogged, "Accesses logged");
STATISTIC(NumAssumed, "Accesses through pointers assumed private or covered");

namespace palisade
{
namespace
{

// One instruction of the original, as the analysis saw it in all its copies.
struct Seen {
    Instruction *at = nullptr;
    bool write = false, block = false;
    bool strict = false;                    // atomic or volatile
    bool threaded = false, certain = false; // in any copy
    bool first = true;                      // no threaded copy joined yet
    bool own = true;                        // in the element its thread was given, all copies
    BitVector held, roots;                  // over the threaded copies
    bool guarded = false;                   // under a lock of the object's own, in some copy
};

struct Found {
    Location location;
    std::map<unsigned, Seen> seen; // by number: in the order of the source
};

// What atomic and volatile accesses are called that reach their word through a bare pointer.
constexpr const char *STRICT_NAME = "(atomic or volatile, through a pointer)";

class Analyser
{
  public:
    explicit Analyser(Unit &unit)
        : unit(unit), prepared(unit.module, unit.options.whole_program), resolver(*prepared.clone),
          namer(*prepared.clone), flow(unit, prepared, resolver, namer), summary(unit, namer)
    {
    }

    void run()
    {
        flow.for_each([&](Instruction &instruction, const State &state) {
            if (isa<LoadInst>(instruction) && instruction.getType()->isPointerTy())
                found_under[&instruction] = state.held;
        });
        flow.for_each(
            [&](Instruction &instruction, const State &state) { visit(instruction, state); });
        add_unvisited();
        summary.finish(flow);
        for (auto &[name, found] : variables)
            classify(name, found);
        for (const Root &root : flow.roots) {
            if (!root.function)
                continue;
            StringRef start = root.function->getName().split('.').first; // see separate_starts
            Thread thread{start.str(), {}, root.many};
            if (root.created)
                thread.created = place_of(*root.created);
            unit.threads.push_back(thread);
        }
    }

  private:
    void visit(Instruction &instruction, const State &state)
    {
        unsigned number;
        if (const Instruction *original = prepared.original(instruction, &number))
            visited.insert(original);
        if (word_pointer(instruction)) {
            note(instruction, state);
        } else if (auto *set = dyn_cast<MemSetInst>(&instruction)) {
            note_block(instruction, state, set->getRawDest(), true, set->getLength());
        } else if (auto *copy = dyn_cast<MemTransferInst>(&instruction)) {
            note_block(instruction, state, copy->getRawDest(), true, copy->getLength());
            note_block(instruction, state, copy->getRawSource(), false, copy->getLength());
        } else if (auto *call = dyn_cast<CallBase>(&instruction)) {
            if (!isa<IntrinsicInst>(call))
                visit_call(*call, state);
        }
    }

    // Functions of libc that are handed named variables: clock_gettime(..., &now).
    void visit_call(CallBase &call, const State &state)
    {
        const Function *callee = call.getCalledFunction();
        const model_row *row =
            callee && is_outside(*callee) ? unit.row(callee->getName()) : nullptr;
        if (!row || model_is_lock(row->class_) || row->class_ == MODEL_FORBIDDEN ||
            row->class_ == MODEL_MEMORY)
            return;
        bool create = start_argument(row->name) >= 0; // only the handle is accessed
        for (unsigned i = 0; i < call.arg_size() && !(create && i > 0); i++) {
            Value *argument = call.getArgOperand(i);
            bool pure = row->class_ == MODEL_PURE; // those that sort look at what they pass on
            if (!argument->getType()->isPointerTy() || (!pure && is_passed_on(call, i)))
                continue;
            for (const Location &location : resolver.resolve(argument))
                if (location.root == Location::Global && !location.global->isConstant())
                    record(call, state, location, writes_argument(*row, i), true,
                           is_whole(*argument) ? UINT32_MAX : 1);
        }
    }

    // The address of a variable itself, not of a field or element.
    static bool is_whole(const Value &pointer)
    {
        return isa<GlobalVariable>(pointer.stripPointerCasts());
    }

    static bool writes_argument(const model_row &row, unsigned argument)
    {
        StringRef name = row.name;
        if (row.class_ == MODEL_EFFECT || row.class_ == MODEL_PACKET_OUT || name == "bind" ||
            name == "setsockopt" || name == "if_nametoindex" || name == "getenv" ||
            name == "nanosleep" || name.starts_with("sig") || name.starts_with("getopt"))
            return false;
        if (row.class_ != MODEL_PURE)
            return true;
        if (name == "inet_pton" || name == "inet_ntop")
            return argument == 2;
        if (name.contains("scanf"))
            return argument >= 2;
        for (StringRef reader : {"strlen", "strnlen", "strcmp", "strncmp", "memcmp", "strcasecmp",
                                 "strncasecmp", "strchr", "strrchr", "strstr", "memchr", "bsearch",
                                 "inet_addr", "inet_ntoa", "atoi", "atol", "atoll", "bcmp"})
            if (name == reader)
                return false;
        return argument == 0 && !name.starts_with("strto");
    }

    void note(Instruction &at, const State &state)
    {
        Value *pointer = word_pointer(at);
        bool hookable = word_refusal(at).empty();
        bool strict = is_strict(at);
        Type *type = isa<LoadInst>(at) ? at.getType() : nullptr;
        if (auto *store = dyn_cast<StoreInst>(&at))
            type = store->getValueOperand()->getType();
        uint64_t bytes = type ? unit.module.getDataLayout().getTypeStoreSize(type) : 1;
        if (!strict)
            hookable &= bytes <= 8;
        for (Location location : resolver.resolve(pointer)) {
            if (strict && location.root == Location::Local && !is_own_local(*pointer))
                location = Location{}; // its address is known elsewhere
            record(at, state, location, !isa<LoadInst>(at), !hookable,
                   hookable || bytes < 16 ? 1 : bytes);
        }
    }

    bool allocates(const CallBase &call) const
    {
        const Function *callee = call.getCalledFunction();
        const model_row *row =
            callee && is_outside(*callee) ? unit.row(callee->getName()) : nullptr;
        return row && row->class_ == MODEL_MEMORY && call.getType()->isPointerTy() &&
               StringRef(row->name) != "realloc" && StringRef(row->name) != "reallocarray";
    }

    // A lock that is held is the object's own when it lies in an object of the same type, or of one
    // that such objects begin with, or when the object was found under it. That others are held,
    // too, means nothing.
    bool is_guarded(Instruction &copy, const State &state, const Location &location)
    {
        const Value *pointer = word_pointer(copy);
        if (location.root != Location::Heap || !pointer || state.held.none())
            return false;
        for (const std::string &object : namer.objects(*location.type))
            for (unsigned lock : state.held.set_bits())
                if (StringRef(flow.lock_names[lock]).starts_with(object))
                    return true;
        for (const Value *base : bases_of(*pointer)) {
            auto under = found_under.find(base);
            if (under != found_under.end() && under->second.anyCommon(state.held))
                return true;
        }
        return false;
    }

    // In the clone: nobody else can know the block yet.
    bool is_fresh_access(Instruction &copy)
    {
        auto fresh = [&](const Value *pointer) {
            return is_fresh(*pointer, copy, [&](const CallBase &call) { return allocates(call); });
        };
        if (const Value *pointer = word_pointer(copy))
            return fresh(pointer);
        auto *block = dyn_cast<MemIntrinsic>(&copy);
        return block && fresh(block->getRawDest()) &&
               (!isa<MemTransferInst>(block) ||
                fresh(cast<MemTransferInst>(block)->getRawSource()) ||
                is_own_local(*cast<MemTransferInst>(block)->getRawSource()) ||
                isa<Constant>(cast<MemTransferInst>(block)->getRawSource()));
    }

    // Atomic and volatile accesses where the analysis thinks that nobody comes: be careful.
    void add_unvisited()
    {
        unsigned number = prepared.originals.size();
        for (Function &function : unit.module)
            for (Instruction &instruction : instructions(function)) {
                if (!is_strict(instruction) || visited.contains(&instruction) ||
                    is_outside(function))
                    continue;
                Seen &seen = variables[STRICT_NAME].seen[number++];
                seen.at = &instruction;
                seen.strict = seen.threaded = true;
                seen.first = false;
                seen.write = !isa<LoadInst>(instruction);
                seen.block = !word_refusal(instruction).empty();
                seen.held.resize(flow.lock_names.size());
                seen.roots.resize(flow.roots.size());
                seen.roots.set(flow.roots.size() - 1);
            }
    }

    void note_block(Instruction &at, const State &state, Value *pointer, bool write, Value *length)
    {
        auto *constant = dyn_cast<ConstantInt>(length);
        uint64_t bytes = constant ? constant->getZExtValue() : 1;
        for (const Location &location : resolver.resolve(pointer))
            record(at, state, location, write, true, bytes);
    }

    void record(Instruction &copy, const State &state, const Location &location, bool write,
                bool block, uint64_t bytes)
    {
        unsigned number;
        Instruction *original = prepared.original(copy, &number);
        if (!original || location.root == Location::Local)
            return;
        bool strict = is_strict(copy);
        if (location.root == Location::Global &&
            (location.global->isConstant() || (location.global->isThreadLocal() && !strict) ||
             is_libc(*location.global)))
            return;
        bool nameless = strict && location.root == Location::Unknown;
        std::string name = nameless ? STRICT_NAME : namer.name(location, bytes);
        bool fresh = location.root != Location::Global && is_fresh_access(copy);
        summary.use(copy, name, location, write, block && !is_small_block(*original), fresh);
        Found &found = variables[name];
        found.location = location;
        Seen &seen = found.seen[number];
        seen.at = original;
        seen.write |= write;
        seen.block |= block;
        seen.strict |= strict;
        if (!state.threaded || fresh)
            return;
        if (seen.first) {
            seen.held = state.covering(write);
            seen.roots = flow.roots_of(*copy.getFunction());
        } else {
            seen.held &= state.covering(write);
            seen.roots |= flow.roots_of(*copy.getFunction());
        }
        seen.guarded |= is_guarded(copy, state, location);
        seen.first = false;
        seen.own &= location.own;
        seen.threaded = true;
        seen.certain |= state.certain;
    }

    // Variables of libc that programs read: set once, or by functions the model knows.
    static bool is_libc(const GlobalVariable &global)
    {
        if (!global.isDeclaration())
            return false;
        for (StringRef name : {"stdin", "stdout", "stderr", "environ", "optarg", "optind", "opterr",
                               "optopt", "program_invocation_name", "program_invocation_short_name",
                               "in6addr_any", "in6addr_loopback", "timezone", "daylight", "tzname"})
            if (global.getName() == name)
                return true;
        return false;
    }

    // One names the other or a part of it: "stats" and "stats.dropped".
    static bool overlap(StringRef a, StringRef b)
    {
        if (a.size() > b.size())
            std::swap(a, b);
        return b.starts_with(a) &&
               (a.size() == b.size() || b[a.size()] == '.' || b[a.size()] == '[');
    }

    // A lock of an array's element guards that element; one in some heap object no global.
    bool eligible(unsigned lock, StringRef variable) const
    {
        StringRef name = flow.lock_names[lock];
        if (name.starts_with("("))
            return variable.starts_with("(");
        size_t bracket = name.rfind("[]");
        return bracket == StringRef::npos || variable.starts_with("(") ||
               variable.starts_with(name.take_front(bracket + 2));
    }

    std::string lock_text(const BitVector &held) const
    {
        int first = held.find_first();
        return first < 0 ? "" : flow.lock_names[first];
    }

    bool shared(const BitVector &roots) const
    {
        if (roots.count() > 1)
            return true;
        int root = roots.find_first();
        return root >= 0 && flow.roots[root].many;
    }

    // Not assuming threads of other units.
    bool meets(BitVector roots) const
    {
        roots.reset(flow.roots.size() - 1);
        return shared(roots);
    }

    void classify(const std::string &name, Found &found)
    {
        bool global = found.location.root == Location::Global;
        Variable variable;
        variable.name = name;
        variable.external =
            global && !found.location.global->hasLocalLinkage() && !unit.options.whole_program;

        // Everything that touches the same bytes while threads exist.
        BitVector common(flow.lock_names.size(), true), roots(flow.roots.size()),
            writers(flow.roots.size());
        bool any = false, written = false, stored = false, own = true;
        bool blind = false; // a write that no hook sees
        const Seen *strict = nullptr;
        const Seen *bare = nullptr; // an access without an eligible lock
        for (auto &[other_name, other] : variables) {
            if (!overlap(name, other_name))
                continue;
            for (auto &[number, seen] : other.seen) {
                stored |= seen.write;
                if (seen.strict)
                    strict = &seen;
                if (!seen.threaded)
                    continue;
                any = true;
                own &= seen.own;
                common &= seen.held;
                roots |= seen.roots;
                if (seen.write) {
                    written = true;
                    blind |= seen.block && !is_small_block(*seen.at);
                    writers |= seen.roots;
                }
                // The store tells a person more than one of many loads.
                if (lock_for(seen.held, name) < 0 && (!bare || (seen.write && !bare->write)))
                    bare = &seen;
            }
        }
        int lock = any ? lock_for(common, name) : -1;
        if (const Plan::Variable *planned = unit.plan.variable(name))
            classify_planned(variable, found, *planned);
        else if (global && own && any && written && roots.count() == 1 && !variable.external &&
                 !strict)
            classify_own(variable, found);
        else if (global)
            classify_global(variable, found, lock, any, written, stored, strict, roots, writers,
                            bare, blind);
        else
            classify_heap(variable, found, lock, any, written, strict, roots, blind);
        unit.variables.push_back(std::move(variable));
    }

    int lock_for(const BitVector &held, StringRef variable) const
    {
        for (unsigned lock : held.set_bits())
            if (eligible(lock, variable))
                return static_cast<int>(lock);
        return -1;
    }

    Access &add(Variable &variable, unsigned number, const Seen &seen, Fate fate)
    {
        Access access;
        access.at = seen.at;
        access.order = number;
        access.write = seen.write;
        access.block = seen.block;
        access.fate = fate;
        if (seen.threaded)
            access.lock = lock_text(seen.held);
        access.place = place_of(*seen.at);
        access.function = seen.at->getFunction()->getName().str();
        variable.accesses.push_back(access);
        switch (fate) {
        case Fate::Logged:
            NumLogged++;
            break;
        case Fate::Elided:
            NumElided++;
            break;
        case Fate::Init:
        case Fate::ReadOnly:
            NumInit++;
            break;
        case Fate::Private:
            NumPrivate++;
            break;
        default:
            NumAssumed++;
        }
        return variable.accesses.back();
    }

    void classify_global(Variable &variable, Found &found, int lock, bool any, bool written,
                         bool stored, const Seen *strict, const BitVector &roots,
                         const BitVector &writers, const Seen *bare, bool blind)
    {
        Fate fate = Fate::Logged;
        bool known = strict && any && !is_own_global(*found.location.global); // by its address
        if (known) {
            variable.class_ = "racy";
            variable.why = strict_text(*strict);
        } else if (!stored && !variable.external) {
            variable.class_ = "read-only";
            fate = Fate::ReadOnly;
        } else if (!any || (!written && !variable.external)) {
            variable.class_ = "init";
            fate = Fate::Init;
        } else if (!shared(roots) && !variable.external) {
            variable.class_ = "private";
            fate = Fate::Private;
        } else if (lock >= 0 && !strict && !variable.external) {
            variable.class_ = "covered";
            variable.lock = flow.lock_names[lock];
            fate = Fate::Elided;
        } else {
            variable.class_ = "racy";
            variable.why = strict      ? strict_text(*strict)
                           : lock >= 0 ? "other units of the program may touch it without " +
                                             flow.lock_names[lock]
                           : bare ? "no lock is held at " + where(*bare)
                                  : "its accesses share no lock";
        }
        bool own = !variable.external && writers.count() == 1 && !shared(writers);
        for (auto &[number, seen] : found.seen) {
            if (fate != Fate::Logged) {
                Access &access = add(variable, number, seen,
                                     seen.threaded || fate != Fate::Elided ? fate : Fate::Init);
                if (access.fate == Fate::Elided)
                    access.lock = variable.lock;
                continue;
            }
            if (!seen.threaded)
                add(variable, number, seen, Fate::Init);
            else if (own && !seen.write && seen.roots == writers && !seen.strict)
                add(variable, number, seen, Fate::Private); // reads what it wrote itself
            else
                add_racy(variable, number, seen, meets(roots), blind);
        }
    }

    // pthread_create(..., work, &workers[i]): only through that argument, only by those threads.
    void classify_own(Variable &variable, Found &found)
    {
        variable.class_ = "assumed-private";
        variable.why = "each thread has its own element";
        for (auto &[number, seen] : found.seen)
            add(variable, number, seen, seen.threaded ? Fate::AssumedPrivate : Fate::Init);
    }

    // The class is that of the whole program, the same in all its units: what one unit logs, no
    // other may elide.
    void classify_planned(Variable &variable, Found &found, const Plan::Variable &planned)
    {
        variable.class_ = planned.class_;
        variable.lock = planned.lock;
        variable.why = planned.why;
        variable.external = false;
        for (auto &[number, seen] : found.seen) {
            if (planned.class_ == "read-only")
                add(variable, number, seen, Fate::ReadOnly);
            else if (planned.class_ == "init" || planned.class_ == "assumed-init" || !seen.threaded)
                add(variable, number, seen, Fate::Init);
            else if (planned.class_ == "racy")
                add_racy(variable, number, seen, planned.meet, planned.blind);
            else if (planned.class_ == "private")
                add(variable, number, seen, Fate::Private);
            else if (planned.class_ == "covered")
                add(variable, number, seen, Fate::Elided).lock = planned.lock;
            else
                add(variable, number, seen,
                    planned.class_ == "assumed-private" && seen.held.none() ? Fate::AssumedPrivate
                                                                            : Fate::AssumedCovered);
        }
    }

    static std::string strict_text(const Seen &seen)
    {
        return seen.at->isAtomic() ? "it is atomic" : "it is volatile";
    }

    // `meet`: several threads of this unit, or of a plan, come there. `mixed`: somebody writes to
    // it without a hook, so that a load cannot tell whom it depends on.
    void add_racy(Variable &variable, unsigned number, const Seen &seen, bool meet, bool mixed)
    {
        if (seen.block && !is_small_block(*seen.at)) {
            add_block(variable, number, seen, meet);
            return;
        }
        Access &access = add(variable, number, seen, Fate::Logged);
        access.block = false; // word by word
        access.mixed = mixed;
    }

    // No hook logs a block. Under a lock it is assumed covered; without one it stands in the way,
    // if threads of this unit are known to meet there.
    void add_block(Variable &variable, unsigned number, const Seen &seen, bool meet)
    {
        if (seen.held.any()) {
            add(variable, number, seen, Fate::AssumedCovered);
            return;
        }
        add(variable, number, seen, Fate::AssumedPrivate);
        if (seen.certain && meet)
            unit.unhandled.push_back({"block",
                                      (seen.write ? "write of " : "read of ") + variable.name +
                                          " as a whole, without a lock that all its accesses share",
                                      place_of(*seen.at),
                                      "guard it with a mutex, or access its fields one by one",
                                      seen.at});
    }

    void classify_heap(Variable &variable, Found &found, int lock, bool any, bool written,
                       const Seen *strict, const BitVector &roots, bool blind)
    {
        bool locked = false, bare = false;
        for (auto &[number, seen] : found.seen) {
            locked |= seen.threaded && seen.guarded;
            bare |= seen.threaded && seen.held.none();
        }
        bool nameless = found.location.root == Location::Unknown; // many things, mostly private
        bool strict_only = nameless && strict;                    // those have a name of their own
        bool mixed = any && written && lock < 0 && locked && !nameless && shared(roots);
        /* The same field may have another name elsewhere, so who comes here does not tell. */
        if (any && (mixed || (strict && (!nameless || strict_only)))) {
            variable.class_ = "racy";
            variable.why = strict ? strict_text(*strict)
                           : bare ? "touched both with and without a lock"
                                  : "touched under different locks";
            /* Another unit may touch it under a lock, and log nothing. */
            bool unseen = mixed && !strict && !unit.options.whole_program;
            for (auto &[number, seen] : found.seen)
                if (!seen.threaded)
                    add(variable, number, seen, Fate::Init);
                else
                    add_racy(variable, number, seen, meets(roots), blind || unseen);
            return;
        }
        if (!any || !written) {
            variable.class_ = "assumed-init";
        } else if (lock >= 0) {
            variable.class_ = "assumed-covered";
            variable.lock = flow.lock_names[lock];
        } else {
            variable.class_ = "assumed-private";
        }
        for (auto &[number, seen] : found.seen)
            add(variable, number, seen,
                !seen.threaded || variable.class_ == "assumed-init" ? Fate::Init
                : seen.held.any()                                   ? Fate::AssumedCovered
                                                                    : Fate::AssumedPrivate);
    }

    static std::string where(const Seen &seen)
    {
        Place place = place_of(*seen.at);
        return place.file + ":" + std::to_string(place.line);
    }

    Unit &unit;
    Prepared prepared;
    Resolver resolver;
    Namer namer;
    Flow flow;
    Summariser summary;
    std::map<std::string, Found> variables;
    SmallPtrSet<const Instruction *, 32> visited;   // originals
    DenseMap<const Value *, BitVector> found_under; // locks held at loads of pointers
};

} // namespace

void unit_analyse(Unit &unit)
{
    Analyser(unit).run();
}

} // namespace palisade
