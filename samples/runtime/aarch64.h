/* AArch64: what stands at sites (arch/arm64/kernel/jump_label.c). Included by textpoke_runtime.c alone. */

enum { SITE_SIZE = 4, BRANCH_SIZE = 4 };

static const uint32_t NOP = 0xd503201f, RET = 0xd65f03c0, CLEAR_X0 = 0xd2800000, B = 0x14000000, BL = 0x94000000;

static int put(uint8_t *bytes, uint32_t word) {
  for (int i = 0; i < 4; i++) /* instructions are little-endian whatever data are */
    bytes[i] = (uint8_t)(word >> 8 * i);
  return 4;
}

static int in_reach(uintptr_t site, uintptr_t target) {
  intptr_t distance = (intptr_t)(target - site);
  return distance >= -0x8000000 && distance < 0x8000000;
}

static int put_branch(uint8_t *bytes, uint32_t opcode, uintptr_t site, uintptr_t target) {
  return put(bytes, opcode | (((target - site) >> 2) & 0x3ffffff));
}

static uint32_t instruction_at(const uint8_t *site) {
  return site[0] | site[1] << 8 | site[2] << 16 | (uint32_t)site[3] << 24;
}

static uintptr_t target_of(const uint8_t *site) {
  return (uintptr_t)site + ((int32_t)(instruction_at(site) << 6) >> 4);
}

static int branch_size(const uint8_t *site) {
  uint32_t word = instruction_at(site);
  return word == NOP || word >> 26 == B >> 26 ? 4 : 0;
}

static int encode_branch(uint8_t *bytes, const uint8_t *site, uintptr_t target, int jump) {
  return jump ? put_branch(bytes, B, (uintptr_t)site, target) : put(bytes, NOP);
}

static int is_call_site(const uint8_t *site, int tail) {
  return instruction_at(site) >> 26 == (tail ? B : BL) >> 26;
}

static int encode_call(uint8_t *bytes, const uint8_t *site, int tail, uintptr_t function, int return0,
                       uintptr_t trampoline) {
  if (!function)
    return put(bytes, tail ? RET : NOP);
  if (return0 && !tail)
    return put(bytes, CLEAR_X0);
  if (!in_reach((uintptr_t)site, function))
    function = trampoline;
  return put_branch(bytes, tail ? B : BL, (uintptr_t)site, function);
}

static int encode_trampoline(uint8_t *bytes, uintptr_t trampoline, uintptr_t function) {
  if (!function)
    return put(bytes, RET);
  return in_reach(trampoline, function) ? put_branch(bytes, B, trampoline, function) : 0;
}

/* dmb ishld, ishst, ish have the options 9, 10, 11; the NOP moves the register of that number to itself. */
static int encode_smp(uint8_t *bytes, const uint8_t *site, int cpus) {
  uint32_t word = instruction_at(site);
  uint32_t option = (word & 0xfffff0ff) == 0xd50330bf ? (word >> 8) & 15 : word & 31;
  return put(bytes, cpus == 1 ? 0xaa0003e0 | option << 16 | option : 0xd50330bf | option << 8);
}
