/* SPDX-License-Identifier: MIT
 * Lock prefixes and barriers, which one CPU does not need (Linux arch/x86/kernel/alternative.c, alternatives_smp_lock).
 */
#include "internal.h"
#include "probes.h"

#include <stdlib.h>
#include <string.h>

static int cpus_now;

static enum textpoke_error collect_locks(struct batch *batch, struct textpoke_object *object, int cpus) {
  for (int32_t *lock = object->locks; lock < object->locks_end; lock++) {
    struct textpoke_site site = {.place = (uint8_t *)((uintptr_t)lock + (uintptr_t)(intptr_t)*lock)};
    site.thumb = (uint8_t)object->thumb;
    uint8_t bytes[SITE_SIZE];
    site.size = (uint8_t)machine_smp(bytes, site.place, object->thumb, cpus);
    if (!site.size) {
      textpoke_say("%p: no lock and nothing that stands for one; found %02x", (void *)site.place, site.place[0]);
      return TEXTPOKE_ERROR_FOREIGN;
    }
    memcpy(site.now, site.place, site.size);
    struct poke *poke = batch_add(batch, &site);
    if (!poke)
      return TEXTPOKE_ERROR_MEMORY;
    poke->site = NULL;
    memcpy(poke->bytes, bytes, site.size);
  }
  return TEXTPOKE_OK;
}

static enum textpoke_error set_locks(struct textpoke_object *only, int cpus) {
  struct batch batch = {0};
  enum textpoke_error error = TEXTPOKE_OK;
  for (struct textpoke_object *object = textpoke_objects; !error && object; object = object->next)
    if (only ? object == only : object->state == TEXTPOKE_READY)
      error = collect_locks(&batch, object, cpus);
  if (!error)
    return batch_run(&batch);
  free(batch.pokes);
  return error;
}

enum textpoke_error textpoke_locks_follow(struct textpoke_object *object) {
  return cpus_now == 1 ? set_locks(object, 1) : TEXTPOKE_OK;
}

enum textpoke_error textpoke_set_cpus(int cpus) {
  sigset_t mask;
  if (cpus < 1)
    return TEXTPOKE_ERROR_ARGUMENT;
  textpoke_lock(&mask);
  enum textpoke_error error = textpoke_started ? set_locks(NULL, cpus) : TEXTPOKE_OK;
  if (!error) {
    cpus_now = cpus;
    PROBE_CPUS(cpus);
  }
  textpoke_unlock(&mask);
  return error;
}
