#!/bin/bash
# Remakes every committed object from samples/src and samples/demo, with the compilers that are here, and records
# which those were. The same compilers give the same bytes wherever the checkout is.
#   remake.sh [DIRECTORY]    writes there instead of samples/objects (and leaves samples/demo alone)
set -euo pipefail
export LC_ALL=C SOURCE_DATE_EPOCH=0
unset CFLAGS CXXFLAGS CPATH C_INCLUDE_PATH GCC_COLORS

samples=$(cd "$(dirname "$0")" && pwd)
objects=$samples/objects
demo=$samples/demo
if [ $# -gt 0 ]; then
  mkdir -p "$1"
  objects=$(cd "$1" && pwd)
  demo=$objects/demo
fi

# No paths, and nothing that a distribution's compiler may switch on by itself.
common=(-ffile-prefix-map="$samples/src=." -ffile-prefix-map="$samples/demo=."
  -I../../include -Wall -Wextra -fno-stack-protector)
x86=(-fcf-protection=none)
aarch64=(-mbranch-protection=none -mno-outline-atomics)
declare -A driver=(
  [gcc]="gcc ${x86[*]}" [clang]="clang ${x86[*]}"
  [arm-gcc]="arm-linux-gnueabihf-gcc -fno-section-anchors -marm" [arm-clang]="clang --target=arm-linux-gnueabihf -marm"
  [thumb-gcc]="arm-linux-gnueabihf-gcc -fno-section-anchors -mthumb" [thumb-clang]="clang --target=arm-linux-gnueabihf -mthumb"
  [armeb-gcc]="arm-linux-gnueabihf-gcc -marm -mbig-endian" [thumbeb-gcc]="arm-linux-gnueabihf-gcc -mthumb -mbig-endian"
  [aarch64_be-gcc]="aarch64-linux-gnu-gcc -mbig-endian ${aarch64[*]}"
  [aarch64-gcc]="aarch64-linux-gnu-gcc ${aarch64[*]}" [aarch64-clang]="clang --target=aarch64-linux-gnu ${aarch64[*]}"
)

# compile COMPILER DIRECTORY NAME FLAG...: objects/<DIRECTORY>/<NAME>.o
compile() {
  local compiler directory=$objects/$2 name=$3 suffix=
  case $1 in
    aarch64*) suffix=-aarch64 ;;
    arm* | thumb*) suffix=-arm ;;
  esac
  read -ra compiler <<<"${driver[$1]}"
  shift 3
  if [ "${compiler[0]}" = clang ]; then set -- "$@" -fdebug-compilation-dir=.; fi
  local cxx=("${compiler[@]}")
  cxx[0]=${compiler[0]/%gcc/g++}
  cxx[0]=${cxx[0]/%clang/clang++}
  mkdir -p "$directory"
  case $name in
    demo-*) (cd "$samples/demo" && "${compiler[@]}" "${common[@]}" "${freestanding[@]}" "$@" -c "${name#demo-}.c" -o "$directory/$name.o") ;;
    comdat*) (cd "$samples/src" && "${cxx[@]}" -std=c++17 "${common[@]}" "$@" -c "$name.cpp" -o "$directory/$name.o") ;;
    alt-smp-absolute) (cd "$samples/src" && "${compiler[@]}" "${common[@]}" "$@" -DABSOLUTE -c alt-smp-arm.S -o "$directory/$name.o") ;;
    hand | short | alt-smp) (cd "$samples/src" && "${compiler[@]}" "${common[@]}" "$@" -c "$name$suffix.S" -o "$directory/$name.o") ;;
    *.dwo) # the object names its .dwo as -o spells it, so no directory: from within the one that takes both
      name=${name%.dwo}
      (cd "$directory" && "${compiler[@]}" -std=gnu11 -ffile-prefix-map="${samples%/*}=../.." "${common[@]}" -I"${samples%/*}/include" \
        "$@" -g -gsplit-dwarf -c "$samples/src/$name.c" -o "$name.o") ;;
    kernel-entries) (cd "$samples/src" && "${compiler[@]}" -std=gnu11 "${common[@]}" "$@" -c "$name${suffix:+-arm}.c" -o "$directory/$name.o") ;;
    *) (cd "$samples/src" && "${compiler[@]}" -std=gnu11 "${common[@]}" "$@" -c "$name.c" -o "$directory/$name.o") ;;
  esac
}

