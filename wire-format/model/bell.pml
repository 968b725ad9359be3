/* SPDX-License-Identifier: Apache-2.0 */
/* Bells (SPEC 11.2, W-121 and W-122) under the store buffers of x86: whoever waits for something that has happened is woken.
 *
 * Ringers store what sleepers wait for, through a buffer that reaches memory at any later time, and then look at the bell.
 * Sleepers make the bell odd by a locked instruction, impose a barrier, look, and sleep as long as the bell is as it was.
 * A ringer may die between its two steps; then the sleepers' slices end. A sleeper that waits for ever is an invalid end state.
 *
 * Each -DBUG_x brings one flaw back.
 */
#ifndef SLEEPERS
#define SLEEPERS 2
#endif
#ifndef RINGERS
#define RINGERS 2
#endif
#ifndef MAXD
#define MAXD 1           /* deaths */
#endif
#define NEEDED RINGERS   /* each sleeper waits for so many values */

byte value;              /* in memory */
byte bell;
byte pending;            /* stores of values in the ringers' buffers */
bool buffered[RINGERS];
bool asleep[SLEEPERS];
bool died;

#define ODD(word) ((word) % 2 == 1)

inline drain(r) { if :: buffered[r] -> value++; buffered[r] = false :: else fi }
inline drain_all() {
  drain(0);
#if RINGERS > 1
  drain(1)
#endif
}
inline wake_all() {
  asleep[0] = false;
#if SLEEPERS > 1
  asleep[1] = false
#endif
}

proctype buffer(byte r) {
end:
  do :: atomic { buffered[r] -> value++; buffered[r] = false } od
}

proctype ringer(byte r) {
  byte seen;
  buffered[r] = true;
  seen = bell;                              /* plain: the store before may still be in the buffer */
  do
  :: ODD(seen) ->
     if
     :: atomic { bell == seen -> drain(r);  /* a locked instruction */
#ifndef BUG_NOT_EVEN
          bell = bell + 1
#endif
        };
        if
        :: atomic { !died && MAXD > 0 -> died = true; goto gone }
        :: true
        fi;
        atomic { wake_all() };
        break
     :: atomic { bell != seen -> seen = bell }
     fi
  :: else -> break
  od;
gone:
  skip
}

proctype sleeper(byte s) {
  byte heard;
  bool enough;
  do
  :: true ->
#ifdef BUG_LOOK_FIRST
     enough = (value >= NEEDED);
#endif
     atomic { bell = bell + (1 - bell % 2); heard = bell };
#ifndef BUG_NO_BARRIER
     atomic { drain_all() };
#endif
#ifndef BUG_LOOK_FIRST
     enough = (value >= NEEDED);
#endif
     if :: enough -> break :: else fi;
     atomic { if :: bell == heard -> asleep[s] = true :: else fi };
     if
     :: !asleep[s]
     :: atomic { died && asleep[s] -> asleep[s] = false }   /* a slice is over */
     fi
  od
}

init {
  atomic {
    run buffer(0); run ringer(0);
#if RINGERS > 1
    run buffer(1); run ringer(1);
#endif
    run sleeper(0);
#if SLEEPERS > 1
    run sleeper(1)
#endif
  }
}
