/* What the two units of the demo share. Freestanding: no libc, only the kernel's write and exit. */
#include "textpoke/static_call.h"
#include "textpoke/static_key.h"

#pragma GCC visibility push(hidden)
const char *greet_plain(void);
const char *greet_loud(void);
int count(void);
void say(const char *what, const char *value);
#pragma GCC visibility pop

DECLARE_STATIC_CALL(greet, greet_plain);
DECLARE_STATIC_KEY_FALSE(tracing);
