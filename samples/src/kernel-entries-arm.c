/* Static branches as the arm64 and arm kernels write them (arch/arm64 and arch/arm/include/asm/jump_label.h, 6.x): the
 * compiler writes __jump_table itself, on 32-bit ARM as three absolute words without alignment, and every site is a
 * NOP or a branch of four bytes. No markers. Kernels are not position-independent. */
struct static_key {
  int enabled;
  union {
    unsigned long type;
    void *entries;
  };
};

struct static_key kernel_false __attribute__((section(".data.static_key"), visibility("hidden"))) = {0, {0}};
struct static_key kernel_true __attribute__((visibility("hidden"))) = {1, {1}};

#ifdef __aarch64__
#define ENTRY ".align 3\n\t.long 1b - ., %l[l_yes] - .\n\t.quad %c0 - . + %c1\n\t"
#else
#define ENTRY ".word 1b, %l[l_yes], %c0 + %c1\n\t"
#endif

#define KERNEL_BRANCH(instruction, key, branch)                                                              \
  ({                                                                                                         \
    __label__ l_yes, l_end;                                                                                  \
    int yes = 0;                                                                                             \
    __asm__ goto("1:\t" instruction "\n\t"                                                                   \
                 ".pushsection __jump_table, \"aw\"\n\t"                                                     \
                 ENTRY ".popsection\n\t"                                                                   \
                 :                                                                                           \
                 : "i"(key), "i"(branch)                                                                     \
                 :                                                                                           \
                 : l_yes);                                                                                   \
    goto l_end;                                                                                              \
  l_yes:                                                                                                     \
    yes = 1;                                                                                                 \
  l_end:                                                                                                     \
    yes;                                                                                                     \
  })
#ifdef __thumb__
#define WASM(instruction) instruction ".w"
#else
#define WASM(instruction) instruction
#endif
#define arch_static_branch(key, branch) KERNEL_BRANCH(WASM("nop"), key, branch)
#define arch_static_branch_jump(key, branch) KERNEL_BRANCH(WASM("b") " %l[l_yes]", key, branch)

volatile int kernel_seen;

int kernel_nop(void) {
  if (arch_static_branch(&kernel_false, 0))
    kernel_seen = 1;
  return 1;
}

int kernel_likely_nop(void) {
  if (!arch_static_branch(&kernel_true, 1))
    kernel_seen = 2;
  return 2;
}

int kernel_jump(void) {
  if (arch_static_branch_jump(&kernel_false, 1))
    kernel_seen = 3;
  return 3;
}

__attribute__((section(".init.text"), noinline)) int kernel_init(void) {
  if (arch_static_branch(&kernel_false, 0))
    kernel_seen = 4;
  return 4;
}
