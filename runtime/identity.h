/*
 * The identity of the running process: what must be equal before one process may continue what
 * another recorded (G8). Two processes may do so when their texts are equal.
 *
 * One line of `name=value` parts separated by single spaces; hashes are XXH64 in hex, of
 * what has a build-id its first 16 digits:
 *
 *   program=HASH    build-id of the program; without one, its constant segments
 *   libc=VERSION:HASH
 *   libraries=NAME:HASH,...   by name; what has no room is `N-more:HASH`
 *   layout=HASH     where program and libraries lie
 *   options=TEXT    nf_options_identity(), identity_arguments(); `digest:HASH` when it is long
 *   cpu=FAMILY-MODEL:HASH     feature words: libc chooses its functions by them
 *
 * The vDSO is left out: its calls are modelled, and it moves on its own.
 */
#ifndef PALISADE_IDENTITY_H
#define PALISADE_IDENTITY_H

#include <stddef.h>

/*
 * Writes the identity; IDENTITY_MAX_BYTES (core/message.h) always suffices. `options`: see above,
 * NULL for none. Returns the length or -ENOSPC. Allocates; call at start, from one thread.
 */
int identity_text(char *out, size_t room, const char *options);

/*
 * The program's arguments as entries of `options`: a backup goes on with the master's, so other
 * ones of its own would be ignored silently. `arguments` ends with NULL; `out` is empty when there
 * are none, a hash when they have no room.
 */
void identity_arguments(char *out, size_t room, char *const *arguments);

/*
 * One sentence on what differs between identity `a` ("here") and `b` ("there"), for the person who
 * reads a refusal. Returns the number of parts that differ, 0 when they are the same; the sentence
 * is cut to `room`, at least 1. Any thread.
 */
int identity_difference(const char *a, const char *b, char *out, size_t room);

#endif
