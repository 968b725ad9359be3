/* SPDX-License-Identifier: Apache-2.0 */
/* The ring of SPEC section 5: reserve, commit, abort, acquire, release, drop_oldest, reap, and the end of stream, by
 * producers and consumers that may die between any two stores.
 *
 * What one step is. Each `atomic` below is one step: nobody else runs in between, but its owner may die at each MAYDIE.
 * A step holds at most one access that others can race with, plus accesses that nobody can see or change meanwhile:
 *   - tail, and whatever lies beyond head, belong to the holder of producers_lock; skipped, skipped_count, scan and the
 *     stores of read to the holder of consumers_lock; both locks are waited for, or tried, but never merely looked at;
 *   - under consumers_lock every state but RESERVED is as good as constant: READY stays READY, LEASED and what is
 *     finished is passed alike. So a look at a RESERVED frame, which may be committed at any moment, ends a step.
 * Stores that only the next holder of a lock can see need no step of their own, but a MAYDIE after each.
 *
 * Waiting. Who finds nothing sleeps, and looks again when woken or after a slice (wake.pml). Here it tries again as soon
 * as its try would change something (the c_expr guards). So "somebody waits for ever" is a state in which nobody can go
 * on, and spin reports it as an invalid end state. Nothing but deaths and repairs moves a cursor back, so no two tries
 * can undo each other.
 *
 * -DOLDEST: tail jumps over what lies before read and every consumer's oldest lease. Its loads of these are steps of
 * their own, since consumers go on meanwhile.
 *
 * Each -DBUG_x brings one flaw back; see README.md for the configurations.
 */
#ifndef CAP
#define CAP 3            /* units of the body */
#endif
#ifndef K
#define K 1              /* remembered RESERVED frames; 32 in reality */
#endif
#if K == 0
#define KA 1             /* there is no array of nothing */
#else
#define KA K
#endif
#ifndef NP
#define NP 2             /* producers */
#endif
#ifndef NC
#define NC 2             /* consumers */
#endif
#ifndef N0
#define N0 2             /* frames of the first producer: 1 to N0 */
#endif
#ifndef N1
#define N1 1             /* frames of the second: N0 + 1 to N0 + N1 */
#endif
#ifndef E1
#define E1 1             /* their extents in units */
#endif
#ifndef E2
#define E2 2
#endif
#ifndef E3
#define E3 1
#endif
#ifndef E4
#define E4 1
#endif
#ifndef MAXD
#define MAXD 2           /* deaths */
#endif
#ifndef MAXA
#define MAXA 3           /* max_attempts */
#endif

#define NW (NP + NC)
#define NE (NW + MAXD)   /* entries in the table: a newcomer finds one before the dead are reaped */
#define NM (N0 + N1)
#define FIRST(i) ((i) == 0 -> 0 : N0)
#define LAST(i) ((i) == 0 -> N0 : NM)
#define PRODUCER_OF(m) ((m) <= N0 -> 0 : 1)
#define EXTENT(m) ((m) == 1 -> E1 : ((m) == 2 -> E2 : ((m) == 3 -> E3 : E4)))

#define RESERVED 1       /* frame states (SPEC 4) */
#define READY 2
#define LEASED 3
#define FREE 4
#define ABANDONED 5
#define PAD 6
#define FINISHED(s) ((s) >= FREE)

#define PRODUCER 1       /* states of an entry's word: 0 is FREE, the others are LIVE with that role */
#define CONSUMER 2
#define NO_ROLE 3

#define O(p) ((p) % CAP)
#define IDX(id) (((id) - 1) % NE)
#define GEN(id) (((id) - 1) / NE)
#define ID(e) (1 + (e) + NE * generation[e])
#define DEAD(id) (word[IDX(id)] == 0 || generation[IDX(id)] != GEN(id) || !byte_held[IDX(id)])   /* W-12 */
#define AVAILABLE(lock) ((lock) == 0 || DEAD(lock))
#define NEEDED(h, e) ((e) + (O(h) + (e) > CAP -> CAP - O(h) : 0))
#ifdef DROP
#define HELPS true
#else
#define HELPS (read == head || FINISHED(state[O(read)]))    /* W-52 */
#endif
#define FITS(h, e) ((h) + NEEDED(h, e) <= tail + CAP)
#define SCANNING (K + 1)

/* shared memory */
byte producers_lock, consumers_lock, head, tail, read, scan, skipped_count, skipped[KA];
byte state[CAP], owner[CAP], attempt[CAP];                 /* the control word of the frame at this offset */
byte sentinel[CAP], extent[CAP], number[CAP], payload[CAP];  /* 1 + position; units; which frame; one value per unit */
byte word[NE], generation[NE];
#ifdef OLDEST
byte oldest[NE];           /* oldest_lease; 0 for whatever lies before tail, which comes to the same */
#define NONE 255           /* at first */
#endif
#ifdef TABLE
byte epoch;
#endif
/* kernel */
bool byte_held[NE];
/* private to whoever holds consumers_lock: its copy of the cursor, and how far its look has come */
byte c_scan, c_count, c_skipped[KA], c_limit, c_found, c_at, c_index;
bool c_passed;
#ifdef BATCH
byte c_head;
#endif
/* private to each process */
byte me[NW];
bool ended[NW];                    /* will not come back */
/* ghosts: what ought to be */
byte deaths, sent[NP], last[NP];   /* frames reserved; the last one delivered for the first time */
byte fate[NM + 1];                 /* of a frame */
byte owed[NC];                     /* frames that must be taken before this consumer may see the end of stream */
#define UNCOMMITTED 0
#define PENDING 1
#define HELD 2
#define DONE 3
#define DROPPED 4
byte corpse;                       /* scratch */
/* scratch of each process, 0 between steps */
#define SCRATCH byte x, y, r; bool looked

