#!/usr/bin/env python3
"""The judge is judged: histories and volumes with a known verdict."""
import os
import tempfile
import unittest

import hast_wire as wire
import history

RUN = 7


def log(*lines):
    handle, path = tempfile.mkstemp()
    with os.fdopen(handle, "w") as file:
        file.write("".join(line + "\n" for line in (f"R {RUN}",) + lines))
    return path


def judge(path, sectors, prefix=False, initial="zero"):
    """Offsets the judge complains of."""
    past = history.Judge(history.read(path), initial)
    os.unlink(path)
    wrong = []
    complain = lambda offset, text: wrong.append(offset)
    if prefix:
        prefix_judge = history.PrefixJudge(past)
        prefix_judge.piece(0, b"".join(sectors), complain)
        prefix_judge.finish(complain)
    else:
        past.strict(0, b"".join(sectors), complain)
    return wrong


def w(seq, offset=0):
    return history.stamp(RUN, seq, offset)


ONE_THEN_TWO = ("I 1 w 0 512", "A 1", "I 2 w 0 512", "A 2")


class StrictJudge(unittest.TestCase):
    def test_the_last_acknowledged_write_is_right(self):
        self.assertEqual(judge(log(*ONE_THEN_TWO), [w(2)]), [])

    def test_an_older_write_is_wrong(self):
        self.assertEqual(judge(log(*ONE_THEN_TWO), [w(1)]), [0])

    def test_zeros_under_an_acknowledged_write_are_wrong(self):
        self.assertEqual(judge(log(*ONE_THEN_TWO), [history.ZEROS]), [0])

    def test_a_later_write_in_doubt_may_be_there_or_not(self):
        lines = ("I 1 w 0 512", "A 1", "I 2 w 0 512", "D")
        self.assertEqual(judge(log(*lines), [w(1)]), [])
        self.assertEqual(judge(log(*lines), [w(2)]), [])

    def test_a_write_that_was_sent_again_is_like_any_other(self):
        lines = ("I 1 w 0 512", "A 1", "I 2 w 0 512", "D", "I 2 w 0 512", "A 2")
        self.assertEqual(judge(log(*lines), [w(2)]), [])
        self.assertEqual(judge(log(*lines), [w(1)]), [0])

    def test_what_the_client_saw_stays(self):
        lines = ("I 1 w 0 512", "A 1", "I 2 w 0 512", "D")
        self.assertEqual(judge(log(*lines, f"O {RUN} 2 0"), [w(2)]), [])
        self.assertEqual(judge(log(*lines, f"O {RUN} 2 0"), [w(1)]), [0])
        self.assertEqual(judge(log(*lines, f"O {RUN} 1 0"), [w(2)]), [0])

    def test_seeing_what_cannot_be_there_is_noted(self):
        for seen, possible in ((f"O {RUN} 2 0", True), (f"O {RUN} 1 0", False), ("O 0 0 0", False)):
            path = log(*ONE_THEN_TWO, seen)
            self.assertEqual(history.Judge(history.read(path), "zero").impossible == [], possible)
            os.unlink(path)

    def test_observations_are_no_acknowledgements(self):
        path = log("I 1 w 0 512", "D", f"O {RUN} 1 0")
        self.assertEqual(history.read(path).acknowledged, 0)
        os.unlink(path)

    def test_a_write_in_doubt_of_an_older_connection_cannot_return(self):
        lines = ("I 1 w 0 512", "D", "I 2 w 0 512", "A 2")
        self.assertEqual(judge(log(*lines), [w(1)]), [0])

    def test_writes_in_flight_together_may_end_in_either_order(self):
        lines = ("I 1 w 0 512", "I 2 w 0 512", "A 2", "A 1")
        self.assertEqual(judge(log(*lines), [w(1)]), [])
        self.assertEqual(judge(log(*lines), [w(2)]), [])

    def test_a_write_that_failed_is_in_doubt(self):
        lines = ("I 1 w 0 512", "A 1", "I 2 w 0 512", "E 2 5")
        self.assertEqual(judge(log(*lines), [w(2)]), [])

    def test_a_sector_of_another_place_is_wrong(self):
        self.assertEqual(judge(log("I 1 w 0 1024", "A 1"), [w(1), w(1, 0)]), [512])

    def test_a_torn_sector_is_wrong(self):
        self.assertEqual(judge(log(*ONE_THEN_TWO), [w(2)[:256] + w(1)[256:]]), [0])

    def test_one_flipped_bit_is_wrong(self):
        damaged = bytearray(w(2))
        damaged[400] ^= 1
        self.assertEqual(judge(log(*ONE_THEN_TWO), [bytes(damaged)]), [0])

    def test_a_trim_leaves_zeros_and_nothing_else(self):
        lines = ("I 1 w 0 512", "A 1", "I 2 t 0 512", "A 2")
        self.assertEqual(judge(log(*lines), [history.ZEROS]), [])
        self.assertEqual(judge(log(*lines), [w(1)]), [0])

    def test_what_was_never_written_reads_as_zeros(self):
        self.assertEqual(judge(log("I 1 w 0 512", "A 1"), [w(1), b"x" * 512]), [512])
        self.assertEqual(judge(log("I 1 w 0 512", "A 1"), [w(1), b"x" * 512], initial="any"), [])

    def test_a_half_last_line_is_ignored(self):
        path = log(*ONE_THEN_TWO)
        with open(path, "a") as file:
            file.write("I 3 w 0 51")
        self.assertEqual(judge(path, [w(2)]), [])


class PrefixJudge(unittest.TestCase):
    LINES = ("I 1 w 0 512", "A 1", "I 2 w 512 512", "A 2", "I 3 w 0 512", "A 3")

    def test_the_last_ones_may_be_missing(self):
        self.assertEqual(judge(log(*self.LINES), [w(1), w(2, 512)], prefix=True), [])
        self.assertEqual(judge(log(*self.LINES), [w(1), history.ZEROS], prefix=True), [])

    def test_a_hole_in_the_order_is_wrong(self):
        self.assertEqual(judge(log(*self.LINES), [w(3), history.ZEROS], prefix=True), [512])

    def test_a_value_that_was_never_written_is_wrong(self):
        self.assertEqual(judge(log(*self.LINES), [w(2), w(2, 512)], prefix=True), [0])


class Wire(unittest.TestCase):
    def test_the_golden_keepalive(self):
        golden = "021600000002040100000063 6d64000000000005000000 00000000".replace(" ", "")
        self.assertEqual(wire.request(wire.KEEPALIVE, 0).hex(), golden)

    def test_lists_read_back(self):
        fields = wire.parse(wire.nv(("a", "int16", -5), ("b", "string", "x"), ("c", "bytes", b"123")))
        self.assertEqual(fields, {"a": -5, "b": "x", "c": b"123"})

    def test_lzf_of_the_specification(self):
        self.assertEqual(wire.lzf_decompress(bytes.fromhex("0000e03500"), 63), bytes(63))
        self.assertEqual(wire.lzf_decompress(b"\x01ab\x20\x01", 5), b"ababa")

    def test_holes_and_sums(self):
        self.assertEqual(wire.expand({"compression": "hole"}, b"\0\x10\0\0"), bytes(4096))
        with self.assertRaises(ValueError):
            wire.expand({"checksum": "crc32", "hash": bytes(4)}, b"x")


if __name__ == "__main__":
    unittest.main()
