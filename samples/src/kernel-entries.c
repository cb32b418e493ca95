/* The kernel's own asm goto (arch/x86/include/asm/jump_label.h, 5.17 and later): it writes __jump_table
 * itself, and a jump the assembler sizes (2 or 5 bytes) where objtool is to put a NOP, which bit 1 of the key
 * asks for. No markers. */
struct static_key {
  int enabled;
  union {
    unsigned long type;
    void *entries;
  };
};

struct static_key kernel_false __attribute__((section(".data.static_key"), visibility("hidden"))) = {0, {0}};
struct static_key kernel_true __attribute__((visibility("hidden"))) = {1, {1}};

#define JUMP_TABLE_ENTRY                                                                                     \
  ".pushsection __jump_table, \"aw\"\n\t"                                                                    \
  ".balign 8\n\t"                                                                                            \
  ".long 1b - .\n\t"                                                                                         \
  ".long %l[l_yes] - .\n\t"                                                                                  \
  ".quad %c0 + %c1 - .\n\t"                                                                                  \
  ".popsection\n\t"

/* CONFIG_HAVE_JUMP_LABEL_HACK: a jump that must become a NOP */
#define arch_static_branch(key, branch)                                                                      \
  ({                                                                                                         \
    __label__ l_yes, l_end;                                                                                  \
    int yes = 0;                                                                                             \
    __asm__ goto("1:jmp %l[l_yes] # objtool NOPs this\n\t" JUMP_TABLE_ENTRY                                  \
                 :                                                                                           \
                 : "i"(key), "i"(2 | (branch))                                                               \
                 :                                                                                           \
                 : l_yes);                                                                                   \
    goto l_end;                                                                                              \
  l_yes:                                                                                                     \
    yes = 1;                                                                                                 \
  l_end:                                                                                                     \
    yes;                                                                                                     \
  })

/* a jump that stays one */
#define arch_static_branch_jump(key, branch)                                                                 \
  ({                                                                                                         \
    __label__ l_yes, l_end;                                                                                  \
    int yes = 0;                                                                                             \
    __asm__ goto("1:jmp %l[l_yes]\n\t" JUMP_TABLE_ENTRY : : "i"(key), "i"(branch) : : l_yes);                \
    goto l_end;                                                                                              \
  l_yes:                                                                                                     \
    yes = 1;                                                                                                 \
  l_end:                                                                                                     \
    yes;                                                                                                     \
  })

/* without the hack: a 5-byte NOP at once */
#define arch_static_branch_nop(key, branch)                                                                  \
  ({                                                                                                         \
    __label__ l_yes, l_end;                                                                                  \
    int yes = 0;                                                                                             \
    __asm__ goto("1:.byte 0x0f,0x1f,0x44,0x00,0x00\n\t" JUMP_TABLE_ENTRY                                     \
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

#define FAR __asm__ volatile(".fill 200, 1, 0x90") /* puts a label out of a short jump's reach */

volatile int kernel_seen;

/* Two jumps that must become NOPs (2 and 5 bytes), two that stay (2 and 5), a NOP, and one in init text. */
int kernel_near_hack(void) {
  if (arch_static_branch(&kernel_false, 0))
    kernel_seen = 1;
  return 1;
}

int kernel_far_hack(void) {
  if (!arch_static_branch(&kernel_true, 1)) {
    kernel_seen = 2;
    FAR;
  }
  return 2;
}

int kernel_near_jump(void) {
  if (!arch_static_branch_jump(&kernel_false, 1))
    kernel_seen = 3;
  return 3;
}

int kernel_far_jump(void) {
  if (!arch_static_branch_jump(&kernel_false, 1)) {
    kernel_seen = 4;
    FAR;
  }
  return 4;
}

int kernel_nop(void) {
  if (arch_static_branch_nop(&kernel_false, 0))
    kernel_seen = 5;
  return 5;
}

__attribute__((section(".init.text"), noinline)) int kernel_init(void) {
  if (arch_static_branch(&kernel_false, 0))
    kernel_seen = 6;
  return 6;
}
