/* The word of a foreign lock: who may take it, who counts at a release, which tries may fail. */
#include <criterion/criterion.h>

#include "hooks/sharing/word_lock.c"

struct process process;
__thread struct nf_thread *nf_self;
_Atomic int32_t replay_watchers;
static uint32_t wakes;

void futex_wake(_Atomic uint32_t *word, int count)
{
    (void)word;
    (void)count;
    wakes++;
}
void safe_enter(struct nf_thread *thread)
{
    (void)thread;
}
void safe_leave(struct nf_thread *thread)
{
    (void)thread;
}
void safe_wait(struct nf_thread *thread, _Atomic uint32_t *word, uint32_t expected, int64_t timeout)
{
    (void)thread;
    (void)word;
    (void)expected;
    (void)timeout;
}
void log_wait_room(struct nf_thread *thread)
{
    (void)thread;
}
void assigned_lock(_Atomic uint32_t *word)
{
    (void)word;
}
void assigned_unlock(_Atomic uint32_t *word)
{
    (void)word;
}
uint64_t replay_look(void)
{
    return 0;
}
void replay_passed(void) {}
void check_released(uint64_t object)
{
    (void)object;
}
void check_acquired(uint64_t object)
{
    (void)object;
}
void replay_object_lock(const void *object)
{
    (void)object;
}
void replay_object_unlock(const void *object)
{
    (void)object;
}
void replay_wait(struct nf_thread *thread, uint64_t look, enum event event, const char *what,
                 enum replay_place place)
{
    (void)thread;
    (void)place;
    (void)look;
    (void)event;
    (void)what;
}
int palisade_word_lock_entry(_Atomic uint32_t *word)
{
    return palisade_word_lock_restartable(word);
}

Test(word_lock, readers_share_and_writers_do_not)
{
    _Atomic uint32_t word = 0;
    cr_assert(word_try(&word, true) && word_try(&word, true) && !word_try(&word, false));
    word_recorded(&word, true);
    word_recorded(&word, true);
    word_release(&word);
    cr_assert(!word_try(&word, false));
    word_release(&word);
    cr_assert_eq(word, 0);
    cr_assert(word_try(&word, false) && !word_try(&word, true) && !word_try(&word, false));
    word_recorded(&word, false);
    word_release(&word);
    cr_assert_eq(word, 0);
}

Test(word_lock, a_reader_that_is_not_recorded_yet_still_holds_it)
{
    _Atomic uint32_t word = 0;
    word_try(&word, true);
    word_recorded(&word, true);
    word_try(&word, true);
    word_release(&word); /* the first; the second stands before its record */
    cr_assert(!word_try(&word, false));
    word_recorded(&word, true);
    word_release(&word);
    cr_assert_eq(word, 0);
}

Test(word_lock, only_a_recorded_holder_lets_tries_fail)
{
    _Atomic uint32_t word = 0;
    word_try(&word, false);
    cr_assert(!word_is_recorded(word, false) && !word_is_recorded(word, true));
    word_recorded(&word, false);
    cr_assert(word_is_recorded(word, false) && word_is_recorded(word, true));
    word_release(&word);
    word_try(&word, true);
    cr_assert(!word_is_recorded(word, false));
    word_recorded(&word, true);
    cr_assert(word_is_recorded(word, false) && !word_is_recorded(word, true));
}

Test(word_lock, whoever_waits_is_woken_when_nobody_is_left)
{
    _Atomic uint32_t word = 0;
    word_try(&word, true);
    word_recorded(&word, true);
    word_try(&word, true);
    word_recorded(&word, true);
    word |= WORD_WAITED;
    word_release(&word);
    cr_assert_eq(wakes, 0);
    word_release(&word);
    cr_assert(wakes == 1 && word == 0);
}

Test(word_lock, giving_back_what_nobody_holds_leaves_it_free)
{
    _Atomic uint32_t word = 0;
    word_release(&word);
    cr_assert_eq(word, 0);
}
