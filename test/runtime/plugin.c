/* A shared object with a key, a call and sites of its own, which soak.c loads and unloads. */
#include <textpoke/runtime.h>

DEFINE_STATIC_KEY_FALSE(plugin_key);
static int four(int n) { return n + 4; }
static int five(int n) { return n + 5; }
DEFINE_STATIC_CALL(plugin_call, four);

__attribute__((noinline, noclone)) static int look(int n) {
  if (static_branch_unlikely(&plugin_key))
    n += 100;
  return static_call(plugin_call)(n) * 2;
}

/* 0, or which step went wrong. */
__attribute__((visibility("default"))) int plugin_run(void) {
  if (look(1) != 10)
    return 1;
  if (!static_branch_enable(&plugin_key) || look(1) != 210)
    return 2;
  if (static_call_update(plugin_call, five) || look(1) != 212)
    return 3;
  if (!static_branch_disable(&plugin_key) || look(1) != 12)
    return 4;
  return 0;
}
