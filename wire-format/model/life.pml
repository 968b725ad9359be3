/* SPDX-License-Identifier: Apache-2.0 */
/* Names and segments (SPEC section 7): a name leads to a file; participants attach to it, make it, replace what a crash
 * left, and the last one removes it; each may die at any step, and comes again.
 *
 * What one step is. Each statement is one: a system call on the name (open, unlink), the creation lock, or one store.
 * Under the creation lock of a file that keeps its name nobody else changes anything, so steps there are only where a
 * death makes a difference.
 *
 * Each -DBUG_x brings one flaw back.
 */
#ifndef N
#define N 3              /* processes; the first is a producer, the others are consumers */
#endif
#ifndef MAXD
#define MAXD 2           /* deaths */
#endif
#ifndef ROUNDS
#define ROUNDS 2         /* how often each attaches */
#endif
#define NF (N * ROUNDS + MAXD + 1)

#define EMPTY 0          /* states of a segment; READY is not told from HEADER here */
#define HEADER 1
#define REMOVED 2

byte name, files;                 /* the file that the name leads to, or 0; how many there ever were */
byte state[NF], lock[NF];         /* lock: the creation lock, 1 + its holder */
bool header[NF], crashed[NF];     /* all of the header is there; an entry is LIVE whose owner is dead */
byte at[N];                       /* where each participant lives */
byte deaths;

#define CONSUMER(i) ((i) != 0)
#define LIVES(i, f) (at[i] == (f))
#define OTHER_LIVES(i, f) ((LIVES(0, f) && (i) != 0) || (LIVES(1, f) && (i) != 1) || (LIVES(N - 1, f) && (i) != N - 1))
#define NOBODY_LIVES(f) (!LIVES(0, f) && !LIVES(1, f) && !LIVES(N - 1, f))
#define APART(i, j) (at[i] != 0 && at[j] != 0 && at[i] != at[j] && state[at[i]] != REMOVED && state[at[j]] != REMOVED)
#define STALE(f) (crashed[f] && NOBODY_LIVES(f))                 /* W-76 */
#define MAYDIE if :: atomic { deaths < MAXD -> deaths++; goto die } :: true fi

inline retire() {                 /* W-77 */
  atomic {
    assert(!OTHER_LIVES(i, f));                                  /* W-78: never from under somebody */
    state[f] = REMOVED
  };
  MAYDIE;
  atomic {
    assert(name == 0 || name == f);                              /* no unlink of what is not ours */
    name = 0
  }
}

proctype participant(byte i) {
  byte f, rounds;
  bool stale;
again:
  f = 0;
  if
  :: atomic { rounds == ROUNDS -> goto over }
  :: atomic { rounds < ROUNDS && name != 0 -> f = name }
  :: atomic { rounds < ROUNDS && name == 0 -> files++; assert(files < NF); name = files; f = files }
  fi;
  MAYDIE;
#ifdef BUG_STALE_EARLY            /* W-76: judged before the lock */
  stale = STALE(f);
#endif
  atomic { lock[f] == 0 -> lock[f] = i + 1 };
  MAYDIE;
#ifndef BUG_NO_CHECK              /* W-72: does the name still lead to this file? */
  if
  :: atomic { name != f -> lock[f] = 0; goto again }
  :: atomic { name == f -> skip }
  fi;
#endif
  if
  :: atomic { state[f] == EMPTY -> skip };                       /* W-74; half-made, or quite new */
#ifdef BUG_STATE_FIRST
     state[f] = HEADER;
     MAYDIE;
     header[f] = 1
#else
     header[f] = 1;
     MAYDIE;
     state[f] = HEADER
#endif
  :: atomic { state[f] == REMOVED -> skip };
     retire();
     atomic { lock[f] = 0; goto again }
  :: atomic { state[f] == HEADER ->
#ifndef BUG_STALE_EARLY
       stale = STALE(f)
#endif
     };
     if
     :: atomic { stale -> stale = 0 };
        retire();
        atomic { lock[f] = 0; goto again }
     :: atomic { !stale || CONSUMER(i) -> stale = 0 }             /* a consumer keeps what has objects in it */
     fi
  fi;
  MAYDIE;
  atomic {                                                       /* W-13 */
    assert(header[f] && state[f] == HEADER);
    at[i] = f; rounds++;
    assert(!APART(0, 1) && !APART(0, N - 1) && !APART(1, N - 1))  /* W-72: never two live segments of one name */
  };
  MAYDIE;
  lock[f] = 0;
  MAYDIE;                                                        /* works */
  atomic { lock[f] == 0 -> lock[f] = i + 1; crashed[f] = 0 };    /* W-78; what the dead left is reaped */
  MAYDIE;
  if
#ifdef BUG_LAST_CONSUMER
  :: atomic { CONSUMER(i) && !(OTHER_LIVES(i, f) && !LIVES(0, f)) && state[f] != REMOVED -> skip }; retire()
#else
  :: atomic { !OTHER_LIVES(i, f) && state[f] != REMOVED -> skip }; retire()
#endif
  :: true                                                        /* objects wait, or others live */
  fi;
  MAYDIE;
  at[i] = 0;
  MAYDIE;
  atomic { lock[f] = 0; goto again };
die:                              /* the kernel lets go what it held; then it comes again */
  atomic {
    if :: at[i] != 0 -> crashed[at[i]] = 1; at[i] = 0 :: else fi;
    if :: f != 0 && lock[f] == i + 1 -> lock[f] = 0 :: else fi;
    stale = 0;
    goto again
  };
over:
  skip
}

init {
  byte i;
  atomic { do :: i < N -> run participant(i); i++ :: else -> break od; i = 0 }
}
