/*
 * One racy word: loads (R5), stores and compare-exchange (R6). Stores take the stripe, lock 1.
 * A version is the writer and its position; 0 is nobody.
 */
#define STRIPE 1
#define VERSION(t, p) (((t) + 1) * 16 + (p))
#define WRITER(version) ((version) / 16 - 1)
#define WRITTEN(version) ((version) % 16)

byte word;
byte version;
byte word_hb[THREADS]; /* ghost */
byte cache[THREADS];
byte cache_version[THREADS];
byte half[THREADS]; /* the version, when it is not read as a pair with the value */

inline cached(a, b)
{
    cache[t] = a;
    cache_version[t] = b
}

inline load_record(a, b)
{
    hb[t] = MAX(hb[t], word_hb[OTHER]);
    if
#ifdef BREAK_R5
    :: a == cache[t] -> record(PREDICTED, 0, 0)
#else
    :: a == cache[t] && b == cache_version[t] -> record(PREDICTED, 0, 0)
#endif
    :: else -> record(LOAD, a, b); cached(a, b)
    fi;
    observe(a);
    publish_now()
}

#ifdef BREAK_R5_DEPENDENCY /* the value alone: nobody is waited for */
#define LOAD_READY (NEXT(kind) == LOAD)
#else
#define LOAD_READY                                                                                 \
    (NEXT(kind) == LOAD &&                                                                         \
     (NEXT(arg2) == 0 || pos[WRITER(NEXT(arg2))] >= WRITTEN(NEXT(arg2))))
#endif

inline load_replay()
{
    cached(NEXT(arg), NEXT(arg2));
    observe(NEXT(arg));
    replayed()
}

inline load()
{
    if
#ifdef BREAK_R5_PAIR /* version first, then the value */
    :: d_step { RECORDING -> half[t] = version };
       d_step { load_record(word, half[t]); half[t] = 0 }
#else
    :: d_step { RECORDING -> load_record(word, version) }
#endif
    :: d_step { REPLAYING && LOAD_READY -> load_replay() }
#ifdef BREAK_R5_MEMORY /* replay looks at memory instead of the cache */
    :: d_step { REPLAYING && NEXT(kind) == PREDICTED -> replayed(); observe(word) }
#else
    :: d_step { REPLAYING && NEXT(kind) == PREDICTED -> replayed(); observe(cache[t]) }
#endif
    :: d_step { REPLAYING && NEXT(kind) != PREDICTED && NEXT(kind) != LOAD -> diverge() }
    fi
}

/* The store itself, the stripe held and the position published. */
inline store_effect(a)
{
    d_step {
        word = a;
        version = VERSION(t, pos[t]);
        cached(word, version);
        word_hb[t] = pos[t];
        word_hb[OTHER] = hb[t];
        shown[STRIPE] = false;
        holder[STRIPE] = 0
    };
    publish_late()
}

inline store(a)
{
    if
    :: d_step { RECORDING && holder[STRIPE] == 0 -> acquire_record(STRIPE) }
    :: d_step { REPLAYING && ACQUIRE_READY(STRIPE) -> acquire_replay(STRIPE) }
    :: d_step { REPLAYING && ACQUIRE_DIVERGED(STRIPE) -> diverge() }
    fi;
    publish();
    store_effect(a)
}

#ifdef BREAK_R6_MEMORY /* no record: evaluate on memory, whoever owns the stripe */
#define CAS_OWNED true
#else
#ifdef BREAK_R6_CACHE /* no record: it failed */
#define CAS_OWNED false
#else
#define CAS_OWNED (owner[STRIPE] == t + 1)
#endif
#endif

/* v: 1 when exchanged. */
inline compare_exchange(expected, desired, v)
{
    if
    :: d_step {
           RECORDING && holder[STRIPE] == 0 ->
           if
           :: word == expected -> acquire_record(STRIPE); v = 1
           :: else -> load_record(word, version); v = 0
           fi
       }
    :: d_step {
           REPLAYING && NEXT(kind) == ORDER && ACQUIRE_READY(STRIPE) ->
           assert(word == expected); /* G2 */
           acquire_replay(STRIPE);
           v = 1
       }
    :: d_step { REPLAYING && LOAD_READY -> load_replay(); v = 0 }
    :: d_step {
           REPLAYING && NEXT(kind) == PREDICTED && CAS_OWNED && holder[STRIPE] == 0 ->
           if
           :: word == expected -> acquire_replay(STRIPE); v = 1
           :: else -> replayed(); observe(word); v = 0
           fi
       }
    :: d_step {
           REPLAYING && NEXT(kind) == PREDICTED && !CAS_OWNED ->
           replayed();
           observe(cache[t]);
           v = 0
       }
    fi;
    if
    :: v == 1 -> publish(); store_effect(desired)
    :: else
    fi
}
