/*
 * Mappings of the NF: anonymous ones are blocks of its heap, zeroed, so that they lie at the same
 * addresses in every run and travel with the image. MAP_SHARED without a file is the same, for
 * there is no second process. Protection and advice do nothing: a guard page does not guard.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "abi_internal.h"
#include "hooks/files/descriptor.h"
#include "hooks/memory.h"
#include "hooks/sharing/lock.h"
#include "process.h"

#define PAGE 4096ull

static size_t whole_pages(size_t bytes)
{
    return (bytes + PAGE - 1) & ~(PAGE - 1);
}

static void *no_memory(int error)
{
    errno = error;
    return MAP_FAILED;
}

static bool own(const void *address)
{
    return (uint64_t)address >= HEAP_BASE &&
           (uint64_t)address < HEAP_BASE + ((uint64_t)process.options.heap_mib << 20);
}

/* Caller holds mappings_lock. The mapping that holds [address, address + bytes), else NULL. */
static struct nf_mapping *mapping_of(uint64_t address, uint64_t bytes)
{
    for (uint32_t i = 0; i < MAPPINGS_MAX; i++) {
        struct nf_mapping *mapping = &IMAGE->values.mappings[i];
        if (mapping->bytes && address >= mapping->address &&
            address - mapping->address < mapping->bytes &&
            bytes <= mapping->bytes - (address - mapping->address))
            return mapping;
    }
    return NULL;
}

static struct nf_mapping *free_entry(void)
{
    for (uint32_t i = 0; i < MAPPINGS_MAX; i++)
        if (IMAGE->values.mappings[i].bytes == 0)
            return &IMAGE->values.mappings[i];
    return NULL;
}

HOOK void *__palisade_mmap(void *hint, size_t length, int protection, int flags, int fd,
                           off_t offset)
{
    SITE_HERE();
    if (nf_self == NULL)
        return mmap(hint, length, protection, flags, fd, offset);
    if (!(flags & MAP_ANONYMOUS) && descriptor_is(fd) &&
        descriptor_family(descriptor_index(fd))->map)
        return descriptor_family(descriptor_index(fd))->map(nf_self, descriptor_index(fd), length);
    if (!(flags & MAP_ANONYMOUS))
        process_fail(STATUS_UNMODELLED,
                     "mmap of descriptor %d cannot be replayed: only anonymous memory is (G8)", fd);
    if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE))
        process_fail(STATUS_UNMODELLED, "mmap at a fixed address cannot be replayed: let the "
                                        "system choose it (G8)");
    if (protection & PROT_EXEC)
        process_fail(STATUS_UNMODELLED, "mmap of executable memory: code made at run time is not "
                                        "instrumented (G8)");
    size_t bytes = whole_pages(length);
    if (length == 0 || bytes < length)
        return no_memory(length ? ENOMEM : EINVAL);
    void *block = MAP_FAILED;
    ordered_lock(nf_self, &IMAGE->values.mappings_lock);
    struct nf_mapping *entry = free_entry();
    void *memory = entry ? __palisade_aligned_alloc(PAGE, bytes) : NULL;
    if (memory) {
        memset(memory, 0, bytes);
        *entry = (struct nf_mapping){.address = (uint64_t)memory, .bytes = bytes};
        block = memory;
    }
    ordered_unlock(&IMAGE->values.mappings_lock);
    return block == MAP_FAILED ? no_memory(ENOMEM) : block;
}

/* In pieces, too: the block goes when all of it is unmapped. */
HOOK int __palisade_munmap(void *address, size_t length)
{
    SITE_HERE();
    if (nf_self == NULL)
        return munmap(address, length);
    int result = -1;
    size_t bytes = whole_pages(length);
    ordered_lock(nf_self, &IMAGE->values.mappings_lock);
    struct nf_mapping *mapping = mapping_of((uint64_t)address, bytes);
    if (mapping && (uint64_t)address % PAGE == 0 && bytes > 0) {
        mapping->unmapped_bytes += bytes;
        if (mapping->unmapped_bytes >= mapping->bytes) {
            __palisade_free((void *)mapping->address);
            *mapping = (struct nf_mapping){0};
        }
        result = 0;
    }
    ordered_unlock(&IMAGE->values.mappings_lock);
    if (result < 0)
        errno = EINVAL;
    return result;
}

HOOK void *__palisade_mremap(void *old, size_t old_length, size_t length, int flags, ...)
{
    SITE_HERE();
    if (flags & ~MREMAP_MAYMOVE)
        process_fail(STATUS_UNMODELLED, "mremap to a fixed address cannot be replayed (G8)");
    if (nf_self == NULL)
        return mremap(old, old_length, length, flags);
    if (whole_pages(length) <= whole_pages(old_length)) {
        size_t gone = whole_pages(old_length) - whole_pages(length);
        if (gone)
            __palisade_munmap((uint8_t *)old + whole_pages(length), gone);
        return old;
    }
    if (!(flags & MREMAP_MAYMOVE))
        return no_memory(ENOMEM);
    void *moved =
        __palisade_mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (moved == MAP_FAILED)
        return MAP_FAILED;
    memcpy(moved, old, old_length);
    __palisade_munmap(old, old_length);
    return moved;
}

HOOK int __palisade_mprotect(void *address, size_t length, int protection)
{
    SITE_HERE();
    if (nf_self == NULL)
        return mprotect(address, length, protection);
    if (protection & PROT_EXEC)
        process_fail(STATUS_UNMODELLED, "mprotect to executable: code made at run time is not "
                                        "instrumented (G8)");
    return 0; /* a snapshot must be able to read it */
}

HOOK int __palisade_madvise(void *address, size_t length, int advice)
{
    SITE_HERE();
    if (nf_self == NULL)
        return madvise(address, length, advice);
    if ((advice == MADV_DONTNEED || advice == MADV_REMOVE) && own(address) &&
        own((uint8_t *)address + length - 1))
        memset(address, 0, length);
    return 0;
}
