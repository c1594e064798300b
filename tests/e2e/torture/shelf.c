#include "shelf.h"

void shelf_lock(struct shelf *shelf)
{
    pthread_mutex_lock(&shelf->lock);
}

void shelf_unlock(struct shelf *shelf)
{
    pthread_mutex_unlock(&shelf->lock);
}

uint64_t shelf_put(struct shelf *shelf, uint64_t value)
{
    shelf->sum = (shelf->sum ^ value) * 0x9E3779B97F4A7C15ull;
    return shelf->sum + ++shelf->visits;
}
