/* 32-bit ARM: what stands at sites (arch/arm/kernel/insn.c, jump_label.c), in the state this is compiled for.
 * Little-endian. Included by textpoke_runtime.c alone. */

enum { SITE_SIZE = 4, BRANCH_SIZE = 4 };

static uint32_t half_at(const uint8_t *site) { return site[0] | site[1] << 8; }

static int put_halves(uint8_t *bytes, uint32_t first, uint32_t second) {
  bytes[0] = (uint8_t)first;
  bytes[1] = (uint8_t)(first >> 8);
  bytes[2] = (uint8_t)second;
  bytes[3] = (uint8_t)(second >> 8);
  return 4;
}

#ifdef __thumb__

/* Second halfwords of the branches. */
enum { B_W = 0x9000, BL = 0xd000, BLX = 0xc000 };

static int in_reach(int32_t distance) { return distance >= -0x1000000 && distance < 0x1000000; }

/* imm25: sign, J1, J2, imm10, imm11; J1 and J2 are bits 23 and 22, inverted where the sign is not set. */
static int put_branch(uint8_t *bytes, uint32_t second, int32_t distance) {
  uint32_t sign = (uint32_t)distance >> 24 & 1, i1 = (uint32_t)distance >> 23 & 1, i2 = (uint32_t)distance >> 22 & 1;
  uint32_t j1 = !(i1 ^ sign), j2 = !(i2 ^ sign);
  return put_halves(bytes, 0xf000 | sign << 10 | ((uint32_t)distance >> 12 & 0x3ff),
                    second | j1 << 13 | j2 << 11 | ((uint32_t)distance >> 1 & 0x7ff));
}

static int32_t distance_of(uint32_t first, uint32_t second) {
  uint32_t sign = first >> 10 & 1, i1 = !((second >> 13 & 1) ^ sign), i2 = !((second >> 11 & 1) ^ sign);
  uint32_t imm = sign << 24 | i1 << 23 | i2 << 22 | (first & 0x3ff) << 12 | (second & 0x7ff) << 1;
  return (int32_t)(imm << 7) >> 7;
}

static uintptr_t target_of(const uint8_t *site) {
  uint32_t second = half_at(site + 2);
  uintptr_t pc = (uintptr_t)site + 4;
  if ((second & 0xd000) == BLX)
    return (pc & ~3u) + distance_of(half_at(site), second);
  return (pc + distance_of(half_at(site), second)) | 1;
}

static int is_branch(const uint8_t *site, uint32_t second) {
  return (half_at(site) & 0xf800) == 0xf000 && (half_at(site + 2) & 0xd000) == second;
}

static int branch_size(const uint8_t *site) {
  int nop = half_at(site) == 0xf3af && half_at(site + 2) == 0x8000;
  return nop || is_branch(site, B_W) ? 4 : 0;
}

static int encode_branch(uint8_t *bytes, const uint8_t *site, uintptr_t target, int jump) {
  return jump ? put_branch(bytes, B_W, (int32_t)(target - (uintptr_t)site - 4)) : put_halves(bytes, 0xf3af, 0x8000);
}

static int is_call_site(const uint8_t *site, int tail) {
  return tail ? is_branch(site, B_W) : is_branch(site, BL) || is_branch(site, BLX);
}

static int encode_call(uint8_t *bytes, const uint8_t *site, int tail, uintptr_t function, int return0,
                       uintptr_t trampoline) {
  uintptr_t pc = (uintptr_t)site + 4;
  if (!function)
    return tail ? put_halves(bytes, 0x4770, 0xbf00) : put_halves(bytes, 0xf3af, 0x8000);
  if (return0 && !tail)
    return put_halves(bytes, 0xf04f, 0x0000); /* mov.w r0, #0 */
  /* A jump cannot change state; a call can (blx). */
  if ((tail && !(function & 1)) || !in_reach((int32_t)(function - pc)))
    function = trampoline;
  if (function & 1)
    return put_branch(bytes, tail ? B_W : BL, (int32_t)((function & ~1u) - pc));
  return put_branch(bytes, BLX, (int32_t)(function - (pc & ~3u)));
}