/* ---- What a sleeper finds when it looks again: would a try change anything? ------------------------------------- */
c_code {
static int dead(int id) { int e = (id - 1) % NE; return !now.word[e] || now.generation[e] != (id - 1) / NE || !now.byte_held[e]; }
static int available(int lock) { return lock == 0 || dead(lock); }
/* bit 0: acquire would take a frame; bit 1: it would move the cursor */
static int look_ahead(void) {
  int i, s, at, n = 0, r = 0, scan = now.scan;
  for (i = 0; i < now.skipped_count; i++) {
    s = now.state[now.skipped[i] % CAP];
    if (s == READY) return r | 1;
    if (s == RESERVED) n++; else r |= 2;
  }
  for (at = scan; at < now.head; at += now.extent[at % CAP]) {
    s = now.state[at % CAP];
    if (s == READY) return r | 1;
    if (now.extent[at % CAP] == 0) return r | 1;          /* no frame: let the look trip over it */
    if (at == scan && (s != RESERVED || n < K)) { r |= 2; n += s == RESERVED; scan = at + now.extent[at % CAP]; }
  }
  if (now.read != (now.skipped_count ? now.skipped[0] : now.scan)) r |= 2;
  return r;
}
static int can_reserve(int producer) {
  static const int extents[] = {0, E1, E2, E3, E4};
  int e = extents[1 + now.sent[producer] + (producer ? N0 : 0)];
  int t = now.tail, o = now.head % CAP, need = e + (o + e > CAP ? CAP - o : 0);
  if (now.head + need <= t + CAP) return 1;
  if (t < now.read && now.state[t % CAP] >= FREE) return 1;
#ifdef BUG_NO_HELP
  return 0;
#endif
#ifndef DROP
  if (now.read != now.head && now.state[now.read % CAP] < FREE) return 0;   /* W-52 */
#endif
  if (!available(now.consumers_lock)) return 0;
  return now.consumers_lock != 0 || (look_ahead() & 2) || t == now.head;
}
static int first_dead(void) { int e; for (e = 0; e < NE; e++) if (now.word[e] && !now.byte_held[e]) return e + 1; return 0; }
static int producers(void) { int e, n = 0; for (e = 0; e < NE; e++) n += now.word[e] == PRODUCER; return n; }
static int consumer_lives(void) { int i; for (i = NP; i < NW; i++) if (now.me[i]) return 1; return 0; }
static int pending(void) { int m, s = 0; for (m = 1; m <= NM; m++) if (now.fate[m] == PENDING) s |= 1 << m; return s; }
static int role_dropped(int id) { int e = (id - 1) % NE; return !dead(id) && now.word[e] == NO_ROLE; }
static int all_served(int consumer) {
  int o;
  for (o = 0; o < CAP; o++) if (now.state[o] == RESERVED && role_dropped(now.owner[o])) return 0;
  return !(now.owed[consumer] & pending());
}
}
#define ALL_ENDED(from, to) (ended[from] && ended[to])
#define INVARIANT assert(tail <= read && read <= scan && scan <= head && head <= tail + CAP)

/* ---- Locks, and what every operation is made of ------------------------------------------------------------------ */
#ifdef FINE
#define PAUSES
#endif
#ifdef OLDEST
#define PAUSES
#endif
#ifdef PAUSES              /* the end of a step in the middle of an operation */
bool paused[NW];
#define YIELD paused[i] = 1; !paused[i]
#endif
#ifdef FINE               /* here a step may end, too: checks that the coarse steps hide nothing */
#define PAUSE YIELD;
#else
#define PAUSE
#endif
#define MAYDIE PAUSE if :: deaths < MAXD -> goto die :: true fi

/* the frame at x is nobody's to wait for: its consumer died after the look for the end, or it was dropped */
inline forgive() { r = 0; do :: r < NC -> owed[r] = owed[r] & ~(1 << number[O(x)]); r++ :: else -> break od; r = 0 }

