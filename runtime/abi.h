/*
 * The ABI between the pass and the runtime: what instrumented code calls.
 *
 * Rule of names: a call to F that the call model (pass/model.def) retargets becomes a call to
 * __palisade_F with F's own prototype. So the pass needs no types, tables of function pointers
 * keep working, and the prototypes are those of libc. The hooks live in runtime/hooks.
 *
 * lock      pthread_mutex_{init,destroy,lock,trylock,timedlock,unlock}
 *           pthread_cond_{init,destroy,wait,timedwait,signal,broadcast}
 * thread    pthread_create pthread_join pthread_detach pthread_self pthread_exit
 * value     clock_gettime gettimeofday time getrandom rand random rand_r srand srandom
 *           nanosleep usleep sleep clock_nanosleep sched_yield getpid getenv
 * memory    malloc calloc realloc reallocarray free posix_memalign aligned_alloc strdup strndup
 * packet    socket bind setsockopt getsockopt ioctl if_nametoindex if_indextoname poll ppoll
 *           recvfrom recv recvmsg recvmmsg sendto send sendmsg sendmmsg close fcntl
 *           open openat read readv writev
 * libxdp    xsk_umem__create xsk_umem__delete xsk_umem__fd xsk_socket__create
 *           xsk_socket__create_shared xsk_socket__delete xsk_socket__fd xsk_setup_xdp_prog
 *           xsk_socket__update_xskmap xsk_ring_cons__peek xsk_ring_cons__cancel
 *           xsk_ring_cons__release xsk_cons_nb_avail xsk_ring_prod__needs_wakeup
 *           xsk_ring_prod__reserve xsk_ring_prod__submit xsk_prod_nb_free
 * libpcap   pcap_create pcap_open_live pcap_open_dead pcap_activate pcap_close
 *           pcap_set_snaplen pcap_set_timeout pcap_set_immediate_mode pcap_set_promisc
 *           pcap_set_buffer_size pcap_set_tstamp_type pcap_set_rfmon
 *           pcap_set_protocol_linux pcap_set_tstamp_precision pcap_get_tstamp_precision
 *           pcap_setnonblock pcap_getnonblock pcap_setdirection pcap_set_datalink
 *           pcap_compile pcap_compile_nopcap pcap_freecode pcap_setfilter pcap_datalink
 *           pcap_snapshot pcap_geterr pcap_perror pcap_fileno pcap_get_selectable_fd
 *           pcap_get_required_select_timeout pcap_stats pcap_findalldevs
 *           pcap_freealldevs pcap_lookupdev pcap_lookupnet pcap_loop pcap_dispatch
 *           pcap_next pcap_next_ex pcap_breakloop pcap_inject pcap_sendpacket
 * effect    printf fprintf vfprintf vprintf puts putchar fputs fputc fwrite fflush perror
 *           __printf_chk __fprintf_chk __vfprintf_chk __vprintf_chk write syslog exit _exit abort
 *
 * Everything below has no libc twin.
 */
#ifndef PALISADE_ABI_H
#define PALISADE_ABI_H

#include <stdint.h>

#define PALISADE_ABI_VERSION 1

/*
 * The pass renames the program's main to __palisade_nf_main and emits a main that tail-calls this.
 * `abi` is PALISADE_ABI_VERSION of the pass. Never returns while the NF runs; returns the exit
 * status. nf_main takes (argc, argv, envp) whatever it declares.
 */
int __palisade_start(int argc, char **argv, char **envp, int (*nf_main)(int, char **, char **),
                     uint32_t abi);

/* Named globals accessed without a lock (R5, R6): aligned scalars of 1, 2, 4, 8 bytes. */
uint8_t __palisade_load1(const uint8_t *address);
uint16_t __palisade_load2(const uint16_t *address);
uint32_t __palisade_load4(const uint32_t *address);
uint64_t __palisade_load8(const uint64_t *address);
void __palisade_store1(uint8_t *address, uint8_t value);
void __palisade_store2(uint16_t *address, uint16_t value);
void __palisade_store4(uint32_t *address, uint32_t value);
void __palisade_store8(uint64_t *address, uint64_t value);

/*
 * The note: one per translation unit in section .note.palisade (type PALISADE_NOTE_TYPE, name
 * "Palisade"). Its descriptor: struct palisade_note_head, then `json_bytes` of JSON (schema:
 * docs/report.md). The runtime sums `unhandled` over all notes of the program and refuses to start
 * when it is not zero (G8) unless told otherwise.
 */
#define PALISADE_NOTE_NAME "Palisade"
#define PALISADE_NOTE_TYPE 1u
#define PALISADE_NOTE_FORMAT 1u
struct palisade_note_head {
    uint32_t format;     /* PALISADE_NOTE_FORMAT */
    uint32_t unhandled;  /* items that stand in the way of replay */
    uint32_t json_bytes; /* unpadded */
    uint32_t abi;        /* PALISADE_ABI_VERSION */
};

#endif
