/* Keys and calls that are changed before textpoke_init(): in resolvers of IFUNC functions, where the C library is not ready
 * yet, in .preinit_array and in constructors. Sites follow at init; without patching, at once. */
#include <textpoke/runtime.h>

#include "expect.h"

DEFINE_STATIC_KEY_FALSE(by_resolver);
DEFINE_STATIC_KEY_TRUE(off_by_resolver);
DEFINE_STATIC_KEY_FALSE(counted);
DEFINE_STATIC_KEY_FALSE(by_preinit);
DEFINE_STATIC_KEY_FALSE(by_constructor);
DEFINE_STATIC_KEY_DEFERRED_FALSE(slow, 60000);
static int plain(int n) { return n + 1; }
static int better(int n) { return n + 2; }
static void mark(int *n) { *n += 1; }
DEFINE_STATIC_CALL(work, plain);
DEFINE_STATIC_CALL_NULL(hook, mark);
DEFINE_STATIC_CALL(late, plain);
DEFINE_STATIC_CALL(broken, plain);

NOINLINE static int call_broken(int n) { return static_call(broken)(n) * 2; }

NOINLINE static int keys(void) {
  int bits = 0;
  bits |= static_branch_unlikely(&by_resolver) ? 1 : 0;
  bits |= static_branch_likely(&off_by_resolver) ? 2 : 0;
  bits |= static_branch_unlikely(&counted) ? 4 : 0;
  bits |= static_branch_unlikely(&by_preinit) ? 8 : 0;
  bits |= static_branch_unlikely(&by_constructor) ? 16 : 0;
  return bits;
}
NOINLINE static int calls(int n) {
  int hooked = 0;
  static_call_cond(hook)(&hooked);
  return static_call(work)(n) + 10 * static_call(late)(n) + 100 * hooked;
}

/* What was not as it should be, for nothing can be printed there. */
static volatile int trouble;
#define NOTE(condition) (trouble = trouble || (condition) ? trouble : __LINE__)

static void change(void) {
  const struct textpoke_change list[] = {
      {TEXTPOKE_INC, &counted, 0, 0}, {TEXTPOKE_DISABLE, &off_by_resolver, 0, 0}, {TEXTPOKE_INC, &counted, 0, 0}};
  const struct textpoke_change below[] = {{TEXTPOKE_DEC, &counted, 0, 0}, {TEXTPOKE_DEC, &off_by_resolver, 0, 0}};
  NOTE(static_branch_enable(&by_resolver) && static_branch_enable(&by_resolver) && static_key_enabled(&by_resolver));
  NOTE(textpoke_apply(list, 3) == TEXTPOKE_OK && static_key_count(&counted.key) == 2);
  NOTE(textpoke_apply(below, 2) == TEXTPOKE_ERROR_COUNT && static_key_count(&counted.key) == 2);
#ifndef NO_IFUNC /* a limit of resolvers alone */
  NOTE(textpoke_apply(list, 1000) == TEXTPOKE_ERROR_MEMORY);
#endif
  NOTE(!static_branch_dec(&off_by_resolver));
  NOTE(static_branch_inc(&counted) && static_branch_dec(&counted) && static_branch_dec(&counted));
  NOTE(!static_call_update(work, better) && static_call_query(work) == (void *)better);
  NOTE(!static_call_update(hook, mark) && !static_call_update(hook, 0) && !static_call_query(hook));
  NOTE(!static_call_update(hook, mark));
}

#ifdef NO_IFUNC /* musl has neither resolvers nor, in static programs, .preinit_array */
static int chosen(void) { return 7; }
__attribute__((constructor)) static void resolve(void) { change(); }
#define IN_PREINIT __attribute__((constructor))
#else
#define IN_PREINIT
static int seven(void) { return 7; }
__attribute__((used)) static int (*resolve(void))(void) {
  change();
  return seven;
}
int chosen(void) __attribute__((ifunc("resolve")));
#endif

IN_PREINIT static void preinit(void) { NOTE(static_branch_inc(&by_preinit)); }
#ifndef NO_IFUNC
__attribute__((section(".preinit_array"), used)) static void (*const first)(void) = preinit;
#endif

__attribute__((constructor)) static void construct(void) {
  NOTE(static_branch_enable(&by_constructor) && !static_call_update(late, better));
  /* Before init a decrement does not wait. */
  NOTE(static_branch_deferred_inc(&slow) && static_branch_slow_dec_deferred(&slow) && !static_key_enabled(&slow.key));
}

int main(int argc, char **argv) {
  (void)argv;
  EXPECT(chosen() == 7);
  EXPECT(!trouble || (printf("line %d\n", trouble), 0));
#ifndef TEXTPOKE_NO_PATCHING
  EXPECT(keys() == 2);
#ifndef TEXTPOKE_ARCH_TRAMPOLINE_THROUGH_KEY /* there calls follow at once */
  EXPECT(calls(1) == 22);
#endif
#endif
  EXPECT(static_key_enabled(&by_resolver) && static_key_enabled(&by_constructor) && static_key_count(&counted.key) == 1);
  if (argc > 1) { /* what a resolver could have set: looked at by init */
    static long data;
    STATIC_CALL_KEY(broken).func = &data;
    EXPECT(textpoke_init() == TEXTPOKE_ERROR_FUNCTION && keys() == 2);
    return 0;
  }
  EXPECT(!textpoke_init() && call_broken(1) == 4);
  EXPECT(keys() == (1 | 4 | 8 | 16) && calls(1) == 133);
  return 0;
}
