/* Declarations that key-def.c and key-use.c share. */
#include "samples.h"
#include "textpoke/static_call.h"
#include "textpoke/static_key.h"

DECLARE_STATIC_KEY_TRUE(shared_true);
DECLARE_STATIC_KEY_FALSE(shared_false);
DECLARE_STATIC_KEY_ARRAY_FALSE(shared_keys, 4);
DECLARE_STATIC_CALL(shared_call, shared_plain);
