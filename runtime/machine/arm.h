/* SPDX-License-Identifier: MIT
 * 32-bit ARM, little-endian, A32 and T32. An object says in which of them its sites are. Included by machine.c alone.
 */

static uint32_t half_at(const uint8_t *bytes) { return bytes[0] | (uint32_t)bytes[1] << 8; }

static void put_halves(uint8_t *bytes, uint32_t first, uint32_t second) {
  bytes[0] = (uint8_t)first;
  bytes[1] = (uint8_t)(first >> 8);
  bytes[2] = (uint8_t)second;
  bytes[3] = (uint8_t)(second >> 8);
}

#include "arm-a32.h"
#include "arm-t32.h"

enum { TRAMPOLINE_SIZE = 16 };

/* udf #0x53 behind 10 bytes, or udf #0x4353 behind 8: udf stands for "a trampoline". */
static bool has_signature(const uint8_t *place, bool thumb) {
  return thumb ? half_at(place + 10) == 0xde53 : a32_word(place + 8) == 0xe7f435f3;
}

static uint8_t *trampoline_behind(uintptr_t target) { return (uint8_t *)(target & ~(uintptr_t)1); }

static bool read_branch(struct textpoke_site *site) {
  site->size = 4;
  return site->thumb ? t32_read_branch(site) : a32_read_branch(site);
}

static bool read_call(struct textpoke_site *site) {
  site->size = 4;
  if (!(site->thumb ? t32_read_call(site) : a32_read_call(site)))
    return false;
  site->target = site->thumb ? t32_target(site) : a32_target(site);
  return true;
}

static bool read_trampoline(struct textpoke_site *site) {
  site->size = 4;
  return site->thumb ? t32_read_trampoline(site) : a32_read_trampoline(site);
}

void machine_branch(uint8_t *bytes, const struct textpoke_site *site, bool enabled) {
  bool jump = enabled != site->likely;
  if (site->thumb)
    t32_branch(bytes, site, jump);
  else
    a32_branch(bytes, site, jump);
}

bool machine_call(uint8_t *bytes, const struct textpoke_site *site, uintptr_t function,
                  const struct textpoke_object *object) {
  bool return0 = function && function == object->return0;
  return site->thumb ? t32_call(bytes, site, function, return0) : a32_call(bytes, site, function, return0);
}

/* Reaches everything: it loads its function from the key. */
bool machine_trampoline(uint8_t *bytes, const struct textpoke_site *site, uintptr_t function) {
  if (site->thumb)
    put_halves(bytes, function ? 0xf8df : 0x4770, function ? 0xc008 : 0xbf00);
  else
    a32_put(bytes, function ? 0xe59fc004 : 0xe12fff1e);
  return true;
}

/* dmb and the NOP that moves the register of its option to itself. */
int machine_smp(uint8_t *bytes, const uint8_t *place, bool thumb, int cpus) {
  uint32_t option;
  if (thumb) {
    uint32_t first = half_at(place), second = half_at(place + 2);
    option = second & 15;
    if (!(first == 0xf3bf && second == (0x8f50 | option)) && !(first == 0xea4f && second == (option << 8 | option)))
      return 0;
    if (cpus == 1)
      put_halves(bytes, 0xea4f, option << 8 | option);
    else
      put_halves(bytes, 0xf3bf, 0x8f50 | option);
  } else {
    uint32_t word = a32_word(place);
    option = word & 15;
    if (word != (0xf57ff050 | option) && word != (0xe1a00000 | option << 12 | option))
      return 0;
    a32_put(bytes, cpus == 1 ? 0xe1a00000 | option << 12 | option : 0xf57ff050 | option);
  }
  return option < 9 || option > 11 ? 0 : 4;
}

/* T32: what its list has (the 16-bit B, NOP and BKPT, and one half of a BL at a time) is nothing that stands at sites. */
enum passage machine_passage(const uint8_t *old, const uint8_t *bytes, int size, bool thumb) {
  (void)size;
  return !thumb && a32_may_run(a32_word(old)) && a32_may_run(a32_word(bytes)) ? PASS_STORE : PASS_STOP;
}
