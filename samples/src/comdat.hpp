// Inline functions with sites: each unit that uses them has its own copy in a COMDAT group, and a link keeps one.
#include "textpoke/lock.h"
#include "textpoke/static_call.h"
#include "textpoke/static_key.h"

int comdat_target(int n);

DECLARE_STATIC_KEY_TRUE(comdat_true);
DECLARE_STATIC_KEY_FALSE(comdat_false);
DECLARE_STATIC_CALL(comdat_call, comdat_target);
inline DEFINE_STATIC_KEY_FALSE(comdat_inline_key); // the key itself is in a group too

inline __attribute__((noinline)) int comdat_branch() {
  int bits = 0;
  if (static_branch_likely(&comdat_true))
    bits |= 1;
  if (static_branch_unlikely(&comdat_false))
    bits |= 2;
  if (static_branch_unlikely(&comdat_inline_key))
    bits |= 4;
  return bits;
}

template <int N> __attribute__((noinline)) int comdat_calls(int n) { return static_call(comdat_call)(n) + N; }

inline __attribute__((noinline)) int comdat_locked(int *p) { return __atomic_fetch_add(p, 1, __ATOMIC_SEQ_CST); }
