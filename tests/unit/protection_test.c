/* The time without protection: begins once, ends once, is summed. */
#include <criterion/criterion.h>

#include "protection.h"

Test(protection, sums_what_is_between_loss_and_gain)
{
    struct protection protection = {0};
    struct journal *journal;
    char why[256];

    cr_assert_eq(journal_open(&journal, NULL, why), STATUS_OK);

    cr_assert_eq(protection_unprotected_ns(&protection, 100), 0, "nobody reigns yet");
    protection_gained(&protection, journal, 150);
    protection_lost(&protection, journal, 200, "started");
    protection_lost(&protection, journal, 300, "backup_lost"); /* still the same time */
    cr_assert_eq(protection_unprotected_ns(&protection, 350), 150);
    protection_gained(&protection, journal, 400);
    protection_gained(&protection, journal, 500);
    cr_assert(protection.protected);
    cr_assert_eq(protection_unprotected_ns(&protection, 900), 200);
    protection_lost(&protection, journal, 1000, "master_lost");
    protection_end(&protection, 1005);
    cr_assert(!protection.protected);
    cr_assert_eq(protection_unprotected_ns(&protection, 2000), 205, "nothing to protect");
    journal_close(journal);
}
