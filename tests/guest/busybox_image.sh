#!/usr/bin/env bash
# busybox_image.sh BUILD FOLDER: makes FOLDER/vmlinuz and FOLDER/busybox.initrd, a guest that runs init.sh
# with the hastd and hastctl of BUILD on Debian's stock kernel. Packages are downloaded into FOLDER
# and unpacked, not installed; what is there already is used again.
set -euo pipefail
build=$(realpath "$1") here=$(dirname "$(realpath "$0")")
mkdir -p "$2"
cd "$2"

. "$here/kernel.sh"

rm -rf busybox
mkdir -p busybox/{bin,sbin,etc,proc,sys,dev,run,mnt,modules,usr/lib}
# add PROGRAM...: with the libraries it needs, under the paths they have here.
add() {
  local program library
  for program in "$@"; do
    install -D -m 755 "$program" "busybox/sbin/$(basename "$program")"
    ldd "$program" | awk '/=> \// { print $3 } /^\t\/lib/ { print $1 }' | while read -r library; do
      [ -e "busybox$library" ] || install -D -m 755 "$(realpath "$library")" "busybox$library"
    done
  done
}
add "$build/hastd" "$build/hastctl" /sbin/mke2fs /sbin/e2fsck
strip busybox/sbin/hastd busybox/sbin/hastctl
cp /bin/busybox busybox/bin/busybox
kernel_module nbd busybox/modules
kernel_module ublk_drv busybox/modules
cp "$here"/*.sh busybox/
mv busybox/init.sh busybox/init
chmod 755 busybox/init
(cd busybox && find . | busybox cpio -o -H newc 2> /dev/null) > busybox.initrd
