/* Shows what libtextpoke makes of the program it is linked into. Each line of standard input is a sequence of
 * steps, which a child of its own carries out behind textpoke_init():
 *
 *     enable KEY; disable KEY; inc KEY; dec KEY; update KEY TRAMPOLINE FUNCTION; cpus N;
 *
 * with addresses in hexadecimal. It then prints what in its memory is no longer as it was at the start: `text ADDRESS
 * BYTES` for code, `table ADDRESS BYTES` for both tables, `enabled KEY COUNT` and `func KEY FUNCTION` for every key that
 * a table names, and `end`. */
#define _GNU_SOURCE
#include <textpoke/runtime.h>

#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define HIDDEN __attribute__((visibility("hidden")))
extern const ElfW(Ehdr) __ehdr_start HIDDEN;
extern uint8_t __start___jump_table[] HIDDEN, __stop___jump_table[] HIDDEN;
extern uint8_t __start_static_call_sites[] HIDDEN, __stop_static_call_sites[] HIDDEN;

/* The executable segments, and what was in them at the start. */
static struct text {
  uint8_t *start, *original;
  size_t size;
} texts[4];
static int text_count;

static void show(const char *what, const uint8_t *place, const uint8_t *end) {
  printf("%s %lx ", what, (unsigned long)place);
  while (place < end)
    printf("%02x", *place++);
  putchar('\n');
}

/* Blocks keep the search fast where an emulator runs it. */
static void show_text(const struct text *text) {
  enum { BLOCK = 4096 };
  for (size_t block = 0; block < text->size; block += BLOCK) {
    size_t stop = text->size - block < BLOCK ? text->size : block + BLOCK;
    if (!memcmp(text->start + block, text->original + block, stop - block))
      continue;
    for (size_t i = block; i < stop; i++) {
      size_t first = i;
      while (i < stop && text->start[i] != text->original[i])
        i++;
      if (i > first)
        show("text", text->start + first, text->start + i);
    }
  }
}

/* As the key's owner sees it: NULL is another pointer on 32-bit ARM. */
static void *function_of(const struct static_call_key *key) {
#ifdef TEXTPOKE_ARCH_TRAMPOLINE_THROUGH_KEY
  return textpoke_query(key);
#else
  return key->func;
#endif
}

static void show_keys(void) {
  uint8_t *last = NULL;
  size_t entry = 8 + sizeof(long);
  for (uint8_t *at = __start___jump_table; at < __stop___jump_table; at += entry) {
    uint8_t *key = (uint8_t *)(((uintptr_t)(at + 8) + *(long *)(at + 8)) & ~(uintptr_t)3);
    if (key != last)
      printf("enabled %lx %d\n", (unsigned long)key, ((struct static_key *)key)->enabled);
    last = key;
  }
  last = NULL;
  for (uint8_t *at = __start_static_call_sites; at < __stop_static_call_sites; at += 8) {
    uint8_t *key = (uint8_t *)(((uintptr_t)(at + 4) + *(int32_t *)(at + 4)) & ~(uintptr_t)3);
    if (key != last)
      printf("func %lx %lx\n", (unsigned long)key, (unsigned long)function_of((struct static_call_key *)key));
    last = key;
  }
}

static void step(const char *text) {
  char name[8];
  unsigned long key = 0, trampoline = 0, function = 0;
  sscanf(text, "%7s %lx %lx %lx", name, &key, &trampoline, &function);
  if (!strcmp(name, "enable"))
    static_key_enable((void *)key);
  else if (!strcmp(name, "disable"))
    static_key_disable((void *)key);
  else if (!strcmp(name, "inc"))
    static_key_slow_inc((void *)key);
  else if (!strcmp(name, "dec"))
    static_key_slow_dec((void *)key);
  else if (!strcmp(name, "update"))
    textpoke_update_call((void *)key, (void *)trampoline, (void *)function);
  else if (!strcmp(name, "cpus"))
    textpoke_set_cpus((int)key);
  else
    fprintf(stderr, "driver: unknown step %s\n", text), exit(2);
}

static void run(char *line) {
  if (textpoke_init())
    exit(1);
  for (char *text = strtok(line, ";\n"); text; text = strtok(NULL, ";\n"))
    step(text);
  for (int i = 0; i < text_count; i++)
    show_text(&texts[i]);
  show("table", __start___jump_table, __stop___jump_table);
  show("table", __start_static_call_sites, __stop_static_call_sites);
  show_keys();
  puts("end");
  fflush(stdout);
}

int main(void) {
  char line[4096];
  const ElfW(Phdr) *segment = (const void *)((const char *)&__ehdr_start + __ehdr_start.e_phoff);
  for (int i = 0; i < __ehdr_start.e_phnum; i++, segment++) {
    if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X) || text_count == 4)
      continue;
    struct text *text = &texts[text_count++];
    *text = (struct text){(uint8_t *)segment->p_vaddr, malloc(segment->p_filesz), segment->p_filesz};
    memcpy(text->original, text->start, text->size);
  }
  while (fgets(line, sizeof line, stdin)) {
    int status;
    pid_t child = fork();
    if (child == 0) {
      run(line);
      _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0)
      return 1;
  }
  return 0;
}
