#!/usr/bin/env bash
# debian_image.sh PACKAGE.deb FOLDER: makes FOLDER/vmlinuz and FOLDER/debian.initrd, a clean Debian
# 12 with systemd and the package, which runs tests/guest/systemd.sh when it has booted. Needs root.
# The clean system is kept in FOLDER and used again.
set -euo pipefail
deb=$(realpath "$1") here=$(dirname "$(realpath "$0")")
mkdir -p "$2"
cd "$2"
. "$here/kernel.sh"
. "$here/../tools/clean_debian.sh"

if [ ! -e debian.tar ]; then
  echo "making a clean Debian 12"
  rm -rf debian
  clean_debian debian systemd-sysv,udev,dbus,kmod,e2fsprogs,iproute2 > debootstrap.log 2>&1 \
    || { tail -n 20 debootstrap.log; exit 1; }
  tar -C debian -cf debian.new .
  mv debian.new debian.tar
fi
rm -rf debian
mkdir debian
tar -C debian -xf debian.tar

cp "$deb" debian/root/hast.deb
inside() { chroot debian /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }
inside sh -c 'apt-get update -qq && apt-get install -y -qq --no-install-recommends /root/hast.deb' > install.log 2>&1 \
  || { tail -n 20 install.log; exit 1; }
rm -rf debian/usr/sbin/policy-rc.d debian/root/hast.deb debian/var/cache/apt/* debian/var/lib/apt/lists/* \
  debian/usr/share/{locale,man,i18n,perl} debian/usr/lib/x86_64-linux-gnu/gconv

release=$(basename kernel/lib/modules/*)
modules=debian/lib/modules/$release
mkdir -p "$modules/extra"
cp kernel/lib/modules/"$release"/modules.{order,builtin,builtin.modinfo} "$modules/"
kernel_module nbd "$modules/extra"
inside depmod "$release"

cp "$here/lib.sh" "$here/systemd.sh" debian/
cat > debian/etc/systemd/system/scenario.service << 'UNIT'
[Unit]
Description=What the guest is there for
After=multi-user.target
[Service]
ExecStart=/bin/sh -c 'exec /bin/sh /systemd.sh > /dev/ttyS0 2>&1'
UNIT
mkdir -p debian/etc/systemd/system/graphical.target.wants
ln -sf ../scenario.service debian/etc/systemd/system/graphical.target.wants/
ln -sf /lib/systemd/system/graphical.target debian/etc/systemd/system/default.target
inside systemctl -q mask serial-getty@ttyS0.service getty@tty1.service
echo guest > debian/etc/hostname
ln -sf sbin/init debian/init
(cd debian && find . | busybox cpio -o -H newc 2> /dev/null) > debian.initrd
rm -rf debian
