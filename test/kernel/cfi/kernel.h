/* What the kernel's own code of kCFI and FineIBT needs to run in a process: its names for things of a compiler, memory that
 * can be written to, and a decoder for the few instructions that it asks about. */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
typedef uint8_t u8; typedef uint16_t u16; typedef uint32_t u32; typedef int32_t s32; typedef uint64_t u64;
#define __init
#define __ro_after_init
#define __init_or_module
#define noinline __attribute__((noinline))
#define __noendbr
#define __packed __attribute__((packed))
#define unlikely(x) (x)
#define fallthrough __attribute__((fallthrough))
#define CONFIG_FINEIBT 1
#define CONFIG_CFI 1
#define CONFIG_X86_KERNEL_IBT 1
#define CONFIG_MITIGATION_ITS 1
#define CONFIG_MITIGATION_RETPOLINE 1
#define CONFIG_FINEIBT_BHI 1
#define IS_ENABLED(x) 1
#define HAS_KERNEL_IBT 1
#define EINVAL 22
#define PAGE_SIZE 4096
#define CFI_OFFSET 16
#define ENDBR_INSN_SIZE 4
#define MAX_INSN_SIZE 15
#define LEN_UD2 2
#define JMP8_INSN_OPCODE 0xeb
#define CALL_INSN_OPCODE 0xe8
#define CALL_INSN_SIZE 5
#define JMP32_INSN_OPCODE 0xe9
#define JMP32_INSN_SIZE 5
#define INT3_INSN_OPCODE 0xcc
#define BYTES_NOP1 0x90
#define ASM_NOP5 ".byte 0x0f,0x1f,0x44,0x00,0x00\n"
#define ASM_NOP4 ".byte 0x0f,0x1f,0x40,0x00\n"
#define early_param(a, b)
static int warned;
#define WARN(c, ...) ({ int w = !!(c); warned += w; w; })
#define WARN_ON(c) WARN(c)
#define WARN_ON_ONCE(c) WARN(c)
#define WARN_ONCE(c, ...) WARN(c)
#define BUG_ON(c) WARN(c)
#define pr_info(...) 
#define pr_err(...) 
#define pr_alert(...) 
#define DPRINTK(...)
#define DUMP_BYTES(...)
enum cfi_mode { CFI_AUTO, CFI_OFF, CFI_KCFI, CFI_FINEIBT };
#define __CFI_DEFAULT CFI_AUTO
extern enum cfi_mode cfi_mode;
bool cfi_warn;
u32 cfi_bpf_hash = 0x12345678, cfi_bpf_subprog_hash = 0x9abcdef0;
static u32 seed_of_run;
#define get_random_u32() seed_of_run
#define text_poke_early(a, b, n) memcpy(a, b, n)

#define __get_kernel_nofault(dst, src, type, label) ({ *(dst) = *(type *)(src); if (0) goto label; })
enum { X86_FEATURE_RETPOLINE, X86_FEATURE_RETPOLINE_LFENCE, X86_FEATURE_CALL_DEPTH, X86_FEATURE_INDIRECT_THUNK_ITS, X86_FEATURE_IBT, X86_FEATURE_FRED };
static bool features[8];
#define cpu_feature_enabled(f) features[f]
#define boot_cpu_has(f) features[f]
typedef u8 retpoline_thunk_t[32]; typedef u8 its_thunk_t[64]; typedef u8 bhi_thunk[32];
extern retpoline_thunk_t __x86_indirect_thunk_array[], __x86_indirect_call_thunk_array[], __x86_indirect_jump_thunk_array[];
extern its_thunk_t __x86_indirect_its_thunk_array[];
extern bhi_thunk __bhi_args[];
struct insn { struct { u8 bytes[4]; } opcode; struct { s32 value; } immediate; int length; };
static int insn_decode_kernel(struct insn *insn, void *at) {
  u8 *p = at;
  memset(insn, 0, sizeof *insn);
  if (*p == 0x2e) p++;
  insn->opcode.bytes[0] = p[0];
  if (p[0] == 0x0f) insn->opcode.bytes[1] = *++p;
  if (p[0] >= 0x70 && p[0] < 0x80 && insn->opcode.bytes[0] != 0x0f) { insn->immediate.value = (signed char)p[1]; insn->length = p + 2 - (u8 *)at; return 0; }
  memcpy(&insn->immediate.value, p + 1, 4);
  insn->length = p + 5 - (u8 *)at;
  return 0;
}
static void __text_gen_insn(void *buf, u8 op, const void *addr, const void *dest, int size) {
  s32 d = (long)dest - ((long)addr + size);
  *(u8 *)buf = op; memcpy((u8 *)buf + 1, &d, 4);
}
#define get_kernel_nofault(dst, src) (memcpy(&(dst), src, sizeof(dst)), 0)
#define set_memory_rw(...)
#define set_memory_rox(...)
#define __always_inline inline
#define __attribute_const__
/* What retpolines leave: single bytes become one NOP. */
static void optimize_nops(void *addr, u8 *bytes, int length) {
  static const u8 nops[][3] = {{0x90}, {0x66, 0x90}, {0x0f, 0x1f, 0x00}};
  int from = length;
  while (from > 0 && bytes[from - 1] == 0x90)
    from--;
  if (length - from >= 1 && length - from <= 3)
    memcpy(bytes + from, nops[length - from - 1], length - from);
}
#include "ibt.h"
static u8 *its_page; static unsigned its_offset; u8 *its_pages_made[64]; static int its_count;
static void *its_alloc(void) { return its_pages_made[its_count++] = mmap((void *)(0x30000000UL + 0x10000 * its_count), 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0); }
static void poison_cfi(void *addr);
