// COMDAT, second unit: the same inline functions again, one instance of its own, and a site outside any group.
#include "comdat.hpp"

static int number;

int comdat_second(int n) {
  if (static_branch_unlikely(&comdat_false))
    n += 10000;
  return comdat_branch() + comdat_calls<1>(n) + comdat_calls<3>(n) + comdat_locked(&number);
}
