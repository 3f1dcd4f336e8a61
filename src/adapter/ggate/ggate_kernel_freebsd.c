#include "ggate_kernel.h"

#include <sys/types.h>

#include <sys/bio.h>
#include <sys/ioctl.h>

#include <geom/gate/g_gate.h>

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>

/* The interface has one version since 9.1; a kernel with another one answers EINVAL to all of it.
 */
_Static_assert(G_GATE_VERSION == 3, "another version of the gate's interface");
#ifdef __LP64__
_Static_assert(sizeof(struct g_gate_ctl_create) == 2608, "g_gate_ctl_create");
_Static_assert(offsetof(struct g_gate_ctl_create, gctl_mediasize) == 8, "create: mediasize");
_Static_assert(offsetof(struct g_gate_ctl_create, gctl_sectorsize) == 16, "create: sectorsize");
_Static_assert(offsetof(struct g_gate_ctl_create, gctl_name) == 32, "create: name");
_Static_assert(offsetof(struct g_gate_ctl_create, gctl_info) == 287, "create: info");
_Static_assert(offsetof(struct g_gate_ctl_create, gctl_readprov) == 2335, "create: readprov");
_Static_assert(offsetof(struct g_gate_ctl_create, gctl_readoffset) == 2592, "create: readoffset");
_Static_assert(offsetof(struct g_gate_ctl_create, gctl_unit) == 2600, "create: unit");
_Static_assert(sizeof(struct g_gate_ctl_modify) == 2336, "g_gate_ctl_modify");
_Static_assert(offsetof(struct g_gate_ctl_modify, gctl_modify) == 8, "modify: modify");
_Static_assert(offsetof(struct g_gate_ctl_modify, gctl_mediasize) == 16, "modify: mediasize");
_Static_assert(offsetof(struct g_gate_ctl_modify, gctl_readprov) == 2072, "modify: readprov");
_Static_assert(offsetof(struct g_gate_ctl_modify, gctl_readoffset) == 2328, "modify: readoffset");
_Static_assert(sizeof(struct g_gate_ctl_destroy) == 268, "g_gate_ctl_destroy");
_Static_assert(offsetof(struct g_gate_ctl_destroy, gctl_force) == 8, "destroy: force");
_Static_assert(offsetof(struct g_gate_ctl_destroy, gctl_name) == 12, "destroy: name");
_Static_assert(sizeof(struct g_gate_ctl_cancel) == 272, "g_gate_ctl_cancel");
_Static_assert(offsetof(struct g_gate_ctl_cancel, gctl_seq) == 8, "cancel: seq");
_Static_assert(offsetof(struct g_gate_ctl_cancel, gctl_name) == 16, "cancel: name");
_Static_assert(sizeof(struct g_gate_ctl_io) == 56, "g_gate_ctl_io");
_Static_assert(offsetof(struct g_gate_ctl_io, gctl_seq) == 8, "io: seq");
_Static_assert(offsetof(struct g_gate_ctl_io, gctl_cmd) == 16, "io: cmd");
_Static_assert(offsetof(struct g_gate_ctl_io, gctl_offset) == 24, "io: offset");
_Static_assert(offsetof(struct g_gate_ctl_io, gctl_length) == 32, "io: length");
_Static_assert(offsetof(struct g_gate_ctl_io, gctl_data) == 40, "io: data");
_Static_assert(offsetof(struct g_gate_ctl_io, gctl_error) == 48, "io: error");
_Static_assert(G_GATE_CMD_CREATE == 0xca306d00ul, "CREATE");
_Static_assert(G_GATE_CMD_MODIFY == 0xc9206d01ul, "MODIFY");
_Static_assert(G_GATE_CMD_DESTROY == 0xc10c6d02ul, "DESTROY");
_Static_assert(G_GATE_CMD_CANCEL == 0xc1106d03ul, "CANCEL");
_Static_assert(G_GATE_CMD_START == 0xc0386d04ul, "START");
_Static_assert(G_GATE_CMD_DONE == 0xc0386d05ul, "DONE");
#endif
_Static_assert(BIO_READ == 1 && BIO_WRITE == 2 && BIO_DELETE == 3 && BIO_FLUSH == 5, "BIO_*");

static int call(int fd, unsigned long command, void* argument) {
  return ioctl(fd, command, argument) == 0 ? 0 : errno;
}

/* The arrays are zeroed and larger than what is copied. */
static int copy_name(char* into, const char* name) {
  const size_t length = strlen(name);
  if (length >= NAME_MAX) return ENAMETOOLONG;
  memcpy(into, name, length);
  return 0;
}

int hast_gate_create(int fd, const char* name, uint64_t size_bytes, uint32_t sector_bytes,
                     int* unit) {
  struct g_gate_ctl_create create;
  memset(&create, 0, sizeof create); /* no flags; queue without a limit; no timeout */
  create.gctl_version = G_GATE_VERSION;
  create.gctl_mediasize = (off_t)size_bytes;
  create.gctl_sectorsize = sector_bytes;
  create.gctl_unit = G_GATE_NAME_GIVEN;
  int error = copy_name(create.gctl_name, name);
  if (error == 0) error = call(fd, G_GATE_CMD_CREATE, &create);
  if (error == 0) *unit = create.gctl_unit;
  return error;
}

