/* See regions.h. */
#include "snapshot/regions.h"

#include <elf.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "heap/heap.h"
#include "hooks/threads/thread.h"

#define SEGMENTS_MAX 8u
#define SPARED_MAX 64u
#define PAGE 4096ull

static struct region segments[SEGMENTS_MAX]; /* writable, whole pages */
static struct region exact[SEGMENTS_MAX];    /* the same, to the byte */
static uint32_t segment_count;
static struct region spared[SPARED_MAX]; /* bytes that are not the NF's */
static uint32_t spared_count;
static size_t tls_bytes; /* below the TCB, alignment included */

static void spare(uint64_t start, uint64_t end)
{
    if (spared_count == SPARED_MAX)
        process_fail(STATUS_UNMODELLED,
                     "the program copies more than %u objects out of shared "
                     "libraries; link it with -fPIC objects",
                     SPARED_MAX);
    spared[spared_count++] = (struct region){start, end};
}

/* Objects of libc that the linker placed into the program's .bss (copy relocations). */
static void spare_copies(const struct dl_phdr_info *info, const ElfW(Dyn) * dynamic)
{
    const ElfW(Rela) *relocations = NULL;
    const ElfW(Sym) *symbols = NULL;
    size_t bytes = 0;
    for (; dynamic->d_tag != DT_NULL; dynamic++) {
        if (dynamic->d_tag == DT_RELA)
            relocations = (const void *)dynamic->d_un.d_ptr;
        else if (dynamic->d_tag == DT_RELASZ)
            bytes = dynamic->d_un.d_val;
        else if (dynamic->d_tag == DT_SYMTAB)
            symbols = (const void *)dynamic->d_un.d_ptr;
    }
    for (size_t i = 0; relocations && symbols && i < bytes / sizeof *relocations; i++)
        if (ELF64_R_TYPE(relocations[i].r_info) == R_X86_64_COPY) {
            uint64_t start = info->dlpi_addr + relocations[i].r_offset;
            spare(start, start + symbols[ELF64_R_SYM(relocations[i].r_info)].st_size);
        }
}

/* The first object dl_iterate_phdr shows is the program itself. */
static int read_program(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    (void)context;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        uint64_t start = info->dlpi_addr + header->p_vaddr, end = start + header->p_memsz;
        if (header->p_type == PT_LOAD && (header->p_flags & PF_W)) {
            if (segment_count == SEGMENTS_MAX)
                process_fail(STATUS_UNMODELLED, "the program has more than %u writable segments",
                             SEGMENTS_MAX);
            exact[segment_count] = (struct region){start, end};
            segments[segment_count++] =
                (struct region){start & ~(PAGE - 1), (end + PAGE - 1) & ~(PAGE - 1)};
        } else if (header->p_type == PT_GNU_RELRO) {
            spare(start & ~(PAGE - 1), end & ~(PAGE - 1)); /* as the loader protects it */
        } else if (header->p_type == PT_DYNAMIC) {
            spare_copies(info, (const ElfW(Dyn) *)start);
        } else if (header->p_type == PT_TLS) {
            tls_bytes = (header->p_memsz + header->p_align - 1) & ~(header->p_align - 1);
        }
    }
    return 1;
}

void regions_init(void)
{
    dl_iterate_phdr(read_program, NULL);
    ASSERT(segment_count > 0);
    if (tls_bytes > TLS_MAX_BYTES)
        process_fail(STATUS_UNMODELLED,
                     "the program has %zu bytes of thread-local variables; %u "
                     "are supported",
                     tls_bytes, TLS_MAX_BYTES);
}

struct region regions_program(void)
{
    struct region all = segments[0];
    for (uint32_t i = 1; i < segment_count; i++) {
        all.start = segments[i].start < all.start ? segments[i].start : all.start;
        all.end = segments[i].end > all.end ? segments[i].end : all.end;
    }
    return all;
}

static uint64_t page_above(const void *end)
{
    return ((uint64_t)end + PAGE - 1) & ~(PAGE - 1);
}

static uint32_t add(struct region *out, uint32_t count, uint32_t room, uint64_t start, uint64_t end)
{
    ASSERT(count < room);
    ASSERT(start % PAGE == 0 && end % PAGE == 0 && start <= end);
    if (start < end)
        out[count++] = (struct region){start, end};
    return count;
}

uint32_t regions_collect(struct region *out, uint32_t room)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < segment_count; i++)
        count = add(out, count, room, segments[i].start, segments[i].end);
    uint32_t threads = IMAGE->thread_count;
    count = add(out, count, room, IMAGE_BASE, page_above(&IMAGE->threads[threads]));
    count = add(out, count, room, (uint64_t)IMAGE->tls[0], page_above(IMAGE->tls[threads]));
    for (uint32_t t = 0; t < threads; t++) {
        const struct nf_thread *thread = &IMAGE->threads[t];
        if (thread->lifecycle != THREAD_RUNNING)
            continue;
        uint64_t top = (uint64_t)thread_stack_top(t);
        ASSERT(thread->context.rsp <= top && thread->context.rsp >= (uint64_t)thread_stack(t));
        count = add(out, count, room, thread->context.rsp & ~(PAGE - 1), top);
    }
    return add(out, count, room, HEAP_BASE, page_above(heap_used_end(process.heap)));
}

static void apply(uint64_t start, uint64_t end, uint64_t page, const uint8_t *bytes)
{
    if (start < end)
        memcpy((void *)start, bytes + (start - page), end - start);
}

void regions_apply_page(uint64_t address, const uint8_t *bytes)
{
    for (uint32_t i = 0; i < segment_count; i++) {
        if (address < segments[i].start || address >= segments[i].end)
            continue;
        /* A page of the program: only its own bytes, and around what is spared. */
        uint64_t at = address > exact[i].start ? address : exact[i].start;
        uint64_t end = address + PAGE < exact[i].end ? address + PAGE : exact[i].end;
        while (at < end) {
            uint64_t stop = end, next = end;
            for (uint32_t s = 0; s < spared_count; s++)
                if (spared[s].end > at && spared[s].start < stop) {
                    stop = spared[s].start > at ? spared[s].start : at;
                    next = spared[s].end;
                }
            apply(at, stop, address, bytes);
            at = next;
        }
        return;
    }
    memcpy((void *)address, bytes, PAGE);
}

void regions_tls_gather(uint32_t thread, const uint8_t *tcb)
{
    memcpy(IMAGE->tls[thread], tcb - tls_bytes, tls_bytes);
}

void regions_tls_restore(uint32_t thread, uint8_t *tcb)
{
    memcpy(tcb - tls_bytes, IMAGE->tls[thread], tls_bytes);
}