inline kill() {            /* the kernel lets the byte go; what the process knew is lost */
  d_step {
    deaths++;
    byte_held[IDX(me[i])] = 0;
    x = 0;
    do
    :: x < CAP ->
       if
       :: state[x] == LEASED && owner[x] == me[i] && fate[number[x]] == HELD -> fate[number[x]] = PENDING; forgive()
       :: else
       fi;
       x++
    :: else -> break
    od;
    if :: consumers_lock == me[i] -> forget_copy() :: else fi;
    me[i] = 0; x = 0; y = 0; r = 0; looked = 0
  }
}
inline forget_copy() {
  c_scan = 0; c_count = 0; c_limit = 0; c_found = 0; c_at = 0; c_index = 0; c_passed = 0;
  y = 0; do :: y < K -> c_skipped[y] = 0; y++ :: else -> break od; y = 0
#ifdef BATCH
  ; c_head = 0
#endif
}
/* W-13: the lowest entry that is FREE and whose byte can be had */
inline claim(role) {
  d_step {
    x = 0;
    do
#ifdef BUG_FREE_BYTE      /* W-13: a free byte is enough */
    :: byte_held[x] -> x++
#else
    :: word[x] != 0 || byte_held[x] -> x++
#endif
    :: else -> break
    od;
    assert(x < NE);
#ifdef OLDEST
    oldest[x] = NONE;
#endif
    byte_held[x] = 1; generation[x]++; word[x] = role; me[i] = ID(x); x = 0
  }
#ifdef TABLE
  ; PAUSE
  epoch++
#endif
}
/* W-36, W-38. Repairs what the dead may have left half-done. */
inline lock_consumers() {
  if
  :: consumers_lock == 0 -> consumers_lock = me[i]
  :: else ->
     consumers_lock = me[i];
#ifndef BUG_NO_REPAIR
     MAYDIE;
     skipped_count = 0;
     MAYDIE;
     scan = read; INVARIANT
#endif
  fi;
  MAYDIE
}
inline store_cursor() {    /* W-57 */
  d_step { x = 0; do :: x < K -> skipped[x] = c_skipped[x]; x++ :: else -> break od; x = 0 };
  MAYDIE;
  skipped_count = c_count;
  MAYDIE;
  scan = c_scan; INVARIANT;
  MAYDIE;
  d_step { read = (c_count != 0 -> c_skipped[0] : c_scan); INVARIANT }
}
#ifdef OLDEST
/* r = read, x = the lowest of it and of the oldest leases of the living: one load after the other */
inline load_oldest() {
  y = 0;
  do
  :: y < NE && word[y] != CONSUMER -> y++
  :: y < NE && word[y] == CONSUMER -> if :: oldest[y] < x -> x = oldest[y] :: else fi; y++; YIELD
  :: y == NE -> y = 0; break
  od
}
inline jump() {
#ifdef BUG_OLDEST_FIRST
  x = NONE;
  load_oldest();
  r = read;
  if :: r < x -> x = r :: else fi;
#else
  r = read; x = r;
  YIELD;
  load_oldest();
#endif
  skip;                    /* spin does not jump into a d_step */
  d_step {
    do
    :: tail < x -> assert(FINISHED(state[O(tail)])); pass_one()
    :: else -> break
    od;
    do
    :: tail < r && FINISHED(state[O(tail)]) -> pass_one()
    :: else -> break
    od;
    y = 0; do :: y < NE -> if :: oldest[y] < tail -> oldest[y] = 0 :: else fi; y++ :: else -> break od;
    x = 0; y = 0; r = 0; INVARIANT
  }
}
inline pass_one() {
  y = tail; tail = tail + extent[O(tail)];
  state[O(y)] = 0; attempt[O(y)] = 0; sentinel[O(y)] = 0; extent[O(y)] = 0; number[O(y)] = 0
}
#define reclaim() jump()
#else
inline reclaim() {         /* W-51; what tail has passed is garbage */
  d_step {
#ifdef BUG_PAST_READ
    do :: tail < head && FINISHED(state[O(tail)]) ->
#else
    do :: tail < read && FINISHED(state[O(tail)]) ->
#endif
          x = tail; tail = tail + extent[O(tail)];
          state[O(x)] = 0; attempt[O(x)] = 0; sentinel[O(x)] = 0; extent[O(x)] = 0; number[O(x)] = 0
       :: else -> break
    od;
    x = 0; INVARIANT
  }
}
#endif
inline open_frame(position, what, who, units, which) {     /* W-54: sentinel, extent, then the control word */
  d_step {
    sentinel[O(position)] = position + 1; extent[O(position)] = units; number[O(position)] = which;
    state[O(position)] = what; owner[O(position)] = who; attempt[O(position)] = 0;
    y = 1;
    do
    :: y < units -> state[O(position) + y] = 0; sentinel[O(position) + y] = 0; extent[O(position) + y] = 0; y++
    :: else -> break
    od;
    y = 0
  }
}

