/* See memory_io.h. */
#include "hooks/memory_io.h"

void memory_io_open(void)
{
    process_fail(STATUS_USAGE, "io=memory is not there yet");
}

void memory_io_run(void)
{
    process_fail(STATUS_USAGE, "io=memory is not there yet");
}

int memory_io_receive(struct nf_thread *thread, struct log *log, uint32_t socket,
                      struct mmsghdr *messages, uint32_t limit)
{
    (void)thread, (void)log, (void)socket, (void)messages, (void)limit;
    return -1;
}

int64_t memory_io_poll(const struct pollfd *fds, uint32_t count)
{
    (void)fds, (void)count;
    return 0;
}
