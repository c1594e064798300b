/* See protection.h. */
#include "protection.h"

int64_t protection_unprotected_ns(const struct protection *protection, int64_t now_ns)
{
    if (!protection->counts || protection->protected)
        return protection->before_ns;
    return protection->before_ns + now_ns - protection->since_ns;
}

void protection_lost(struct protection *protection, struct journal *journal, int64_t now_ns,
                     const char *cause)
{
    if (protection->counts && !protection->protected)
        return;
    protection->counts = true;
    protection->protected = false;
    protection->since_ns = now_ns;
    journal_event(journal, "unprotected", "{s:s}", "cause", cause);
}

void protection_gained(struct protection *protection, struct journal *journal, int64_t now_ns)
{
    if (!protection->counts || protection->protected)
        return;
    protection->before_ns += now_ns - protection->since_ns;
    protection->protected = true;
    journal_event(journal, "protected", "{s:I}", "ns", (json_int_t)(now_ns - protection->since_ns));
}

void protection_end(struct protection *protection, int64_t now_ns)
{
    protection->before_ns = protection_unprotected_ns(protection, now_ns);
    protection->counts = protection->protected = false;
}
