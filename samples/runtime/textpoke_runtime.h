/* SPDX-License-Identifier: MIT
 * A runtime that patches the program it is linked into, over the tables that `textpoke annotate` made: what the Linux
 * kernel does with them (kernel/jump_label.c, kernel/static_call_inline.c, arch/x86/kernel/alternative.c), in a
 * process. For x86-64, AArch64, and 32-bit ARM in A32 or in Thumb-2 (one of them for all units with sites).
 *
 * Nothing here stops other threads: whoever calls one of these functions makes sure that no other thread runs code
 * that is being patched. Text is writable while it is patched, and executable all the time (mprotect).
 */
#ifndef TEXTPOKE_RUNTIME_H
#define TEXTPOKE_RUNTIME_H

#include "textpoke/static_call.h"
#include "textpoke/static_key.h"

/* Brings every site to what its key says, and sorts the tables; call it once, first of all. 0, or -1 with a word on
 * stderr when a site does not hold what it may hold or memory cannot be made writable; then nothing was patched. */
int textpoke_init(void);

/* With 1, lock prefixes and barriers between CPUs are dropped; with more they come back. */
void textpoke_set_cpus(int cpus);

/* A key's count, by the rules of Linux 6.1 and later: enabling and disabling are for keys whose count is 0 or 1, and no
 * decrement goes below 0. What is out of turn is said on stderr and changes nothing. */
void static_key_enable(struct static_key *key);
void static_key_disable(struct static_key *key);
void static_key_slow_inc(struct static_key *key);
void static_key_slow_dec(struct static_key *key);

/* They take struct static_key_true * and struct static_key_false * too. */
#define static_branch_enable(x) static_key_enable(&(x)->key)
#define static_branch_disable(x) static_key_disable(&(x)->key)
#define static_branch_inc(x) static_key_slow_inc(&(x)->key)
#define static_branch_dec(x) static_key_slow_dec(&(x)->key)

/* static_call_update(name, function): a function of the call's type, (void *)0 for NULL, or
 * (void *)&__static_call_return0. Key, then trampoline, then every site. */
#define static_call_update(name, function)                                                                   \
  textpoke_update_call(&STATIC_CALL_KEY(name), (void *)&STATIC_CALL_TRAMP(name), (void *)(function))
void textpoke_update_call(struct static_call_key *key, void *trampoline, void *function);

#endif
