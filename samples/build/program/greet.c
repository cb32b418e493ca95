#include "greet.h"

#include <stdio.h>

DEFINE_STATIC_KEY_FALSE(tracing);
DEFINE_STATIC_CALL(greet, greet_plain);
int greeted;

void greet_plain(const char *who) { printf("hello %s\n", who); }

void greet_loud(const char *who) { printf("HELLO %s!\n", who); }
