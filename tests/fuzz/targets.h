/*
 * What arrives from outside, fed with any bytes: nothing may crash, read beyond its input or be
 * accepted in two encodings. libFuzzer runs these (tests/fuzz/CMakeLists.txt) and so does
 * tests/unit/fuzz_test.c.
 */
#ifndef PALISADE_TESTS_FUZZ_TARGETS_H
#define PALISADE_TESTS_FUZZ_TARGETS_H

#include <stddef.h>
#include <stdint.h>

/* Each aborts when its decoder breaks a promise; returns how much of the input was accepted. */
size_t fuzz_record(const uint8_t *bytes, size_t length);  /* a stream of records */
size_t fuzz_frame(const uint8_t *bytes, size_t length);   /* a frame and the items within */
size_t fuzz_message(const uint8_t *bytes, size_t length); /* a stream of messages */

#endif
