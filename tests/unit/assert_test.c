#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <signal.h>

#include "core/assert.h"

static void redirect(void)
{
    cr_redirect_stderr();
}

Test(assert, a_broken_invariant_aborts, .init = redirect, .signal = SIGABRT)
{
    int two = 2;
    ASSERT(two == 2);
    ASSERT(two == 3);
}

Test(assert, a_debug_assertion_costs_nothing)
{
    int calls = 0;
    DEBUG_ASSERT(calls++ > 0);
    cr_assert_eq(calls, 0);
}
