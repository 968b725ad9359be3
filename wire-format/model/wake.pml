/* SPDX-License-Identifier: Apache-2.0 */
/* Sleeping and waking (SPEC 5.8, W-31 to W-35) under store buffers: what a publisher stored may reach memory later than
 * its next load looks there, and only a barrier, a locked operation or time makes it do so (x86's order).
 *
 * Publishers publish K frames each and leave, at once or when all was taken; sleepers take them until the end of
 * stream. Whoever finds nothing sleeps.
 * A slice that ends is modelled by `timeout`: time passes only when nobody can do anything else. So each slice that is
 * counted is one in which somebody slept although there was something to do, and the question is how many a death costs.
 *
 *   -DFULL_FENCE   flag bit 0 is set: publishers and sleepers fence, nobody imposes barriers
 *   -DMAXD         deaths of publishers and sleepers, at any step      -DLEAVES   how often a wait ends by its time-out
 * Each -DBUG_x brings one flaw back.
 */
#ifndef NP
#define NP 2             /* publishers */
#endif
#ifndef NC
#define NC 2             /* sleepers */
#endif
#ifndef K
#define K 2              /* frames of each publisher */
#endif
#ifndef MAXD
#define MAXD 0
#endif
#ifndef LEAVES
#define LEAVES 1
#endif
#ifndef SLICES
#define SLICES 0         /* how many needless slices a sleeper may spend for each death */
#endif

/* Stores of each publisher: issued, and arrived; the one after K says that it left. The last place is a dummy. */
byte buffered[NP + 1], memory[NP + 1];
byte waiters, tokens;            /* announced sleepers; the semaphore */
byte taken;                      /* frames, under consumers_lock */
byte deaths, leaves;
bool dead[NP], reaped[NP];       /* publishers that died */
byte sleepers = NC;              /* that live */
#define ARRIVED(p) (memory[p] > K -> K : memory[p])
#define AVAILABLE (ARRIVED(0) + (NP == 2 -> ARRIVED(NP - 1) : 0) > taken)
#define LEFT(p) (memory[p] == K + 1 || reaped[p])
#define BARRIER d_step { memory[0] = buffered[0]; memory[NP - 1] = buffered[NP - 1] }
#define MAYDIE if :: atomic { deaths < MAXD -> deaths++; goto die } :: true fi

proctype store_buffer(byte i) {
end:
  do :: atomic { memory[i] != buffered[i] -> memory[i]++ } od
}

/* One announcement is taken back, by a locked operation, and one token posted for it (W-34). */
inline post_one(p) {
  if
  :: atomic { waiters > 0 ->
       memory[p] = buffered[p];
#ifndef BUG_NO_TAKE_BACK
       waiters--
#endif
     };
     MAYDIE;
     atomic { tokens++; assert(tokens <= NC + deaths) }     /* tokens do not pile up */
  :: atomic { waiters == 0 -> skip }
  fi
}
inline wake_all(p) {
  memory[p] = buffered[p];                         /* a fence */
  count = waiters;
  do
  :: count > 0 -> post_one(p); count--
  :: count == 0 -> break
  od
}

proctype publisher(byte i) {
  byte n, count;
  do
  :: n < K ->
     atomic { buffered[i]++; n++ };
     MAYDIE;
#ifdef FULL_FENCE
#ifndef BUG_NO_FENCE
     memory[i] = buffered[i];
#endif
#endif
     if
     :: atomic { waiters != 0 -> skip }; post_one(i)
     :: atomic { waiters == 0 -> skip }
     fi
  :: n == K -> break
  od;
  /* It leaves at once, or when all that it published was taken: nobody may count on its farewell. */
  if
  :: true
  :: true -> atomic { (memory[i] == buffered[i] && !AVAILABLE) || sleepers == 0 -> skip }
  fi;
  buffered[i]++;                 /* its entry is FREE */
  MAYDIE;
  wake_all(i);
  goto over;
die:
  dead[i] = 1;
over:
  skip
}

proctype sleeper(byte j) {
  byte debts, slices, count;
  bool announced, owed, ended;
wait:
  do
  :: ended -> goto over
  :: !ended ->
     /* W-31, W-32 */
#ifdef BUG_LOOK_FIRST
     if
     :: atomic { AVAILABLE -> taken++; slices = 0 }; goto leave
     :: atomic { !AVAILABLE && LEFT(0) && LEFT(NP - 1) -> ended = 1 }; goto leave
     :: atomic { !AVAILABLE && !(LEFT(0) && LEFT(NP - 1)) -> skip }
     fi;
#endif
     if
     :: atomic { announced -> skip }
     :: atomic { !announced && debts > 0 -> debts--; owed = 1; announced = 1 }
     :: atomic { !announced && debts == 0 -> waiters++; owed = 0; announced = 1 }
     fi;
     MAYDIE;
#ifndef BUG_NO_BARRIER
#ifndef FULL_FENCE
     BARRIER;
#endif
#endif
     /* W-33 */
#ifndef BUG_LOOK_FIRST
     if
     :: atomic { AVAILABLE -> taken++; slices = 0 }; break
     :: atomic { !AVAILABLE && LEFT(0) && LEFT(NP - 1) -> ended = 1 }; break
     :: atomic { !AVAILABLE && !(LEFT(0) && LEFT(NP - 1)) -> skip }
     fi;
#endif
     if
     :: atomic { tokens > 0 -> tokens--; announced = 0
#ifdef BUG_NO_TAKE_BACK
          ; waiters--
#endif
        };
        MAYDIE
     :: atomic { leaves < LEAVES -> leaves++ }; break
     :: atomic { timeout ->
          slices++;
          assert(slices <= SLICES * deaths);
          if :: owed -> announced = 0 :: else fi
        };
        /* the dead are reaped; who did it wakes everybody */
        if
        :: atomic { dead[0] || dead[NP - 1] ->
             if :: dead[0] -> reaped[0] = 1 :: else fi;
             if :: dead[NP - 1] -> reaped[NP - 1] = 1 :: else fi;
             dead[0] = 0; dead[NP - 1] = 0
           };
           wake_all(NP)
        :: atomic { !dead[0] && !dead[NP - 1] -> skip }
        fi
     fi
  od;
leave:
  /* W-35 */
  if
  :: atomic { !announced -> skip }
  :: atomic { announced && waiters > 0 -> waiters--; announced = 0 }
  :: atomic { announced && waiters == 0 ->
       skip
     };
     if
     :: atomic { tokens > 0 -> tokens-- }
     :: atomic { tokens == 0 ->
#ifndef BUG_NO_DEBT
          debts++
#else
          skip
#endif
        }
     fi;
     announced = 0
  fi;
  goto wait;
die:
over:
  sleepers--
}

init {
  atomic {
    run store_buffer(0); run publisher(0);
#if NP == 2
    run store_buffer(1); run publisher(1);
#endif
    run sleeper(0);
#if NC == 2
    run sleeper(1);
#endif
  }
}