/* ---- The look of W-55 and W-56 ------------------------------------------------------------------------------------ */
inline start_look() {
  d_step {
    c_scan = scan; c_count = skipped_count; c_limit = head; c_found = 0; c_passed = 0; c_index = 0; c_at = 0;
    x = 0; do :: x < c_count -> c_skipped[x] = skipped[x]; x++ :: else -> break od; x = 0
#ifdef BATCH
    ; c_head = head
#endif
  }
}
inline forget(index) {     /* a skipped position */
  y = index;
  do :: y + 1 < c_count -> c_skipped[y] = c_skipped[y + 1]; y++ :: else -> break od;
  c_count--; c_skipped[c_count] = 0; y = 0
}
/* Goes on up to the next RESERVED frame but one. r = 1: not done; r = 2: done, c_found is 1 + position, or 0. */
inline look() {
  d_step {
    r = 0;
    do
    :: r != 0 -> break
    :: else ->
       if
       :: c_index != SCANNING && c_index < c_count && c_skipped[c_index] < c_limit -> x = c_skipped[c_index]
       :: c_index != SCANNING && !(c_index < c_count && c_skipped[c_index] < c_limit) ->
          c_index = SCANNING; c_at = c_scan; x = c_at
       :: c_index == SCANNING -> x = c_at
       fi;
       if
       :: c_index == SCANNING && c_at >= c_limit -> assert(c_at == c_limit || c_found != 0); r = 2
       :: else ->
          assert(sentinel[O(x)] == x + 1 && state[O(x)] != 0);      /* W-28: else Corrupt */
          if
          :: state[O(x)] == READY ->
             c_found = x + 1;
             if
#ifdef BUG_NO_SECOND_LOOK
             :: c_passed -> r = 2
#endif
#ifdef BUG_ONE_SECOND_LOOK
             :: c_passed && c_limit != head -> r = 2
             :: c_passed && c_limit == head -> c_limit = x; c_passed = 0; c_index = 0
#else
             :: c_passed -> c_limit = x; c_passed = 0; c_index = 0
#endif
             :: else -> r = 2
             fi
          :: state[O(x)] == RESERVED && looked -> r = 1
          :: state[O(x)] == RESERVED && !looked ->
             looked = 1; c_passed = 1;
             if
             :: c_index != SCANNING -> c_index++
             :: c_index == SCANNING && c_at == c_scan && c_count < K ->
                c_skipped[c_count] = c_at; c_count++; c_at = c_at + extent[O(x)]; c_scan = c_at
             :: else -> c_at = c_at + extent[O(x)]
             fi
          :: else ->
             if
             :: c_index != SCANNING -> forget(c_index)
             :: c_index == SCANNING && c_at == c_scan -> c_at = c_at + extent[O(x)]; c_scan = c_at
             :: else -> c_at = c_at + extent[O(x)]
             fi
          fi
       fi
    od;
    x = 0; looked = 0
  }
}

/* ---- W-42 to W-44: one step, since nobody else can see any of it before both locks are free ----------------------- */
inline settle() {          /* the frame at x, owned by the dead y */
  if
  :: state[O(x)] == RESERVED -> d_step { state[O(x)] = ABANDONED; owner[O(x)] = 0 }
  :: state[O(x)] == LEASED && attempt[O(x)] + 1 >= MAXA ->
     d_step { state[O(x)] = FREE; owner[O(x)] = 0; attempt[O(x)] = 0; assert(fate[number[O(x)]] == PENDING); fate[number[O(x)]] = DROPPED }
  :: state[O(x)] == LEASED && attempt[O(x)] + 1 < MAXA ->
#ifdef BUG_READY_FIRST    /* W-43 */
     d_step { state[O(x)] = READY; owner[O(x)] = 0; attempt[O(x)]++ };
     MAYDIE;
#endif
     if
     :: scan > x ->
        if :: read > x -> read = x :: else fi;
        MAYDIE;
        skipped_count = 0;
        MAYDIE;
        d_step { scan = read; INVARIANT };
        MAYDIE
     :: else
     fi
#ifndef BUG_READY_FIRST
     ; d_step { state[O(x)] = READY; owner[O(x)] = 0; attempt[O(x)]++ }
#endif
  fi
}
inline reap() {            /* the dead y */
  producers_lock = me[i];
  MAYDIE;
  AVAILABLE(consumers_lock);
  lock_consumers();
  if
#ifdef BUG_STALE_REAP     /* W-42 */
  :: true ->
#else
#ifdef BUG_NO_GENERATION
  :: word[IDX(y)] != 0 && !byte_held[IDX(y)] ->
#else
  :: word[IDX(y)] != 0 && generation[IDX(y)] == GEN(y) && !byte_held[IDX(y)] ->
#endif
#endif
     x = tail;
     do
     :: x < head ->
        if :: owner[O(x)] == y && (state[O(x)] == RESERVED || state[O(x)] == LEASED) -> settle(); MAYDIE :: else fi;
        x = x + extent[O(x)]
     :: else -> break
     od;
     skip;                 /* spin does not jump into a d_step */
     d_step {
       word[IDX(y)] = 0; generation[IDX(y)] = GEN(y)
#ifdef OLDEST
       ; oldest[IDX(y)] = 0
#endif
     };
#ifdef TABLE
     epoch++;
#endif
     MAYDIE
  :: else
  fi;
  consumers_lock = 0;
  MAYDIE;
  d_step { producers_lock = 0; x = 0; y = 0 }
}
/* Anybody alive reaps; TWO_LOOKS has the first look of W-42 as a step of its own. */
#ifdef TWO_LOOKS
#define REAPING \
  :: atomic { me[i] != 0 && seen_dead == 0 && c_expr { (first_dead)() } -> c_code { now.corpse = first_dead(); }; d_step { seen_dead = ID(corpse - 1); corpse = 0 } } \
  :: atomic { seen_dead != 0 && consumers_lock != me[i] && AVAILABLE(producers_lock) && AVAILABLE(consumers_lock) -> y = seen_dead; seen_dead = 0; reap() }
