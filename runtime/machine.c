/* SPDX-License-Identifier: MIT
 * The machine that this is compiled for: what stands at its sites, and how a site is read.
 */
#include "internal.h"

#include <string.h>

#if defined(TEXTPOKE_NO_PATCHING)
#include "machine/none.h"
#elif defined(__x86_64__)
#include "machine/x86-64.h"
#elif defined(__aarch64__)
#include "machine/aarch64.h"
#elif defined(__arm__)
#include "machine/arm.h"
#endif

size_t machine_trampoline_size(void) { return TRAMPOLINE_SIZE; }

bool machine_is_trampoline(const uint8_t *place, bool thumb) { return has_signature(place, thumb); }

uint8_t *machine_trampoline_behind(uintptr_t target) { return trampoline_behind(target); }

bool machine_read(struct textpoke_site *site) {
  switch (site->kind) {
  case SITE_BRANCH:
    return read_branch(site);
  case SITE_TRAMPOLINE:
    return read_trampoline(site);
  default:
    return read_call(site);
  }
}
