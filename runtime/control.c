/* SPDX-License-Identifier: MIT
 * A switch outside of the process: a UNIX socket on which the owner of the process asks for its keys and changes them.
 * docs/runtime.md has the words of both sides. Addresses are those of the running process, so it needs no names.
 */
#include "internal.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum {
  CLIENT_PATIENCE = 10, /* seconds that a client may keep others waiting */
  LINE = 160,          /* bytes of a line */
  MOST_CHANGES = 65536 /* of one request */
};

static int listener = -1, talking_to = -1;
static pthread_t server;
static pid_t server_of;
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static struct stat socket_is;

/* ---- lines that come in, and text that goes out */

struct client {
  int fd;
  size_t start, end;
  char buffer[2048];
};

/* The next line without its end; NULL at the end, or where it is too long. */
static char *next_line(struct client *client) {
  for (;;) {
    char *from = client->buffer + client->start, *end = memchr(from, '\n', client->end - client->start);
    if (end) {
      *end = 0;
      client->start = (size_t)(end + 1 - client->buffer);
      return from;
    }
    if (client->end - client->start >= LINE)
      return NULL;
    memmove(client->buffer, from, client->end - client->start);
    client->end -= client->start;
    client->start = 0;
    ssize_t size = recv(client->fd, client->buffer + client->end, sizeof client->buffer - client->end, 0);
    if (size < 0 && errno == EINTR)
      continue;
    if (size <= 0)
      return NULL;
    client->end += (size_t)size;
  }
}

struct text {
  char *bytes;
  size_t size, room;
  bool failed;
};

static void add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text *text, const char *format, ...) {
  char line[LINE];
  va_list arguments;
  va_start(arguments, format);
  int size = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  if (size < 0 || (size_t)size >= sizeof line)
    text->failed = true;
  if (text->failed)
    return;
  if (text->size + (size_t)size > text->room) {
    size_t room = 2 * text->room + sizeof line;
    char *more = realloc(text->bytes, room);
    if (!more) {
      text->failed = true;
      return;
    }
    text->bytes = more;
    text->room = room;
  }
  memcpy(text->bytes + text->size, line, (size_t)size);
  text->size += (size_t)size;
}

static bool send_all(int fd, const char *bytes, size_t size) {
  while (size > 0) {
    ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR)
      continue;
    if (sent <= 0)
      return false;
    bytes += sent;
    size -= (size_t)sent;
  }
  return true;
}

/* ---- what can be asked */

static void add_error(struct text *text, enum textpoke_error error) {
  if (error)
    add(text, "error %d %s\n", (int)error, textpoke_strerror(error));
  else
    add(text, "ok\n");
}

/* "key ADDRESS COUNT SITES", "call ADDRESS TRAMPOLINE FUNCTION SITES": one for each key of an object's sites. A call without
 * a trampoline in this object has 0 there. A function is a code pointer; 0 is NULL. */
static void add_key(struct text *text, const struct textpoke_site *first, const struct textpoke_site *end) {
  size_t sites = 0;
  uintptr_t trampoline = 0;
  for (const struct textpoke_site *site = first; site < end; site++)
    if (site->kind == SITE_TRAMPOLINE)
      trampoline = (uintptr_t)site->place | site->thumb;
    else
      sites++;
  if (first->kind == SITE_BRANCH) {
    const struct static_key *key = first->key;
    add(text, "key 0x%jx %d %zu\n", (uintmax_t)(uintptr_t)key, __atomic_load_n(&key->enabled, __ATOMIC_RELAXED), sites);
  } else {
    const struct static_call_key *key = first->key;
    add(text, "call 0x%jx 0x%jx 0x%jx %zu\n", (uintmax_t)(uintptr_t)key, (uintmax_t)trampoline,
        (uintmax_t)textpoke_function_of(key), sites);
  }
}

static void list(struct text *text) {
  sigset_t mask;
  textpoke_lock(&mask);
  for (const struct textpoke_object *object = textpoke_objects; object; object = object->next) {
    if (object->state == TEXTPOKE_REFUSED)
      add(text, "refused 0x%jx %d %s\n", (uintmax_t)(uintptr_t)object->segments[0].start, object->error,
          textpoke_strerror((enum textpoke_error)object->error));
    const struct textpoke_site *end = object->sites + object->site_count;
    for (const struct textpoke_site *site = object->sites, *next; site < end; site = next) {
      for (next = site; next < end && next->key == site->key; next++)
        continue;
      add_key(text, site, next);
    }
  }
  textpoke_unlock(&mask);
  add(text, "ok\n");
}