#else
#define REAPING \
  :: atomic { me[i] != 0 && consumers_lock != me[i] && c_expr { (first_dead)() } && AVAILABLE(producers_lock) && AVAILABLE(consumers_lock) -> \
       c_code { now.corpse = first_dead(); }; y = ID(corpse - 1); corpse = 0; reap() }
#endif

/* ---- A producer ---------------------------------------------------------------------------------------------------- */
#define MORE(i) (sent[i] + FIRST(i) < LAST(i))
#define NEXT(i) (sent[i] + FIRST(i) + 1)

#ifdef WINDOW
#define WINDOWS true
#define WINDOW_ENDS (tail == x && O(x) >= EXTENT(m))  /* W-53: whenever nothing is in use and the frame fits behind the PAD */
#else
#define WINDOWS false
#define WINDOW_ENDS false
#endif

inline put_frame(start) {  /* beyond head, so that nobody sees it yet; x: where it ends */
  d_step {
    x = start; m = NEXT(i);
    if
    :: O(x) + EXTENT(m) > CAP || WINDOW_ENDS -> r = CAP - O(x); open_frame(x, PAD, 0, r, 0); x = x + r; r = 0
    :: else
    fi;
    open_frame(x, RESERVED, me[i], EXTENT(m), m);
    q = x; x = x + EXTENT(m)
#ifdef BATCH
    ; if
    :: NEXT(i) < LAST(i) && O(x) + EXTENT(m + 1) <= CAP && x + EXTENT(m + 1) <= tail + CAP ->
       open_frame(x, RESERVED, me[i], EXTENT(m + 1), m + 1);
       q2 = x; x = x + EXTENT(m + 1)
    :: else
    fi
#endif
  }
}
inline put_and_publish() { /* W-54: one store of head */
#ifdef BUG_HEAD_FIRST
  d_step { y = head; head = head + NEEDED(head, EXTENT(NEXT(i))) };
  MAYDIE;
  put_frame(y);
  y = 0;
#else
  put_frame(head);
  MAYDIE;
#endif
  d_step { head = x; x = 0; INVARIANT; sent[i]++ };
#ifdef BATCH
  if :: q2 != 0 -> sent[i]++ :: else fi;
#endif
  MAYDIE;
  producers_lock = 0
}
inline commit() {          /* W-48 */
#ifdef BUG_READY_EARLY
  d_step { state[O(q)] = READY; owner[O(q)] = 0; fate[m] = PENDING };
  MAYDIE;
#endif
  d_step { x = q; do :: x < q + extent[O(q)] -> payload[O(x)] = m; x++ :: else -> break od; x = 0 };
#ifndef BUG_READY_EARLY
  MAYDIE;
  d_step {
    assert(state[O(q)] == RESERVED && owner[O(q)] == me[i]);
    state[O(q)] = READY; owner[O(q)] = 0; fate[m] = PENDING
  };
#endif
  next_reserved()
}
inline next_reserved() {
  d_step {
#ifdef BATCH
    if :: q2 != 0 -> q = q2; q2 = 0; m++ :: else -> q = 0; m = 0 fi
#else
    q = 0; m = 0
#endif
  }
}
inline start_again() {     /* W-53: an ordinary PAD, and the ordinary moves of read and tail over it */
  r = CAP - O(head); open_frame(head, PAD, 0, r, 0);
  MAYDIE;
#ifdef BUG_THREE_STORES
  tail = head + r; INVARIANT;
  MAYDIE;
  read = head + r; scan = read;
  MAYDIE;
#endif
  d_step { head = head + r; r = 0; INVARIANT };
  MAYDIE;
  start_look();
  look(); r = 0;
  store_cursor();
  MAYDIE;
  reclaim()
}
/* W-47: x becomes where the room would end */
inline drop_oldest() {
  d_step {
    x = tail;
    do
    :: x != head && !(head + NEEDED(head, EXTENT(NEXT(i))) <= x + CAP) && state[O(x)] != RESERVED && state[O(x)] != LEASED ->
       x = x + extent[O(x)]
    :: else -> break
    od;
    y = (x == head || head + NEEDED(head, EXTENT(NEXT(i))) <= x + CAP -> x : tail);
    x = tail
  };
  do
  :: x < y && state[O(x)] == READY ->
     MAYDIE;
     d_step { state[O(x)] = FREE; assert(fate[number[O(x)]] == PENDING); fate[number[O(x)]] = DROPPED; forgive(); x = x + extent[O(x)] }
  :: x < y && state[O(x)] != READY -> x = x + extent[O(x)]
  :: x >= y -> break
  od;
  skip;
  d_step { x = 0; y = 0 }
}
#ifdef DROP
#define TRIES 1            /* reserve never waits: what finds no room drops something */
#else
#define TRIES c_expr { (can_reserve)(Pproducer->i) }
#endif