int hast_gate_cancel(int fd, const char* name, int* unit) {
  struct g_gate_ctl_cancel cancel;
  memset(&cancel, 0, sizeof cancel); /* sequence 0: all of them */
  cancel.gctl_version = G_GATE_VERSION;
  cancel.gctl_unit = G_GATE_NAME_GIVEN;
  int error = copy_name(cancel.gctl_name, name);
  if (error == 0) error = call(fd, G_GATE_CMD_CANCEL, &cancel);
  if (error == 0) *unit = cancel.gctl_unit;
  return error;
}

static void prepare(struct g_gate_ctl_modify* modify, int unit, unsigned what) {
  memset(modify, 0, sizeof *modify);
  modify->gctl_version = G_GATE_VERSION;
  modify->gctl_unit = unit;
  modify->gctl_modify = what;
}

int hast_gate_resize(int fd, int unit, uint64_t size_bytes) {
  struct g_gate_ctl_modify modify;
  prepare(&modify, unit, GG_MODIFY_MEDIASIZE);
  modify.gctl_mediasize = (off_t)size_bytes;
  return call(fd, G_GATE_CMD_MODIFY, &modify);
}

int hast_gate_read_from(int fd, int unit, const char* provider, uint64_t offset_bytes) {
  struct g_gate_ctl_modify modify;
  prepare(&modify, unit, GG_MODIFY_READPROV | GG_MODIFY_READOFFSET);
  modify.gctl_readoffset = (off_t)offset_bytes;
  const int error = copy_name(modify.gctl_readprov, provider);
  return error != 0 ? error : call(fd, G_GATE_CMD_MODIFY, &modify);
}

/* An empty name makes the kernel read from what it has just freed (seen in its source). A provider
 * that does not exist is looked for after the present one was detached. */
int hast_gate_read_through(int fd, int unit) {
  struct g_gate_ctl_modify modify;
  prepare(&modify, unit, GG_MODIFY_READPROV);
  int error = copy_name(modify.gctl_readprov, "no provider: hastd reads");
  if (error == 0) error = call(fd, G_GATE_CMD_MODIFY, &modify);
  return error == EINVAL ? 0 : error;
}

/* An offset is refused where nothing is read from; setting the one it has changes nothing. */
int hast_gate_reads_come(int fd, int unit, uint64_t offset_bytes) {
  struct g_gate_ctl_modify modify;
  prepare(&modify, unit, GG_MODIFY_READOFFSET);
  modify.gctl_readoffset = (off_t)offset_bytes;
  const int error = call(fd, G_GATE_CMD_MODIFY, &modify);
  return error == EINVAL ? 0 : error == 0 ? EBUSY : error;
}

int hast_gate_destroy(int fd, int unit) {
  struct g_gate_ctl_destroy destroy;
  memset(&destroy, 0, sizeof destroy);
  destroy.gctl_version = G_GATE_VERSION;
  destroy.gctl_unit = unit;
  destroy.gctl_force = 1;
  return call(fd, G_GATE_CMD_DESTROY, &destroy);
}

static enum hast_gate_command command_of(unsigned command) {
  switch (command) {
    case BIO_READ:
      return HAST_GATE_READ;
    case BIO_WRITE:
      return HAST_GATE_WRITE;
    case BIO_DELETE:
      return HAST_GATE_DELETE;
    case BIO_FLUSH:
      return HAST_GATE_FLUSH;
    default:
      return HAST_GATE_OTHER;
  }
}

int hast_gate_start(int fd, int unit, void* data, size_t capacity,
                    struct hast_gate_request* request) {
  struct g_gate_ctl_io io;
  memset(&io, 0, sizeof io);
  io.gctl_version = G_GATE_VERSION;
  io.gctl_unit = unit;
  io.gctl_length = (off_t)capacity;
  io.gctl_data = data;
  const int error = call(fd, G_GATE_CMD_START, &io);
  if (error != 0) return error;
  request->sequence = io.gctl_seq;
  request->offset_bytes = (uint64_t)io.gctl_offset;
  request->length_bytes = (uint64_t)io.gctl_length;
  request->command = command_of(io.gctl_cmd);
  return io.gctl_error;
}

int hast_gate_done(int fd, int unit, uint64_t sequence, int error, void* data) {
  struct g_gate_ctl_io io;
  memset(&io, 0, sizeof io);
  io.gctl_version = G_GATE_VERSION;
  io.gctl_unit = unit;
  io.gctl_seq = (uintptr_t)sequence;
  io.gctl_error = error;
  io.gctl_data = data;
  return call(fd, G_GATE_CMD_DONE, &io);
}

size_t hast_gate_ioctls(const unsigned long** commands) {
  static const unsigned long used[] = {
      G_GATE_CMD_CREATE, G_GATE_CMD_MODIFY, G_GATE_CMD_DESTROY,
      G_GATE_CMD_CANCEL, G_GATE_CMD_START,  G_GATE_CMD_DONE,
  };
  *commands = used;
  return sizeof used / sizeof used[0];
}
