/*
 * Assertions that stay on in every build (STYLE: assertions state invariants). DEBUG_ASSERT is
 * the kind for per-event code: it vanishes unless PALISADE_DEBUG is defined.
 */
#ifndef PALISADE_CORE_ASSERT_H
#define PALISADE_CORE_ASSERT_H

/* Prints "palisade: FILE:LINE: broken invariant: TEXT" and aborts. Any thread. */
__attribute__((noreturn, cold)) void assert_failed(const char *file, int line, const char *text);

#define ASSERT(condition)                                                                          \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0))                                                     \
            assert_failed(__FILE__, __LINE__, #condition);                                         \
    } while (0)

#ifdef PALISADE_DEBUG
#define DEBUG_ASSERT(condition) ASSERT(condition)
#else
#define DEBUG_ASSERT(condition) ((void)sizeof(condition))
#endif

#endif
