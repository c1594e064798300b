#include "nf.h"

static void touch(struct flow *flow)
{
    flow->packets++;
    flow->bytes += limit;
}

void *worker(void *argument)
{
    for (int i = 0; i < 1000; i++) {
        pthread_mutex_lock(&lock);
        everywhere++;
        somewhere++;
        slots[1].hits += slots[1].limit;
        count_locked(1);
        for (struct flow *flow = flows; flow; flow = flow->next)
            touch(flow);
        pthread_mutex_unlock(&lock);
        guard_take();
        guarded++;
        guard_give();
        guard_count();
        if (ready)
            break;
    }
    return argument;
}
