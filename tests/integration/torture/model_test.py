#!/usr/bin/python3
"""The model is judged: a judge that cannot complain proves nothing."""
import unittest

from model import ACKNOWLEDGED, FLUSHED, Volume, history

RUN = 7
ZEROS = history.ZEROS


def w(seq, offset=0):
    return history.stamp(RUN, seq, offset)


class Model(unittest.TestCase):
    def setUp(self):
        self.volume = Volume(RUN)

    def do(self, seq, kind="w", acknowledged=True):
        op = self.volume.issue(seq, kind, 0, 0 if kind == "F" else 512)
        if acknowledged:
            self.volume.acknowledge(op)
        else:
            self.volume.give_up(op)
        return op

    def may(self, data, promise=ACKNOWLEDGED, since=None):
        return not self.volume.judge(0, data, since, promise)

    def test_only_the_last_acknowledged_write_may_be_seen(self):
        self.do(1), self.do(2)
        self.assertTrue(self.may(w(2)))
        self.assertFalse(self.may(w(1)))
        self.assertFalse(self.may(ZEROS))

    def test_a_torn_sector_is_wrong(self):
        self.do(1), self.do(2, acknowledged=False)
        self.assertTrue(self.may(w(1)) and self.may(w(2)))
        self.assertFalse(self.may(w(1)[:256] + w(2)[256:]))

    def test_a_sector_may_be_torn_while_it_is_written_and_only_then(self):
        self.do(1)
        since = self.volume.now + 1
        op = self.volume.issue(2, "w", 0, 512)
        torn = w(1)[:256] + w(2)[256:]
        self.assertTrue(self.may(torn, since=since))
        self.assertFalse(self.may(w(1)[:256] + w(3)[256:], since=since))
        self.volume.acknowledge(op)
        self.assertTrue(self.may(torn, since=since))
        self.assertFalse(self.may(torn))

    def test_a_write_in_doubt_does_not_return_over_a_later_one(self):
        self.do(1, acknowledged=False), self.do(2)
        self.assertFalse(self.may(w(1)))

    def test_what_was_in_doubt_and_seen_stays(self):
        self.do(1), self.do(2, acknowledged=False)
        self.volume.settle([(0, w(2))])
        self.assertTrue(self.may(w(2)))
        self.assertFalse(self.may(w(1)))

    def test_what_was_in_doubt_and_not_seen_does_not_come_later(self):
        self.do(1), self.do(2, acknowledged=False)
        self.volume.settle([(0, w(1))])
        self.assertFalse(self.may(w(2)))

    def test_the_first_contents_may_settle_too(self):
        self.do(1, acknowledged=False)
        self.volume.settle([(0, ZEROS)])
        self.assertTrue(self.may(ZEROS))
        self.assertFalse(self.may(w(1)))

    def test_what_may_not_be_is_complained_of_and_does_not_settle(self):
        self.do(1), self.do(2)
        self.assertEqual(len(self.volume.settle([(0, w(1))])), 1)
        self.assertTrue(self.may(w(2)))
        self.assertFalse(self.may(w(1)))

    def test_something_where_nothing_was_written_is_wrong(self):
        self.assertEqual(len(self.volume.settle([(0, w(1))])), 1)
        self.assertEqual(self.volume.settle([(0, ZEROS)]), [])

    def test_without_power_only_what_was_flushed_is_promised(self):
        self.do(1), self.do(2, "F"), self.do(3)
        self.assertTrue(self.may(w(1), FLUSHED) and self.may(w(3), FLUSHED))
        self.assertFalse(self.may(ZEROS, FLUSHED))
        self.assertFalse(self.may(w(1)))

    def test_settling_without_power_judges_every_piece_alike(self):
        for offset in (0, 512):
            self.volume.acknowledge(self.volume.issue(1 + offset, "w", offset, 512))
        self.assertEqual(self.volume.settle([(0, ZEROS), (512, ZEROS)], FLUSHED), [])
        self.assertFalse(self.volume.judge(0, ZEROS + ZEROS))

    def test_a_write_with_fua_is_flushed(self):
        self.do(1), self.do(2, "f")
        self.assertFalse(self.may(w(1), FLUSHED))

    def test_a_flush_promises_nothing_of_what_was_on_its_way(self):
        op = self.volume.issue(1, "w", 0, 512)
        self.do(2, "F")
        self.volume.acknowledge(op)
        self.assertTrue(self.may(ZEROS, FLUSHED))

    def test_a_reader_may_see_what_is_acknowledged_only_while_it_reads(self):
        self.do(1)
        since = self.volume.now + 1
        self.do(2)
        self.assertTrue(self.may(w(1), since=since) and self.may(w(2), since=since))

    def test_a_trim_that_is_advice_promises_nothing(self):
        for advice in (True, False):
            self.volume = Volume(RUN, trim_is_advice=advice)
            self.do(1), self.do(2, "t")
            self.assertTrue(self.may(ZEROS))
            self.assertEqual(self.may(w(1)), advice)


if __name__ == "__main__":
    unittest.main()
