/*
 * Names: hosts, services, protocols, users. What libc found is logged as a blob and built up again
 * in the NF's heap: lists that the program frees, and results that libc would keep in static
 * buffers, which here belong to the thread. Looking for a host may take seconds: it happens in the
 * safe state.
 */
#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "abi_internal.h"
#include "core/assert.h"
#include "hooks/memory.h"
#include "hooks/values/value.h"

static void *need(size_t bytes)
{
    void *block = __palisade_malloc(bytes);
    if (block == NULL)
        process_fail(STATUS_MEMORY, "no memory for the result of a look-up; raise heap_mib");
    return block;
}

/* ---- getaddrinfo ---- */

struct lookup {
    const char *node, *service;
    const struct addrinfo *hints;
};

struct found_address {
    int32_t flags, family, type, protocol;
    uint32_t length;
};

static void find_addresses(void *context, struct blob *out)
{
    const struct lookup *lookup = context;
    struct addrinfo *list = NULL;
    int32_t error = getaddrinfo(lookup->node, lookup->service, lookup->hints, &list), count = 0;
    int32_t system = errno;
    for (struct addrinfo *at = list; error == 0 && at; at = at->ai_next)
        count++;
    blob_add(out, &error, sizeof error);
    blob_add(out, &system, sizeof system);
    blob_add(out, &count, sizeof count);
    for (struct addrinfo *at = list; error == 0 && at; at = at->ai_next) {
        struct found_address found = {at->ai_flags, at->ai_family, at->ai_socktype, at->ai_protocol,
                                      at->ai_addrlen};
        blob_add(out, &found, sizeof found);
        blob_add(out, at->ai_addr, at->ai_addrlen);
        blob_text(out, at->ai_canonname);
    }
    if (error == 0)
        freeaddrinfo(list);
}

static struct addrinfo *build_address(const struct blob *blob, size_t *at)
{
    struct found_address found;
    blob_take(blob, at, &found, sizeof found);
    struct addrinfo *info = need(sizeof *info + found.length);
    *info = (struct addrinfo){.ai_flags = found.flags,
                              .ai_family = found.family,
                              .ai_socktype = found.type,
                              .ai_protocol = found.protocol,
                              .ai_addrlen = found.length,
                              .ai_addr = (struct sockaddr *)(info + 1)};
    blob_take(blob, at, info->ai_addr, found.length);
    const char *name = blob_take_text(blob, at);
    info->ai_canonname = name ? __palisade_strdup(name) : NULL;
    return info;
}

int palisade_getaddrinfo_restartable(const char *node, const char *service,
                                     const struct addrinfo *hints, struct addrinfo **out)
{
    if (nf_self == NULL)
        return getaddrinfo(node, service, hints, out);
    struct lookup lookup = {node, service, hints};
    struct blob blob;
    size_t at = 0;
    int32_t error, system, count;
    value_blob(nf_self, "getaddrinfo", true, find_addresses, &lookup, &blob);
    blob_take(&blob, &at, &error, sizeof error);
    blob_take(&blob, &at, &system, sizeof system);
    blob_take(&blob, &at, &count, sizeof count);
    struct addrinfo *first = NULL, **last = &first;
    for (int32_t i = 0; i < count; i++) {
        *last = build_address(&blob, &at);
        last = &(*last)->ai_next;
    }
    free(blob.bytes);
    if (error == 0)
        *out = first;
    if (error == EAI_SYSTEM)
        errno = system;
    return error;
}

HOOK void __palisade_freeaddrinfo(struct addrinfo *list)
{
    SITE_HERE();
    if (nf_self == NULL) {
        freeaddrinfo(list);
        return;
    }
    while (list) {
        struct addrinfo *next = list->ai_next;
        __palisade_free(list->ai_canonname);
        __palisade_free(list);
        list = next;
    }
}

/* ---- getnameinfo ---- */

struct reverse {
    const struct sockaddr *address;
    socklen_t length, host_room, service_room;
    bool host, service;
    int flags;
};

