/* The examples of the kernel's documentation, unchanged but for the include line: Documentation/staging/static-keys.rst and
 * the comment of include/linux/static_call.h. EXAMPLE chooses one, for they use the same names. What surrounds them gives a
 * meaning to what stands there in words. */
#include <textpoke/runtime.h>

#include <stdio.h>

__attribute__((unused)) static int last;

/* "do unlikely code" and "do likely code" are statements, then. */
#define do
#define unlikely last = 1
#define likely last = 2
#define code ;
#define printk(text) (last = 3)

#if EXAMPLE == 1 /* DEPRECATED API */
#undef false
#undef true
	struct static_key false = STATIC_KEY_INIT_FALSE;
	struct static_key true = STATIC_KEY_INIT_TRUE;

static int run(void) {
  return (
	static_key_true
         (&true) ? 1 : 0) +
      (
	static_key_false
       (&false) ? 10 : 0);
}
static int test(void) {
  int before = run();
  static_key_slow_inc(&false);
  static_key_slow_dec(&true);
  return before == 1 && run() == 10;
}

#elif EXAMPLE == 2 /* The updated API replacements */
#define keys first_keys
#define count 2
	DEFINE_STATIC_KEY_TRUE(key);
#define key other_key
	DEFINE_STATIC_KEY_FALSE(key);
#undef key
	DEFINE_STATIC_KEY_ARRAY_TRUE(keys, count);
#undef keys
	DEFINE_STATIC_KEY_ARRAY_FALSE(keys, count);

static int run(void) {
  int n = 0;
  if (static_branch_likely(&key))
    n += 1;
  if (static_branch_unlikely(&other_key))
    n += 10;
  if (static_branch_likely(&first_keys[1]))
    n += 100;
  if (static_branch_unlikely(&keys[1]))
    n += 1000;
  return n;
}
static int test(void) {
  int before = run();
	static_branch_enable(&keys[1]);
	static_branch_disable(&first_keys[1]);
  return before == 101 && run() == 1001;
}

#elif EXAMPLE == 3 /* Abstract, and "can be switched via reference counts" */
	DEFINE_STATIC_KEY_FALSE(key);

static int run(void) {
        if (static_branch_unlikely(&key))
                do unlikely code
        else
                do likely code
  return last;
}
static int test(void) {
  int off = run();
	static_branch_enable(&key);
  int on = run();
	static_branch_disable(&key);
  int off_again = run();
	static_branch_inc(&key);
  int counted = run();
	static_branch_dec(&key);
  return off == 2 && on == 1 && off_again == 2 && counted == 1 && run() == 2 && !static_key_enabled(&key) &&
         static_key_count(&key.key) == 0;
}

#elif EXAMPLE == 4 /* "Or": a likely branch, and a key that is true at first */
	DEFINE_STATIC_KEY_TRUE(key);

static int run(void) {
        if (static_branch_likely(&key))
                do likely code
        else
                do unlikely code
  return last;
}
static int test(void) {
  int on = run();
	static_branch_dec(&key);
  int off = run();
	static_branch_inc(&key);
  int on_again = run();
  static_branch_disable_cpuslocked(&key);
  int off_again = run();
  static_key_enable_cpuslocked(&key.key);
  static_key_disable_cpuslocked(&key.key);
  static_branch_enable_cpuslocked(&key);
  return on == 2 && off == 1 && on_again == 2 && off_again == 1 && run() == 2;
}

#elif EXAMPLE == 5 /* getppid() */
#define SYSCALL_DEFINE0(name) static int name(void)
#define rcu_read_lock() ((void)0)
#define rcu_read_unlock() ((void)0)
#define rcu_dereference(p) (p)
#define task_tgid_vnr(p) (*(p))
static struct {
  const int *real_parent;
} *current;
DEFINE_STATIC_KEY_FALSE(key);

  SYSCALL_DEFINE0(getppid)
  {
        int pid;

        if (static_branch_unlikely(&key))
                printk("I am the true branch\n");

        rcu_read_lock();
        pid = task_tgid_vnr(rcu_dereference(current->real_parent));
        rcu_read_unlock();

        return pid;
  }

static int test(void) {
  static const int parent = 77;
  __typeof__(*current) task = {&parent};
  current = &task;
  int first = getppid(), silent = last;
  static_branch_enable(&key);
  return first == 77 && silent == 0 && getppid() == 77 && last == 3;
}

#elif EXAMPLE == 6 /* static_call.h, usage example */
int func_a(int arg1, int arg2);
int func_b(int arg1, int arg2);
int func_a(int arg1, int arg2) { return arg1 + arg2; }
int func_b(int arg1, int arg2) { return arg1 - arg2; }

    DEFINE_STATIC_CALL(my_name, func_a);

static int test(void) {
  int arg1 = 5, arg2 = 3;
  int first =
    static_call(my_name)(arg1, arg2);

    static_call_update(my_name, &func_b);

  return first == 8 &&
    static_call(my_name)(arg1, arg2) == 2;
}

#else /* notes on NULL function pointers */
#define name my_static_call
static int seen;
static void see(int n) { seen = n; }

      DECLARE_STATIC_CALL_NULL(my_static_call, void (*)(int));

      void (*my_func_ptr)(int arg1) = NULL;

static int test(void) {
  int arg1 = 4;
  void *func;
      if (my_func_ptr)
          my_func_ptr(arg1);
      static_call_cond(name)(arg1);
  int before = seen;
  static_call_update(my_static_call, see);
      static_call_cond(name)(arg1);
      func = static_call_query(name);
  static_call_update(my_static_call, NULL);
  arg1 = 5;
      static_call_cond(name)(arg1);
  return before == 0 && seen == 4 && func == (void *)see && !static_call_query(name);
}
#endif
#undef do

int main(void) {
  if (textpoke_init() || !test())
    return 1;
  puts(textpoke_ways());
  return 0;
}
