/* SPDX-License-Identifier: MIT
 * A list of places with their new bytes, written as one (Linux smp_text_poke_batch_finish, arch/x86/kernel/alternative.c).
 * What is found at each place is compared with what may stand there before the first of them is written.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define INT3 "\xcc"

struct poke *batch_add(struct batch *batch, struct textpoke_site *site) {
  if (batch->count == batch->room) {
    size_t room = batch->room ? 2 * batch->room : 16;
    struct poke *pokes = realloc(batch->pokes, room * sizeof *pokes);
    if (!pokes)
      return NULL;
    batch->pokes = pokes;
    batch->room = room;
  }
  struct poke *poke = &batch->pokes[batch->count++];
  *poke = (struct poke){.place = site->place, .site = site, .size = site->size, .thumb = site->thumb};
  memcpy(poke->old, site->now, SITE_SIZE);
  return poke;
}

static int by_place(const void *x, const void *y) {
  const struct poke *a = x, *b = y;
  return a->place < b->place ? -1 : a->place > b->place;
}

/* What entries have to agree on that name one place. Locks have neither. */
static bool is_of_one_key(const struct poke *a, const struct poke *b) {
  return a->site && b->site ? a->site->key == b->site->key && a->site->target == b->site->target : a->site == b->site;
}

/* In order, each place once, none inside of another. Sites of one place follow each other; the first is written. */
static enum textpoke_error sort(struct batch *batch) {
  qsort(batch->pokes, batch->count, sizeof *batch->pokes, by_place);
  for (size_t i = 1; i < batch->count; i++) {
    const struct poke *before = &batch->pokes[i - 1], *poke = &batch->pokes[i];
    bool same = before->place == poke->place && before->size == poke->size && is_of_one_key(before, poke) &&
                !memcmp(before->bytes, poke->bytes, poke->size);
    if (before->place + before->size <= poke->place || same)
      continue;
    textpoke_say("%p and %p: two entries contradict each other", (void *)before->place, (void *)poke->place);
    return TEXTPOKE_ERROR_TABLE;
  }
  return TEXTPOKE_OK;
}

static bool is_as_known(const struct poke *poke) { return !memcmp(poke->place, poke->old, poke->size); }

static bool say_foreign(const struct poke *poke) {
  const uint8_t *found = poke->place, *known = poke->old;
  textpoke_say("%p: found %02x %02x, and %02x %02x was written there last: a breakpoint or a probe of somebody else?",
               (void *)poke->place, found[0], poke->size > 1 ? found[1] : 0, known[0], poke->size > 1 ? known[1] : 0);
  return false;
}

static bool are_as_known(const struct poke *pokes, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (!is_as_known(&pokes[i]))
      return say_foreign(&pokes[i]);
  return true;
}

/* What changes, each place once; NULL without memory. */
static struct poke *changes_of(const struct batch *batch, size_t *count) {
  struct poke *changes = malloc((batch->count + 1) * sizeof *changes);
  *count = 0;
  for (size_t i = 0; changes && i < batch->count; i++) {
    const struct poke *poke = &batch->pokes[i];
    if (!memcmp(poke->old, poke->bytes, poke->size) || (*count && changes[*count - 1].place == poke->place))
      continue;
    changes[*count] = *poke;
    changes[(*count)++].passage = (uint8_t)machine_passage(poke->old, poke->bytes, poke->size, poke->thumb);
  }
  return changes;
}

/* All of the list as it is, or back again. */
static bool store(struct poke *pokes, size_t count, bool forward) {
  bool done = true;
  for (size_t i = 0; i < count; i++) {
    struct poke *poke = &pokes[i];
    if (poke->placed == forward)
      continue;
    bool wrote = write_text(poke->place, forward ? poke->bytes : poke->old, poke->size);
    done = done && wrote;
    if (!wrote && forward)
      return false;
    poke->placed = forward;
  }
  write_flush(pokes, count);
  return done;
}

/* Changes that may be stored, or whatever while nobody else runs. */
static bool write_whole(struct poke *pokes, size_t count) {
  if (store(pokes, count, true))
    return true;
  if (!store(pokes, count, false))
    textpoke_say("text could be written no longer in the middle of a change, and not be put back");
  return false;
}

static enum textpoke_error write_stopped(struct poke *pokes, size_t count) {
  if (!stop_threads())
    return TEXTPOKE_ERROR_THREADS;
  bool known = true, done = false;
  size_t foreign = 0;
  while (foreign < count && (known = is_as_known(&pokes[foreign])))
    foreign++;
  if (known)
    done = store(pokes, count, true) || (store(pokes, count, false), false);
  resume_threads();
  if (!known)
    say_foreign(&pokes[foreign]);
  return done ? TEXTPOKE_OK : known ? TEXTPOKE_ERROR_WRITE : TEXTPOKE_ERROR_FOREIGN;
}

