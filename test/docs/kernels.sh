#!/usr/bin/env bash
# Two kernels of Debian for the questions of docs/questions.md: kernels.sh DIRECTORY makes vmlinuz and fuse.ko of one, and
# yesterday/vmlinuz of an earlier one. TEXTPOKE_KERNELS=DIRECTORY has the tests use them.
set -euo pipefail
cd "$1"
mkdir -p yesterday new
# Of one series there are several; the first and the third differ in some sites.
found() { apt-cache search --names-only '^linux-image-[0-9].*-cloud-amd64$' | cut -d' ' -f1 | sort -V; }
[ -n "$(found)" ] || apt-get update -qq
mapfile -t names < <(found | sed -n '1p;3p')
apt-get download -qq "${names[@]}"
unpack() { # NAME DIRECTORY
  dpkg-deb --fsys-tarfile "$1"_*.deb | tar -x -C "$2" --wildcards './boot/vmlinuz-*' '*/fs/fuse/fuse.ko*'
  mv "$2"/boot/vmlinuz-* "$2/vmlinuz"
}
unpack "${names[0]}" yesterday
unpack "${names[1]}" new
mv new/vmlinuz .
find new -name 'fuse.ko*' -exec mv {} . \;
