// Functions with the names of DPDK's, in a header as there.
typedef struct {
    volatile int locked;
} rte_spinlock_t;
static inline void rte_spinlock_lock(rte_spinlock_t *lock)
{
    while (__atomic_exchange_n(&lock->locked, 1, __ATOMIC_ACQUIRE))
        ;
}
static inline void rte_spinlock_unlock(rte_spinlock_t *lock)
{
    __atomic_store_n(&lock->locked, 0, __ATOMIC_RELEASE);
}
static inline __attribute__((always_inline)) int rte_spinlock_trylock(rte_spinlock_t *lock)
{
    return !__atomic_exchange_n(&lock->locked, 1, __ATOMIC_ACQUIRE);
}
inline void rte_spinlock_lock_tm(rte_spinlock_t *lock) { rte_spinlock_lock(lock); }
// Its name has no row.
static inline int rte_spinlock_count(const int *count) { return *count; }
