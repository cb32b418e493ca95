/* Lock prefixes: what the compilers make of atomic operations, bytes F0 that are no prefixes, and one lock
 * that must stay. */
#include "textpoke/lock.h"
#include "samples.h"

static int counter;
static long wide;
static short narrow;
static unsigned char tiny;

int lock_all(void) {
  int expected = 5;
  __atomic_fetch_add(&counter, 4, __ATOMIC_SEQ_CST); /* lock add */
  counter += __atomic_fetch_add(&counter, 1, __ATOMIC_SEQ_CST) & 0; /* lock xadd */
  __atomic_compare_exchange_n(&counter, &expected, 0xf0, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); /* lock cmpxchg */
  __atomic_fetch_or(&wide, 0xf0f0f0f0L, __ATOMIC_SEQ_CST); /* F0 in an immediate or in a register's load */
  __atomic_sub_fetch(&narrow, 1, __ATOMIC_SEQ_CST); /* 66 F0 */
  __atomic_fetch_xor(&tiny, 0xf0, __ATOMIC_SEQ_CST); /* lock xorb $0xf0 */
  return counter + (int)(wide & 0xff) + narrow + tiny; /* 0xf0 + 0xf0 - 1 + 0xf0 on the first call */
}

int lock_kept(int n) {
  static int shared;
  SAMPLE_KEPT_XADD(n, shared);
  return n; /* the sum before */
}
