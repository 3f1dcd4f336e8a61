/*
 * GEOM gate's ioctls as plain C functions: <geom/gate/g_gate.h> includes headers that are no C++,
 * so ggate_kernel_freebsd.c is the only file that sees it. Every function returns an errno, 0 for
 * success. `fd` is /dev/ggctl opened for reading and writing; names are without "/dev/".
 */
#ifndef HAST_GGATE_KERNEL_H
#define HAST_GGATE_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum hast_gate_command {
  HAST_GATE_OTHER,
  HAST_GATE_READ,
  HAST_GATE_WRITE,
  HAST_GATE_DELETE,
  HAST_GATE_FLUSH,
};

struct hast_gate_request {
  uint64_t sequence;
  uint64_t offset_bytes;
  uint64_t length_bytes;
  enum hast_gate_command command;
};

int hast_gate_create(int fd, const char* name, uint64_t size_bytes, uint32_t sector_bytes,
                     int* unit);
/* All requests that were taken and not finished are handed out again; `unit` is filled in. */
int hast_gate_cancel(int fd, const char* name, int* unit);
int hast_gate_resize(int fd, int unit, uint64_t size_bytes);
int hast_gate_destroy(int fd, int unit);
/* The volume must lie in the provider, and begin there at a multiple of its sector size: a kernel
 * that has to find out keeps GEOM locked for ever. */
int hast_gate_read_from(int fd, int unit, const char* provider, uint64_t offset_bytes);
/* Detaches the provider that is read from, if there is one. */
int hast_gate_read_through(int fd, int unit);
/* 0: reads come through `fd`. EBUSY: there is a provider that is read from; `offset_bytes` is where
 * the volume begins on it. */
int hast_gate_reads_come(int fd, int unit, uint64_t offset_bytes);
/* Blocks. ENOMEM: request->length_bytes is what the next write needs. */
int hast_gate_start(int fd, int unit, void* data, size_t capacity,
                    struct hast_gate_request* request);
int hast_gate_done(int fd, int unit, uint64_t sequence, int error, void* data);

/* What confinement may restrict `fd` to. */
size_t hast_gate_ioctls(const unsigned long** commands);

#ifdef __cplusplus
}
#endif

#endif
