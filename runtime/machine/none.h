/* SPDX-License-Identifier: MIT
 * No machine: nothing is patched (TEXTPOKE_NO_PATCHING), and no table is read. Included by machine.c alone.
 */

enum { TRAMPOLINE_SIZE = 8 };

static bool has_signature(const uint8_t *place, bool thumb) {
  (void)place, (void)thumb;
  return false;
}

static uint8_t *trampoline_behind(uintptr_t target) { return (uint8_t *)target; }

static bool read_none(struct textpoke_site *site) {
  site->size = 0;
  return false;
}
#define read_branch read_none
#define read_call read_none
#define read_trampoline read_none

void machine_branch(uint8_t *bytes, const struct textpoke_site *site, bool enabled) {
  (void)bytes, (void)site, (void)enabled;
}

bool machine_call(uint8_t *bytes, const struct textpoke_site *site, uintptr_t function,
                  const struct textpoke_object *object) {
  (void)bytes, (void)site, (void)function, (void)object;
  return false;
}

bool machine_trampoline(uint8_t *bytes, const struct textpoke_site *site, uintptr_t function) {
  (void)bytes, (void)site, (void)function;
  return false;
}

int machine_smp(uint8_t *bytes, const uint8_t *place, bool thumb, int cpus) {
  (void)bytes, (void)place, (void)thumb, (void)cpus;
  return 0;
}

enum passage machine_passage(const uint8_t *old, const uint8_t *bytes, int size, bool thumb) {
  (void)old, (void)bytes, (void)size, (void)thumb;
  return PASS_STOP;
}
