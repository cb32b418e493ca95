/* x86-64: what stands at sites (arch/x86/kernel/jump_label.c, static_call.c, alternative.c). Included by
 * textpoke_runtime.c alone. */

enum { SITE_SIZE = 6, BRANCH_SIZE = 5 };

extern long __static_call_return(void) __attribute__((weak));

static int rel32(uint8_t *bytes, int opcode_size, uintptr_t site, uintptr_t target) {
  int64_t rel = (int64_t)(target - site) - opcode_size - 4;
  int32_t field = (int32_t)rel;
  memcpy(bytes + opcode_size, &field, 4);
  return rel == field;
}

static uintptr_t target_of(const uint8_t *site) {
  int32_t rel;
  int opcode_size = site[0] == 0x0f ? 2 : 1;
  memcpy(&rel, site + opcode_size, 4);
  return (uintptr_t)site + opcode_size + 4 + rel;
}

static int is_jcc(const uint8_t *site) { return site[0] == 0x0f && (site[1] & 0xf0) == 0x80; }

/* 5 bytes, or 2 where the compiler chose 2; 0 for anything else. */
static int branch_size(const uint8_t *site) {
  static const uint8_t nop5[] = {0x0f, 0x1f, 0x44, 0x00, 0x00}, nop2[] = {0x66, 0x90};
  if (site[0] == 0xe9 || !memcmp(site, nop5, 5))
    return 5;
  return site[0] == 0xeb || !memcmp(site, nop2, 2) ? 2 : 0;
}

static int encode_branch(uint8_t *bytes, const uint8_t *site, uintptr_t target, int jump) {
  int size = branch_size(site);
  if (!jump) {
    memcpy(bytes, size == 2 ? "\x66\x90" : "\x0f\x1f\x44\x00\x00", size);
  } else if (size == 2) {
    bytes[0] = 0xeb;
    bytes[1] = (uint8_t)(target - (uintptr_t)site - 2);
  } else {
    bytes[0] = 0xe9;
    rel32(bytes, 1, (uintptr_t)site, target);
  }
  return size;
}

static int is_call_site(const uint8_t *site, int tail) {
  return tail ? site[0] == 0xe9 || is_jcc(site) : site[0] == 0xe8;
}

static int encode_call(uint8_t *bytes, const uint8_t *site, int tail, uintptr_t function, int return0,
                       uintptr_t trampoline) {
  uintptr_t at = (uintptr_t)site;
  if (is_jcc(site)) {
    uintptr_t stub = (uintptr_t)&__static_call_return;
    memcpy(bytes, site, 2);
    if (!function)
      function = stub ? stub : trampoline;
    if (!rel32(bytes, 2, at, function))
      rel32(bytes, 2, at, trampoline);
    return 6;
  }
  if (!function) {
    memcpy(bytes, tail ? "\xc3\xcc\xcc\xcc\xcc" : "\x0f\x1f\x44\x00\x00", 5);
  } else if (return0 && !tail) {
    memcpy(bytes, "\x2e\x2e\x2e\x31\xc0", 5); /* cs cs cs xor %eax, %eax */
  } else {
    bytes[0] = tail ? 0xe9 : 0xe8;
    if (!rel32(bytes, 1, at, function))
      rel32(bytes, 1, at, trampoline);
  }
  return 5;
}

static int encode_trampoline(uint8_t *bytes, uintptr_t trampoline, uintptr_t function) {
  bytes[0] = 0xe9;
  if (!function)
    memcpy(bytes, "\xc3\xcc\xcc\xcc\xcc", 5);
  else if (!rel32(bytes, 1, trampoline, function))
    return 0;
  return 5;
}

/* One byte, the prefix. DS may stand for a lock, but beside another segment override that one is repeated: emulators let
 * the last override win, or refuse two. The byte in front of a lock may be an override or end another instruction. It is
 * one for sure where the address without it is in no program: negative, or in the first 64 KiB. Else the lock stays. */
static int encode_smp(uint8_t *bytes, const uint8_t *site, int cpus) {
  static const char prefixes[] = "\x66\x67\xf2\xf3\x26\x2e\x36\x3e\x64\x65", *found;
  const uint8_t *next = site + 1, *before = site - 1;
  int after = 0, address;
  bytes[0] = 0xf0;
  if (cpus != 1)
    return 1;
  for (; (found = memchr(prefixes, *next, sizeof prefixes - 1)); next++)
    if (found >= prefixes + 8 || (found >= prefixes + 4 && (after & 0xfe) != 0x64))
      after = *next;
  next += (*next & 0xf0) == 0x40; /* REX */
  next += 1 + (*next == 0x0f);
  memcpy(&address, next + 2, sizeof address);
  while (memchr(prefixes, *before, 4))
    before--;
  if (*before == 0x3e || !memchr(prefixes + 4, *before, 6))
    bytes[0] = after ? after : 0x3e;
  else if ((*before & 0xfe) == 0x64 && !after && (next[0] & 0xc7) == 0x04 && next[1] == 0x25 && address < 0x10000)
    bytes[0] = *before;
  return 1;
}
