#include <linux/jump_label.h>
#include <linux/module.h>
#include <linux/static_call.h>

static DEFINE_STATIC_KEY_FALSE(tracing);
static atomic_t greeted;

static void greet_plain(const char *who) { pr_info("hello %s\n", who); }

DEFINE_STATIC_CALL(greet, greet_plain);

static int __init greet_init(void) {
  static_call(greet)("world");
  atomic_inc(&greeted);
  if (static_branch_unlikely(&tracing))
    pr_info("greeted %d\n", atomic_read(&greeted));
  return 0;
}

static void __exit greet_exit(void) { static_call(greet)("nobody"); }

module_init(greet_init);
module_exit(greet_exit);
MODULE_LICENSE("GPL");
