#include "Names.h"

#include "llvm/BinaryFormat/Dwarf.h"
#include "llvm/IR/DebugInfo.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/Intrinsics.h"
#include "llvm/IR/Operator.h"

using namespace llvm;

namespace palisade
{

static constexpr size_t LOCATIONS_MAX = 8; // of one pointer; beyond, it leads anywhere

int start_argument(StringRef name)
{
    return name == "pthread_create" ? 2 : name == "thrd_create" ? 1 : -1;
}

bool is_thread_create(const CallBase &call)
{
    const Function *callee = call.getCalledFunction();
    int start = callee ? start_argument(callee->getName()) : -1;
    return start >= 0 && call.arg_size() == static_cast<unsigned>(start) + 2;
}

SmallVector<CallBase *, 8> thread_creates(Module &module)
{
    SmallVector<CallBase *, 8> out;
    for (StringRef name : {"pthread_create", "thrd_create"})
        if (Function *create = module.getFunction(name))
            for (User *user : create->users()) // use lists run backwards
                if (auto *call = dyn_cast<CallBase>(user))
                    if (call->getCalledFunction() == create && is_thread_create(*call))
                        out.push_back(call);
    return out;
}

// The map that collectOffset fills is of another type in each LLVM.
template <class Map>
static Map third_of(bool (GEPOperator::*)(const DataLayout &, unsigned, Map &, APInt &) const);

std::optional<Step> step_of(const GEPOperator &gep, const DataLayout &layout)
{
    APInt constant(layout.getIndexTypeSizeInBits(gep.getType()), 0);
    decltype(third_of(&GEPOperator::collectOffset)) variable;
    if (!gep.collectOffset(layout, constant.getBitWidth(), variable, constant))
        return std::nullopt;
    Step out;
    out.constant = constant.getSExtValue();
    for (const auto &[index, scale] : variable)
        if (!scale.isZero())
            out.variable.push_back({index, scale.getSExtValue()});
    return out;
}

Resolver::Resolver(Module &module) : layout(module.getDataLayout())
{
    for (CallBase *call : thread_creates(module)) {
        unsigned start = start_argument(call->getCalledFunction()->getName());
        handed_over.insert(call->getArgOperand(start + 1)->stripInBoundsOffsets());
    }
}

void Resolver::add(Locations &out, const Location &location)
{
    if (is_contained(out, location))
        return;
    out.push_back(out.size() < LOCATIONS_MAX ? location : Location{});
}

// Without the number that LLVM adds where two units, or two blocks, declare the same name.
static StringRef plain_name(const StructType &type)
{
    StringRef name = type.getName();
    name.consume_front("struct.") || name.consume_front("union.");
    return name.split('.').first;
}

// Nobody knows a nameless struct by its number, or a lock by its type.
static bool is_known(const StructType &type)
{
    return type.hasName() && !type.getName().contains(".anon") &&
           !type.getName().starts_with("union.pthread");
}

static bool is_same(const StructType &a, const StructType &b)
{
    return &a == &b || (is_known(a) && is_known(b) && plain_name(a) == plain_name(b));
}

// What is at `offset` of `outer` may be what is at `inner_offset` of an `inner` there.
static bool lies_in(const StructType &inner, Type *outer, uint64_t offset, uint64_t inner_offset,
                    const DataLayout &layout)
{
    for (;;) {
        if (auto *array = dyn_cast<ArrayType>(outer)) {
            outer = array->getElementType();
            uint64_t size = layout.getTypeAllocSize(outer);
            offset = size ? offset % size : 0;
            continue;
        }
        auto *structure = dyn_cast<StructType>(outer);
        if (structure && is_same(*structure, inner) && offset == inner_offset)
            return true;
        if (!structure || structure->isOpaque() || structure->getNumElements() == 0)
            return false;
        const StructLayout *fields = layout.getStructLayout(structure);
        if (offset >= fields->getSizeInBytes())
            return false;
        unsigned field = fields->getElementContainingOffset(offset);
        offset -= fields->getElementOffset(field);
        outer = structure->getElementType(field);
    }
}

bool may_be_same(const Location &a, const Location &b, const DataLayout &layout)
{
    auto covers = [&](const Location &outer, const Location &inner) {
        if (inner.root != Location::Heap)
            return false;
        Type *type = outer.root == Location::Heap     ? outer.type
                     : outer.root == Location::Global ? outer.global->getValueType()
                                                      : nullptr;
        return type && lies_in(*inner.type, type, outer.offset, inner.offset, layout);
    };
    return covers(a, b) || covers(b, a);
}

// The struct at a bare pointer, by the steps from it: the one that begins with all others.
static StructType *struct_at(Value &pointer, const DataLayout &layout)
{
    StructType *best = nullptr;
    if (isa<Constant>(pointer)) // its uses stand in all functions
        return nullptr;
    for (User *user : pointer.users()) {
        auto *gep = dyn_cast<GEPOperator>(user);
        StructType *type =
            gep && gep->getPointerOperand() == &pointer ? stepped_into(*gep) : nullptr;
        if (!type || type == best)
            continue;
        if (!best || lies_in(*best, type, 0, 0, layout))
            best = type;
        else if (!lies_in(*type, best, 0, 0, layout))
            return nullptr;
    }
    return best;
}

Locations Resolver::resolve_lock(Value *pointer)
{
    Locations out = resolve(pointer);
    if (out.size() == 1 && out[0].root == Location::Unknown)
        if (StructType *type = struct_at(*pointer, layout))
            out[0] = {Location::Heap, nullptr, type, 0};
    return out;
}

Locations Resolver::resolve(Value *pointer)
{
    auto found = known.find(pointer);
    if (found != known.end())
        return found->second;
    visited.clear();
    Locations out;
    walk(pointer, out);
    known[pointer] = out;
    return out;
}

static Type *element_of(Type *type)
{
    while (auto *array = dyn_cast<ArrayType>(type))
        type = array->getElementType();
    return type;
}

StructType *stepped_into(const GEPOperator &gep)
{
    Type *type = element_of(gep.getSourceElementType());
    auto *structure = dyn_cast<StructType>(type);
    return structure && is_known(*structure) ? structure : nullptr;
}

// stripPointerCasts would drop the step to a first member, which alone tells the struct.
static Value *without_casts(Value *value)
{
    while (isa<BitCastOperator>(value) || isa<AddrSpaceCastOperator>(value))
        value = cast<Operator>(value)->getOperand(0);
    return value;
}

void Resolver::walk(Value *value, Locations &out)
{
    value = without_casts(value);
    if (isa<ConstantPointerNull>(value) || isa<UndefValue>(value))
        return;
    if (auto *global = dyn_cast<GlobalVariable>(value)) {
        add(out, {Location::Global, global, nullptr, 0});
        return;
    }
    if (auto *alias = dyn_cast<GlobalAlias>(value)) {
        walk(alias->getAliasee(), out);
        return;
    }
    if (isa<Constant>(value) && !isa<ConstantExpr>(value)) {
        add(out, Location{});
        return;
    }
    // A loop's pointer leads where it started: its steps stay within an array.
    if (!visited.insert(value).second)
        return;
    if (auto *gep = dyn_cast<GEPOperator>(value)) {
        std::optional<Step> step = step_of(*gep, layout);
        // A struct that is the first member of another has its own name: not all that reach it
        // know the other.
        Value *from = gep->getPointerOperand();
        if (stepped_into(*gep))
            from = from->stripPointerCasts();
        Locations bases;
        walk(from, bases);
        for (Location base : bases) {
            if (!step)
                base = Location{};
            else if (base.root == Location::Unknown)
                base = stepped_into(*gep)
                           ? Location{Location::Heap, nullptr, stepped_into(*gep), step->constant}
                           : Location{};
            else
                base.offset += step->constant;
            add(out, base);
        }
    } else if (auto *alloca_ = dyn_cast<AllocaInst>(value)) {
        auto *type = dyn_cast<StructType>(alloca_->getAllocatedType());
        if (type && type->hasName() && handed_over.contains(alloca_))
            add(out, {Location::Heap, nullptr, type, 0});
        else
            add(out, {Location::Local, nullptr, nullptr, 0});
    } else if (auto *phi = dyn_cast<PHINode>(value)) {
        for (Value *incoming : phi->incoming_values())
            walk(incoming, out);
    } else if (auto *select = dyn_cast<SelectInst>(value)) {
        walk(select->getTrueValue(), out);
        walk(select->getFalseValue(), out);
    } else if (auto *argument = dyn_cast<Argument>(value)) {
        walk_argument(*argument, out);
    } else if (auto *call = dyn_cast<CallBase>(value)) {
        if (call->getIntrinsicID() == Intrinsic::threadlocal_address)
            add(out, {Location::Local, nullptr, nullptr, 0});
        else
            walk_result(*call, out);
    } else {
        add(out, Location{});
    }
}

void Resolver::walk_argument(Argument &argument, Locations &out)
{
    Function &function = *argument.getParent();
    if (!function.hasLocalLinkage()) {
        add(out, Location{});
        return;
    }
    for (Use &use : function.uses()) {
        auto *call = dyn_cast<CallBase>(use.getUser());
        bool creates = call && is_thread_create(*call);
        int start = creates ? start_argument(call->getCalledFunction()->getName()) : -1;
        if (call && call->isCallee(&use) && argument.getArgNo() < call->arg_size())
            walk(call->getArgOperand(argument.getArgNo()), out);
        else if (creates && use.getOperandNo() == static_cast<unsigned>(start))
            walk_handed(*call->getArgOperand(start + 1), out);
        else
            add(out, Location{});
    }
}

// What a thread is given at its creation. One element of an array, chosen by a variable, is taken
// as that thread's own.
void Resolver::walk_handed(Value &handed, Locations &out)
{
    Locations found;
    walk(&handed, found);
    auto *gep = dyn_cast<GEPOperator>(handed.stripPointerCasts());
    bool element = gep && !gep->hasAllConstantIndices();
    for (Location location : found) {
        location.own = element && location.root == Location::Global;
        add(out, location);
    }
}

void Resolver::walk_result(CallBase &call, Locations &out)
{
    if (Value *returned = call.getReturnedArgOperand()) {
        walk(returned, out);
        return;
    }
    Function *callee = call.getCalledFunction();
    if (!callee || callee->isDeclaration() || !callee->hasLocalLinkage()) {
        add(out, Location{});
        return;
    }
    for (BasicBlock &block : *callee)
        if (auto *exit = dyn_cast<ReturnInst>(block.getTerminator()))
            walk(exit->getReturnValue(), out);
}

// ---- names ----

Namer::Namer(Module &module) : layout(module.getDataLayout())
{
    DebugInfoFinder finder;
    finder.processModule(module);
    for (const DIType *type : finder.types()) {
        if (type->getName().empty())
            continue;
        if (auto *composite = dyn_cast<DICompositeType>(type)) {
            if (!composite->isForwardDecl())
                types[composite->getName()] = composite;
        } else if (auto *derived = dyn_cast<DIDerivedType>(type)) {
            if (derived->getTag() == dwarf::DW_TAG_typedef && !types.count(derived->getName()))
                if (auto *base = dyn_cast_or_null<DICompositeType>(derived->getBaseType()))
                    if (base->getName().empty())
                        types[derived->getName()] = base;
        }
    }
}

// Lock types are whole: nobody names their insides.
static bool is_opaque(StringRef name)
{
    return name.starts_with("pthread_") || name == "sem_t" || name == "mtx_t" || name == "cnd_t";
}

std::string Namer::path(const DIType *type, uint64_t offset, uint64_t bytes)
{
    while (auto *derived = dyn_cast_or_null<DIDerivedType>(type)) {
        unsigned tag = derived->getTag();
        if (tag == dwarf::DW_TAG_typedef && is_opaque(derived->getName()))
            return "";
        if (tag != dwarf::DW_TAG_typedef && tag != dwarf::DW_TAG_const_type &&
            tag != dwarf::DW_TAG_volatile_type && tag != dwarf::DW_TAG_atomic_type &&
            tag != dwarf::DW_TAG_restrict_type && tag != dwarf::DW_TAG_member)
            return "";
        type = derived->getBaseType();
    }
    auto *composite = dyn_cast_or_null<DICompositeType>(type);
    if (!composite)
        return "";
    if (composite->getTag() == dwarf::DW_TAG_array_type) {
        uint64_t whole = composite->getSizeInBits() / 8;
        const DIType *element = composite->getBaseType();
        uint64_t size = 0;
        for (const DIType *t = element; t && size == 0;) {
            size = t->getSizeInBits() / 8;
            auto *derived = dyn_cast<DIDerivedType>(t);
            t = derived ? derived->getBaseType() : nullptr;
        }
        if (size == 0 || (bytes != 0 && bytes >= whole && bytes > size))
            return "";
        return "[]" + path(element, offset % size, bytes);
    }
    if (bytes != 0 && offset == 0 && bytes >= composite->getSizeInBits() / 8)
        return ""; // the whole object
    for (const DINode *node : composite->getElements()) {
        auto *member = dyn_cast<DIDerivedType>(node);
        if (!member || member->getTag() != dwarf::DW_TAG_member || member->isStaticMember())
            continue;
        uint64_t from = member->getOffsetInBits() / 8;
        uint64_t size = (member->getSizeInBits() + 7) / 8;
        if (member->isBitField()) { // the storage unit is shared: name its first field
            from = member->getStorageOffsetInBits()
                       ? cast<ConstantInt>(member->getStorageOffsetInBits())->getZExtValue() / 8
                       : from;
            size = size > bytes ? size : bytes;
        }
        if (offset < from || offset >= from + size)
            continue;
        std::string name = member->getName().str();
        return (name.empty() ? "" : "." + name) + path(member->getBaseType(), offset - from, bytes);
    }
    return "";
}

std::string Namer::path(Type *type, uint64_t offset, uint64_t bytes)
{
    if (bytes == 0 || bytes > 8) // a lock or a block: a union of libc, or the whole
        if (auto *structure = dyn_cast<StructType>(type))
            if (structure->hasName() &&
                (structure->getName().starts_with("union.pthread") ||
                 (bytes != 0 && offset == 0 && bytes >= layout.getTypeStoreSize(type))))
                return "";
    if (auto *structure = dyn_cast<StructType>(type)) {
        // A variable of another unit has no description here, but its struct may have.
        auto described = structure->hasName() ? types.find(plain_name(*structure)) : types.end();
        if (described != types.end())
            return path(described->second, offset, bytes);
        const StructLayout *fields = layout.getStructLayout(structure);
        if (structure->getNumElements() == 0 || offset >= fields->getSizeInBytes())
            return "";
        unsigned index = fields->getElementContainingOffset(offset);
        return "." + std::to_string(index) +
               path(structure->getElementType(index), offset - fields->getElementOffset(index),
                    bytes);
    }
    if (auto *array = dyn_cast<ArrayType>(type)) {
        uint64_t size = layout.getTypeAllocSize(array->getElementType());
        if (size == 0 || (bytes > size && bytes >= layout.getTypeStoreSize(type)))
            return "";
        return "[]" + path(array->getElementType(), offset % size, bytes);
    }
    return "";
}

std::string Namer::name(const Location &location, uint64_t bytes)
{
    uint64_t offset = location.offset < 0 ? 0 : static_cast<uint64_t>(location.offset);
    if (location.root == Location::Global) {
        SmallVector<DIGlobalVariableExpression *, 1> described;
        location.global->getDebugInfo(described);
        std::string name = location.global->getName().str();
        if (!described.empty() && described[0]->getVariable()->getType())
            return name + path(described[0]->getVariable()->getType(), offset, bytes);
        return name + path(location.global->getValueType(), offset, bytes);
    }
    if (location.root == Location::Heap) {
        StringRef name = plain_name(*location.type);
        uint64_t size = layout.getTypeAllocSize(location.type);
        if (size != 0)
            offset %= size;
        std::string shown = "(struct " + name.str() + ")";
        return shown + path(location.type, offset, bytes);
    }
    return "(through a pointer)";
}

SmallVector<std::string, 2> Namer::objects(StructType &type)
{
    SmallVector<std::string, 2> out;
    for (Type *first = &type;;) {
        first = element_of(first);
        auto *structure = dyn_cast<StructType>(first);
        if (!structure)
            return out;
        if (structure == &type || is_known(*structure))
            out.push_back("(struct " + plain_name(*structure).str() + ")");
        if (structure->getNumElements() == 0)
            return out;
        first = structure->getElementType(0);
    }
}

} // namespace palisade