static bool read_change(const char *line, struct textpoke_change *change) {
  static const char *const operations[] = {"enable", "disable", "inc", "dec", "update"};
  unsigned long long key, trampoline = 0, function = 0;
  char word[8], rest;
  int count = sscanf(line, "%7s %llx %llx %llx %c", word, &key, &trampoline, &function, &rest);
  for (unsigned operation = 0; count == 2 || count == 4; operation++) {
    if (operation == sizeof operations / sizeof *operations)
      break;
    if (strcmp(word, operations[operation]) || (operation == TEXTPOKE_UPDATE) != (count == 4))
      continue;
    *change = (struct textpoke_change){(enum textpoke_operation)operation, (void *)(uintptr_t)key,
                                       (void *)(uintptr_t)trampoline, (void *)(uintptr_t)function};
    return true;
  }
  return false;
}

/* "apply COUNT", and so many lines: "enable KEY", "disable KEY", "inc KEY", "dec KEY", "update KEY TRAMPOLINE FUNCTION". */
static bool apply(struct client *client, struct text *text, size_t count) {
  struct textpoke_change *changes = calloc(count ? count : 1, sizeof *changes);
  enum textpoke_error error = changes ? TEXTPOKE_OK : TEXTPOKE_ERROR_MEMORY;
  for (size_t i = 0; i < count; i++) {
    const char *line = next_line(client);
    if (!line) {
      free(changes);
      return false;
    }
    if (!error && !read_change(line, &changes[i]))
      error = TEXTPOKE_ERROR_ARGUMENT;
  }
  add_error(text, error ? error : textpoke_apply(changes, count));
  free(changes);
  return true;
}

/* One request; false when the client is done, or says what nobody understands. */
static bool answer(struct client *client) {
  struct text text = {0};
  const char *line = next_line(client);
  unsigned long number;
  char rest;
  bool goes_on = line != NULL;
  if (!line)
    return false;
  if (!strcmp(line, "hello 1"))
    add(&text, "textpoke 1 %ld\nok\n", (long)getpid());
  else if (!strcmp(line, "list"))
    list(&text);
  else if (sscanf(line, "cpus %lu%c", &number, &rest) == 1 && number <= 1 << 20)
    add_error(&text, textpoke_set_cpus((int)number));
  else if (sscanf(line, "apply %lu%c", &number, &rest) == 1 && number <= MOST_CHANGES)
    goes_on = apply(client, &text, number);
  else {
    add_error(&text, TEXTPOKE_ERROR_ARGUMENT);
    goes_on = false;
  }
  if (text.failed) {
    text.size = 0;
    text.failed = false;
    add_error(&text, TEXTPOKE_ERROR_MEMORY);
  }
  goes_on = send_all(client->fd, text.bytes ? text.bytes : "", text.size) && goes_on;
  free(text.bytes);
  return goes_on;
}

/* ---- the thread that serves */

/* The mode of the socket keeps others out; this holds where a file system has no modes. */
static bool is_allowed(int fd) {
  struct ucred peer;
  socklen_t size = sizeof peer;
  return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) && (peer.uid == geteuid() || peer.uid == 0);
}

static void *serve(void *data) {
  int fd = *(int *)data;
  const struct timeval patience = {CLIENT_PATIENCE, 0};
  free(data);
  prctl(PR_SET_NAME, "textpoke", 0, 0, 0);
  for (;;) {
    struct client client = {.fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC)};
    if (client.fd < 0) {
      if (errno == EINTR || errno == ECONNABORTED)
        continue;
      if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        usleep(100000);
        continue;
      }
      return NULL; /* it was closed */
    }
    __atomic_store_n(&talking_to, client.fd, __ATOMIC_SEQ_CST);
    setsockopt(client.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(client.fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (is_allowed(client.fd))
      while (answer(&client))
        continue;
    __atomic_store_n(&talking_to, -1, __ATOMIC_SEQ_CST);
    close(client.fd);
  }
}

