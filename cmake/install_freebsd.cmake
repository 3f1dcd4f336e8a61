# rc.d, devd and the failover scripts, where FreeBSD's ports have them.
install(PROGRAMS contrib/freebsd/rc.d/hast DESTINATION etc/rc.d)
install(PROGRAMS contrib/failover/hast-failover contrib/freebsd/hast-carp DESTINATION ${hast_libexec})
install(FILES contrib/failover/failover.subr contrib/failover/steps.subr contrib/failover/freebsd.subr
        DESTINATION ${hast_libexec})
install(FILES contrib/failover/failover.conf contrib/freebsd/examples/failover-ufs.conf
              contrib/freebsd/examples/failover-zfs.conf DESTINATION ${hast_examples})
install(FILES contrib/freebsd/devd/hast.conf DESTINATION ${hast_examples} RENAME devd-hast.conf)