freestanding=(-ffreestanding -fno-builtin -fno-asynchronous-unwind-tables)
units=(main branch call lock local local2 key-def key-use)
comdat=(comdat comdat2 comdat-main)

make() { # make SUFFIX "FLAGS" NAME...
  local suffix=$1 flags=$2
  shift 2
  for name in "$@"; do
    # shellcheck disable=SC2086
    compile "$compiler" "$compiler-$suffix" "$name" $flags
  done
}

rm -rf "$objects"/*-gcc-* "$objects"/gcc-* "$objects"/*-clang-* "$objects"/clang-*
for compiler in gcc clang; do
  make O0 '-O0 -fno-pie' "${units[@]}" "${comdat[@]}" kernel-entries
  make O2 '-O2 -fno-pie' "${units[@]}" "${comdat[@]}" kernel-entries hand short demo-main demo-work
  make Os '-Os -fno-pie' "${units[@]}" "${comdat[@]}" kernel-entries
  make O2-fPIC '-O2 -fPIC' "${units[@]}" "${comdat[@]}" demo-main demo-work
  make O0-fPIE '-O0 -fPIE' "${units[@]}" "${comdat[@]}"
  make O2-ffunction-sections '-O2 -fPIE -ffunction-sections -fdata-sections' "${units[@]}" "${comdat[@]}" icf
  make O2-g '-O2 -fPIE -g' branch call lock comdat comdat2 hand inlined
  make O2-g-gz '-O2 -fPIE -g -gz' branch call lock comdat
  make O2-gdwarf-4 '-O2 -fPIE -gdwarf-4' inlined
done
compile clang clang-O2-gsplit-dwarf call.dwo -O2 -fPIE # gcc 12 puts another identifier into every split object

for compiler in {aarch64,arm,thumb}-{gcc,clang}; do
  make O0 '-O0 -fPIE' "${units[@]}" "${comdat[@]}"
  make O2 '-O2 -fno-pie' "${units[@]}" "${comdat[@]}" kernel-entries hand short demo-main demo-work
  make Os '-Os -fno-pie' "${units[@]}" "${comdat[@]}"
  make O2-fPIC '-O2 -fPIC' "${units[@]}" "${comdat[@]}"
  make O2-ffunction-sections '-O2 -fPIE -ffunction-sections -fdata-sections' "${units[@]}" "${comdat[@]}" icf
  make O2-g '-O2 -fPIE -g' branch call comdat hand
  case $compiler in arm-* | thumb-*) make O2 '-O2 -fno-pie' alt-smp alt-smp-absolute ;; esac
done

# Big-endian: there is no C library to link with, so the freestanding demo is what runs.
for compiler in armeb-gcc thumbeb-gcc aarch64_be-gcc; do
  make O2 '-O2 -fno-pie' "${units[@]:1}" hand kernel-entries demo-main demo-work
  case $compiler in *eb-*) make O2 '-O2 -fno-pie' alt-smp ;; esac
done

# One object of the demo by each compiler; on ARM one in each state.
demos() { # demos DIRECTORY GCC CLANG
  mkdir -p "$1"
  local gcc clang
  read -ra gcc <<<"${driver[$2]}"
  read -ra clang <<<"${driver[$3]}"
  cd "$samples/demo"
  "${gcc[@]}" "${common[@]}" "${freestanding[@]}" -O2 -fPIE -g -c main.c -o "$1/main.o"
  "${clang[@]}" "${common[@]}" "${freestanding[@]}" -fdebug-compilation-dir=. -O2 -fPIE -g -c work.c -o "$1/work.o"
}
(demos "$demo" gcc clang)
(demos "$demo/aarch64" aarch64-gcc aarch64-clang)
(demos "$demo/arm" arm-gcc thumb-clang)

for tool in gcc clang as {aarch64-linux-gnu,arm-linux-gnueabihf}-{gcc,as}; do "$tool" --version | head -1; done >"$objects/VERSIONS"

# What was made of what: a sum of all that goes in and all that came out. While it holds, there is nothing to make anew
# (test/headers/objects.test.ts).
if [ $# -eq 0 ]; then
  cd "$samples/.."
  {
    find include samples/src samples/objects samples/remake.sh -type f
    find samples/demo -name '*.[cho]' -type f
  } | sort | xargs sha256sum | sha256sum | cut -d' ' -f1 >samples/MADE
fi
