/* SPDX-License-Identifier: Apache-2.0 */
/* Writing and reading a stream (SPEC 11.3) on a processor that reorders whatever it may: whether a reader ever takes a torn
 * value for whole.
 *
 * A value is two halves, each of them 2 * count + writer. Writers take the lock, write some values, and give it back; they
 * die anywhere, and then the next one fills the same slot again. Stores of a writer reach memory in any order that its
 * fences allow: the two halves in any order, the count after them (it is stored with release), the halves of the next value
 * after the count only because of the fence that W-126 wants. A reader's loads happen in any order that its fences allow.
 * All that a dead writer had stored reaches memory before others find it dead.
 *
 * Each -DBUG_x brings one flaw back.
 */
#ifndef SLOTS
#define SLOTS 3
#endif
#ifndef WRITES
#define WRITES 3         /* of each writer, under one lock */
#endif
#ifndef READS
#define READS 2
#endif
#ifndef MAXD
#define MAXD 1           /* deaths */
#endif
#define WRITERS 2

byte published;                    /* the count; its slot is count % SLOTS */
byte half0[SLOTS], half1[SLOTS];
byte lock;                         /* 0, or 1 + the writer */
bool dead[WRITERS];
byte deaths;

/* Stores that have not reached memory yet. */
typedef Pending { bool half0, half1, count; byte data, next };
Pending p[WRITERS];

#define DATA_PENDING(w) (p[w].half0 || p[w].half1)
/* The data that are pending belong to the count that is. */
#define OWN_DATA(w) (p[w].data / 2 == p[w].next)
#ifdef BUG_PUBLISH_EARLY
#define MAY_PUBLISH(w) (p[w].count)
#else
#define MAY_PUBLISH(w) (p[w].count && !(DATA_PENDING(w) && OWN_DATA(w)))
#endif

inline drain_all(w) {
  if :: p[w].half0 -> half0[(p[w].data / 2) % SLOTS] = p[w].data :: else fi;
  if :: p[w].half1 -> half1[(p[w].data / 2) % SLOTS] = p[w].data :: else fi;
  if :: p[w].count -> published = p[w].next :: else fi;
  p[w].half0 = false; p[w].half1 = false; p[w].count = false
}

proctype memory(byte w) {
end:
  do
  :: atomic { p[w].half0 -> half0[(p[w].data / 2) % SLOTS] = p[w].data; p[w].half0 = false }
  :: atomic { p[w].half1 -> half1[(p[w].data / 2) % SLOTS] = p[w].data; p[w].half1 = false }
  :: atomic { MAY_PUBLISH(w) -> published = p[w].next; p[w].count = false }
  od
}

#define MAYDIE if :: atomic { deaths < MAXD -> deaths++; drain_all(w); dead[w] = true; goto gone } :: true fi

proctype writer(byte w) {
  byte k, n;
  atomic { (lock == 0 || (lock != 1 + w && dead[lock - 1])) -> lock = 1 + w; n = published }
  do
  :: k < WRITES ->
     n++;
#ifndef BUG_NO_WRITER_FENCE
     !p[w].count;
#endif
     MAYDIE;
     atomic { !DATA_PENDING(w) -> p[w].half0 = true; p[w].half1 = true; p[w].data = 2 * n + w }
     MAYDIE;
     atomic { !p[w].count -> p[w].count = true; p[w].next = n }
     MAYDIE;
     k++
  :: k > 0 -> break
  od;
  atomic { !p[w].count && !DATA_PENDING(w) -> lock = 0 }   /* release */
gone:
  skip
}

#ifdef BUG_TOO_LATE
#define WHOLE (m - n < SLOTS)
#else
#define WHOLE (m - n < SLOTS - 1)
#endif

proctype reader() {
  byte tries, n, m, a, b;
  do
  :: tries < READS ->
     n = published;
     if
     :: a = half0[n % SLOTS]; b = half1[n % SLOTS]; m = published
     :: b = half1[n % SLOTS]; a = half0[n % SLOTS]; m = published
#ifdef BUG_NO_READER_FENCE
     :: m = published; a = half0[n % SLOTS]; b = half1[n % SLOTS]
     :: a = half0[n % SLOTS]; m = published; b = half1[n % SLOTS]
#endif
     fi;
     if
     :: WHOLE -> assert(a == b && a / 2 == n)
     :: else
     fi;
     n = 0; m = 0; a = 0; b = 0;
     tries++
  :: else -> break
  od
}

init {
  atomic {
    run memory(0); run memory(1);
    run writer(0); run writer(1);
    run reader()
  }
}