#ifdef HANDOVER            /* the first producer leaves when the second is there */
#define MAYLEAVE (i == 1 || me[1] != 0 || ended[1])
#else
#define MAYLEAVE true
#endif

proctype producer(byte i) {
  SCRATCH;
  byte q, m;               /* the reservation: where, and which frame */
#ifdef BATCH
  byte q2;
#endif
#ifdef DROP
  bool dropped;
#endif
#ifdef TWO_LOOKS
  byte seen_dead;
#endif
loop:
  do
  :: atomic { me[i] == 0 && MORE(i) && !ended[i] -> claim(PRODUCER) }
  :: atomic { me[i] == 0 && !MORE(i) && !ended[i] -> ended[i] = 1; break }      /* it died with nothing left to send */

  /* reserve (W-50 to W-54); a step further where it helps and has to look at a reservation again */
  :: atomic { (me[i] != 0 && consumers_lock == me[i]) ||
              (me[i] != 0 && m == 0 && MORE(i) && AVAILABLE(producers_lock) && TRIES) ->
       if
       :: consumers_lock != me[i] ->
          producers_lock = me[i];
          MAYDIE;
          if :: WINDOWS || !FITS(head, EXTENT(NEXT(i))) -> reclaim(); MAYDIE :: else fi
       :: else
       fi;
       if
       :: consumers_lock != me[i] && FITS(head, EXTENT(NEXT(i))) -> put_and_publish()
#ifdef BUG_NO_HELP
       :: consumers_lock != me[i] && !FITS(head, EXTENT(NEXT(i))) -> producers_lock = 0
#else
       :: consumers_lock != me[i] && !FITS(head, EXTENT(NEXT(i))) && !(HELPS && AVAILABLE(consumers_lock)) ->
#ifdef DROP
          sent[i]++;       /* the new object is dropped */
#endif
          producers_lock = 0
       :: else ->
          if :: consumers_lock != me[i] -> lock_consumers(); start_look() :: else fi;
          look();
          if
          :: r == 1 -> r = 0
          :: else ->
             r = 0;
             store_cursor();
             MAYDIE;
             reclaim();
             MAYDIE;
             if
#ifdef DROP
             :: !FITS(head, EXTENT(NEXT(i))) && tail != head && !dropped -> drop_oldest(); dropped = 1; start_look()
             :: else ->
                dropped = 0;
                if :: !FITS(head, EXTENT(NEXT(i))) && tail == head && O(head) != 0 -> start_again(); MAYDIE :: else fi;
#else
             :: true ->
                if :: !FITS(head, EXTENT(NEXT(i))) && tail == head && O(head) != 0 -> start_again(); MAYDIE :: else fi;
#endif
                d_step { consumers_lock = 0; forget_copy() };
                MAYDIE;
                if
                :: FITS(head, EXTENT(NEXT(i))) -> put_and_publish()
                :: else ->
#ifdef DROP
                   sent[i]++;
#endif
                   producers_lock = 0
                fi
             fi
          fi
#endif
       fi }

  :: atomic { m != 0 -> commit() }
#ifdef ABORT
  :: atomic { m != 0 -> d_step { state[O(q)] = ABANDONED; owner[O(q)] = 0 }; next_reserved() }
#endif
#ifdef CLOSE
  :: atomic { m != 0 && word[IDX(me[i])] == PRODUCER && !MORE(i) -> word[IDX(me[i])] = NO_ROLE }   /* W-10 */
#endif
  :: atomic { me[i] != 0 && m == 0 && !MORE(i) && consumers_lock != me[i] && MAYLEAVE ->      /* W-14 */
#ifdef TABLE
       epoch++;
#endif
       d_step { word[IDX(me[i])] = 0; byte_held[IDX(me[i])] = 0; me[i] = 0; ended[i] = 1 }; break }
  REAPING
  :: atomic { false;
die:   kill(); d_step { q = 0; m = 0 }
#ifdef BATCH
       ; q2 = 0
#endif
#ifdef DROP
       ; dropped = 0
#endif
#ifdef TWO_LOOKS
       ; seen_dead = 0
#endif
     }
  :: atomic { me[i] != 0 && deaths < MAXD -> goto die }
  od
}