static void find_names(void *context, struct blob *out)
{
    const struct reverse *reverse = context;
    char host[NI_MAXHOST] = "", service[NI_MAXSERV] = "";
    int32_t error = getnameinfo(reverse->address, reverse->length, reverse->host ? host : NULL,
                                reverse->host ? sizeof host : 0, reverse->service ? service : NULL,
                                reverse->service ? sizeof service : 0, reverse->flags);
    blob_add(out, &error, sizeof error);
    blob_text(out, host);
    blob_text(out, service);
}

static int copy_name(char *out, size_t room, const char *name)
{
    size_t bytes = strlen(name) + 1;
    if (out == NULL || room == 0)
        return 0;
    if (bytes > room)
        return EAI_OVERFLOW;
    memcpy(out, name, bytes);
    return 0;
}

/* Seven arguments: the last lies on the NF's stack, where a restart finds it again. */
int palisade_getnameinfo_restartable(const struct sockaddr *address, socklen_t length, char *host,
                                     socklen_t host_room, char *service, socklen_t service_room,
                                     int flags)
{
    if (nf_self == NULL)
        return getnameinfo(address, length, host, host_room, service, service_room, flags);
    struct reverse reverse = {.address = address,
                              .length = length,
                              .host = host && host_room,
                              .service = service && service_room,
                              .flags = flags};
    struct blob blob;
    size_t at = 0;
    int32_t error;
    value_blob(nf_self, "getnameinfo", true, find_names, &reverse, &blob);
    blob_take(&blob, &at, &error, sizeof error);
    const char *host_name = blob_take_text(&blob, &at), *service_name = blob_take_text(&blob, &at);
    if (error == 0)
        error = copy_name(host, host_room, host_name);
    if (error == 0)
        error = copy_name(service, service_room, service_name);
    free(blob.bytes);
    return error;
}

/* ---- results with a place of their own ---- */

/*
 * One block holds everything: the struct, its vector of pointers, the texts. `room` counts as the
 * texts are known.
 */
struct builder {
    uint8_t *block;
    size_t used, room;
};

static void *builder_take(struct builder *builder, size_t bytes)
{
    bytes = (bytes + 7) & ~7ul;
    if (bytes > builder->room - builder->used)
        return NULL;
    void *piece = builder->block + builder->used;
    builder->used += bytes;
    return piece;
}

static char *builder_text(struct builder *builder, const char *text)
{
    if (text == NULL)
        return NULL;
    size_t bytes = strlen(text) + 1;
    char *copy = builder_take(builder, bytes);
    return copy ? memcpy(copy, text, bytes) : NULL;
}

/* This thread's place of a kind, at least `bytes` long. */
static struct builder static_place(enum static_result kind, size_t bytes)
{
    void **place = &nf_self->values.statics[kind];
    __palisade_free(*place);
    *place = need(bytes);
    return (struct builder){.block = *place, .room = bytes};
}

/* Texts of a vector that ends with NULL. */
static void blob_vector(struct blob *blob, char *const *texts)
{
    uint32_t count = 0;
    while (texts && texts[count])
        count++;
    blob_add(blob, &count, sizeof count);
    for (uint32_t i = 0; i < count; i++)
        blob_text(blob, texts[i]);
}

static char **builder_vector(struct builder *builder, const struct blob *blob, size_t *at)
{
    uint32_t count;
    blob_take(blob, at, &count, sizeof count);
    char **vector = builder_take(builder, (count + 1) * sizeof *vector);
    for (uint32_t i = 0; i < count; i++) {
        char *text = builder_text(builder, blob_take_text(blob, at));
        if (vector)
            vector[i] = text;
    }
    if (vector)
        vector[count] = NULL;
    return vector;
}

/* No result is larger than its blob, every text aligned, every pointer and the struct. */
static size_t place_bytes(const struct blob *blob)
{
    return blob->length * 16 + 512;
}

/* ---- users ---- */

struct key {
    const char *name;
    const char *protocol;
    int64_t number;
    const void *address;
    socklen_t length;
    int family;
};

struct numbers {
    int32_t error; /* errno, 0: none */
    uint32_t found, a, b;
};

