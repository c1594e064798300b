/*
 * Ordered logging with last-owner elision, the commit rule and the takeover: an exhaustive model.
 * Rules R1-R7 and R12, guarantees G1-G5 of docs/architecture.md. README.md says what is left out.
 *
 * Time
 *   Two threads run a program (programs.pml), recording. At any moment the master may die: its
 *   memory is lost, the OL freezes. The same threads replay from the beginning (the base snapshot is
 *   the initial state) what the OL received, to quiescence: the cut. The OL commits the cut, the
 *   threads go live and finish the program, recording again.
 *
 * Frames
 *   The link is the part of a published log that has not arrived: pub[t] - R[t] events. Each arrival
 *   moves R[t] by one event; a frame (from, to) of several is several arrivals, so all frame
 *   boundaries are covered. A frame that is under way when the master dies, or that a stopped
 *   and continued master sends later, is a stale frame: stale_log, stale_output.
 *
 * Ghosts (no implementation has them; assertions use them)
 *   hb[t]      how many events of the other thread happened before thread t's present
 *   dep[t,p]   the same for event p of thread t: the true dependency, whatever was logged
 *   stable[t]  events of the present lineage that the OL has
 *   order[s]   who took lock at sequence s when it was recorded (G2)
 *   content    what an output was computed from: all that the thread has seen so far
 */

#define THREADS 2
#define EVENTS 9 /* positions 1 .. 8 */
#define OUTPUTS 3 /* numbers 1 .. 2 */
#define AT(t, p) ((t) * EVENTS + (p))
#define OUT(t, k) ((t) * OUTPUTS + (k))
#define OTHER (1 - t)
#define MAX(a, b) ((a) > (b) -> (a) : (b))

#if defined(PROGRAM_TAKEOVER) || defined(PROGRAM_TWICE)
#define STALE 1 /* frames of the dead epoch arrive late; elsewhere they are lost with it */
#else
#define STALE 0
#endif
#ifndef CRASHES
#define CRASHES 1
#endif

/* ---- the log: record of event p of thread t; PREDICTED adds no bytes ---- */
#define PREDICTED 0
#define ORDER 1 /* arg: sequence */
#define FAIL 2  /* arg: the holder's sequence */
#define LOAD 3  /* arg: value, arg2: version */
#define READ 4  /* arg: write sequence */
#define WRITE 5 /* arg: sequence, arg2: reads since the last write */
#define SEND 6  /* arg: position of the other thread in the VOR */
#define VALUE 7 /* arg: the value */
byte kind[THREADS * EVENTS];
byte arg[THREADS * EVENTS];
byte arg2[THREADS * EVENTS];
byte dep[THREADS * EVENTS]; /* ghost */

/* ---- a process of the NF: lost in a crash, rebuilt by replay ---- */
byte pos[THREADS];     /* events done */
byte pub[THREADS];     /* events published (R1) */
byte outs[THREADS];    /* outputs computed */
byte sent[THREADS];    /* outputs given to the link */
byte content[THREADS * OUTPUTS];
byte seen[THREADS];    /* digest of what the thread observed */
byte hb[THREADS];      /* ghost */
bool finished[THREADS];
bool restart[THREADS]; /* the process died: begin again */

/* ---- the OL ---- */
byte R[THREADS];
byte stable[THREADS]; /* ghost */
byte end[THREADS];    /* end marks of the logs handed out */
byte got[THREADS];    /* outputs received, contiguous */
byte held[THREADS * OUTPUTS];
byte out_at[THREADS * OUTPUTS]; /* position of its SEND record, 0: not logged */
byte vor[THREADS * OUTPUTS];
byte released[THREADS];
byte world[THREADS * OUTPUTS]; /* ghost: what left */
bool asleep[THREADS];     /* does nothing more before the cut is committed */
bool stale_log[THREADS];  /* a log frame of the dead epoch is under way */
bool stale_output[THREADS];
byte stale_content[THREADS];

#ifdef BREAK_R3
byte last_record[THREADS];
#endif

#define RUN 0
#define REPLAY 1
bit phase;

