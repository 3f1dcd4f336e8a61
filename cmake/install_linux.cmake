# systemd, sysusers, tmpfiles and udev are looked for below /usr/lib whatever the multiarch folder is.
configure_file(packaging/systemd/hastd.service.in hastd.service @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/hastd.service DESTINATION lib/systemd/system)
install(FILES packaging/systemd/hast.sysusers DESTINATION lib/sysusers.d RENAME hast.conf)
install(FILES packaging/systemd/hast.tmpfiles DESTINATION lib/tmpfiles.d RENAME hast.conf)
install(FILES packaging/systemd/60-hast.rules DESTINATION lib/udev/rules.d)
# Absolute when the prefix is /usr, as the GNU standards have it: /etc, not /usr/etc.
install(FILES packaging/systemd/hastd.default DESTINATION ${CMAKE_INSTALL_FULL_SYSCONFDIR}/default RENAME hastd)

# Role managers: the failover scripts, their examples, the agent for Pacemaker.
install(PROGRAMS contrib/failover/hast-failover contrib/keepalived/hast-keepalived contrib/ucarp/hast-ucarp
                 contrib/ucarp/hast-ucarp-up contrib/ucarp/hast-ucarp-down contrib/linux/hast-attach DESTINATION ${hast_libexec})
install(FILES contrib/failover/failover.subr contrib/failover/steps.subr contrib/failover/linux.subr
        DESTINATION ${hast_libexec})
install(FILES contrib/failover/failover.conf contrib/keepalived/keepalived.conf contrib/systemd/hastd-device.conf
        DESTINATION ${hast_examples})
foreach(unit hast-failover@ hast-group@ hast-ucarp@ hast-promote@ hast-demote@)
  configure_file(contrib/systemd/${unit}.service.in ${unit}.service @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${unit}.service DESTINATION lib/systemd/system)
endforeach()
install(FILES contrib/systemd/hast-services@.target DESTINATION lib/systemd/system)
install(PROGRAMS contrib/ocf/hast contrib/ocf/device DESTINATION lib/ocf/resource.d/hast)
