/* A living master and its loggers (R16). */
#include <criterion/criterion.h>

#include "core/rejoin.h"

static struct rejoin rejoin;

static void setup(void)
{
    rejoin_init(&rejoin, (struct input_claim){.of = 1, .from = 40});
}
TestSuite(rejoin, .init = setup);

Test(rejoin, a_new_output_logger_gets_logs_from_a_barrier_on)
{
    cr_assert(rejoin_ships(&rejoin));
    rejoin_output_lost(&rejoin);
    cr_assert(rejoin_discards(&rejoin) && !rejoin_ships(&rejoin));
    cr_assert_not(rejoin_may_snapshot(&rejoin), "nobody to send it to");
    rejoin_output_welcomed(&rejoin);
    cr_assert(rejoin_discards(&rejoin) && rejoin_wants_snapshot(&rejoin, false));
    cr_assert(rejoin_at_barrier(&rejoin, false).logs_restart);
    cr_assert(!rejoin_discards(&rejoin) && !rejoin_ships(&rejoin), "RESUME is under way");
    cr_assert_not(rejoin_may_snapshot(&rejoin));
    rejoin_output_go(&rejoin);
    cr_assert(rejoin_ships(&rejoin));
    cr_assert(rejoin_takes(&rejoin));
    cr_assert_eq(rejoin.inputs.from, 40);
}

Test(rejoin, it_may_die_again_at_any_moment)
{
    rejoin_output_lost(&rejoin);
    rejoin_output_welcomed(&rejoin);
    rejoin_output_lost(&rejoin);
    rejoin_output_welcomed(&rejoin);
    rejoin_at_barrier(&rejoin, true);
    rejoin_output_lost(&rejoin);
    cr_assert(rejoin_discards(&rejoin));
}

Test(rejoin, inputs_of_a_dead_input_logger_end_before_the_barrier)
{
    struct input_claim next = {.of = 2, .from = 1};

    rejoin_input_lost(&rejoin);
    cr_assert_not(rejoin_takes(&rejoin));
    cr_assert_eq(rejoin_input_claim(&rejoin, 2).of, 0, "all it has");
    rejoin_input_claimed(&rejoin, next);
    cr_assert_not(rejoin_takes(&rejoin), "not beside those of the dead one");
    cr_assert_not(rejoin_wants_snapshot(&rejoin, false));
    cr_assert_not(rejoin_at_barrier(&rejoin, false).inputs_discard, "a barrier for another reason");
    cr_assert_eq(rejoin.inputs.of, 1);
    cr_assert(rejoin_wants_snapshot(&rejoin, true));
    cr_assert(rejoin_at_barrier(&rejoin, true).inputs_discard);
    cr_assert(rejoin_takes(&rejoin));
    cr_assert_eq(rejoin.inputs.of, 2);
    cr_assert_eq(rejoin.inputs.from, 1);
}

Test(rejoin, a_connection_alone_may_break)
{
    rejoin_input_lost(&rejoin);
    struct input_claim claim = rejoin_input_claim(&rejoin, 1);
    cr_assert_eq(claim.of, 1);
    cr_assert_eq(claim.from, 40);
    rejoin_input_claimed(&rejoin, claim);
    cr_assert(rejoin_takes(&rejoin));
}

Test(rejoin, both_at_once)
{
    rejoin_output_lost(&rejoin);
    rejoin_input_lost(&rejoin);
    rejoin_input_claimed(&rejoin, (struct input_claim){.of = 2, .from = 1});
    cr_assert_not(rejoin_wants_snapshot(&rejoin, true), "nobody to send it to");
    rejoin_output_welcomed(&rejoin);
    struct rejoin_barrier barrier = rejoin_at_barrier(&rejoin, true);
    cr_assert(barrier.logs_restart && barrier.inputs_discard);
    rejoin_output_go(&rejoin);
    cr_assert(rejoin_ships(&rejoin) && rejoin_takes(&rejoin));
}
