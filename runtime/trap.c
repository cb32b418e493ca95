/* SPDX-License-Identifier: MIT
 * x86-64: threads that run into the int3 of a change run its new instruction (Linux smp_text_poke_int3_handler). What is
 * not the library's goes to the handler that was there before, as the kernel would have called it.
 */
#include "internal.h"

#if !defined(__x86_64__)

bool trap_choose(void) { return true; }
void trap_forked(void) {}

#else

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum { MARK = 0x7470 };

static struct change {
  const struct poke *pokes;
  size_t count;
} change;
static struct change *open_change;
static unsigned generation; /* of changes: rises when one begins and when it ends */
static int looking;         /* handlers that look at it */
static const struct sigaction *previous; /* never freed: handlers may look at it at any time */

static const struct poke *find(const struct change *in, uintptr_t place) {
  size_t low = 0, high = in->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if ((uintptr_t)in->pokes[middle].place < place)
      low = middle + 1;
    else
      high = middle;
  }
  return low < in->count && (uintptr_t)in->pokes[low].place == place ? &in->pokes[low] : NULL;
}

/* Bit of each condition without its last bit, which inverts it: SDM volume 2, appendix B.1. */
static bool is_met(int condition, uint64_t flags) {
  bool carry = flags & 1, parity = flags & 4, zero = flags & 0x40, sign = flags & 0x80, overflow = flags & 0x800;
  const bool met[] = {overflow, carry, zero, carry || zero, sign, parity, sign != overflow, zero || sign != overflow};
  return met[condition >> 1] != (condition & 1);
}

/* 0 where the thread has no shadow stack; the instruction is a NOP where processors have none. */
static uint64_t shadow_stack(void) {
#ifdef TEXTPOKE_AS_UNDER_SHADOW_STACK /* for tests, on processors that have none */
  return 1;
#endif
  uint64_t pointer = 0;
  __asm__ volatile(".byte 0xf3, 0x48, 0x0f, 0x1e, 0xc8" : "+a"(pointer)); /* rdsspq %rax */
  return pointer;
}

/* Runs a site's new instruction for the thread. False for calls and returns under a shadow stack, which only such an
 * instruction writes. */
static bool emulate(const struct poke *poke, greg_t *registers) {
  const uint8_t *bytes = poke->bytes;
  uint64_t after = (uint64_t)poke->place + poke->size;
  uint64_t *stack = (uint64_t *)registers[REG_RSP];
  int32_t distance = 0;
  if (poke->size >= 5)
    memcpy(&distance, bytes + poke->size - 4, 4);
  switch (bytes[0]) {
  case 0xe9: /* jmp rel32 */
    after += (uint64_t)(int64_t)distance;
    break;
  case 0xeb: /* jmp rel8 */
    after += (uint64_t)(int64_t)(int8_t)bytes[1];
    break;
  case 0xe8: /* call rel32 */
    if (shadow_stack())
      return false;
    stack[-1] = after;
    registers[REG_RSP] -= 8;
    after += (uint64_t)(int64_t)distance;
    break;
  case 0xc3: /* ret */
    if (shadow_stack())
      return false;
    after = stack[0];
    registers[REG_RSP] += 8;
    break;
  case 0x2e: /* xor %eax, %eax: ZF and PF set, CF, SF and OF not */
    registers[REG_RAX] = 0;
    registers[REG_EFL] = (registers[REG_EFL] & ~0x8d5) | 0x44;
    break;
  case 0x0f: /* a NOP, or jcc rel32 */
    if ((bytes[1] & 0xf0) == 0x80 && is_met(bytes[1] & 15, (uint64_t)registers[REG_EFL]))
      after += (uint64_t)(int64_t)distance;
    break;
  default: /* 66 90, a NOP */
    break;
  }
  registers[REG_RIP] = (greg_t)after;
  return true;
}

/* Lets the thread on. False if the int3 is not the library's. */
static bool pass(greg_t *registers) {
  uint8_t *place = (uint8_t *)registers[REG_RIP] - 1;
  for (;;) {
    unsigned before = __atomic_load_n(&generation, __ATOMIC_SEQ_CST);
    const struct timespec pause = {0, 20000};
    bool ours = false, done = false;
    __atomic_fetch_add(&looking, 1, __ATOMIC_SEQ_CST);
    const struct change *now = __atomic_load_n(&open_change, __ATOMIC_SEQ_CST);
    const struct poke *poke = now ? find(now, (uintptr_t)place) : NULL;
    if (poke) {
      ours = true;
      done = emulate(poke, registers);
    }
    __atomic_fetch_sub(&looking, 1, __ATOMIC_SEQ_CST);
    if (done)
      return true;
    if (*(volatile uint8_t *)place != 0xcc && !(place[0] == 3 && place[-1] == 0xcd)) {
      /* The change is over, or an int3 has gone that somebody else had: what stands there now is run. `int $3` of two
       * bytes is nobody's breakpoint. */
      registers[REG_RIP] = (greg_t)place;
      return true;
    }
    /* It waits for the end of the change: that thread waits for nobody. Signals are blocked there, so it is not this one. */
    if (ours)
      nanosleep(&pause, NULL);
    else if (before == __atomic_load_n(&generation, __ATOMIC_SEQ_CST))
      return false;
  }
}

