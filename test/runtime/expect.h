/* What programs of this folder have in common. */
#include <stdio.h>
#include <stdlib.h>

#define NOINLINE __attribute__((noinline, noclone))
#define EXPECT(condition)                                                                                    \
  do                                                                                                         \
    if (!(condition)) {                                                                                      \
      printf("line %d: not so: %s\n", __LINE__, #condition);                                                 \
      exit(1);                                                                                               \
    }                                                                                                        \
  while (0)
