/* SPDX-License-Identifier: Apache-2.0 */
/* The locks of SPEC 5.1 (W-36 to W-39) under store buffers: one that is left to its owner, who comes and goes by plain
 * stores to its busy flag; whoever takes it from the owner, or from the dead; giving up; and deaths.
 *
 * All processes do the same: take the lock, work under it, and give it back, or leave it to themselves, ROUNDS times.
 * Every store goes through the buffer of its process, in order, and reaches memory at any later time; a load sees one's
 * own buffer first (x86's order). A locked instruction empties one's own buffer, a barrier everybody's; so does death:
 * the kernel lets the byte go after all stores. The work is two stores, to `half` and back; what a dead one left there is
 * to be repaired by the first who comes in after it, who must have been told so.
 *
 * Each step is at most one access to memory, and after each its process may die. Who waits is blocked until what it waits
 * for has changed, so that somebody who waits for ever is an invalid end state.
 * Each -DBUG_x brings one flaw back.
 */
#ifndef N
#define N 3              /* participants */
#endif
#ifndef ROUNDS
#define ROUNDS 2         /* of each */
#endif
#ifndef MAXD
#define MAXD 2           /* deaths */
#endif
#ifndef GIVE_UPS
#define GIVE_UPS 2       /* how often somebody loses patience with one who is inside */
#endif
#define BUFFER 3         /* stores */

/* Addresses, and what is stored there. The word is 0, a participant, or LEFT_TO one. */
#define WORD 0
#define HALF (N + 1)
#define BUSY(p) (1 + (p))
#define ID(p) (1 + (p))
#define LEFT_TO(id) ((id) + N)
#define LEFT(word) ((word) > N)
#define DEAD(id) dead[(id) - 1]

byte memory[N + 2];
chan stores[N] = [BUFFER] of { byte };       /* 16 * address + value */
bool dead[N];                                /* nobody holds its byte */
bool inside[N];                              /* ghost: works under the lock */
#if N == 2
#define ALONE (inside[0] + inside[1] == 1)
#else
#define ALONE (inside[0] + inside[1] + inside[2] == 1)
#endif
byte deaths, give_ups;

#define MAYDIE if :: atomic { deaths < MAXD -> deaths++; goto die } :: true fi
#define STORE(a, v) stores[i] ! 16 * (a) + (v)
inline drain(p) {
  do
  :: len(stores[p]) > 0 -> stores[p] ? x; memory[x / 16] = x % 16
  :: else -> break
  od;
  x = 0
}
inline load(a) {           /* into v */
  atomic {
    v = memory[a];
    n = len(stores[i]);
    do
    :: n > 0 -> stores[i] ? x; stores[i] ! x; n--; if :: x / 16 == (a) -> v = x % 16 :: else fi
    :: else -> break
    od;
    x = 0
  }
}
inline swap(old, new) {    /* v: whether it did */
  atomic { drain(i); v = (memory[WORD] == (old)); if :: v -> memory[WORD] = new :: else fi }
}

proctype buffer(byte i) {
  byte x;
end:
  do :: atomic { len(stores[i]) > 0 -> stores[i] ? x; memory[x / 16] = x % 16; x = 0 } od
}

#define NOBODY 0
#define LIVING 1
#define GONE 2
proctype participant(byte i) {
  byte round, x, n, v, seen, found, at;
  bool by_busy, from_dead;
next:
  if :: round == ROUNDS -> goto over :: else -> round++ fi;

come:
  atomic { load(WORD); if :: v == LEFT_TO(ID(i)) -> v = 0 :: else -> v = 0; goto slow fi };
  STORE(BUSY(i), 1);
  MAYDIE;
#ifndef BUG_NO_SECOND_LOOK
  atomic { load(WORD); if :: v != LEFT_TO(ID(i)) -> v = 0; goto back :: else -> v = 0; by_busy = 1; inside[i] = 1; goto work fi };
back:
  STORE(BUSY(i), 0);
  MAYDIE;
#else
  atomic { by_busy = 1; inside[i] = 1; goto work };
#endif

slow:
  atomic { swap(0, ID(i)); if :: v -> v = 0; inside[i] = 1; goto work :: else fi };
  atomic { load(WORD); seen = v; v = 0; if :: seen == 0 -> goto slow :: else fi };
  if
  :: atomic { LEFT(seen) || DEAD(seen) -> skip }
  :: atomic { !LEFT(seen) && !DEAD(seen) && (memory[WORD] == 0 || LEFT(memory[WORD]) || DEAD(memory[WORD])) -> seen = 0; goto come }
  fi;
  atomic { swap(seen, ID(i)); if :: v -> v = 0 :: else -> seen = 0; goto come fi };
  MAYDIE;
#ifdef BUG_NO_BARRIER_FROM_DEAD
  if :: atomic { !LEFT(seen) -> from_dead = 1; seen = 0; inside[i] = 1; goto work } :: LEFT(seen) fi;
#endif
#ifndef BUG_NO_BARRIER
  atomic { at = 0; do :: at < N -> drain(at); at++ :: else -> break od; at = 0 };
  MAYDIE;
#endif

look:
  atomic { found = NOBODY; at = 0 };
  do
  :: at == N -> break
  :: at < N ->
     atomic { load(BUSY(at)); if :: v -> v = 0 :: else -> at++; goto look_on fi };
     if
     :: atomic { !dead[at] -> found = LIVING }; break
     :: atomic { dead[at] ->
#ifndef BUG_DEAD_BUSY_FORGOTTEN
        found = GONE;
#endif
        skip };
#ifdef BUG_CLEAR_EARLY
        STORE(BUSY(at), 0);
        MAYDIE;
#endif
        at++
     fi;
look_on:
     skip
  od;
  if
  :: atomic { found == LIVING && (memory[BUSY(at)] == 0 || dead[at]) -> at = 0 }; goto look
  :: atomic { found == LIVING && give_ups < GIVE_UPS -> give_ups++; at = 0; found = NOBODY };
#ifdef BUG_GIVE_UP_FREES
     STORE(WORD, 0);
#else
     STORE(WORD, seen);
#endif
     seen = 0;
     MAYDIE;
     goto come
  :: found != LIVING ->
     at = 0;
     do
     :: found == GONE && at < N && dead[at] -> STORE(BUSY(at), 0); at++; MAYDIE
     :: found == GONE && at < N && !dead[at] -> at++
     :: else -> break
     od;
     atomic { from_dead = (found == GONE || !LEFT(seen)); seen = 0; found = NOBODY; at = 0; inside[i] = 1 }
  fi;

work:
  assert(ALONE);
  MAYDIE;
  if
  :: from_dead -> STORE(HALF, 0); from_dead = 0; MAYDIE
  :: else -> atomic { load(HALF); assert(v == 0) }
  fi;
  STORE(HALF, 1);
  MAYDIE;
  STORE(HALF, 0);
  MAYDIE;
  if
  :: atomic { by_busy -> STORE(BUSY(i), 0); inside[i] = 0; by_busy = 0 }
  :: atomic { !by_busy -> STORE(WORD, 0); inside[i] = 0 }
  :: atomic { !by_busy -> STORE(WORD, LEFT_TO(ID(i))); inside[i] = 0 }
  fi;
  MAYDIE;
  goto next;

die:
  atomic { drain(i); dead[i] = 1; inside[i] = 0; v = 0; n = 0; seen = 0; found = 0; at = 0; by_busy = 0; from_dead = 0; round = 0 }
over:
  skip
}

init {
  byte x;
  atomic {
    do :: x < N -> run buffer(x); run participant(x); x++ :: else -> break od;
    x = 0
  }
}
