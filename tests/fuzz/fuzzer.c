/* One libFuzzer program a target: FUZZ_TARGET is the function. */
#include "targets.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    FUZZ_TARGET(bytes, length);
    return 0;
}
