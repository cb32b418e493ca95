/* SPDX-License-Identifier: MIT
 * What keys and calls are asked for (Linux kernel/jump_label.c, kernel/static_call_inline.c). All of a list, or nothing.
 *
 * While a change holds the lock, no count becomes zero and none leaves zero but by this change: the fast ways below
 * add to counts above 0 and take from counts above 1. So what a key's sites should be is known before the first write.
 */
#include "internal.h"
#include "probes.h"

#include <limits.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

static int load(const struct static_key *key) { return __atomic_load_n(&key->enabled, __ATOMIC_ACQUIRE); }

static bool exchange(struct static_key *key, int from, int to) {
  return __atomic_compare_exchange_n(&key->enabled, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* Not in a unit that was compiled without patching, whose calls go through the key. */
static bool has_trampoline(const struct static_call_key *key) { return key->type != 0; }

/* The function that a key stands for, 0 for NULL. */
uintptr_t textpoke_function_of(const struct static_call_key *key) {
  uintptr_t function = (uintptr_t)__atomic_load_n(&key->func, __ATOMIC_RELAXED);
#ifdef TEXTPOKE_ARCH_TRAMPOLINE_THROUGH_KEY
  if (function == (uintptr_t)textpoke_return)
    return 0;
#endif
  return function;
}

static void set_function(struct static_call_key *key, uintptr_t function) {
#ifdef TEXTPOKE_ARCH_TRAMPOLINE_THROUGH_KEY
  if (!function && has_trampoline(key))
    function = (uintptr_t)textpoke_return;
#endif
  __atomic_store_n(&key->func, (void *)function, __ATOMIC_RELEASE);
}

/* ---- sites that follow */

static bool out_of_reach(const struct textpoke_site *site, uintptr_t function) {
  textpoke_say("%p: the function at %p is out of reach", (void *)site->place, (void *)function);
  return false;
}

/* Bytes of a call or trampoline for a function. False where they do not reach it. */
static bool call_bytes(uint8_t *bytes, const struct textpoke_object *object, const struct textpoke_site *site,
                       uintptr_t function) {
  return site->kind == SITE_TRAMPOLINE ? machine_trampoline(bytes, site, function)
                                       : machine_call(bytes, site, function, object);
}

bool textpoke_follow(struct batch *batch, const struct textpoke_object *object, struct textpoke_site *site) {
  struct poke *poke = batch_add(batch, site);
  if (!poke)
    return false;
  if (site->kind == SITE_BRANCH)
    machine_branch(poke->bytes, site, load((struct static_key *)site->key) > 0);
  else if (!call_bytes(poke->bytes, object, site, textpoke_function_of(site->key)))
    /* The linker's way there, through a PLT: no update before init sets what is out of reach. */
    memcpy(poke->bytes, site->now, site->size);
  return true;
}

/* ---- plans */

/* One key of a list, with what becomes of it. */
struct plan {
  const struct textpoke_change **changes; /* of this key, in their order */
  size_t count;
  int before, after;              /* of a static key */
  uintptr_t function, old;        /* of a call */
  struct textpoke_site trampoline; /* one that no site of the key leads to */
};

static bool is_call(const struct plan *plan) { return plan->changes[0]->operation == TEXTPOKE_UPDATE; }

/* What the operations make of a count; negative is an error. */
static int simulate(const struct textpoke_change *const *changes, size_t number, int count) {
  const void *key = changes[0]->key;
  for (size_t i = 0; i < number; i++) {
    switch (changes[i]->operation) {
    case TEXTPOKE_INC:
      if (count == INT_MAX)
        return textpoke_say("key %p: its count is as high as it can be", key), -1;
      count++;
      break;
    case TEXTPOKE_DEC:
      if (count == 0)
        return textpoke_say("key %p: decremented below zero", key), -1;
      count--;
      break;
    case TEXTPOKE_ENABLE:
      if (count > 1)
        return textpoke_say("key %p: enabled with count %d", key, count), -1;
      count = 1;
      break;
    default:
      if (count > 1)
        return textpoke_say("key %p: disabled with count %d", key, count), -1;
      count = 0;
    }
  }
  return count;
}

/* Takes the key: -1 for what is to be enabled, 0 at once for what is to be disabled (static_key_slow_inc_cpuslocked and
 * __static_key_slow_dec_cpuslocked). What only grows waits until all is done, so that nothing need be taken back that
 * another thread could have counted on. */
static enum textpoke_error claim_key(struct plan *plan) {
  struct static_key *key = plan->changes[0]->key;
  do {
    plan->before = plan->after = load(key);
    if (plan->before < 0) {
      textpoke_say("key %p: its count is %d", (void *)key, plan->before);
      plan->before = plan->after = 0;
      return TEXTPOKE_ERROR_COUNT;
    }
    int after = simulate(plan->changes, plan->count, plan->before);
    if (after < 0)
      return TEXTPOKE_ERROR_COUNT;
    plan->after = after;
  } while (plan->after < plan->before && !exchange(key, plan->before, plan->after));
  if (plan->before == 0 && plan->after > 0)
    __atomic_store_n(&key->enabled, -1, __ATOMIC_RELEASE);
  return TEXTPOKE_OK;
}

static void finish_key(struct plan *plan) {
  struct static_key *key = plan->changes[0]->key;
  if (plan->before == 0 && plan->after > 0)
    __atomic_store_n(&key->enabled, plan->after, __ATOMIC_RELEASE);
  else if (plan->after > plan->before)
    __atomic_fetch_add(&key->enabled, plan->after - plan->before, __ATOMIC_ACQ_REL);
}

static void undo_key(struct plan *plan) {
  struct static_key *key = plan->changes[0]->key;
  if (plan->before == 0 && plan->after > 0)
    __atomic_store_n(&key->enabled, 0, __ATOMIC_RELEASE);
  else if (plan->after < plan->before)
    __atomic_fetch_add(&key->enabled, plan->before - plan->after, __ATOMIC_ACQ_REL);
}

/* The trampoline that the caller names: it has to be one, in an object that is known. */
static enum textpoke_error read_named_trampoline(struct plan *plan, const struct textpoke_change *change) {
  uintptr_t place = (uintptr_t)change->trampoline;
#ifdef __arm__
  place &= ~(uintptr_t)1;
#endif
  struct textpoke_object *object = textpoke_object_of(place, PF_X);
  struct textpoke_site *site = &plan->trampoline, *end;
  *site = (struct textpoke_site){.place = (uint8_t *)place, .key = change->key, .kind = SITE_TRAMPOLINE};
  if (!object || !textpoke_has_code(object, place, machine_trampoline_size()) ||
      !machine_is_trampoline(site->place, object->thumb)) {
    textpoke_say("%p is no trampoline of an object that is known", change->trampoline);
    return TEXTPOKE_ERROR_KEY;
  }
  for (struct textpoke_site *known = textpoke_sites_of(object, change->key, &end); known < end; known++)
    if (known->place == site->place)
      site->place = NULL; /* it is among the sites */
  if (!site->place)
    return TEXTPOKE_OK;
  enum textpoke_error error = (enum textpoke_error)textpoke_read_site(object, site);
  return error || !textpoke_started ? error : write_cover(place, place + SITE_SIZE);
}

static enum textpoke_error claim_call(struct plan *plan) {
  const struct textpoke_change *change = plan->changes[plan->count - 1];
  struct static_call_key *key = change->key;
  plan->function = (uintptr_t)change->function;
  plan->old = textpoke_function_of(key);
  for (size_t i = 0; i < plan->count; i++)
    if (plan->changes[i]->function && !textpoke_is_code((uintptr_t)plan->changes[i]->function)) {
      textpoke_say("%p is not in code", plan->changes[i]->function);
      return TEXTPOKE_ERROR_FUNCTION;
    }
  enum textpoke_error error = TEXTPOKE_OK;
  if (change->trampoline || has_trampoline(key))
    error = read_named_trampoline(plan, change);
  if (error)
    return error;
  if (plan->trampoline.place) { /* whoever asks before init must not find out at init */
    uint8_t bytes[SITE_SIZE];
    if (!machine_trampoline(bytes, &plan->trampoline, plan->function)) {
      out_of_reach(&plan->trampoline, plan->function);
      return TEXTPOKE_ERROR_FUNCTION;
    }
  }
  set_function(key, plan->function);
  return TEXTPOKE_OK;
}

static enum textpoke_error claim(struct plan *plan) {
  void *key = plan->changes[0]->key;
  size_t size = is_call(plan) ? sizeof(struct static_call_key) : sizeof(struct static_key);
  struct textpoke_object *object = textpoke_object_of((uintptr_t)key, PF_W);
  for (size_t i = 1; i < plan->count; i++)
    if ((plan->changes[i]->operation == TEXTPOKE_UPDATE) != is_call(plan))
      return TEXTPOKE_ERROR_ARGUMENT;
  if (!textpoke_is_data(key, size)) {
    textpoke_say("%p is no key: it is not in the data of an object", key);
    return TEXTPOKE_ERROR_KEY;
  }
  if (object && object->state == TEXTPOKE_REFUSED)
    return (enum textpoke_error)object->error;
  return is_call(plan) ? claim_call(plan) : claim_key(plan);
}

static void undo(struct plan *plan) {
  if (is_call(plan))
    set_function(plan->changes[0]->key, plan->old);
  else
    undo_key(plan);
}

/* The places of a key, with what they are to hold. */
static enum textpoke_error collect(struct batch *batch, struct plan *plan) {
  const void *key = plan->changes[0]->key;
  bool call = is_call(plan);
  if (!call && (plan->before > 0) == (plan->after > 0))
    return TEXTPOKE_OK;
  for (struct textpoke_object *object = textpoke_objects; object; object = object->next) {
    struct textpoke_site *end;
    for (struct textpoke_site *site = textpoke_sites_of(object, key, &end); site < end; site++) {
      struct poke *poke = batch_add(batch, site);
      if (!poke)
        return TEXTPOKE_ERROR_MEMORY;
      if ((site->kind != SITE_BRANCH) != call)
        return TEXTPOKE_ERROR_KEY;
      if (!call)
        machine_branch(poke->bytes, site, plan->after > 0);
      else if (!call_bytes(poke->bytes, object, site, plan->function) && !out_of_reach(site, plan->function))
        return TEXTPOKE_ERROR_FUNCTION;
    }
  }
  if (call && plan->trampoline.place) {
    struct poke *poke = batch_add(batch, &plan->trampoline);
    if (!poke)
      return TEXTPOKE_ERROR_MEMORY;
    if (!machine_trampoline(poke->bytes, &plan->trampoline, plan->function) &&
        !out_of_reach(&plan->trampoline, plan->function))
      return TEXTPOKE_ERROR_FUNCTION;
  }
  return TEXTPOKE_OK;
}

static void finish(struct plan *plan) {
  const void *key = plan->changes[0]->key;
  if (is_call(plan)) {
    if (plan->function != plan->old) {
      PROBE_CALL(key, plan->old, plan->function);
    }
    return;
  }
  finish_key(plan);
  if ((plan->before > 0) != (plan->after > 0)) {
    PROBE_KEY(key, plan->before, plan->after);
  }
}

static enum textpoke_error carry_out(struct plan *plans, size_t count) {
  struct batch batch = {0};
  enum textpoke_error error = TEXTPOKE_OK;
  size_t claimed = 0;
  if (textpoke_failed)
    return (enum textpoke_error)textpoke_failed;
  while (claimed < count && !(error = claim(&plans[claimed])))
    claimed++;
  for (size_t i = 0; !error && textpoke_started && i < count; i++)
    error = collect(&batch, &plans[i]);
  if (error)
    free(batch.pokes);
  else
    error = batch_run(&batch);
  if (error)
    while (claimed > 0)
      undo(&plans[--claimed]);
  for (size_t i = 0; !error && i < count; i++)
    finish(&plans[i]);
  return error;
}

/* By key, and in their order, which is that of the caller's list. */
static int by_key(const void *x, const void *y) {
  const struct textpoke_change *a = *(const struct textpoke_change *const *)x;
  const struct textpoke_change *b = *(const struct textpoke_change *const *)y;
  uintptr_t first = (uintptr_t)a->key, second = (uintptr_t)b->key;
  if (first == second)
    return a < b ? -1 : a > b;
  return first < second ? -1 : 1;
}

/* In resolvers of IFUNC functions, where nothing of the C library may be called: there is one thread, no object is known,
 * and text is changed by nobody. Keys are not looked up; what is no function is found at init. */
static enum textpoke_error apply_early(const struct textpoke_change *changes, size_t count) {
  enum { MOST = 32 };
  const struct textpoke_change *of_key[MOST];
  if (count > MOST)
    return TEXTPOKE_ERROR_MEMORY;
  for (int writes = 0; writes < 2; writes++)
    for (size_t i = 0; i < count; i++) {
      size_t number = 0;
      if ((unsigned)changes[i].operation > TEXTPOKE_UPDATE)
        return TEXTPOKE_ERROR_ARGUMENT;
      if (!changes[i].key)
        return TEXTPOKE_ERROR_KEY;
      for (size_t j = 0; j < count; j++)
        if (changes[j].key == changes[i].key) {
          if ((changes[j].operation == TEXTPOKE_UPDATE) != (changes[i].operation == TEXTPOKE_UPDATE))
            return TEXTPOKE_ERROR_ARGUMENT;
          of_key[number++] = &changes[j];
        }
      if (of_key[0] != &changes[i])
        continue; /* with the first of its key */
      if (changes[i].operation == TEXTPOKE_UPDATE) {
        if (writes)
          set_function(changes[i].key, (uintptr_t)of_key[number - 1]->function);
        continue;
      }
      struct static_key *key = changes[i].key;
      int after = load(key) < 0 ? -1 : simulate(of_key, number, load(key));
      if (after < 0)
        return TEXTPOKE_ERROR_COUNT;
      if (writes)
        __atomic_store_n(&key->enabled, after, __ATOMIC_RELEASE);
    }
  return TEXTPOKE_OK;
}

enum textpoke_error textpoke_apply(const struct textpoke_change *changes, size_t count) {
  sigset_t mask;
  size_t room = count ? count : 1;
  if (!changes && count)
    return TEXTPOKE_ERROR_ARGUMENT;
  if (!textpoke_entered)
    return apply_early(changes, count);
  const struct textpoke_change **order = calloc(room, sizeof *order);
  struct plan *plans = calloc(room, sizeof *plans);
  enum textpoke_error error = order && plans ? TEXTPOKE_OK : TEXTPOKE_ERROR_MEMORY;
  size_t plan_count = 0;
  for (size_t i = 0; !error && i < count; i++) {
    order[i] = &changes[i];
    if ((unsigned)changes[i].operation > TEXTPOKE_UPDATE)
      error = TEXTPOKE_ERROR_ARGUMENT;
  }
  if (!error) {
    qsort(order, count, sizeof *order, by_key);
    for (size_t i = 0; i < count; i++) {
      if (i == 0 || order[i]->key != order[i - 1]->key)
        plans[plan_count++].changes = &order[i];
      plans[plan_count - 1].count++;
    }
    textpoke_lock(&mask);
    error = carry_out(plans, plan_count);
    textpoke_unlock(&mask);
  }
  free(plans);
  free(order);
  return error;
}

/* ---- the kernel's names */

static enum textpoke_error one(enum textpoke_operation operation, struct static_key *key) {
  struct textpoke_change change = {operation, key, NULL, NULL};
  enum textpoke_error error = textpoke_apply(&change, 1);
  if (error && error != TEXTPOKE_ERROR_COUNT) /* which has been said */
    textpoke_say("key %p: %s", (void *)key, textpoke_strerror(error));
  return error;
}

bool static_key_enable(struct static_key *key) { return load(key) == 1 || !one(TEXTPOKE_ENABLE, key); }
bool static_key_disable(struct static_key *key) { return !one(TEXTPOKE_DISABLE, key); }

bool static_key_fast_inc_not_disabled(struct static_key *key) {
  for (int count = load(key); count > 0 && count < INT_MAX; count = load(key))
    if (exchange(key, count, count + 1))
      return true;
  return false;
}

bool static_key_slow_inc(struct static_key *key) {
  return static_key_fast_inc_not_disabled(key) || !one(TEXTPOKE_INC, key);
}

enum textpoke_error textpoke_dec(struct static_key *key) {
  for (int count = load(key); count > 1; count = load(key))
    if (exchange(key, count, count - 1))
      return TEXTPOKE_OK;
  return one(TEXTPOKE_DEC, key);
}

bool static_key_slow_dec(struct static_key *key) { return !textpoke_dec(key); }

enum textpoke_error textpoke_update_call(struct static_call_key *key, void *trampoline, void *function) {
  struct textpoke_change change = {TEXTPOKE_UPDATE, key, trampoline, function};
  return textpoke_apply(&change, 1);
}