#ifdef BREAK_R12_WAIT /* a thread goes live on its own, not at the cut */
#define RECORDING (phase == RUN || pos[t] >= end[t])
#else
#define RECORDING (phase == RUN)
#endif
#define REPLAYING (phase == REPLAY && pos[t] < end[t])
#define NEXT(field) field[AT(t, pos[t] + 1)]

/* ---- one event ---- */
inline record(k, a, b)
{
    pos[t]++;
    kind[AT(t, pos[t])] = k;
    arg[AT(t, pos[t])] = a;
    arg2[AT(t, pos[t])] = b;
    dep[AT(t, pos[t])] = hb[t];
#ifdef BREAK_R3
    last_record[t] = (k != PREDICTED -> pos[t] : last_record[t]);
#endif
}
inline replayed()
{
    pos[t]++;
    hb[t] = dep[AT(t, pos[t])];
}
inline diverge() { assert(false) /* G6: the log says otherwise than the program */ }

inline publish_now()
{
    if
    :: RECORDING -> pub[t] = pos[t]
    :: else
    fi
}
#ifdef BREAK_R1 /* the effect first, then the position */
#define publish() skip
#define publish_again() skip
#define publish_late() publish_now()
#else
#define publish() publish_now()
#define publish_late() skip
#ifdef BREAK_R1_UNLOCK
#define publish_again() skip
#else
#define publish_again() publish_now()
#endif
#endif

inline observe(v) { seen[t] = seen[t] * 3 + v + 1 }

#include "locks.pml"
#include "words.pml"
#include "rwlock.pml"

#include "release.pml"

/* An empty receive: predicted, and the one event that may wait for the next publication (R1). */
inline idle()
{
    if
    :: d_step { RECORDING -> record(PREDICTED, 0, 0) }
    :: d_step { REPLAYING && NEXT(kind) == PREDICTED -> replayed() }
    fi
}

/* A clock or a received packet: nobody can predict it; a discarded one comes out differently. */
inline value(v)
{
    if
    :: atomic { RECORDING -> if :: v = 0 :: v = 1 fi; d_step { record(VALUE, v, 0); observe(v); publish_now() } }
    :: d_step { REPLAYING && NEXT(kind) == VALUE -> v = NEXT(arg); replayed(); observe(v) }
    fi
}

/* R2: read the others' positions, log the vector, publish, send. */
inline send()
{
    if
    :: d_step {
           RECORDING ->
#ifdef BREAK_R2
           need[t] = 0
#else
           need[t] = pub[OTHER]
#endif
       };
       d_step {
           record(SEND, need[t], 0);
           outs[t]++;
           content[OUT(t, outs[t])] = seen[t];
           out_at[OUT(t, outs[t])] = pos[t];
           vor[OUT(t, outs[t])] = need[t];
           need[t] = 0;
           pub[t] = pos[t]
       };
       d_step {
           sent[t] = outs[t];
#ifdef PROMPT
           receive_output(t)
#endif
       }
    :: d_step {
           REPLAYING ->
           if
           :: NEXT(kind) == SEND ->
              replayed();
              outs[t]++;
              content[OUT(t, outs[t])] = seen[t];
              assert(outs[t] > released[t] || world[OUT(t, outs[t])] == seen[t]) /* G2, G4 */
           :: else -> diverge()
           fi
       }
    fi
}
byte need[THREADS]; /* the VOR while it is read */


#include "programs.pml"

proctype Thread(byte t)
{
    byte v;
again:
    {
        if
        :: t == 0 -> PROGRAM_0
        :: t == 1 -> PROGRAM_1
        fi;
        d_step {
            publish_now(); /* R1: thread exit */
            v = 0;
            seen[t] = 0;
            finished[t] = true
        };
end_done:
        false
    }
    unless { atomic { restart[t] -> restart[t] = false; v = 0; goto again } }
}

#include "takeover.pml"

init
{
    atomic {
        run Thread(0);
        run Thread(1);
        run OutputLogger(0);
        run OutputLogger(1);
        run Takeover()
    }
}
