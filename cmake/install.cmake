# What is installed where. The layout follows the platform: on FreeBSD etc/rc.d and share/examples,
# on Linux systemd's folders and share/doc. HAST_LAYOUT can be set to look at the other one.
include(GNUInstallDirs)
set(HAST_LAYOUT ${CMAKE_SYSTEM_NAME} CACHE STRING "Layout of an installation: Linux or FreeBSD")

if(HAST_LAYOUT STREQUAL "FreeBSD")
  set(hast_man share/man)
  set(hast_examples share/examples/hast)
  set(hast_docs share/doc/hast)
else()
  set(hast_man ${CMAKE_INSTALL_MANDIR})
  set(hast_docs ${CMAKE_INSTALL_DATADIR}/doc/hast)
  set(hast_examples ${hast_docs}/examples)
endif()
set(hast_libexec ${CMAKE_INSTALL_LIBEXECDIR}/hast)

install(TARGETS hastd hastctl DESTINATION ${CMAKE_INSTALL_SBINDIR})
install(FILES docs/man/hastd.8 docs/man/hastctl.8 DESTINATION ${hast_man}/man8)
install(FILES docs/man/hast.yaml.5 DESTINATION ${hast_man}/man5)
install(FILES config/hast.yaml DESTINATION ${hast_examples})
install(FILES LICENSE DESTINATION ${hast_docs} RENAME copyright)
install(FILES README.md docs/architecture.md docs/control-api.md docs/errors.md docs/failover.md docs/freebsd.md
              docs/invariants.md docs/linux.md docs/on-disk.md docs/protocol.md DESTINATION ${hast_docs})

if(HAST_LAYOUT STREQUAL "FreeBSD")
  include(cmake/install_freebsd.cmake OPTIONAL)
else()
  include(cmake/install_linux.cmake)
endif()
