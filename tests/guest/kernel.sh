# shellcheck shell=bash
# Debian's kernel for a guest, in the current folder: ./vmlinuz, and what is unpacked in ./kernel.
# Sourced. It is downloaded, not installed; what is there already is used again.

# The newest cloud kernel: few modules, and everything that is needed here.
kernel_package() {
  apt-cache search --names-only '^linux-image-[0-9.]+(\+deb[0-9]+|-[0-9]+)?-cloud-amd64$' | awk '{ print $1 }' | sort -V | tail -1
}
if ! ls -d kernel/boot/vmlinuz-* > /dev/null 2>&1; then
  package=$(kernel_package)
  [ -n "$package" ] || { echo "no linux-image-*-cloud-amd64 among the packages: apt-get update?" >&2; exit 1; }
  echo "downloading $package"
  apt-get download -qq -o APT::Sandbox::User=root "$package"
  dpkg-deb -x "$package"_*.deb kernel
  rm -f "$package"_*.deb
fi
ln -sf kernel/boot/vmlinuz-* vmlinuz

# kernel_module NAME FOLDER: FOLDER/NAME.ko
kernel_module() {
  local found
  found=$(find kernel/lib/modules -name "$1.ko*" | head -1)
  case $found in
    *.xz) xz -dc "$found" > "$2/$1.ko" ;;
    *.ko) cp "$found" "$2/" ;;
  esac
}
