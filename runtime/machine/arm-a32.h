/* SPDX-License-Identifier: MIT
 * 32-bit ARM in the state A32: what stands at sites (Linux arch/arm/kernel/insn.c, jump_label.c). Included by arm.h.
 */

static const uint32_t A32_NOP = 0xe1a00000 /* mov r0, r0, the kernel's */, A32_HINT_NOP = 0xe320f000;

static uint32_t a32_word(const uint8_t *bytes) { return half_at(bytes) | half_at(bytes + 2) << 16; }

static void a32_put(uint8_t *bytes, uint32_t word) { put_halves(bytes, word & 0xffff, word >> 16); }

/* pc is 8 bytes ahead; 32 MiB to either side. */
static bool a32_put_branch(uint8_t *bytes, uint32_t opcode, int32_t distance) {
  a32_put(bytes, opcode | ((uint32_t)distance >> 2 & 0xffffff));
  return distance >= -0x2000000 && distance < 0x2000000;
}

static uintptr_t a32_target(const struct textpoke_site *site) {
  uint32_t word = a32_word(site->now);
  uintptr_t target = (uintptr_t)site->place + 8 + (uintptr_t)((int32_t)(word << 8) >> 6);
  return word >> 28 == 15 ? target + (word >> 23 & 2) + 1 : target;
}

static bool a32_read_branch(const struct textpoke_site *site) {
  uint32_t word = a32_word(site->now);
  return word == A32_NOP || word == A32_HINT_NOP || (word >> 24 == 0xea && a32_target(site) == site->target);
}

static bool a32_read_call(const struct textpoke_site *site) {
  uint32_t word = a32_word(site->now), operation = word >> 24 & 15;
  bool tail = site->kind == SITE_TAIL_CALL;
  return word >> 28 == 15 ? !tail && (word >> 25 & 7) == 5 : operation == (tail ? 0xa : 0xb);
}

/* It goes through its key: ldr ip, [pc, #4], or bx lr. */
static bool a32_read_trampoline(const struct textpoke_site *site) {
  uint32_t word = a32_word(site->now);
  return word == 0xe59fc004 || word == 0xe12fff1e;
}

static void a32_branch(uint8_t *bytes, const struct textpoke_site *site, bool jump) {
  if (jump)
    a32_put_branch(bytes, 0xea000000, (int32_t)(site->target - (uintptr_t)site->place - 8));
  else
    a32_put(bytes, a32_word(site->now) == A32_HINT_NOP ? A32_HINT_NOP : A32_NOP);
}

/* The condition of what stands there stays. A jump cannot change state, and neither can a call with a condition. */
static bool a32_call_to(uint8_t *bytes, const struct textpoke_site *site, uint32_t condition, uintptr_t function) {
  bool tail = site->kind == SITE_TAIL_CALL;
  uintptr_t pc = (uintptr_t)site->place + 8;
  if (!(function & 1))
    return a32_put_branch(bytes, condition | (tail ? 0x0a000000 : 0x0b000000), (int32_t)(function - pc));
  return a32_put_branch(bytes, 0xfa000000 | ((function - 1 - pc) & 2) << 23, (int32_t)(function - 1 - pc)) && !tail &&
         condition == 0xe0000000;
}

static bool a32_call(uint8_t *bytes, const struct textpoke_site *site, uintptr_t function, bool return0) {
  bool tail = site->kind == SITE_TAIL_CALL;
  uint32_t now = a32_word(site->now), condition = now >> 28 == 15 ? 0xe0000000 : now & 0xf0000000;
  if (function && !(return0 && !tail))
    return a32_call_to(bytes, site, condition, function) ||
           (site->routed && a32_call_to(bytes, site, condition, site->target));
  if (function)
    a32_put(bytes, condition | 0x03a00000); /* mov r0, #0 */
  else
    a32_put(bytes, condition | (tail ? 0x012fff1e : 0x01a00000)); /* bx lr; mov r0, r0 */
  return true;
}

/* Arm ARM (DDI 0406) A3.5.4: B, BL, NOP and BKPT of A32 may become each other while others run them; mov r0, r0 is no
 * NOP there, and BLX is not on the list. Linux stops all CPUs always (arch/arm/kernel/patch.c). */
static bool a32_may_run(uint32_t word) {
  return (word >> 28 != 15 && (word >> 25 & 7) == 5) || word == A32_HINT_NOP || (word & 0xfff000f0) == 0xe1200070;
}