static void find_passwd(void *context, struct blob *out)
{
    const struct key *key = context;
    errno = 0;
    const struct passwd *entry = key->name ? getpwnam(key->name) : getpwuid((uid_t)key->number);
    struct numbers numbers = {.error = errno, .found = entry != NULL};
    if (entry) {
        numbers.a = entry->pw_uid;
        numbers.b = entry->pw_gid;
    }
    blob_add(out, &numbers, sizeof numbers);
    if (entry == NULL)
        return;
    blob_text(out, entry->pw_name);
    blob_text(out, entry->pw_passwd);
    blob_text(out, entry->pw_gecos);
    blob_text(out, entry->pw_dir);
    blob_text(out, entry->pw_shell);
}

static void build_passwd(const struct blob *blob, size_t at, const struct numbers *numbers,
                         struct builder *builder, struct passwd *out)
{
    out->pw_uid = numbers->a;
    out->pw_gid = numbers->b;
    out->pw_name = builder_text(builder, blob_take_text(blob, &at));
    out->pw_passwd = builder_text(builder, blob_take_text(blob, &at));
    out->pw_gecos = builder_text(builder, blob_take_text(blob, &at));
    out->pw_dir = builder_text(builder, blob_take_text(blob, &at));
    out->pw_shell = builder_text(builder, blob_take_text(blob, &at));
}

static void find_group(void *context, struct blob *out)
{
    const struct key *key = context;
    errno = 0;
    const struct group *entry = key->name ? getgrnam(key->name) : getgrgid((gid_t)key->number);
    struct numbers numbers = {.error = errno, .found = entry != NULL};
    if (entry)
        numbers.a = entry->gr_gid;
    blob_add(out, &numbers, sizeof numbers);
    if (entry == NULL)
        return;
    blob_text(out, entry->gr_name);
    blob_text(out, entry->gr_passwd);
    blob_vector(out, entry->gr_mem);
}

static void build_group(const struct blob *blob, size_t at, const struct numbers *numbers,
                        struct builder *builder, struct group *out)
{
    out->gr_gid = numbers->a;
    out->gr_name = builder_text(builder, blob_take_text(blob, &at));
    out->gr_passwd = builder_text(builder, blob_take_text(blob, &at));
    out->gr_mem = builder_vector(builder, blob, &at);
}

