/* main MODES SEED FEATURES: patches the code that is linked between victim_begin and victim_end as a kernel does it at
 * start-up, with the kernel's own code (part.c), and prints what memory holds then. MODES is what cfi= would be; FEATURES are
 * numbers of those in kernel.h. */
#include "kernel.h"
#include "part.c"
extern s32 __start_cfi[], __stop_cfi[], __start_retpoline[], __stop_retpoline[], __start_seal[], __stop_seal[];
extern u8 victim_begin[], victim_end[];

/* A name, an address and the bytes there. */
static void put(const char *name, void *at, int n) {
  printf("%s %lx ", name, (long)at);
  for (int i = 0; i < n; i++)
    printf("%02x", ((u8 *)at)[i]);
  puts("");
}

int main(int argc, char **argv) {
  char *words = strdup(argv[1]);
  seed_of_run = strtoul(argv[2], 0, 0);
  for (char *f = argv[3]; *f; f++) features[*f - '0'] = 1;
  mprotect((void *)((long)victim_begin & ~4095L), victim_end - victim_begin + 8192, 7);
  cfi_parse_cmdline(words);
  __apply_fineibt(__start_retpoline, __stop_retpoline, __start_cfi, __stop_cfi, true);
  apply_retpolines(__start_retpoline, __stop_retpoline);
  apply_seal_endbr(__start_seal, __stop_seal);
  put("cfi_mode", &cfi_mode, 4); put("cfi_seed", &cfi_seed, 4); put("cfi_rand", &cfi_rand, 1); put("cfi_warn", &cfi_warn, 1);
  put("cfi_bpf_hash", &cfi_bpf_hash, 4);
#ifdef HAS_PARANOID
  put("cfi_paranoid", &cfi_paranoid, 1);
  put("cfi_bhi", &cfi_bhi, 1);
#endif
  for (int i = 0; i < its_count; i++) put("its", its_pages_made[i], 4096);
  put("text", victim_begin, victim_end - victim_begin);
  printf("warned %d\n", warned);
  return 0;
}
