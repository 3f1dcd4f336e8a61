#!/usr/bin/env python3
"""libnbd with its own checks off: requests that break the rules, each of which must be answered as
the protocol document says, and the connection must go on. Also reply styles and several connections.

Usage: nbd_rules.py URI   (an export of 64 MiB with 512-byte sectors)
"""
import errno
import sys

import nbd

MIB = 1 << 20
SIZE = 64 * MIB


def connect(structured=True, uri=sys.argv[1]):
    handle = nbd.NBD()
    handle.set_strict_mode(0)
    handle.set_request_structured_replies(structured)
    handle.connect_uri(uri)
    assert handle.get_structured_replies_negotiated() == structured
    return handle


def refused(handle, what, error, call):
    try:
        call()
    except nbd.Error as found:
        if found.errnum != error:
            sys.exit(f"{what}: {found.errno} instead of {errno.errorcode[error]}")
    else:
        sys.exit(f"{what} was accepted")
    handle.flush()  # the connection still works
    print(f"   {errno.errorcode[error]:10} {what}")


def pattern(length, seed):
    return bytearray((bytes(range(256)) * (length // 256 + 1))[seed:seed + length])


def illegal_requests(structured):
    h = connect(structured)
    sector = bytearray(512)
    sink = lambda *_: 0
    refused(h, "a misaligned read", errno.EINVAL, lambda: h.pread(512, 1))
    refused(h, "a read of half a sector", errno.EINVAL, lambda: h.pread(256, 0))
    refused(h, "a misaligned write", errno.EINVAL, lambda: h.pwrite(sector, 100))
    refused(h, "a misaligned trim", errno.EINVAL, lambda: h.trim(512, 1))
    refused(h, "misaligned zeroes", errno.EINVAL, lambda: h.zero(511, 0))
    refused(h, "a read beyond the end", errno.EINVAL, lambda: h.pread(1024, SIZE - 512))
    refused(h, "a write beyond the end", errno.ENOSPC, lambda: h.pwrite(bytearray(1024), SIZE - 512))
    refused(h, "zeroes beyond the end", errno.ENOSPC, lambda: h.zero(1024, SIZE - 512))
    refused(h, "a trim beyond the end", errno.EINVAL, lambda: h.trim(1024, SIZE - 512))
    refused(h, "a write near the end of all numbers", errno.ENOSPC,
            lambda: h.pwrite(sector, (1 << 63) - 512))
    refused(h, "an oversized write", errno.EINVAL, lambda: h.pwrite(bytearray(33 * MIB), 0))
    refused(h, "an oversized read", errno.EOVERFLOW if structured else errno.EINVAL,
            lambda: h.pread(33 * MIB, 0))
    refused(h, "FAST_ZERO, which is not announced", errno.EINVAL,
            lambda: h.zero(512, 0, nbd.CMD_FLAG_FAST_ZERO))
    refused(h, "an unknown flag", errno.EINVAL, lambda: h.pwrite(sector, 0, 0x4000))
    refused(h, "NO_HOLE on a write", errno.EINVAL,
            lambda: h.pwrite(sector, 0, nbd.CMD_FLAG_NO_HOLE))
    refused(h, "CACHE, which is not announced", errno.EINVAL, lambda: h.cache(512, 0))
    refused(h, "a read of nothing", errno.EINVAL, lambda: h.pread(0, 0))
    refused(h, "a write of nothing", errno.EINVAL, lambda: h.pwrite(bytearray(0), 0))
    if structured:
        refused(h, "BLOCK_STATUS without a context", errno.EINVAL,
                lambda: h.block_status(512, 0, sink))
    else:
        refused(h, "DF without structured replies", errno.EINVAL,
                lambda: h.pread_structured(512, 0, sink, nbd.CMD_FLAG_DF))
    assert h.pread(512, SIZE - 512) is not None
    h.shutdown()


def large_requests(structured):
    h = connect(structured)
    data = pattern(32 * MIB, 3)
    h.pwrite(data, 512, nbd.CMD_FLAG_FUA)
    assert h.pread(32 * MIB, 512) == data
    if structured:
        chunks = []
        whole = h.pread_structured(32 * MIB, 512,
                                   lambda buf, offset, status, err: chunks.append(offset),
                                   nbd.CMD_FLAG_DF)
        assert whole == data and chunks == [512], "DF means one chunk"
        chunks.clear()
        h.pread_structured(1 * MIB, 0, lambda buf, offset, status, err: chunks.append(offset))
        assert len(chunks) == 8, f"{len(chunks)} chunks"
    h.zero(SIZE, 0, nbd.CMD_FLAG_NO_HOLE | nbd.CMD_FLAG_FUA)
    assert h.pread(32 * MIB, 512) == bytearray(32 * MIB)
    h.trim(SIZE, 0, nbd.CMD_FLAG_FUA)
    h.shutdown()


def many_in_flight(structured):
    """More requests than the server takes at once, answered by cookie in any order."""
    h = connect(structured)
    buffers = {}
    for i in range(300):
        buffers[i] = nbd.Buffer.from_bytearray(pattern(4096 + i % 3 * MIB, i % 256))
        h.aio_pwrite(buffers[i], i % 16 * 3 * MIB)
    while h.aio_in_flight() > 0:
        h.poll(-1)
    reads = [nbd.Buffer(MIB) for _ in range(64)]
    for i, buffer in enumerate(reads):
        h.aio_pread(buffer, i * MIB)
    while h.aio_in_flight() > 0:
        h.poll(-1)
    h.shutdown()


def several_connections():
    first, second = connect(), connect(structured=False)
    assert first.can_multi_conn() and second.can_multi_conn()
    for i in range(50):
        data = pattern(8192, i)
        first.pwrite(data, i * 8192)
        second.flush()
        assert second.pread(8192, i * 8192) == data
    first.shutdown()
    second.shutdown()


def haggling():
    h = nbd.NBD()
    h.set_opt_mode(True)
    h.set_export_name("shared")
    h.connect_uri(sys.argv[1])
    names = []
    h.opt_list(lambda name, description: names.append((name, description)) and 0)
    assert names == [("shared", "memory of nbd_ram_server")], names
    h.set_full_info(True)
    h.opt_info()
    assert h.get_size() == SIZE and h.get_canonical_export_name() == "shared"
    h.set_export_name("elsewhere")
    try:
        h.opt_info()
        sys.exit("an unknown export was described")
    except nbd.Error as error:
        assert error.errnum == errno.ENOENT, error
    h.set_export_name("")
    h.opt_go()
    assert h.get_size() == SIZE
    h.shutdown()
    h = nbd.NBD()
    h.set_opt_mode(True)
    h.connect_uri(sys.argv[1])
    h.opt_abort()


def main():
    haggling()
    several_connections()
    for structured in (True, False):
        print(f"   structured replies: {structured}")
        illegal_requests(structured)
        large_requests(structured)
        many_in_flight(structured)


main()
