/* SPDX-License-Identifier: MIT
 * AArch64: what stands at sites (Linux arch/arm64/kernel/jump_label.c). Included by machine.c alone.
 */

static const uint32_t NOP = 0xd503201f, RET = 0xd65f03c0, CLEAR_X0 = 0xd2800000, B = 0x14000000, BL = 0x94000000;
static const uint32_t BRK = 0xd4200000;

static uint32_t word_at(const uint8_t *bytes) { /* instructions are little-endian whatever data are */
  return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static void put(uint8_t *bytes, uint32_t word) {
  for (int i = 0; i < 4; i++)
    bytes[i] = (uint8_t)(word >> 8 * i);
}

static bool is_branch(uint32_t word) { return word >> 26 == B >> 26 || word >> 26 == BL >> 26; }

/* B and BL reach 128 MiB. */
static bool put_branch(uint8_t *bytes, uint32_t opcode, const struct textpoke_site *site, uintptr_t target) {
  intptr_t distance = (intptr_t)(target - (uintptr_t)site->place);
  put(bytes, opcode | ((uint32_t)((uintptr_t)distance >> 2) & 0x3ffffff));
  return distance >= -0x8000000 && distance < 0x8000000;
}

static uintptr_t target_of(const struct textpoke_site *site) {
  int32_t distance = (int32_t)(word_at(site->now) << 6) >> 4;
  return (uintptr_t)site->place + (uintptr_t)(intptr_t)distance;
}

/* udf #0x4353 behind the word that is patched. */
static bool has_signature(const uint8_t *place, bool thumb) {
  (void)thumb;
  return word_at(place + 4) == 0x00004353;
}
enum { TRAMPOLINE_SIZE = 8 };

/* Through a linker's veneer: adrp x16, page; add x16, x16, #offset; br x16. The caller has seen 12 bytes there. */
static uint8_t *trampoline_behind(uintptr_t target) {
  const uint8_t *code = (const uint8_t *)target;
  uint32_t adrp = word_at(code), add = word_at(code + 4);
  if ((adrp & 0x9f00001f) != 0x90000010 || (add & 0xffc003ff) != 0x91000210 || word_at(code + 8) != 0xd61f0200)
    return (uint8_t *)target;
  int64_t pages = (int32_t)((adrp >> 5 & 0x7ffff) << 13 | (adrp >> 29 & 3) << 11) >> 11;
  return (uint8_t *)((target & ~(uintptr_t)0xfff) + (uintptr_t)(pages * 4096) + (add >> 10 & 0xfff));
}

static bool read_branch(struct textpoke_site *site) {
  uint32_t word = word_at(site->now);
  site->size = 4;
  return word == NOP || (word >> 26 == B >> 26 && target_of(site) == site->target);
}

static bool read_call(struct textpoke_site *site) {
  site->size = 4;
  site->target = target_of(site);
  return word_at(site->now) >> 26 == (site->kind == SITE_TAIL_CALL ? B : BL) >> 26;
}

static bool read_trampoline(struct textpoke_site *site) {
  uint32_t word = word_at(site->now);
  site->size = 4;
  return word == RET || word >> 26 == B >> 26;
}

void machine_branch(uint8_t *bytes, const struct textpoke_site *site, bool enabled) {
  if (enabled != site->likely)
    put_branch(bytes, B, site, site->target);
  else
    put(bytes, NOP);
}

bool machine_call(uint8_t *bytes, const struct textpoke_site *site, uintptr_t function,
                  const struct textpoke_object *object) {
  bool tail = site->kind == SITE_TAIL_CALL;
  uint32_t opcode = tail ? B : BL;
  if (!function) {
    put(bytes, tail ? RET : NOP);
    return true;
  }
  if (!tail && function == object->return0) {
    put(bytes, CLEAR_X0);
    return true;
  }
  return put_branch(bytes, opcode, site, function) || (site->routed && put_branch(bytes, opcode, site, site->target));
}

bool machine_trampoline(uint8_t *bytes, const struct textpoke_site *site, uintptr_t function) {
  if (function)
    return put_branch(bytes, B, site, function);
  put(bytes, RET);
  return true;
}

/* dmb ishld, ishst, ish have the options 9, 10, 11; the NOP moves the register of that number to itself. */
int machine_smp(uint8_t *bytes, const uint8_t *place, bool thumb, int cpus) {
  uint32_t word = word_at(place), option = word >> 8 & 15;
  (void)thumb;
  if ((word & 0xfffff0ff) != 0xd50330bf) {
    option = word & 31;
    if (word != (0xaa0003e0 | option << 16 | option))
      return 0;
  }
  if (option < 9 || option > 11)
    return 0;
  put(bytes, cpus == 1 ? 0xaa0003e0 | option << 16 | option : 0xd50330bf | option << 8);
  return 4;
}

/* Arm ARM (DDI 0487) B2.2.5, concurrent modification and execution of instructions: of what stands at sites, B, BL, NOP
 * and BRK may become each other while others run them. ret, mov and dmb may not, and no way through BRK changes that:
 * the last step would be from BRK to one of them. Linux stops all CPUs there (aarch64_insn_patch_text). */
static bool may_run(uint32_t word) { return is_branch(word) || word == NOP || (word & 0xffe0001f) == BRK; }

enum passage machine_passage(const uint8_t *old, const uint8_t *bytes, int size, bool thumb) {
  (void)size, (void)thumb;
  return may_run(word_at(old)) && may_run(word_at(bytes)) ? PASS_STORE : PASS_STOP;
}
