// The COMDAT program: one line a unit.
#include <cstdio>

int comdat_first(int n);
int comdat_second(int n);

int main() {
  std::printf("first %d\n", comdat_first(0));
  std::printf("second %d\n", comdat_second(0));
}
