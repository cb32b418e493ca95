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
  -I../../include -Wall -Wextra -fcf-protection=none -fno-stack-protector)

# compile COMPILER DIRECTORY NAME FLAG...: objects/<DIRECTORY>/<NAME>.o
compile() {
  local compiler=$1 directory=$objects/$2 name=$3
  shift 3
  if [ "$compiler" = clang ]; then set -- "$@" -fdebug-compilation-dir=.; fi
  mkdir -p "$directory"
  case $name in
    demo-*) (cd "$samples/demo" && "$compiler" "${common[@]}" "${freestanding[@]}" "$@" -c "${name#demo-}.c" -o "$directory/$name.o") ;;
    comdat*) (cd "$samples/src" && "${cxx[$compiler]}" -std=c++17 "${common[@]}" "$@" -c "$name.cpp" -o "$directory/$name.o") ;;
    hand | short) (cd "$samples/src" && "$compiler" "${common[@]}" "$@" -c "$name.S" -o "$directory/$name.o") ;;
    *.dwo) # the object names its .dwo as -o spells it, so no directory: from within the one that takes both
      name=${name%.dwo}
      (cd "$directory" && "$compiler" -std=gnu11 -ffile-prefix-map="${samples%/*}=../.." "${common[@]}" -I"${samples%/*}/include" \
        "$@" -g -gsplit-dwarf -c "$samples/src/$name.c" -o "$name.o") ;;
    *) (cd "$samples/src" && "$compiler" -std=gnu11 "${common[@]}" "$@" -c "$name.c" -o "$directory/$name.o") ;;
  esac
}

declare -A cxx=([gcc]=g++ [clang]=clang++)
freestanding=(-ffreestanding -fno-builtin -fno-asynchronous-unwind-tables)
units=(main branch call lock local local2 key-def key-use)
comdat=(comdat comdat2 comdat-main)

rm -rf "$objects"/gcc-* "$objects"/clang-*
for compiler in gcc clang; do
  make() { # make SUFFIX "FLAGS" NAME...
    local suffix=$1 flags=$2
    shift 2
    for name in "$@"; do
      # shellcheck disable=SC2086
      compile "$compiler" "$compiler-$suffix" "$name" $flags
    done
  }
  make O0 '-O0 -fno-pie' "${units[@]}" "${comdat[@]}" kernel-entries
  make O2 '-O2 -fno-pie' "${units[@]}" "${comdat[@]}" kernel-entries hand short demo-main demo-work
  make Os '-Os -fno-pie' "${units[@]}" "${comdat[@]}" kernel-entries
  make O2-fPIC '-O2 -fPIC' "${units[@]}" "${comdat[@]}" demo-main demo-work
  make O0-fPIE '-O0 -fPIE' "${units[@]}" "${comdat[@]}"
  make O2-ffunction-sections '-O2 -fPIE -ffunction-sections -fdata-sections' "${units[@]}" "${comdat[@]}" icf
  make O2-g '-O2 -fPIE -g' branch call lock comdat comdat2 hand
  make O2-g-gz '-O2 -fPIE -g -gz' branch call lock comdat
done
compile clang clang-O2-gsplit-dwarf call.dwo -O2 -fPIE # gcc 12 puts another identifier into every split object

# One object of the demo by each compiler.
mkdir -p "$demo"
(
  cd "$samples/demo"
  gcc "${common[@]}" "${freestanding[@]}" -O2 -fPIE -g -c main.c -o "$demo/main.o"
  clang "${common[@]}" "${freestanding[@]}" -fdebug-compilation-dir=. -O2 -fPIE -g -c work.c -o "$demo/work.o"
)

for tool in gcc clang as; do "$tool" --version | head -1; done >"$objects/VERSIONS"
