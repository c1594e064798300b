// The user's own rows: lines `NAME [opaque] CLASS [LOCK]`, `#` starts a comment. They tell the
// analysis what a function of another unit or library does. Only opaque ones have a hook.
#include "Unit.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace llvm;

namespace palisade
{

static const char EXPECTED[] =
    "; expected NAME [opaque] pure|lock|rdlock|try|tryrd|take|unlock|forbidden [LOCK], where LOCK "
    "is the number of an argument (from 0) or @ and a name";

static bool class_by_name(StringRef name, model_class &out)
{
    for (int i = 0; i < MODEL_CLASSES; i++)
        if (name == model_class_name(static_cast<model_class>(i))) {
            out = static_cast<model_class>(i);
            return model_is_lock(out) || out == MODEL_PURE || out == MODEL_FORBIDDEN;
        }
    return false;
}

static bool is_identifier(StringRef name)
{
    return !name.empty() && !isDigit(name.front()) &&
           all_of(name, [](char c) { return isAlnum(c) || c == '_' || c == '$'; });
}

// One line; returns what is wrong with it, or nothing.
static std::string read_row(Unit &unit, SmallVectorImpl<StringRef> &words, model_row &row)
{
    size_t next = 1;
    if (!is_identifier(words[0]))
        return ("'" + words[0] + "' is not the name of a function").str() + EXPECTED;
    if (next < words.size() && words[next] == "opaque") {
        row.opaque = 1;
        next++;
    }
    if (next == words.size())
        return std::string("the class is missing") + EXPECTED;
    if (!class_by_name(words[next], row.class_))
        return ("'" + words[next] + "' is not a class").str() + EXPECTED;
    next++;
    if (next < words.size()) {
        StringRef lock = words[next++];
        if (!model_is_lock(row.class_))
            return ("'" + lock + "': a " + model_class_name(row.class_) + " row names no lock")
                .str();
        if (lock.consume_front("@")) {
            if (!is_identifier(lock))
                return "the name of the lock after @ is missing";
            unit.model_names.push_back("@" + lock.str());
            row.note = unit.model_names.back().c_str();
        } else if (lock.getAsInteger(10, row.lock) || row.lock < 0) {
            return ("'" + lock + "' is neither the number of an argument nor @ and a name").str();
        }
    }
    if (next < words.size())
        return ("'" + words[next] + "' is too much").str() + EXPECTED;
    if (row.opaque && row.class_ != MODEL_LOCK && row.class_ != MODEL_RDLOCK &&
        row.class_ != MODEL_UNLOCK)
        return std::string("only lock, rdlock and unlock can be opaque: the result of a ") +
               model_class_name(row.class_) + " inside the library cannot be foreseen in replay";
    if (row.opaque && row.lock < 0)
        return "an opaque row needs the number of the argument that points to the lock";
    return "";
}

bool user_model_read(Unit &unit, std::string &error)
{
    if (unit.options.model_file.empty())
        return true;
    auto file = MemoryBuffer::getFile(unit.options.model_file, /*IsText=*/true);
    if (!file) {
        error = "model file '" + unit.options.model_file + "': " + file.getError().message();
        return false;
    }
    SmallVector<StringRef, 32> lines;
    StringMap<size_t> seen;
    (*file)->getBuffer().split(lines, '\n');
    for (size_t i = 0; i < lines.size(); i++) {
        SmallVector<StringRef, 4> words;
        SplitString(lines[i].split('#').first, words, " \t\r");
        if (words.empty())
            continue;
        model_row row{"", MODEL_PURE, -1, "", -1, "", 0};
        std::string wrong = read_row(unit, words, row);
        auto [at, fresh] = seen.insert({words[0], i + 1});
        if (wrong.empty() && !fresh)
            wrong = ("'" + words[0] + "' has a row already, in line ").str() +
                    std::to_string(at->second);
        if (!wrong.empty()) {
            error = "model file '" + unit.options.model_file + "', line " + std::to_string(i + 1) +
                    ": " + wrong;
            return false;
        }
        unit.model_names.push_back(words[0].str());
        row.name = unit.model_names.back().c_str();
        if (row.class_ == MODEL_FORBIDDEN)
            row.note = "forbidden by the model file";
        unit.user_rows[row.name] = row;
    }
    return true;
}

} // namespace palisade
