#!/usr/bin/env bash
# image.sh BUILD FOLDER: makes FOLDER/vmlinuz and FOLDER/initrd, a guest that runs tests/guest/init.sh
# with the hastd and hastctl of BUILD on Debian's stock kernel. Packages are downloaded into FOLDER
# and unpacked, not installed; what is there already is used again.
set -euo pipefail
build=$(realpath "$1") here=$(dirname "$(realpath "$0")")
mkdir -p "$2"
cd "$2"

# The newest cloud kernel: few modules, and everything that is needed here.
kernel_package() {
  apt-cache search --names-only '^linux-image-[0-9.]+(\+deb[0-9]+|-[0-9]+)?-cloud-amd64$' | awk '{ print $1 }' | sort -V | tail -1
}
if ! ls -d kernel/boot/vmlinuz-* > /dev/null 2>&1; then
  package=$(kernel_package)
  [ -n "$package" ] || { echo "no linux-image-*-cloud-amd64 among the packages: apt-get update?" >&2; exit 1; }
  echo "downloading $package"
  apt-get download -qq "$package"
  dpkg-deb -x "$package"_*.deb kernel
  rm -f "$package"_*.deb
fi
ln -sf kernel/boot/vmlinuz-* vmlinuz

rm -rf root
mkdir -p root/{bin,sbin,etc,proc,sys,dev,run,mnt,modules,usr/lib}
# add PROGRAM...: with the libraries it needs, under the paths they have here.
add() {
  local program library
  for program in "$@"; do
    install -D -m 755 "$program" "root/sbin/$(basename "$program")"
    ldd "$program" | awk '/=> \// { print $3 } /^\t\/lib/ { print $1 }' | while read -r library; do
      [ -e "root$library" ] || install -D -m 755 "$(realpath "$library")" "root$library"
    done
  done
}
add "$build/hastd" "$build/hastctl" /sbin/mke2fs /sbin/e2fsck
strip root/sbin/hastd root/sbin/hastctl
cp /bin/busybox root/bin/busybox
for module in nbd ublk_drv; do
  found=$(find kernel/lib/modules -name "$module.ko*" | head -1)
  case $found in
    *.xz) xz -dc "$found" > "root/modules/$module.ko" ;;
    *.ko) cp "$found" root/modules/ ;;
  esac
done
cp "$here"/*.sh root/
mv root/init.sh root/init
chmod 755 root/init
(cd root && find . | busybox cpio -o -H newc 2> /dev/null) > initrd
