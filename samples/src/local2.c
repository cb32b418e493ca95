/* The second unit with the file-local names of local.c: neither may take the other's. */
#define LOCAL(name) local2_##name
#define LOCAL_FACTOR 5
#define LOCAL_KEY DEFINE_STATIC_KEY_TRUE
#include "local.c"
