/*
 * Locks with last-owner elision (R1) and try locks (R4). Lock 1 is also the stripe of the word.
 *
 * shown: the lock may be seen as held. A native lock is held before its acquisition is
 * published; a try lock that failed on it then would let an unpublished event take effect.
 */
#define LOCKS 2
#define SEQUENCES 8
#define HB(l, j) ((l) * THREADS + (j))

byte holder[LOCKS]; /* thread + 1 */
bool shown[LOCKS];
byte sequence[LOCKS];
byte owner[LOCKS]; /* thread + 1 that acquired last */
byte data[LOCKS];  /* what the lock protects: accesses are elided */
byte lock_hb[LOCKS * THREADS];         /* ghost */
byte order[LOCKS * SEQUENCES];         /* ghost */

inline lock_touch(l)
{
    lock_hb[HB(l, t)] = pos[t];
    lock_hb[HB(l, OTHER)] = hb[t]
}

inline acquire_record(l)
{
    holder[l] = t + 1;
    sequence[l]++;
    hb[t] = MAX(hb[t], lock_hb[HB(l, OTHER)]);
    if
#ifdef BREAK_ELISION /* elided whoever had it last */
    :: true -> record(PREDICTED, 0, 0)
#else
    :: owner[l] == t + 1 -> record(PREDICTED, 0, 0)
    :: else -> record(ORDER, sequence[l], 0)
#endif
    fi;
    owner[l] = t + 1;
    order[(l) * SEQUENCES + sequence[l]] = t + 1;
    lock_touch(l)
}

#define ACQUIRE_READY(l)                                                                           \
    (holder[l] == 0 && ((NEXT(kind) == ORDER && NEXT(arg) == sequence[l] + 1) ||                   \
                        (NEXT(kind) == PREDICTED && owner[l] == t + 1)))
#define ACQUIRE_DIVERGED(l)                                                                        \
    ((NEXT(kind) == ORDER && NEXT(arg) <= sequence[l]) ||                                          \
     (NEXT(kind) == PREDICTED && owner[l] != t + 1) ||                                             \
     (NEXT(kind) != ORDER && NEXT(kind) != PREDICTED && NEXT(kind) != FAIL && NEXT(kind) != LOAD))

inline acquire_replay(l)
{
    holder[l] = t + 1;
    sequence[l]++;
    owner[l] = t + 1;
    assert(order[(l) * SEQUENCES + sequence[l]] == t + 1); /* G2 */
    replayed();
    lock_touch(l)
}

inline lock_show(l)
{
    d_step {
        publish();
        shown[l] = true
    }
}

inline lock(l)
{
    if
    :: d_step { RECORDING && holder[l] == 0 -> acquire_record(l) }
    :: d_step { REPLAYING && ACQUIRE_READY(l) -> acquire_replay(l) }
    :: d_step { REPLAYING && (ACQUIRE_DIVERGED(l) || NEXT(kind) == FAIL) -> diverge() }
    fi;
    lock_show(l)
}

/* v: 1 when acquired. */
inline trylock(l, v)
{
    if
    :: d_step { RECORDING && holder[l] == 0 -> acquire_record(l); v = 1 }
    :: d_step {
#ifdef BREAK_R1_TRY
           RECORDING && holder[l] != 0 ->
#else
           RECORDING && holder[l] != 0 && shown[l] ->
#endif
           hb[t] = MAX(hb[t], lock_hb[HB(l, OTHER)]);
           record(FAIL, sequence[l], 0);
           observe(2);
           publish_now();
           v = 0
       }
    :: d_step { REPLAYING && ACQUIRE_READY(l) -> acquire_replay(l); v = 1 }
    :: d_step {
#ifdef BREAK_R4
           REPLAYING && NEXT(kind) == FAIL ->
#else
           REPLAYING && NEXT(kind) == FAIL && sequence[l] >= NEXT(arg) ->
#endif
           replayed();
           observe(2);
           v = 0
       }
    :: d_step { REPLAYING && ACQUIRE_DIVERGED(l) -> diverge() }
    fi;
    if
    :: v == 1 -> lock_show(l)
    :: else
    fi
}

/* Reads and writes what the lock protects, then lets go of it. */
inline work_unlock(l)
{
    d_step {
        publish_again();
        observe(data[l]);
        data[l] = (data[l] + t + 1) % 4;
        lock_touch(l);
        shown[l] = false;
        holder[l] = 0
    };
    publish_late()
}