/* ---- A consumer ---------------------------------------------------------------------------------------------------- */
#ifdef OLDEST
inline store_oldest() {
  d_step {
#ifdef BUG_OLDEST_RAISED
    oldest[IDX(me[i])] = c_found - 1
#else
    if :: (a == 0 && b == 0) || c_found - 1 < oldest[IDX(me[i])] -> oldest[IDX(me[i])] = c_found - 1 :: else fi
#endif
  };
  MAYDIE
}
#endif
inline lease() {           /* W-57 */
#ifdef OLDEST
#ifndef BUG_OLDEST_AFTER_LEASE
  store_oldest();
#endif
#endif
  d_step {
    x = c_found - 1;
    assert(state[O(x)] == READY && x < head && fate[number[O(x)]] == PENDING);
    y = number[O(x)];
    fate[y] = HELD;
    if
    :: attempt[O(x)] == 0 -> assert(last[PRODUCER_OF(y)] < y); last[PRODUCER_OF(y)] = y
    :: else
    fi;
    state[O(x)] = LEASED; owner[O(x)] = me[i];
    if :: a == 0 -> a = x + 1 :: else -> b = x + 1 fi;
    x = 0; y = 0
  }
}
inline move_beyond_lease() {
  d_step {
    x = c_found - 1;
    if :: x == c_scan -> c_scan = c_scan + extent[O(x)] :: else fi;
    r = 0;
    do
    :: r < c_count && c_skipped[r] == x -> forget(r)
    :: r < c_count && c_skipped[r] != x -> r++
    :: r >= c_count -> break
    od;
    r = 0; x = 0
  }
}
inline check_payload(position, units, which) {
  y = 0;
  do :: y < units -> assert(payload[O(position) + y] == which); y++ :: else -> break od;
  y = 0
}
inline release(lease_) {   /* W-59; the payload is read at the last moment */
  d_step {
    x = lease_ - 1;
    assert(state[O(x)] == LEASED && owner[O(x)] == me[i]);
#ifdef BUG_RELEASE_EARLY
    reading = lease_; what = number[O(x)];
#else
    check_payload(x, extent[O(x)], number[O(x)]);
#endif
    state[O(x)] = FREE; owner[O(x)] = 0; attempt[O(x)] = 0; fate[number[O(x)]] = DONE; lease_ = 0; x = 0
  }
}
inline forget_end() {
  d_step {
    look_for_end = 0; all_gone = 0; owed[i - NP] = 0
#ifdef TABLE
    ; epoch_seen = 0; entry = 0
#endif
#ifdef BUG_UNLOCKED_LOOK
    ; from = 0; to = 0
#endif
  }
}
inline end_of_stream() {
  assert(c_expr { (all_served)(Pconsumer->i - NP) });      /* all that had to come has come */
#ifdef HANDOVER
  assert(ended[1]);                                        /* there was a producer at every moment until then */
#endif
  x = all_gone;
  forget_end();
  if
  :: x == 1 -> x = 0;
     d_step { word[IDX(me[i])] = 0; byte_held[IDX(me[i])] = 0; me[i] = 0; ended[i] = 1 }; goto over
  :: else                  /* another producer may attach, and so may another consumer: this one stands for it */
  fi
}
#ifdef TWO
#define MAYTAKE (a == 0 || b == 0)
#else
#define MAYTAKE (a == 0)
#endif