/* It goes through its key: ldr.w ip, [pc, #8], or bx lr. */
static int encode_trampoline(uint8_t *bytes, uintptr_t trampoline, uintptr_t function) {
  (void)trampoline;
  return function ? put_halves(bytes, 0xf8df, 0xc008) : put_halves(bytes, 0x4770, 0xbf00);
}

static int encode_smp(uint8_t *bytes, const uint8_t *site, int cpus) {
  uint32_t option = half_at(site + 2) & 15;
  return cpus == 1 ? put_halves(bytes, 0xea4f, option << 8 | option) : put_halves(bytes, 0xf3bf, 0x8f50 | option);
}

#else

static const uint32_t NOP = 0xe1a00000; /* mov r0, r0 */

static uint32_t word_at(const uint8_t *site) { return half_at(site) | half_at(site + 2) << 16; }

static int put(uint8_t *bytes, uint32_t word) { return put_halves(bytes, word & 0xffff, word >> 16); }

static int in_reach(int32_t distance) { return distance >= -0x2000000 && distance < 0x2000000; }

static int32_t distance_of(uint32_t word) { return (int32_t)(word << 8) >> 6; }

static uintptr_t target_of(const uint8_t *site) {
  uint32_t word = word_at(site);
  uintptr_t target = (uintptr_t)site + 8 + distance_of(word);
  return word >> 28 == 15 ? target + (word >> 23 & 2) + 1 : target;
}

static int branch_size(const uint8_t *site) {
  uint32_t word = word_at(site);
  return word == NOP || word == 0xe320f000 || word >> 24 == 0xea ? 4 : 0;
}

static int put_branch(uint8_t *bytes, uint32_t opcode, int32_t distance) {
  return put(bytes, opcode | ((uint32_t)distance >> 2 & 0xffffff));
}

static int encode_branch(uint8_t *bytes, const uint8_t *site, uintptr_t target, int jump) {
  if (jump)
    return put_branch(bytes, 0xea000000, (int32_t)(target - (uintptr_t)site - 8));
  return put(bytes, word_at(site) == 0xe320f000 ? 0xe320f000 : NOP);
}

static int is_call_site(const uint8_t *site, int tail) {
  uint32_t word = word_at(site), operation = word >> 24 & 15;
  return word >> 28 == 15 ? !tail && (word >> 25 & 7) == 5 : operation == (tail ? 0xa : 0xb);
}

/* The condition of what stands there stays. */
static int encode_call(uint8_t *bytes, const uint8_t *site, int tail, uintptr_t function, int return0,
                       uintptr_t trampoline) {
  uint32_t condition = word_at(site) >> 28 == 15 ? 0xe0000000 : word_at(site) & 0xf0000000;
  uintptr_t pc = (uintptr_t)site + 8;
  if (!function)
    return put(bytes, condition | (tail ? 0x012fff1e : 0x01a00000));
  if (return0 && !tail)
    return put(bytes, condition | 0x03a00000); /* mov r0, #0 */
  /* A jump cannot change state, and neither can a call with a condition. */
  if (((function & 1) && (tail || condition != 0xe0000000)) || !in_reach((int32_t)(function - pc)))
    function = trampoline;
  if (function & 1)
    return put_branch(bytes, 0xfa000000 | ((function - 1 - pc) & 2) << 23, (int32_t)(function - 1 - pc));
  return put_branch(bytes, condition | (tail ? 0x0a000000 : 0x0b000000), (int32_t)(function - pc));
}

/* It goes through its key: ldr ip, [pc, #4], or bx lr. */
static int encode_trampoline(uint8_t *bytes, uintptr_t trampoline, uintptr_t function) {
  (void)trampoline;
  return put(bytes, function ? 0xe59fc004 : 0xe12fff1e);
}

static int encode_smp(uint8_t *bytes, const uint8_t *site, int cpus) {
  uint32_t option = word_at(site) & 15;
  return put(bytes, cpus == 1 ? 0xe1a00000 | option << 12 | option : 0xf57ff050 | option);
}

#endif
