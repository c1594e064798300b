/*
 * Calls that replay can never repeat (forbidden rows of the model): the program may contain them,
 * as an option that nobody uses, and ends when it comes to one (G8).
 */
#include "abi_internal.h"
#include "process.h"

HOOK void __palisade_refused(const char *name, const char *advice)
{
    if (nf_self && process.options.unmodelled == OPTION_UNMODELLED_REFUSE)
        process_fail(STATUS_UNMODELLED,
                     "%s was called and cannot be replayed: %s; or set unmodelled=allow in "
                     "PALISADE_OPTIONS at your own risk (G8)",
                     name, advice);
}