/* Static results: the thread's place. `type` names the struct and its functions. */
#define LOOK_UP_STATIC(type, kind, key_)                                                           \
    struct key key = key_;                                                                         \
    struct blob blob;                                                                              \
    struct numbers numbers;                                                                        \
    size_t at = 0;                                                                                 \
    struct type *result = NULL;                                                                    \
    value_blob(nf_self, #type, false, find_##type, &key, &blob);                                   \
    blob_take(&blob, &at, &numbers, sizeof numbers);                                               \
    if (numbers.found) {                                                                           \
        struct builder builder = static_place(kind, place_bytes(&blob));                           \
        result = builder_take(&builder, sizeof *result);                                           \
        build_##type(&blob, at, &numbers, &builder, result);                                       \
    } else {                                                                                       \
        errno = numbers.error;                                                                     \
    }                                                                                              \
    free(blob.bytes);                                                                              \
    return result

/* The caller's buffer: ERANGE when it is too small. */
#define LOOK_UP_INTO(type, key_)                                                                   \
    struct key key = key_;                                                                         \
    struct blob blob;                                                                              \
    struct numbers numbers;                                                                        \
    size_t at = 0;                                                                                 \
    *result = NULL;                                                                                \
    value_blob(nf_self, #type, false, find_##type, &key, &blob);                                   \
    blob_take(&blob, &at, &numbers, sizeof numbers);                                               \
    int error = numbers.found ? 0 : numbers.error;                                                 \
    if (error == ENOENT || error == ESRCH || error == EBADF || error == EPERM)                     \
        error = 0; /* not found is no error */                                                     \
    if (numbers.found) {                                                                           \
        struct builder builder = {.block = (uint8_t *)(((uintptr_t)buffer + 7) & ~7ul)};           \
        size_t shift = (size_t)(builder.block - (uint8_t *)buffer);                                \
        builder.room = bytes > shift ? bytes - shift : 0;                                          \
        build_##type(&blob, at, &numbers, &builder, out);                                          \
        struct builder probe = {.block = malloc(place_bytes(&blob)), .room = place_bytes(&blob)};  \
        struct type whole;                                                                         \
        if (probe.block)                                                                           \
            build_##type(&blob, at, &numbers, &probe, &whole);                                     \
        free(probe.block);                                                                         \
        error = probe.used > builder.room ? ERANGE : 0;                                            \
        *result = error ? NULL : out;                                                              \
    }                                                                                              \
    free(blob.bytes);                                                                              \
    return error

#define KEY(...) ((struct key){__VA_ARGS__})

HOOK struct passwd *__palisade_getpwnam(const char *name)
{
    SITE_HERE();
    if (nf_self == NULL)
        return getpwnam(name);
    LOOK_UP_STATIC(passwd, STATIC_PASSWD, KEY(.name = name));
}

HOOK struct passwd *__palisade_getpwuid(uid_t uid)
{
    SITE_HERE();
    if (nf_self == NULL)
        return getpwuid(uid);
    LOOK_UP_STATIC(passwd, STATIC_PASSWD, KEY(.number = uid));
}

HOOK int __palisade_getpwnam_r(const char *name, struct passwd *out, char *buffer, size_t bytes,
                               struct passwd **result)
{
    SITE_HERE();
    if (nf_self == NULL)
        return getpwnam_r(name, out, buffer, bytes, result);
    LOOK_UP_INTO(passwd, KEY(.name = name));
}

HOOK int __palisade_getpwuid_r(uid_t uid, struct passwd *out, char *buffer, size_t bytes,
                               struct passwd **result)
{
    SITE_HERE();
    if (nf_self == NULL)
        return getpwuid_r(uid, out, buffer, bytes, result);
    LOOK_UP_INTO(passwd, KEY(.number = uid));
}

HOOK struct group *__palisade_getgrnam(const char *name)
{
    SITE_HERE();
    if (nf_self == NULL)
        return getgrnam(name);
    LOOK_UP_STATIC(group, STATIC_GROUP, KEY(.name = name));
}

HOOK struct group *__palisade_getgrgid(gid_t gid)
{
    SITE_HERE();
    if (nf_self == NULL)
        return getgrgid(gid);
    LOOK_UP_STATIC(group, STATIC_GROUP, KEY(.number = gid));
}

HOOK int __palisade_getgrnam_r(const char *name, struct group *out, char *buffer, size_t bytes,
                               struct group **result)
{
    SITE_HERE();
    if (nf_self == NULL)
        return getgrnam_r(name, out, buffer, bytes, result);
    LOOK_UP_INTO(group, KEY(.name = name));
}

HOOK int __palisade_getgrgid_r(gid_t gid, struct group *out, char *buffer, size_t bytes,
                               struct group **result)
{
    SITE_HERE();
    if (nf_self == NULL)
        return getgrgid_r(gid, out, buffer, bytes, result);
    LOOK_UP_INTO(group, KEY(.number = gid));
}

/* ---- services and protocols ---- */

static void find_servent(void *context, struct blob *out)
{
    const struct key *key = context;
    const struct servent *entry = key->name ? getservbyname(key->name, key->protocol)
                                            : getservbyport((int)key->number, key->protocol);
    struct numbers numbers = {.found = entry != NULL};
    if (entry)
        numbers.a = (uint32_t)entry->s_port;
    blob_add(out, &numbers, sizeof numbers);
    if (entry == NULL)
        return;
    blob_text(out, entry->s_name);
    blob_text(out, entry->s_proto);
    blob_vector(out, entry->s_aliases);
}

static void build_servent(const struct blob *blob, size_t at, const struct numbers *numbers,
                          struct builder *builder, struct servent *out)
{
    out->s_port = (int)numbers->a;
    out->s_name = builder_text(builder, blob_take_text(blob, &at));
    out->s_proto = builder_text(builder, blob_take_text(blob, &at));
    out->s_aliases = builder_vector(builder, blob, &at);
}

HOOK struct servent *__palisade_getservbyname(const char *name, const char *protocol)
{
    SITE_HERE();
    if (nf_self == NULL)
        return getservbyname(name, protocol);
    LOOK_UP_STATIC(servent, STATIC_SERVICE, KEY(.name = name, .protocol = protocol));
}

HOOK struct servent *__palisade_getservbyport(int port, const char *protocol)
{
    SITE_HERE();
    if (nf_self == NULL)
        return getservbyport(port, protocol);
    LOOK_UP_STATIC(servent, STATIC_SERVICE, KEY(.number = port, .protocol = protocol));
}

static void find_protoent(void *context, struct blob *out)
{
    const struct key *key = context;
    const struct protoent *entry =
        key->name ? getprotobyname(key->name) : getprotobynumber((int)key->number);
    struct numbers numbers = {.found = entry != NULL};
    if (entry)
        numbers.a = (uint32_t)entry->p_proto;
    blob_add(out, &numbers, sizeof numbers);
    if (entry == NULL)
        return;
    blob_text(out, entry->p_name);
    blob_vector(out, entry->p_aliases);
}

static void build_protoent(const struct blob *blob, size_t at, const struct numbers *numbers,
                           struct builder *builder, struct protoent *out)
{
    out->p_proto = (int)numbers->a;
    out->p_name = builder_text(builder, blob_take_text(blob, &at));
    out->p_aliases = builder_vector(builder, blob, &at);
}

HOOK struct protoent *__palisade_getprotobyname(const char *name)
{
    SITE_HERE();
    if (nf_self == NULL)
        return getprotobyname(name);
    LOOK_UP_STATIC(protoent, STATIC_PROTOCOL, KEY(.name = name));
}

HOOK struct protoent *__palisade_getprotobynumber(int number)
{
    SITE_HERE();
    if (nf_self == NULL)
        return getprotobynumber(number);
    LOOK_UP_STATIC(protoent, STATIC_PROTOCOL, KEY(.number = number));
}

/* ---- hosts, the old way ---- */

static void find_host(void *context, struct blob *out)
{
    const struct key *key = context;
    const struct hostent *entry = key->name ? gethostbyname2(key->name, key->family)
                                            : gethostbyaddr(key->address, key->length, key->family);
    struct numbers numbers = {.error = h_errno, .found = entry != NULL};
    uint32_t count = 0;
    if (entry) {
        numbers.a = (uint32_t)entry->h_addrtype;
        numbers.b = (uint32_t)entry->h_length;
    }
    blob_add(out, &numbers, sizeof numbers);
    if (entry == NULL)
        return;
    blob_text(out, entry->h_name);
    blob_vector(out, entry->h_aliases);
    while (entry->h_addr_list[count])
        count++;
    blob_add(out, &count, sizeof count);
    for (uint32_t i = 0; i < count; i++)
        blob_add(out, entry->h_addr_list[i], (size_t)entry->h_length);
}

static struct hostent *host(const struct key *key)
{
    struct blob blob;
    struct numbers numbers;
    size_t at = 0;
    struct hostent *result = NULL;
    value_blob(nf_self, "gethostbyname", true, find_host, (void *)key, &blob);
    blob_take(&blob, &at, &numbers, sizeof numbers);
    if (numbers.found) {
        struct builder builder = static_place(STATIC_HOST, place_bytes(&blob));
        uint32_t count;
        result = builder_take(&builder, sizeof *result);
        result->h_addrtype = (int)numbers.a;
        result->h_length = (int)numbers.b;
        result->h_name = builder_text(&builder, blob_take_text(&blob, &at));
        result->h_aliases = builder_vector(&builder, &blob, &at);
        blob_take(&blob, &at, &count, sizeof count);
        result->h_addr_list = builder_take(&builder, (count + 1) * sizeof(char *));
        for (uint32_t i = 0; i < count; i++) {
            result->h_addr_list[i] = builder_take(&builder, numbers.b);
            blob_take(&blob, &at, result->h_addr_list[i], numbers.b);
        }
        result->h_addr_list[count] = NULL;
    } else {
        h_errno = numbers.error;
    }
    free(blob.bytes);
    return result;
}

struct hostent *palisade_gethostbyname_restartable(const char *name)
{
    return nf_self ? host(&KEY(.name = name, .family = AF_INET)) : gethostbyname(name);
}

struct hostent *palisade_gethostbyname2_restartable(const char *name, int family)
{
    return nf_self ? host(&KEY(.name = name, .family = family)) : gethostbyname2(name, family);
}

struct hostent *palisade_gethostbyaddr_restartable(const void *address, socklen_t length,
                                                   int family)
{
    return nf_self ? host(&KEY(.address = address, .length = length, .family = family))
                   : gethostbyaddr(address, length, family);
}