proctype consumer(byte i) {
  SCRATCH;
  byte a, b;               /* leases: 1 + position */
  bool all_gone;           /* when it looked for producers, none was to come any more */
  byte look_for_end;       /* 1: there was no producer; 2: and nobody to be reaped; 3: and nothing was found */
#ifdef BUG_RELEASE_EARLY
  byte reading, what;
#endif
#ifdef BUG_UNLOCKED_LOOK
  byte from, to;
#endif
#ifdef TABLE
  byte epoch_seen, entry;
#endif
#ifdef TWO_LOOKS
  byte seen_dead;
#endif
loop:
  do
  :: atomic { me[i] == 0 && !ended[i] && !c_expr { (consumer_lives)() } -> claim(CONSUMER) }

  /* acquire (W-55 to W-57) */
  :: atomic { (me[i] != 0 && consumers_lock == me[i]) ||
              (me[i] != 0 && MAYTAKE && AVAILABLE(consumers_lock) &&
               (consumers_lock != 0 || look_for_end == 2 || c_expr { (look_ahead)() })) ->
       if :: consumers_lock != me[i] -> lock_consumers(); start_look() :: else fi;
       look();
       if
       :: r == 1 -> r = 0
       :: else ->
          r = 0;
          if
          :: c_found != 0 ->
             forget_end();
#ifdef BUG_CURSOR_FIRST
             move_beyond_lease(); store_cursor(); MAYDIE; lease(); MAYDIE;
             d_step { consumers_lock = 0; forget_copy() }
#else
             lease();
             MAYDIE;
             move_beyond_lease();
             if
#ifdef BATCH
             :: MAYTAKE -> c_limit = c_head; c_found = 0; c_passed = 0; c_index = 0      /* another one under this lock */
#endif
             :: true ->
                store_cursor(); MAYDIE;
#ifdef BUG_OLDEST_AFTER_LEASE
                oldest[IDX(me[i])] = (a != 0 && (b == 0 || a < b) -> a : b) - 1; MAYDIE;
#endif
                d_step { consumers_lock = 0; forget_copy() }
             fi
#endif
          :: else ->
             store_cursor();
             MAYDIE;
             if
#ifdef BUG_UNLOCKED_LOOK
             :: look_for_end == 2 -> look_for_end = 3; d_step { consumers_lock = 0; forget_copy() }
#else
#ifdef BUG_END_RESERVED
             :: look_for_end == 2 ->
#else
             :: look_for_end == 2 && c_count == 0 && c_scan == c_limit ->       /* nothing is RESERVED or READY */
#endif
                d_step { consumers_lock = 0; forget_copy() };
                end_of_stream()
#endif
             :: else ->
                d_step { consumers_lock = 0; forget_copy() }; forget_end()
             fi
          fi
       fi }
  :: atomic { a != 0 && consumers_lock != me[i] -> release(a) }
#ifdef BUG_RELEASE_EARLY
  :: atomic { reading != 0 -> d_step { check_payload(reading - 1, EXTENT(what), what); reading = 0; what = 0 } }
#endif
#ifdef TWO
  :: atomic { b != 0 && consumers_lock != me[i] -> release(b) }
#endif

  /* end of stream (W-46): no producer, nobody to be reaped, then once more acquire */
#ifdef TABLE               /* entry by entry */
  :: atomic { me[i] != 0 && look_for_end == 0 && a == 0 && b == 0 && consumers_lock != me[i] && word[0] != PRODUCER ->
       epoch_seen = epoch; entry = 1; look_for_end = 4 }
  :: atomic { look_for_end == 4 ->
       if
       :: entry < NE && word[entry] == PRODUCER -> look_for_end = 0; entry = 0; epoch_seen = 0
       :: entry < NE && word[entry] != PRODUCER -> entry++
       :: entry == NE -> look_for_end = 1; entry = 0; c_code { now.owed[Pconsumer->i - NP] = pending(); }
       fi }
#else
  :: atomic { me[i] != 0 && look_for_end == 0 && a == 0 && b == 0 && consumers_lock != me[i] && !c_expr { (producers)() } ->
       look_for_end = 1; all_gone = ALL_ENDED(0, NP - 1); c_code { now.owed[Pconsumer->i - NP] = pending(); } }
#endif
  :: atomic { look_for_end == 1 ->
       if
#ifndef BUG_END_DEAD
       :: c_expr { (first_dead)() } -> forget_end()
#endif
#ifdef TABLE
#ifndef BUG_NO_EPOCH
       :: !c_expr { (first_dead)() } && epoch != epoch_seen -> forget_end()
#endif
#endif
       :: else -> look_for_end = 2
       fi }
#ifdef BUG_UNLOCKED_LOOK   /* W-46: is anything RESERVED or READY, from read to head, without a lock? */
  :: atomic { look_for_end == 3 -> from = read; look_for_end = 5 }
  :: atomic { look_for_end == 5 -> to = head; assert(to >= from && to - from <= CAP); look_for_end = 6 }
  :: atomic { look_for_end == 6 ->
       if
       :: from >= to -> end_of_stream()
       :: from < to && (state[O(from)] == RESERVED || state[O(from)] == READY) -> forget_end()
       :: else -> assert(sentinel[O(from)] == from + 1); from = from + extent[O(from)]
       fi }
#endif
  REAPING
  :: atomic { false;
die:   kill(); d_step { a = 0; b = 0 }; forget_end()
#ifdef BUG_RELEASE_EARLY
       ; reading = 0; what = 0
#endif
#ifdef TWO_LOOKS
       ; seen_dead = 0
#endif
     }
  :: atomic { me[i] != 0 && deaths < MAXD -> goto die }
  od;
over:
  skip
}

/* ---- All of it ------------------------------------------------------------------------------------------------------ */
proctype judge() {         /* nothing is lost */
  byte x;
  atomic {
    ALL_ENDED(0, NP - 1) && ALL_ENDED(NP, NW - 1) ->
    x = 1;
    do
    :: x <= NM -> assert(fate[x] == UNCOMMITTED || fate[x] == DONE || fate[x] == DROPPED); x++
    :: else -> break
    od;
    x = 0
  }
}
#ifdef PAUSES
proctype scheduler() {
end:
  do
  :: atomic { paused[0] -> paused[0] = 0 }
  :: atomic { paused[1] -> paused[1] = 0 }
  :: atomic { paused[2] -> paused[2] = 0 }
#if NP + NC > 3
  :: atomic { paused[3] -> paused[3] = 0 }
#endif
  od
}
#endif
init {
  byte x;
  atomic {
    do
#ifdef HANDOVER            /* the second producer comes late, and takes the entry before that of the first */
    :: x == 0 -> me[0] = ID(1); byte_held[1] = 1; word[1] = PRODUCER; x = 2
#endif
    :: x < NW -> me[x] = ID(x); byte_held[x] = 1; word[x] = (x < NP -> PRODUCER : CONSUMER); x++
    :: else -> break
    od;
    x = 0;
#ifdef OLDEST
    do :: x < NE -> oldest[x] = NONE; x++ :: else -> break od;
    x = 0;
#endif
    do :: x < NP -> run producer(x); x++ :: else -> break od;
    do :: x < NW -> run consumer(x); x++ :: else -> break od;
    x = 0;
#ifdef PAUSES
    run scheduler();
#endif
    run judge()
  }
}
