/* SPDX-License-Identifier: MIT
 * The whole library in one unit, with the part that each object has: for programs that compile it among their own
 * sources. `textpoke runtime --source` says where this file is.
 */
#include "internal.h"

#include "batch.c"
#include "change.c"
#include "control.c"
#include "deferred.c"
#include "errors.c"
#include "futex.c"
#include "locks.c"
#include "machine.c"
#include "registry.c"
#include "segments.c"
#include "stop.c"
#include "sync.c"
#include "trap.c"
#include "turns.c"
#include "write.c"

#include "object.c"