static enum textpoke_error write_stored(struct poke *pokes, size_t count) {
  if (!write_whole(pokes, count))
    return TEXTPOKE_ERROR_WRITE;
  return sync_cores() ? TEXTPOKE_OK : TEXTPOKE_ERROR_THREADS;
}

#ifdef __x86_64__
/* Text could not be put back: places stay behind an int3 for ever, and the handler lets threads through. */
static bool left_open;

/* 1. An int3 in front of each. What stands there is looked at once more, right before it is covered. */
static enum textpoke_error cover_heads(struct poke *pokes, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (!is_as_known(&pokes[i]))
      return say_foreign(&pokes[i]), TEXTPOKE_ERROR_FOREIGN;
    if (!write_text(pokes[i].place, (const uint8_t *)INT3, 1))
      return TEXTPOKE_ERROR_WRITE;
    pokes[i].placed = 1;
  }
  return TEXTPOKE_OK;
}

/* 2. What lies behind the first byte. */
static bool write_tails(const struct poke *pokes, size_t count, bool forward) {
  bool done = true;
  for (size_t i = 0; i < count; i++)
    if (pokes[i].placed)
      done = write_text(pokes[i].place + 1, (forward ? pokes[i].bytes : pokes[i].old) + 1, pokes[i].size - 1) && done;
  return done;
}

/* 3. The first byte. */
static bool write_heads(const struct poke *pokes, size_t count, bool forward) {
  bool done = true;
  for (size_t i = 0; i < count; i++)
    if (pokes[i].placed)
      done = write_text(pokes[i].place, forward ? pokes[i].bytes : pokes[i].old, 1) && done;
  return done;
}

/* The way back, by the same steps. */
static void take_back(const struct poke *pokes, size_t count) {
  bool done = true;
  for (size_t i = 0; i < count; i++)
    if (pokes[i].placed)
      done = write_text(pokes[i].place, (const uint8_t *)INT3, 1) && done;
  done = done && sync_cores() && write_tails(pokes, count, false) && sync_cores() &&
         write_heads(pokes, count, false) && sync_cores();
  if (done) {
    trap_close();
    return;
  }
  left_open = true;
  textpoke_say("text could be written no longer in the middle of a change, and not be put back");
}

/* Whoever runs into an int3 runs the new instruction: until this returns, old and new are both right. */
static enum textpoke_error write_trapped(struct poke *pokes, size_t count) {
  if (left_open)
    return TEXTPOKE_ERROR_WRITE;
  if (!trap_hold())
    return TEXTPOKE_ERROR_THREADS;
  trap_open(pokes, count);
  enum textpoke_error error = cover_heads(pokes, count);
  if (!error && !(sync_cores() && write_tails(pokes, count, true) && sync_cores() && write_heads(pokes, count, true) &&
                  sync_cores()))
    error = TEXTPOKE_ERROR_WRITE;
  if (error)
    take_back(pokes, count);
  else
    trap_close();
  return error;
}
#else
static const bool left_open = false;

static enum textpoke_error write_trapped(struct poke *pokes, size_t count) { return write_stopped(pokes, count); }
#endif

static enum textpoke_error write_by_passage(struct poke *pokes, size_t count) {
  enum passage worst = PASS_STORE;
  for (size_t i = 0; i < count; i++)
    worst = pokes[i].passage > worst ? (enum passage)pokes[i].passage : worst;
  if (sync_by_stopping || worst == PASS_STOP)
    return write_stopped(pokes, count);
  return worst == PASS_TRAP ? write_trapped(pokes, count) : write_stored(pokes, count);
}

static enum textpoke_error run(struct batch *batch) {
  size_t count;
  enum textpoke_error error = sort(batch);
  if (error)
    return error;
  if (!are_as_known(batch->pokes, batch->count))
    return TEXTPOKE_ERROR_FOREIGN;
  struct poke *changes = changes_of(batch, &count);
  if (!changes)
    return TEXTPOKE_ERROR_MEMORY;
  if (count > 0)
    error = write_begin() ? write_by_passage(changes, count) : TEXTPOKE_ERROR_WRITE;
  for (size_t i = 0; !error && i < batch->count; i++)
    if (batch->pokes[i].site)
      memcpy(batch->pokes[i].site->now, batch->pokes[i].bytes, batch->pokes[i].size);
  if (!left_open)
    free(changes);
  return error;
}

enum textpoke_error batch_run(struct batch *batch) {
  enum textpoke_error error = run(batch);
  free(batch->pokes);
  *batch = (struct batch){0};
  return error;
}
