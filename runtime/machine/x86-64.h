/* SPDX-License-Identifier: MIT
 * x86-64: what stands at sites (Linux arch/x86/kernel/jump_label.c, static_call.c, alternative.c). Included by
 * machine.c alone.
 */

static const uint8_t nop5[] = {0x0f, 0x1f, 0x44, 0x00, 0x00}, nop2[] = {0x66, 0x90};

/* False where the distance is more than 2 GiB. */
static bool rel32(uint8_t *bytes, int opcode_size, uintptr_t site, uintptr_t target) {
  int64_t rel = (int64_t)(target - site) - opcode_size - 4;
  int32_t field = (int32_t)rel;
  memcpy(bytes + opcode_size, &field, 4);
  return rel == field;
}

static uintptr_t target_of(const struct textpoke_site *site, int opcode_size) {
  int32_t rel;
  memcpy(&rel, site->now + opcode_size, 4);
  return (uintptr_t)site->place + (uintptr_t)opcode_size + 4 + (uintptr_t)(intptr_t)rel;
}

static bool is_jcc(const uint8_t *bytes) { return bytes[0] == 0x0f && (bytes[1] & 0xf0) == 0x80; }

/* ud1 %esp, %ecx behind the 5 bytes that are patched. */
static bool has_signature(const uint8_t *place, bool thumb) {
  (void)thumb;
  return !memcmp(place + 5, "\x0f\xb9\xcc", 3);
}
enum { TRAMPOLINE_SIZE = 8 };

static uint8_t *trampoline_behind(uintptr_t target) { return (uint8_t *)target; }

static bool read_branch(struct textpoke_site *site) {
  const uint8_t *now = site->now;
  if (now[0] == 0xe9 || !memcmp(now, nop5, 5)) {
    site->size = 5;
    return now[0] != 0xe9 || target_of(site, 1) == site->target;
  }
  site->size = 2;
  if (now[0] == 0xeb)
    return (uintptr_t)site->place + 2 + (uintptr_t)(intptr_t)(int8_t)now[1] == site->target;
  return !memcmp(now, nop2, 2);
}

static bool read_call(struct textpoke_site *site) {
  const uint8_t *now = site->now;
  bool tail = site->kind == SITE_TAIL_CALL;
  site->size = 5;
  if (tail && is_jcc(now))
    site->size = 6;
  else if (now[0] != (tail ? 0xe9 : 0xe8))
    return false;
  site->target = target_of(site, site->size - 4);
  return true;
}

static bool read_trampoline(struct textpoke_site *site) {
  site->size = 5;
  return site->now[0] == 0xe9 || !memcmp(site->now, "\xc3\xcc", 2);
}

void machine_branch(uint8_t *bytes, const struct textpoke_site *site, bool enabled) {
  bool jump = enabled != site->likely;
  if (!jump) {
    memcpy(bytes, site->size == 2 ? nop2 : nop5, site->size);
  } else if (site->size == 2) {
    bytes[0] = 0xeb;
    bytes[1] = (uint8_t)(site->target - (uintptr_t)site->place - 2);
  } else {
    bytes[0] = 0xe9;
    rel32(bytes, 1, (uintptr_t)site->place, site->target);
  }
}

bool machine_call(uint8_t *bytes, const struct textpoke_site *site, uintptr_t function,
                  const struct textpoke_object *object) {
  bool tail = site->kind == SITE_TAIL_CALL;
  uintptr_t at = (uintptr_t)site->place;
  if (site->size == 6) { /* a conditional jump keeps its condition; NULL is a jump to a return */
    memcpy(bytes, site->now, 2);
    if (!function)
      function = object->jcc_return ? object->jcc_return : site->routed ? site->target : 0;
    return function && (rel32(bytes, 2, at, function) || (site->routed && rel32(bytes, 2, at, site->target)));
  }
  if (!function) {
    if (tail)
      memcpy(bytes, "\xc3\xcc\xcc\xcc\xcc", 5);
    else
      memcpy(bytes, nop5, 5);
    return true;
  }
  if (!tail && function == object->return0) {
    memcpy(bytes, "\x2e\x2e\x2e\x31\xc0", 5); /* cs cs cs xor %eax, %eax */
    return true;
  }
  bytes[0] = tail ? 0xe9 : 0xe8;
  return rel32(bytes, 1, at, function) || (site->routed && rel32(bytes, 1, at, site->target));
}

bool machine_trampoline(uint8_t *bytes, const struct textpoke_site *site, uintptr_t function) {
  bytes[0] = 0xe9;
  if (function)
    return rel32(bytes, 1, (uintptr_t)site->place, function);
  memcpy(bytes, "\xc3\xcc\xcc\xcc\xcc", 5);
  return true;
}

/* One byte, the prefix. DS may stand for a lock, but beside another segment override that one is repeated: emulators let
 * the last override win, or refuse two. The byte in front of a lock may be an override or end another instruction. It is
 * one for sure where the address without it is in no program: negative, or in the first 64 KiB. Else the lock stays. */
int machine_smp(uint8_t *bytes, const uint8_t *place, bool thumb, int cpus) {
  static const char prefixes[] = "\x66\x67\xf2\xf3\x26\x2e\x36\x3e\x64\x65", *found;
  const uint8_t *next = place + 1, *before = place - 1;
  int after = 0, address;
  (void)thumb;
  if (*place != 0xf0 && !memchr(prefixes + 4, *place, 6))
    return 0;
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
    bytes[0] = (uint8_t)(after ? after : 0x3e);
  else if ((*before & 0xfe) == 0x64 && !after && (next[0] & 0xc7) == 0x04 && next[1] == 0x25 && address < 0x10000)
    bytes[0] = *before;
  return 1;
}

/* Intel SDM 3A 10.1.3 and Linux smp_text_poke_batch_finish(): what others run is changed behind an int3. One byte is one
 * store, and the instruction is as long as before. */
enum passage machine_passage(const uint8_t *old, const uint8_t *bytes, int size, bool thumb) {
  (void)old, (void)bytes, (void)thumb;
  return size == 1 ? PASS_STORE : PASS_TRAP;
}
