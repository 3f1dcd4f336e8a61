# systemd, sysusers, tmpfiles and udev are looked for below /usr/lib whatever the multiarch folder is.
configure_file(packaging/systemd/hastd.service.in hastd.service @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/hastd.service DESTINATION lib/systemd/system)
install(FILES packaging/systemd/hast.sysusers DESTINATION lib/sysusers.d RENAME hast.conf)
install(FILES packaging/systemd/hast.tmpfiles DESTINATION lib/tmpfiles.d RENAME hast.conf)
install(FILES packaging/systemd/60-hast.rules DESTINATION lib/udev/rules.d)
# Absolute when the prefix is /usr, as the GNU standards have it: /etc, not /usr/etc.
install(FILES packaging/systemd/hastd.default DESTINATION ${CMAKE_INSTALL_FULL_SYSCONFDIR}/default RENAME hastd)
