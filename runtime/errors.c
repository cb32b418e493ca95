/* SPDX-License-Identifier: MIT
 * Errors in words, the log, the lock of writers, and threads of the library's own.
 */
#include "internal.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *textpoke_strerror(enum textpoke_error error) {
  switch (error) {
  case TEXTPOKE_OK:
    return "done";
  case TEXTPOKE_ERROR_TABLE:
    return "a table is broken: an entry is outside of its object, or contradicts another one";
  case TEXTPOKE_ERROR_SITE:
    return "a site does not hold what a compiler leaves there";
  case TEXTPOKE_ERROR_FOREIGN:
    return "bytes of somebody else stand at a site: a breakpoint or a probe";
  case TEXTPOKE_ERROR_KEY:
    return "this is no key, or not the trampoline of its call";
  case TEXTPOKE_ERROR_FUNCTION:
    return "the function is not in code, or out of reach";
  case TEXTPOKE_ERROR_COUNT:
    return "the count of the key does not allow it";
  case TEXTPOKE_ERROR_ARGUMENT:
    return "an argument is out of range";
  case TEXTPOKE_ERROR_WRITE:
    return "text cannot be written on this system";
  case TEXTPOKE_ERROR_THREADS:
    return "a thread could not be stopped or synchronised";
  case TEXTPOKE_ERROR_MEMORY:
    return "out of memory";
  case TEXTPOKE_ERROR_CONTROL:
    return "the socket cannot be opened";
  }
  return "unknown error";
}

static void (*volatile log_line)(const char *line);

void textpoke_set_log(void (*log)(const char *line)) { log_line = log; }

void textpoke_say(const char *format, ...) {
  if (!textpoke_entered)
    return;
  char line[400] = "textpoke: ";
  void (*log)(const char *) = log_line;
  size_t begun = strlen(line);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line + begun, sizeof line - begun - 1, format, arguments);
  va_end(arguments);
  if (log) {
    log(line);
    return;
  }
  strcat(line, "\n");
  /* Nobody could be told of a failure to tell. */
  if (write(STDERR_FILENO, line, strlen(line)) < 0)
    return;
}

void textpoke_outer_signals(sigset_t *signals) {
  sigfillset(signals);
  sigdelset(signals, SIGTRAP);
  sigdelset(signals, SIGSEGV);
  sigdelset(signals, SIGBUS);
  sigdelset(signals, SIGILL);
  sigdelset(signals, SIGFPE);
  sigdelset(signals, SIGABRT);
}

/* No signal of the program's is for such a thread; the one that stops threads is, and so it is chosen first. */
bool textpoke_start_thread(pthread_t *thread, void *(*run)(void *), void *data) {
  sigset_t mask, old;
#ifndef TEXTPOKE_NO_PATCHING
  textpoke_lock(&old);
  stop_choose();
  textpoke_unlock(&old);
#endif
  textpoke_outer_signals(&mask);
  stop_let_in(&mask);
  pthread_sigmask(SIG_BLOCK, &mask, &old);
  bool started = !pthread_create(thread, NULL, run, data);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  return started;
}
