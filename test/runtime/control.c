/* A program whose keys are changed from outside. Each line of standard input is answered by what its sites do then: `branch`,
 * `call`, `fork` (whether a child has a socket), `path`. */
#define _GNU_SOURCE
#include <textpoke/runtime.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int english(int n) { return n + 1; }
__attribute__((used)) static int german(int n) { return n + 2; }
DEFINE_STATIC_KEY_FALSE(verbose);
DEFINE_STATIC_KEY_TRUE(loud);
DEFINE_STATIC_CALL(greet, english);
DEFINE_STATIC_CALL_RET0(answer, english);

static int branches(void) {
  int sum = 0;
  if (static_branch_unlikely(&verbose))
    sum += 1;
  if (static_branch_likely(&loud))
    sum += 2;
  return sum;
}

static volatile int sink, done;

/* Runs the sites all the time. */
static void *run(void *data) {
  while (!done)
    sink = branches() + static_call(greet)(1);
  return data;
}

static int child_has_one(void) {
  int status;
  pid_t child = fork();
  if (child == 0)
    _exit(textpoke_control_path() != NULL);
  return waitpid(child, &status, 0) == child ? WEXITSTATUS(status) : -1;
}

int main(void) {
  char line[64];
  pthread_t thread;
  if (textpoke_init() || pthread_create(&thread, NULL, run, NULL))
    return 1;
  printf("%s\n", textpoke_control_path() ? textpoke_control_path() : "none");
  fflush(stdout);
  while (fgets(line, sizeof line, stdin)) {
    if (!strcmp(line, "branch\n"))
      printf("%d\n", branches());
    else if (!strcmp(line, "call\n"))
      printf("%d\n", static_call(greet)(1) + static_call(answer)(1));
    else if (!strcmp(line, "fork\n"))
      printf("%d\n", child_has_one());
    else
      printf("%d\n", (int)textpoke_control(NULL));
    fflush(stdout);
  }
  return 0;
}
