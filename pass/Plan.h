// What `palisade report --plan` found out about the whole program: docs/report.md, "Plan".
#ifndef PALISADE_PASS_PLAN_H
#define PALISADE_PASS_PLAN_H

#include "llvm/ADT/StringMap.h"

#include <string>
#include <vector>

namespace palisade
{

struct Unit;

struct Plan {
    struct Variable {
        std::string class_, lock, why;
        bool meet = false;  // racy: several threads come there
        bool blind = false; // racy: somebody writes to it without a hook (R10)
    };
    struct Function { // as other units call it
        bool threaded = true, creates = true, gives_any = true;
        std::vector<std::string> locks, takes, gives; // "unit:name" when static
    };
    std::string identity; // "": no plan
    llvm::StringMap<Variable> variables;
    llvm::StringMap<Function> functions;

    // Null: the unit is compiled without a plan, or the plan does not know the name.
    const Variable *variable(llvm::StringRef name) const;
    const Function *function(llvm::StringRef name) const;

    // From read():
    std::string unit_file, unit_identity;
    llvm::StringMap<std::string> unit_functions; // name -> hash
};

// Reads options.plan_file for this unit; false and a sentence when it cannot be used.
bool plan_read(Unit &unit, std::string &error);
// Once the summary is known: false and a sentence when the unit is not the one planned for.
bool plan_check(const Unit &unit, std::string &error);

} // namespace palisade
#endif
