/* One reader-writer lock (R7): readers do not advance the sequence. */
byte writer;    /* thread + 1 that holds it for writing */
byte readers;   /* threads that hold it for reading */
byte writes;    /* the sequence */
byte last_writer;
bool other_reads; /* somebody else than last_writer read since */
byte reads;       /* since the last write, counted at lock */
byte reads_done;  /* the same, counted at unlock */
byte read_cache[THREADS]; /* the sequence this thread read at last */
byte rw_data;
byte write_hb[THREADS]; /* ghost */
byte read_hb[THREADS];  /* ghost */

inline read_enter()
{
    readers++;
    reads++;
    if
    :: last_writer != t + 1 -> other_reads = true
    :: else
    fi
}

#ifdef BREAK_R7_READER /* a read is never logged */
#define READ_PREDICTED true
#else
#define READ_PREDICTED (read_cache[t] == writes)
#endif
#define READ_AT (NEXT(kind) == READ -> NEXT(arg) : read_cache[t])

inline read_lock()
{
    if
    :: d_step {
           RECORDING && writer == 0 ->
           read_enter();
           hb[t] = MAX(hb[t], write_hb[OTHER]);
           if
           :: READ_PREDICTED -> record(PREDICTED, 0, 0)
           :: else -> record(READ, writes, 0)
           fi;
           read_cache[t] = writes
       }
    :: d_step {
           REPLAYING && writer == 0 && READ_AT == writes ->
           read_cache[t] = READ_AT;
           read_enter();
           replayed()
       }
    :: d_step {
           REPLAYING && (READ_AT < writes || (NEXT(kind) != READ && NEXT(kind) != PREDICTED)) ->
           diverge()
       }
    fi;
    publish()
}

inline read_unlock()
{
    d_step {
        publish_again();
        observe(rw_data);
        read_hb[t] = pos[t];
        read_hb[OTHER] = MAX(read_hb[OTHER], hb[t]);
        reads_done++;
        readers--
    };
    publish_late()
}

inline write_enter()
{
    writer = t + 1;
    writes++;
    reads = 0;
    reads_done = 0;
    other_reads = false;
    last_writer = t + 1;
    read_cache[t] = writes
}

#ifdef BREAK_R7_ELISION /* elided though others read in between */
#define WRITE_PREDICTED (last_writer == t + 1)
#else
#define WRITE_PREDICTED (last_writer == t + 1 && !other_reads)
#endif
#ifdef BREAK_R7_READS /* the writer does not wait for the reads before it */
#define READS_DONE true
#else
#define READS_DONE (NEXT(kind) == PREDICTED || reads_done == NEXT(arg2))
#endif

inline write_lock()
{
    if
    :: d_step {
           RECORDING && writer == 0 && readers == 0 ->
           hb[t] = MAX(hb[t], write_hb[OTHER]);
           hb[t] = MAX(hb[t], read_hb[OTHER]);
           if
           :: WRITE_PREDICTED -> record(PREDICTED, 0, 0)
           :: else -> record(WRITE, writes + 1, reads)
           fi;
           write_enter()
       }
    :: d_step {
           REPLAYING && writer == 0 && readers == 0 && READS_DONE &&
                   ((NEXT(kind) == WRITE && NEXT(arg) == writes + 1) ||
                    (NEXT(kind) == PREDICTED && last_writer == t + 1)) ->
           write_enter();
           replayed()
       }
    :: d_step {
           REPLAYING && ((NEXT(kind) == WRITE && NEXT(arg) <= writes) ||
                         (NEXT(kind) == PREDICTED && last_writer != t + 1) ||
                         (NEXT(kind) != WRITE && NEXT(kind) != PREDICTED)) ->
           diverge()
       }
    fi;
    publish()
}

inline write_unlock()
{
    d_step {
        publish_again();
        observe(rw_data);
        rw_data = (rw_data + t + 1) % 4;
        write_hb[t] = pos[t];
        write_hb[OTHER] = hb[t];
        writer = 0
    };
    publish_late()
}