static bool start_thread(int fd) {
  int *data = malloc(sizeof *data);
  if (!data)
    return false;
  *data = fd;
  bool started = textpoke_start_thread(&server, serve, data);
  if (!started)
    free(data);
  return started;
}

/* ---- the socket */

/* Of this user, and nobody else may write there: then nobody else can have put the socket there. */
static bool is_private(const char *directory) {
  struct stat is;
  return !lstat(directory, &is) && S_ISDIR(is.st_mode) && is.st_uid == geteuid() && !(is.st_mode & 022);
}

static bool default_path(char *path, size_t size) {
  char directory[64];
  snprintf(directory, sizeof directory, "/run/user/%lu", (unsigned long)geteuid());
  if (!is_private(directory)) {
    snprintf(directory, sizeof directory, "/tmp/textpoke-%lu", (unsigned long)geteuid());
    mkdir(directory, 0700);
    if (!is_private(directory)) {
      textpoke_say("%s: not a directory that is this user's alone", directory);
      return false;
    }
  }
  return snprintf(path, size, "%s/textpoke.%ld", directory, (long)getpid()) < (int)size;
}

/* Binds the socket. One that nobody listens on any longer is replaced; anything else that has the name stays. */
static bool bind_here(int fd) {
  struct stat is;
  const struct sockaddr *to = (const struct sockaddr *)&address;
  if (!bind(fd, to, sizeof address))
    return true;
  if (errno != EADDRINUSE || lstat(address.sun_path, &is) || !S_ISSOCK(is.st_mode) || is.st_uid != geteuid())
    return false;
  int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  bool dead = probe >= 0 && connect(probe, to, sizeof address) && errno == ECONNREFUSED;
  if (probe >= 0)
    close(probe);
  errno = EADDRINUSE;
  return dead && !unlink(address.sun_path) && !bind(fd, to, sizeof address);
}

static enum textpoke_error open_socket(const char *path) {
  if (path ? strlen(path) >= sizeof address.sun_path : !default_path(address.sun_path, sizeof address.sun_path))
    return TEXTPOKE_ERROR_ARGUMENT;
  if (path)
    strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  /* The mode is the new socket's, as far as the umask lets it. */
  bool done = fd >= 0 && !fchmod(fd, 0600) && bind_here(fd);
  if (!done)
    textpoke_say("%s: %s", address.sun_path, strerror(errno));
  else if (!(done = !lstat(address.sun_path, &socket_is) && !listen(fd, 16) && start_thread(fd)))
    unlink(address.sun_path);
  if (!done) {
    if (fd >= 0)
      close(fd);
    return TEXTPOKE_ERROR_CONTROL;
  }
  listener = fd;
  server_of = getpid();
  return TEXTPOKE_OK;
}

enum textpoke_error textpoke_control(const char *path) {
  static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&one_at_a_time);
  bool is_open = listener >= 0 && server_of == getpid();
  if (listener >= 0 && !is_open) { /* the parent's */
    close(listener);
    listener = -1;
  }
  enum textpoke_error error = is_open ? TEXTPOKE_ERROR_CONTROL : open_socket(path);
  if (is_open)
    textpoke_say("%s is open already", address.sun_path);
  pthread_mutex_unlock(&one_at_a_time);
  return error;
}

const char *textpoke_control_path(void) { return listener >= 0 && server_of == getpid() ? address.sun_path : NULL; }

void control_if_asked(void) {
  const char *asked = secure_getenv("TEXTPOKE_CONTROL");
  if (asked && *asked && strcmp(asked, "0") && !textpoke_control_path())
    textpoke_control(strcmp(asked, "1") ? asked : NULL);
}

/* The name goes with the process, if it is still this socket's. Where the library is unmapped, its thread ends before. */
__attribute__((destructor(101))) static void textpoke_leave_control(void) {
  struct stat is;
  if (!textpoke_control_path())
    return;
  if (!lstat(address.sun_path, &is) && is.st_ino == socket_is.st_ino && is.st_dev == socket_is.st_dev)
    unlink(address.sun_path);
  if (textpoke_stays)
    return;
  shutdown(listener, SHUT_RDWR);
  int client = __atomic_load_n(&talking_to, __ATOMIC_SEQ_CST);
  if (client >= 0)
    shutdown(client, SHUT_RDWR);
  pthread_join(server, NULL);
  close(listener);
  listener = -1;
}
