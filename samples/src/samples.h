/* What the units of the sample program offer to main.c, and the keys and calls that more than one of them names.
 * The .c files are C11 and C++17 at once. */
#ifndef SAMPLES_H
#define SAMPLES_H

#ifdef __cplusplus
extern "C" {
#endif

/* branch.c: each returns 1 when its key is on, 0 when it is off */
int likely_true(void);
int likely_false(void);
int unlikely_true(void);
int unlikely_false(void);
int array_true(void);
int array_false(void);
int member_key(void);
int nested(void); /* 0..3: off_key in bit 0, on_key in bit 1 */
int in_loop(int times);
int cold_body(int n);
int cold_jump(int n);

/* call.c */
int add_one(int n);
int add_ten(int n);
void observe(int n);
void observe_twice(int n);
int real_probe(int n);
int times_observed(void);
int call_plain(int n);
int call_tail(int n);
void call_cond(int n);
void call_cond_tail(int n);
int call_ret0(int n);
int call_ret0_tail(int n);
void call_if(int n);
int call_behind_branch(int n);
const void *math_now(void);

/* lock.c */
int lock_all(void);
int lock_kept(int n);

/* local.c, local2.c: the same file-local names in both */
int local_branch(void);
int local_call(int n);
int local2_branch(void);
int local2_call(int n);

/* key-use.c, with keys and calls from key-def.c */
int use_shared_key(void);
int use_shared_call(int n);
int shared_plain(int n);
int shared_other(int n);

#ifdef __cplusplus
}
#endif

/* n gets what shared was, shared grows by n: under a lock that must stay, where there are lock prefixes. */
#ifdef __x86_64__
#define SAMPLE_KEPT_XADD(n, shared) \
  __asm__ volatile(TEXTPOKE_KEEP_LOCK "lock; xaddl %0, %1" : "+r"(n), "+m"(shared) : : "memory")
#else
#define SAMPLE_KEPT_XADD(n, shared) (n) = __atomic_fetch_add(&(shared), (n), __ATOMIC_SEQ_CST)
#endif
#endif
