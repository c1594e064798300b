/*
 * Values of command lines and settings. Each program says before the include who it is:
 * #define PROGRAM "name".
 */
#ifndef ARGUMENTS_H
#define ARGUMENTS_H

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_USAGE 64

__attribute__((noreturn)) static void usage(const char *wrong);

/* The system refused something: says what, and why. */
__attribute__((noreturn)) static inline void die(const char *what)
{
    fprintf(stderr, PROGRAM ": %s: %s\n", what, strerror(errno));
    exit(EXIT_FAILURE);
}

static inline unsigned number_parse(const char *text, unsigned least, unsigned most,
                                    const char *wrong)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || value < least || value > most)
        usage(wrong);
    return (unsigned)value;
}

static inline uint32_t address_parse(const char *text, const char *wrong)
{
    uint32_t address;
    if (inet_pton(AF_INET, text, &address) != 1)
        usage(wrong);
    return address;
}

/* A.B.C.D followed by `mark` and a number. Returns the number. */
static inline unsigned address_number_parse(const char *text, char mark, uint32_t *address,
                                            unsigned least, unsigned most, const char *wrong)
{
    char copy[INET_ADDRSTRLEN] = "";
    const char *at = strchr(text, mark);
    if (at == NULL || at - text >= INET_ADDRSTRLEN)
        usage(wrong);
    memcpy(copy, text, (size_t)(at - text));
    *address = address_parse(copy, wrong);
    return number_parse(at + 1, least, most, wrong);
}

#endif
