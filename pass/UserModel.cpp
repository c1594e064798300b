// The user's own rows: lines `NAME CLASS [LOCK-ARGUMENT]`, `#` starts a comment. They have no hook:
// they tell the analysis what a function of another unit or library does.
#include "Unit.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace llvm;

namespace palisade
{

static bool class_by_name(StringRef name, model_class &out)
{
    for (int i = 0; i < MODEL_CLASSES; i++)
        if (name == model_class_name(static_cast<model_class>(i))) {
            out = static_cast<model_class>(i);
            return out == MODEL_LOCK || out == MODEL_TRY || out == MODEL_UNLOCK ||
                   out == MODEL_PURE || out == MODEL_FORBIDDEN;
        }
    return false;
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
    (*file)->getBuffer().split(lines, '\n');
    for (size_t i = 0; i < lines.size(); i++) {
        SmallVector<StringRef, 4> words;
        lines[i].split('#').first.split(words, ' ', -1, /*KeepEmpty=*/false);
        if (words.empty())
            continue;
        model_row row{"", MODEL_PURE, -1, "", -1, "forbidden by the model file"};
        bool good =
            words.size() >= 2 && words.size() <= 3 && class_by_name(words[1].trim(), row.class_);
        if (good && words.size() == 3)
            good = !words[2].trim().getAsInteger(10, row.lock) && row.lock >= 0;
        if (!good) {
            error = "model file '" + unit.options.model_file + "', line " + std::to_string(i + 1) +
                    ": expected NAME pure|lock|try|unlock|forbidden [LOCK-ARGUMENT]";
            return false;
        }
        unit.model_names.push_back(words[0].trim().str());
        row.name = unit.model_names.back().c_str();
        if (row.class_ == MODEL_PURE)
            row.note = "";
        unit.user_rows[row.name] = row;
    }
    return true;
}

} // namespace palisade
