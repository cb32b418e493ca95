/* What batch.c writes, and when it synchronises, without a process to change: the functions that would do it say so. Each
 * line of standard input is two instructions in hexadecimal, and T in front of them for Thumb-2; each line of output is
 * how the library goes from the first to the second: `stop`, `store 0 e9...`, `sync`. */
#include "../../runtime/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../runtime/batch.c"
#include "../../runtime/machine.c"

bool sync_by_stopping;
static uint8_t text[64] __attribute__((aligned(16)));

bool write_begin(void) { return true; }
void write_flush(const struct poke *pokes, size_t count) { (void)pokes, (void)count; }
bool write_text(uint8_t *place, const uint8_t *bytes, int size) {
  printf("store %d ", (int)(place - text));
  for (int i = 0; i < size; i++)
    printf("%02x", bytes[i]);
  printf("; ");
  memcpy(place, bytes, (size_t)size);
  return true;
}
bool sync_cores(void) { return printf("sync; ") > 0; }
bool stop_threads(void) { return printf("stop; ") > 0; }
void resume_threads(void) { printf("resume; "); }
bool trap_hold(void) { return true; }
void trap_open(const struct poke *pokes, size_t count) { (void)pokes, (void)count, printf("open; "); }
void trap_close(void) { printf("close; "); }
void textpoke_say(const char *format, ...) { fprintf(stderr, "%s\n", format); }

static int read_hex(const char *from, uint8_t *bytes) {
  int size = 0;
  for (unsigned byte; sscanf(from + 2 * size, "%2x", &byte) == 1; size++)
    bytes[size] = (uint8_t)byte;
  return size;
}

int main(void) {
  char old[32], new[32], line[80];
  while (fgets(line, sizeof line, stdin)) {
    struct textpoke_site site = {.place = text, .thumb = line[0] == 'T'};
    struct batch batch = {0};
    if (sscanf(line + site.thumb, "%20s %20s", old, new) != 2)
      return 2;
    site.size = (uint8_t)read_hex(old, site.now);
    memcpy(text, site.now, site.size);
    struct poke *poke = batch_add(&batch, &site);
    read_hex(new, poke->bytes);
    if (batch_run(&batch) || memcmp(site.now, text, site.size))
      return 1;
    printf("\n");
  }
  return 0;
}
