#ifndef GREET_H
#define GREET_H

#include <textpoke/static_call.h>
#include <textpoke/static_key.h>

DECLARE_STATIC_KEY_FALSE(tracing);
void greet_plain(const char *who);
void greet_loud(const char *who);
DECLARE_STATIC_CALL(greet, greet_plain);

extern int greeted;

#endif
