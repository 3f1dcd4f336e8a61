# shellcheck shell=bash
# Sourced by tests that need a system without anything of ours.

# clean_debian FOLDER [PACKAGE,...]: a minimal Debian 12 with those packages, of the package sources
# apt is configured with here. Needs root and debootstrap. A chroot into it starts no services.
clean_debian() {
  local mirror
  mirror=$(apt-get indextargets --format '$(SITE)' 'Codename: bookworm' 'Created-By: Packages' | head -n 1)
  debootstrap --variant=minbase ${2:+--include="$2"} bookworm "$1" "$mirror" || return
  # The same sources as here: fixes of the release and of its security archive.
  rm -f "$1/etc/apt/sources.list"
  cp -r /etc/apt/sources.list* /etc/apt/apt.conf.d "$1/etc/apt/"
  cp /etc/resolv.conf "$1/etc/" 2> /dev/null || true
  printf '#!/bin/sh\nexit 101\n' > "$1/usr/sbin/policy-rc.d"
  chmod +x "$1/usr/sbin/policy-rc.d"
}
