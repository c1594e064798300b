/* The takeover (R12). */

/* The master dies, the OL freezes: raises the epoch, marks the end of the logs. */
inline freeze_thread(t)
{
    end[t] = R[t];
    stale_log[t] = STALE && R[t] < pub[t];
    stale_output[t] = STALE && got[t] < sent[t];
    stale_content[t] = (stale_output[t] -> content[OUT(t, got[t] + 1)] : 0);
    /* what the OL does not have is gone */
    p = R[t] + 1;
    do
    :: p < EVENTS ->
       kind[AT(t, p)] = 0;
       arg[AT(t, p)] = 0;
       arg2[AT(t, p)] = 0;
       dep[AT(t, p)] = 0;
       p++
    :: else -> break
    od;
    p = 1;
    do
    :: p < OUTPUTS ->
       content[OUT(t, p)] = 0;
       if
       :: out_at[OUT(t, p)] > R[t] -> out_at[OUT(t, p)] = 0; vor[OUT(t, p)] = 0
       :: else
       fi;
       p++
    :: else -> break
    od;
    p = 0;
    /* the base snapshot: the initial state (R11: shadows, caches and counters belong to it) */
    pos[t] = 0;
    pub[t] = 0;
    outs[t] = 0;
    sent[t] = 0;
    seen[t] = 0;
    hb[t] = 0;
    need[t] = 0;
    half[t] = 0;
    finished[t] = false;
    restart[t] = true;
    holder[t] = 0; /* locks are two as well */
    shown[t] = false;
    sequence[t] = 0;
    owner[t] = 0;
    data[t] = 0;
    lock_hb[HB(t, 0)] = 0;
    lock_hb[HB(t, 1)] = 0;
    cache[t] = 0;
    cache_version[t] = 0;
    word_hb[t] = 0;
    read_cache[t] = 0;
    write_hb[t] = 0;
    read_hb[t] = 0
}
inline freeze()
{
    d_step {
        freeze_thread(0);
        freeze_thread(1);
        word = 0;
        version = 0;
        writer = 0;
        readers = 0;
        writes = 0;
        last_writer = 0;
        other_reads = false;
        reads = 0;
        reads_done = 0;
        rw_data = 0;
        phase = REPLAY
    }
}

/* G3: nothing replayable was left out. x, y: the largest closed prefix by true dependencies. */
inline check_maximal()
{
    x = end[0];
    y = end[1];
    do
    :: x > 0 && dep[AT(0, x)] > y -> x--
    :: else ->
       if
       :: y > 0 && dep[AT(1, y)] > x -> y--
       :: else -> break
       fi
    od;
    assert(x == pos[0] && y == pos[1]);
    x = 0;
    y = 0
}

inline commit_thread(t)
{
#ifndef BREAK_R12_R
    R[t] = pos[t]; /* records beyond the cut are deleted */
#endif
    stable[t] = pos[t];
#ifndef BREAK_R12_HELD
    got[t] = (got[t] > outs[t] -> outs[t] : got[t]); /* held outputs beyond it as well */
#endif
#ifndef BREAK_R12_VOR
    vor[OUT(t, 1)] = (outs[t] >= 1 -> 0 : vor[OUT(t, 1)]); /* those within it may leave */
    vor[OUT(t, 2)] = (outs[t] >= 2 -> 0 : vor[OUT(t, 2)]);
#endif
    pub[t] = pos[t];
#ifdef BREAK_R3
    last_record[t] = pos[t];
#endif
#ifndef BREAK_R12_RESEND
    sent[t] = outs[t]; /* what replay computed again; the OL drops numbers it has */
#else
    got[t] = outs[t];
#endif
#ifdef PROMPT
    receive_output(t);
#endif
    p = pos[t] + 1;
    do
    :: p < EVENTS ->
       kind[AT(t, p)] = 0;
       arg[AT(t, p)] = 0;
       arg2[AT(t, p)] = 0;
       dep[AT(t, p)] = 0;
       p++
    :: else -> break
    od;
    p = 1;
    do
    :: p < OUTPUTS ->
       if
       :: out_at[OUT(t, p)] > pos[t] -> out_at[OUT(t, p)] = 0; vor[OUT(t, p)] = 0
       :: else
       fi;
       p++
    :: else -> break
    od;
    p = 0;
    asleep[t] = false;
    end[t] = 0
}
inline check_cut(t)
{
    assert(pos[t] <= end[t]);
    assert(dep[AT(t, pos[t])] <= pos[OTHER]); /* G3: closed; position 0 has no dependency */
    assert(outs[t] >= released[t])            /* G3: holds what was released */
}
inline commit()
{
    d_step {
        check_cut(0);
        check_cut(1);
        check_maximal();
        commit_thread(0);
        commit_thread(1)
    }
}

inline check_done(t)
{
    assert(finished[t]);              /* nobody is stuck */
    assert(released[t] == outs[t]);   /* G4: nothing lost, R3: nothing stuck */
    assert(released[t] < 1 || world[OUT(t, 1)] == content[OUT(t, 1)]); /* G4 */
    assert(released[t] < 2 || world[OUT(t, 2)] == content[OUT(t, 2)])
}

proctype Takeover()
{
    byte p, x, y;
    byte left; /* crashes to come */
    bool early; /* the next one hits the backup before its cut is committed */
    if
    :: left = 0
    :: left = 1
#if CRASHES > 1
    :: left = 2
#endif
    fi;
    if
    :: early = false
    :: left > 1 -> early = true
    fi;
    do
    :: left > 0 ->
       left--;
       freeze();
       do
       :: left > 0 && early -> left--; freeze()
       :: !(left > 0 && early) && timeout -> break
       od;
       skip;
#ifdef BREAK_R12_ORDER
       d_step { phase = RUN };
       commit()
#else
       atomic { commit(); phase = RUN }
#endif
    :: left == 0 && timeout -> break
    od;
    skip; /* a break may not jump into a d_step */
    d_step {
        check_done(0);
        check_done(1)
    }
}
