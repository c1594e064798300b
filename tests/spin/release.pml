/*
 * The OL: what it receives, when it releases (R2, R3).
 *
 * PROMPT: output frames arrive when they are sent and leave when they may; only the logs'
 * arrival is free. Smaller; what it hides is explored by the programs that do without it.
 */

#ifdef BREAK_R3 /* `to` of a frame is its last record: trailing predicted events never arrive */
#define ARRIVING (R[t] < pub[t] && R[t] < last_record[t])
#else
#define ARRIVING (R[t] < pub[t])
#endif

#define RELEASABLE(j)                                                                              \
    (released[j] < got[j] && out_at[OUT(j, released[j] + 1)] != 0 &&                               \
     out_at[OUT(j, released[j] + 1)] <= R[j] && vor[OUT(j, released[j] + 1)] <= R[1 - (j)])

inline release(j)
{
    released[j]++;
    assert(out_at[OUT(j, released[j])] <= stable[j]);                     /* G1 */
    assert(dep[AT(j, out_at[OUT(j, released[j])])] <= stable[1 - (j)]);   /* G1 */
    world[OUT(j, released[j])] = held[OUT(j, released[j])]
}

inline release_all(j)
{
    do
    :: RELEASABLE(j) -> release(j)
    :: else -> break
    od;
    skip /* a break may not leave a d_step */
}

inline receive_output(j)
{
    do
    :: got[j] < sent[j] ->
       got[j]++;
       held[OUT(j, got[j])] = content[OUT(j, got[j])]
    :: else -> break
    od;
    release_all(j)
}

#ifdef PROMPT
#define MAY_SLEEP (stale_log[t] || stale_output[t])
#else
#define MAY_SLEEP true
#endif

/* One for each thread's link, as release is parallel. */
proctype OutputLogger(byte t)
{
end_ol:
    do
#ifdef PROMPT
    :: d_step {
           phase == RUN && ARRIVING ->
           R[t]++;
           stable[t] = R[t];
           release_all(0);
           release_all(1)
       }
#else
    :: d_step { phase == RUN && ARRIVING -> R[t]++; stable[t] = R[t] }
    :: d_step {
           phase == RUN && got[t] < sent[t] ->
           got[t]++;
           held[OUT(t, got[t])] = content[OUT(t, got[t])]
       }
    :: d_step { !asleep[t] && RELEASABLE(t) -> release(t) }
#endif
    :: d_step { phase == REPLAY && !asleep[t] && MAY_SLEEP -> asleep[t] = true }
    :: d_step {
           !asleep[t] && stale_log[t] ->
           stale_log[t] = false; /* counted and dropped */
#ifdef BREAK_R12_EPOCH
#ifndef UNSEEN
           assert(false); /* G5 */
#endif
           R[t]++
#endif
       }
    :: d_step {
           !asleep[t] && stale_output[t] ->
           stale_output[t] = false;
#ifdef BREAK_R12_EPOCH
#ifndef UNSEEN
           assert(false); /* G5 */
#endif
           got[t]++;
           held[OUT(t, got[t])] = stale_content[t]
#endif
       }
    od
}