/* The default action, taken where the thread was: the signal is blocked until this handler has returned. */
static void die(siginfo_t *info) {
  struct sigaction standard = {.sa_handler = SIG_DFL};
  sigaction(SIGTRAP, &standard, NULL);
  info->si_errno = 0;
  if (syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), SIGTRAP, info))
    syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGTRAP);
}

/* As the kernel calls a handler: with the thread's mask, that of the action, and the signal itself. A handler that was
 * put over this one and passes on to it comes back here with the mark: then there is nobody else. */
static void pass_on(int signal, siginfo_t *info, ucontext_t *context) {
  const struct sigaction *chosen = __atomic_load_n(&previous, __ATOMIC_ACQUIRE);
  struct sigaction action = *chosen;
  bool forced = info->si_code > 0; /* by the kernel: it does not let an instruction's trap be ignored */
  if (info->si_errno == MARK || (!(action.sa_flags & SA_SIGINFO) && action.sa_handler == SIG_DFL) ||
      (!(action.sa_flags & SA_SIGINFO) && action.sa_handler == SIG_IGN && forced)) {
    die(info);
    return;
  }
  if (!(action.sa_flags & SA_SIGINFO) && action.sa_handler == SIG_IGN)
    return;
  sigset_t mask, old;
  sigorset(&mask, &context->uc_sigmask, &action.sa_mask);
  if (!(action.sa_flags & SA_NODEFER))
    sigaddset(&mask, SIGTRAP);
  if (action.sa_flags & (int)SA_RESETHAND) {
    static const struct sigaction standard = {.sa_handler = SIG_DFL};
    __atomic_compare_exchange_n(&previous, &chosen, &standard, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
  }
  info->si_errno = MARK;
  sigprocmask(SIG_SETMASK, &mask, &old);
  if (action.sa_flags & SA_SIGINFO)
    action.sa_sigaction(signal, info, context);
  else
    action.sa_handler(signal);
  sigprocmask(SIG_SETMASK, &old, NULL);
}

static void on_trap(int signal, siginfo_t *info, void *data) {
  ucontext_t *context = data;
  int error = errno;
  /* SI_KERNEL: an int3. Steps of a debugger, signals of kill(2) and others have codes of their own. */
  if (info->si_code != SI_KERNEL || !pass(context->uc_mcontext.gregs))
    pass_on(signal, info, context);
  errno = error;
}

static bool is_ours(const struct sigaction *action) {
  return action->sa_flags & SA_SIGINFO && action->sa_sigaction == on_trap;
}

bool trap_hold(void) {
  struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART}, now;
  memset(&action.sa_mask, 0xff, sizeof action.sa_mask); /* cancellation too: this handler is counted */
  if (sigaction(SIGTRAP, NULL, &now))
    return false;
  if (is_ours(&now))
    return true;
  struct sigaction *kept = malloc(sizeof *kept);
  if (!kept)
    return false;
  *kept = now;
  __atomic_store_n(&previous, kept, __ATOMIC_RELEASE);
  return !sigaction(SIGTRAP, &action, NULL);
}

bool trap_choose(void) { return trap_hold(); }

void trap_open(const struct poke *pokes, size_t count) {
  change = (struct change){pokes, count};
  __atomic_store_n(&open_change, &change, __ATOMIC_SEQ_CST);
  __atomic_fetch_add(&generation, 1, __ATOMIC_SEQ_CST);
}

void trap_close(void) {
  const struct timespec pause = {0, 20000};
  __atomic_store_n(&open_change, NULL, __ATOMIC_SEQ_CST);
  __atomic_fetch_add(&generation, 1, __ATOMIC_SEQ_CST);
  while (__atomic_load_n(&looking, __ATOMIC_SEQ_CST))
    nanosleep(&pause, NULL);
}

/* In the child of a fork there is one thread, and it looks at nothing. */
void trap_forked(void) { looking = 0; }

/* A shared object that has the library in it may be unmapped: then the handler goes. At the end of a program the handler
 * stays, for other threads still run. */
__attribute__((destructor(101))) static void textpoke_leave_traps(void) {
  struct sigaction now;
  sigset_t mask;
  if (textpoke_stays)
    return;
  textpoke_lock(&mask);
  if (!sigaction(SIGTRAP, NULL, &now) && is_ours(&now))
    sigaction(SIGTRAP, previous, NULL);
  textpoke_unlock(&mask);
}
#endif
