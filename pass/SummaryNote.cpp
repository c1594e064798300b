// The summary in the unit's note: docs/report.md, "Summary".
#include "Unit.h"

#include "llvm/Support/JSON.h"

#include <map>

using namespace llvm;

namespace palisade
{

std::string SummaryAccess::flags() const
{
    return std::string(write ? "w" : "r") + (is_volatile ? "v" : "") + (is_atomic ? "a" : "") +
           (block ? "b" : "") + (own ? "o" : "") + (fresh ? "f" : "");
}

static void write_event(json::OStream &out, const SummaryEvent &event,
                        const std::map<std::string, int64_t> &files)
{
    static const char *const kinds[] = {"lock", "unlock", "call", "start", "use", "rdlock", "find"};
    out.array([&] {
        out.value(kinds[event.kind]);
        if (event.kind == SummaryEvent::Use) {
            out.value(static_cast<int64_t>(event.variable));
            out.value(event.access.flags());
        } else if (event.kind == SummaryEvent::Find) {
            out.value(static_cast<int64_t>(event.variable));
            return;
        } else {
            out.value(event.name);
            if (event.kind == SummaryEvent::Lock || event.kind == SummaryEvent::Unlock ||
                event.kind == SummaryEvent::ReadLock)
                return;
            out.value(event.loop ? "loop" : "");
        }
        out.value(files.at(event.place.file));
        out.value(static_cast<int64_t>(event.place.line));
        if (!event.found.empty())
            out.array([&] {
                for (unsigned found : event.found)
                    out.value(static_cast<int64_t>(found));
            });
    });
}

void summary_write(json::OStream &out, const Summary &summary)
{
    std::map<std::string, int64_t> files;
    for (const SummaryFunction &function : summary.functions)
        for (const SummaryBlock &block : function.blocks)
            for (const SummaryEvent &event : block.events)
                files.insert({event.place.file, 0});
    int64_t count = 0;
    for (auto &[file, number] : files)
        number = count++;
    out.attribute("identity", summary.identity);
    out.attributeArray("files", [&] {
        for (const auto &[file, number] : files)
            out.value(file);
    });
    out.attributeArray("variables", [&] {
        for (const SummaryVariable &variable : summary.variables)
            out.object([&] {
                out.attribute("name", variable.name);
                out.attribute("static", variable.is_static);
                out.attribute("heap", variable.heap);
                if (variable.shown)
                    out.attribute("shown", true);
                if (!variable.begins.empty())
                    out.attributeArray("begins", [&] {
                        for (const std::string &object : variable.begins)
                            out.value(object);
                    });
            });
    });
    out.attributeArray("taken", [&] {
        for (const std::string &name : summary.taken)
            out.value(name);
    });
    out.attributeArray("functions", [&] {
        for (const SummaryFunction &function : summary.functions)
            out.object([&] {
                out.attribute("name", function.name);
                out.attribute("hash", function.hash);
                out.attribute("external", function.external);
                out.attribute("taken", function.taken);
                out.attributeArray("blocks", [&] {
                    for (const SummaryBlock &block : function.blocks)
                        out.object([&] {
                            out.attributeArray("do", [&] {
                                for (const SummaryEvent &event : block.events)
                                    write_event(out, event, files);
                            });
                            out.attributeArray("next", [&] {
                                for (unsigned next : block.next)
                                    out.value(static_cast<int64_t>(next));
                            });
                            if (block.returns)
                                out.attribute("returns", true);
                            if (block.calls_back)
                                out.attribute("calls_back", true);
                        });
                });
            });
    });
}

} // namespace palisade
