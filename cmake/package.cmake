# `cpack -G DEB` makes a package for the Debian it is built on; ./dev package does all of it.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME hast)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "hast maintainers <hast@localhost>")
set(CPACK_PACKAGE_VENDOR "hast")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "highly available storage: replicated block devices")
set(CPACK_PACKAGE_DESCRIPTION
"hastd replicates a block device from a primary to a secondary over TCP,
synchronously; hastctl steers it. When the primary dies, the secondary is
promoted and has every acknowledged write; when the old one returns, only
what changed is copied. Successor of FreeBSD's HAST: same roles, commands,
wire protocol and on-disk format.")
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "init-system-helpers (>= 1.52)")
# What the failover scripts use; hastd itself needs none of it.
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "libnbd-bin, fuse3, nbd-client, iputils-arping, iputils-ping, psmisc")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "keepalived, ucarp, pacemaker, resource-agents")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    ${PROJECT_SOURCE_DIR}/packaging/debian/conffiles
    ${PROJECT_SOURCE_DIR}/packaging/debian/postinst
    ${PROJECT_SOURCE_DIR}/packaging/debian/prerm
    ${PROJECT_SOURCE_DIR}/packaging/debian/postrm)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE
    GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
include(CPack)
