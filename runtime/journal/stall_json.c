#include "stall_json.h"

json_t *stall_json(const struct stall *stall, int64_t now_ns)
{
    return json_pack("{s:I,s:I}", "times", (json_int_t)stall_times(stall), "ns",
                     (json_int_t)stall_ns(stall, now_ns));
}
