/* SPDX-License-Identifier: MIT
 * 32-bit ARM in the state T32 (Thumb-2): what stands at sites (Linux arch/arm/kernel/insn.c). Included by arm.h.
 */

/* Second halfwords of the branches, and a NOP of 4 bytes. */
enum { T32_B = 0x9000, T32_BL = 0xd000, T32_BLX = 0xc000, T32_NOP = 0xf3af, T32_NOP_REST = 0x8000 };

/* imm25: sign, J1, J2, imm10, imm11; J1 and J2 are bits 23 and 22, inverted where the sign is not set. 16 MiB. */
static bool t32_put_branch(uint8_t *bytes, uint32_t second, int32_t distance) {
  uint32_t field = (uint32_t)distance, sign = field >> 24 & 1;
  uint32_t j1 = !((field >> 23 & 1) ^ sign), j2 = !((field >> 22 & 1) ^ sign);
  put_halves(bytes, 0xf000 | sign << 10 | (field >> 12 & 0x3ff), second | j1 << 13 | j2 << 11 | (field >> 1 & 0x7ff));
  return distance >= -0x1000000 && distance < 0x1000000;
}

static int32_t t32_distance(const uint8_t *bytes) {
  uint32_t first = half_at(bytes), second = half_at(bytes + 2), sign = first >> 10 & 1;
  uint32_t i1 = !((second >> 13 & 1) ^ sign), i2 = !((second >> 11 & 1) ^ sign);
  uint32_t field = sign << 24 | i1 << 23 | i2 << 22 | (first & 0x3ff) << 12 | (second & 0x7ff) << 1;
  return (int32_t)(field << 7) >> 7;
}

static bool t32_is(const uint8_t *bytes, uint32_t second) {
  return (half_at(bytes) & 0xf800) == 0xf000 && (half_at(bytes + 2) & 0xd000) == second;
}

static uintptr_t t32_target(const struct textpoke_site *site) {
  uintptr_t pc = (uintptr_t)site->place + 4, distance = (uintptr_t)t32_distance(site->now);
  return t32_is(site->now, T32_BLX) ? (pc & ~(uintptr_t)3) + distance : (pc + distance) | 1;
}

static bool t32_read_branch(const struct textpoke_site *site) {
  if (half_at(site->now) == T32_NOP && half_at(site->now + 2) == T32_NOP_REST)
    return true;
  return t32_is(site->now, T32_B) && t32_target(site) == (site->target | 1);
}

static bool t32_read_call(const struct textpoke_site *site) {
  if (site->kind == SITE_TAIL_CALL)
    return t32_is(site->now, T32_B);
  return t32_is(site->now, T32_BL) || t32_is(site->now, T32_BLX);
}

/* It goes through its key: ldr.w ip, [pc, #8], or bx lr and a NOP. */
static bool t32_read_trampoline(const struct textpoke_site *site) {
  uint32_t first = half_at(site->now), second = half_at(site->now + 2);
  return (first == 0xf8df && second == 0xc008) || (first == 0x4770 && second == 0xbf00);
}

static void t32_branch(uint8_t *bytes, const struct textpoke_site *site, bool jump) {
  if (jump)
    t32_put_branch(bytes, T32_B, (int32_t)(site->target - (uintptr_t)site->place - 4));
  else
    put_halves(bytes, T32_NOP, T32_NOP_REST);
}

/* A jump cannot change state; a call can. */
static bool t32_call_to(uint8_t *bytes, const struct textpoke_site *site, uintptr_t function) {
  bool tail = site->kind == SITE_TAIL_CALL;
  uintptr_t pc = (uintptr_t)site->place + 4;
  if (function & 1)
    return t32_put_branch(bytes, tail ? T32_B : T32_BL, (int32_t)((function & ~(uintptr_t)1) - pc));
  return t32_put_branch(bytes, T32_BLX, (int32_t)(function - (pc & ~(uintptr_t)3))) && !tail;
}

static bool t32_call(uint8_t *bytes, const struct textpoke_site *site, uintptr_t function, bool return0) {
  bool tail = site->kind == SITE_TAIL_CALL;
  if (function && !(return0 && !tail))
    return t32_call_to(bytes, site, function) || (site->routed && t32_call_to(bytes, site, site->target));
  if (function)
    put_halves(bytes, 0xf04f, 0x0000); /* mov.w r0, #0 */
  else if (tail)
    put_halves(bytes, 0x4770, 0xbf00); /* bx lr; nop */
  else
    put_halves(bytes, T32_NOP, T32_NOP_REST);
  return true;
}
