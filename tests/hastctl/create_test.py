#!/usr/bin/env python3
"""What create leaves on a component, and what dump says of it."""
import fcntl
import json
import os
import resource
import signal
import zlib

import harness
from harness import HastctlTest

MIB = 1 << 20


def recorded():
    for path in sorted((harness.GOLDEN / "ondisk").glob("*.json")):
        if path.name != "INDEX.json":
            yield path.with_suffix(".bin"), json.loads(path.read_text())


class CreateTest(HastctlTest):

    def test_the_original_layout_is_the_originals_byte_for_byte(self):
        compared = 0
        for binary, facts in recorded():
            if facts["what"] != "after hastctl create only":
                continue
            with self.subTest(binary.name):
                image = self.make_image("a.img", facts["provider_bytes"])
                self.assert_ran(self.hastctl("create", "--layout", "original",
                                             *facts["params"]["hastctl_create_args"], "r0"))
                self.assertEqual(self.masked(image, facts), self.masked(binary, facts))
                os.unlink(image)
            compared += 1
        self.assertGreaterEqual(compared, 7)

    def masked(self, path, facts):
        """Metadata and map, without the padding of names and values: garbage in the original."""
        with path.open("rb") as file:
            masked = bytearray(file.read(facts["layout"]["activemap"][1]))
        for element in facts["metadata_nv"]:
            start, value = element["offset"], element["data_offset"]
            for begin, end in ((start + 6 + element["name_size"], value),
                               (value + element["data_size"], start + element["total_bytes"])):
                masked[begin:end] = bytes(end - begin)
        return bytes(masked)

    def test_dump_prints_what_the_original_prints_of_every_recorded_component(self):
        compared = 0
        for binary, facts in recorded():
            if "hastctl_dump" not in facts:
                continue
            with self.subTest(binary.name):
                image = self.make_image("a.img", facts["provider_bytes"])
                with image.open("r+b") as file:
                    file.write(binary.read_bytes())
                self.assert_ran(self.hastctl("dump", "r0"), stdout=facts["hastctl_dump"])
                os.unlink(image)
            compared += 1
        self.assertGreaterEqual(compared, 30)

    def test_the_extended_layout_has_two_copies_a_clear_map_and_aligned_data(self):
        image = self.make_image("a.img", 16 * MIB)
        with image.open("r+b") as file:
            file.write(b"\xa5" * 16 * MIB)
        self.assert_ran(self.hastctl("create", "r0"))
        content = image.read_bytes()
        first, second = content[:4096], content[MIB - 4096:MIB]
        self.assertIn(b"hast_checksum", first)
        self.assertEqual(first, second)
        self.assertEqual(content[4096:MIB - 4096], bytes(MIB - 8192))
        self.assertEqual(content[MIB:], b"\xa5" * 15 * MIB, "create must not touch data")
        dump = self.hastctl("dump", "r0").stdout
        self.assertIn("    localoff: 1048576\n", dump)
        self.assertIn("    datasize: 15728640 (15MB)\n", dump)

    def test_either_copy_alone_is_enough_for_dump(self):  # INV-10
        image = self.make_image("a.img", 16 * MIB)
        self.hastctl("create", "-k", "77", "r0")
        whole = self.hastctl("dump", "r0")
        self.assertIn("keepdirty: 77", whole.stdout)
        for place in (0, MIB - 4096):
            kept = image.read_bytes()
            with image.open("r+b") as file:
                file.seek(place)
                file.write(os.urandom(4096))
            self.assert_ran(self.hastctl("dump", "r0"), stdout=whole.stdout)
            image.write_bytes(kept)

    def test_no_earlier_copy_survives(self):
        image = self.make_image("a.img", 16 * MIB)
        self.hastctl("create", "-k", "77", "r0")
        self.assert_ran(self.hastctl("create", "--layout", "original", "r0"))
        with image.open("r+b") as file:
            file.write(bytes(4096))
        self.assert_failed(self.hastctl("dump", "r0"), 255, "has no HAST metadata")

    def test_creating_again_starts_over(self):
        image = self.make_image("a.img", 16 * MIB)
        self.hastctl("create", "-k", "77", "r0")
        fresh = image.read_bytes()
        with image.open("r+b") as file:  # a dirty map
            file.seek(4096)
            file.write(b"\xff" * 512)
        self.hastctl("create", "-k", "77", "r0")
        self.assertEqual(image.read_bytes(), fresh)

    def test_a_component_in_use_is_refused_and_left_alone(self):
        image = self.make_image("a.img", 16 * MIB)
        with image.open("r+b") as holder:
            fcntl.flock(holder, fcntl.LOCK_EX)
            self.assert_failed(self.hastctl("create", "r0"), 66, "[r0]", str(image), "in use",
                               "hastctl role init r0")
            self.assertEqual(image.read_bytes(), bytes(16 * MIB))
            self.assertEqual(self.hastctl("dump", "r0").returncode, 255)  # reading is allowed
        self.assert_ran(self.hastctl("create", "r0"))

    def test_what_is_no_component_is_refused(self):
        (self.folder / "a.img").mkdir()
        self.assert_failed(self.hastctl("create", "r0"), 66, "Unable to open", "a.img")
        self.assert_failed(self.hastctl("dump", "r0"), 255, "Unable to open", "a.img")

    def test_a_component_without_room_for_data_is_refused(self):
        for size in (0, 512, 4096, 8192, MIB):
            self.make_image("a.img", size)
            process = self.hastctl("create", "r0")
            self.assertIn(process.returncode, (65, 66))
            self.assertIn("[ERROR] [r0] ", process.stderr)

    def test_a_write_that_fails_is_an_error(self):
        self.make_image("a.img", 16 * MIB)

        def no_room():  # writes behind 2 KiB fail with EFBIG
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))

        self.assert_failed(self.hastctl("create", "r0", preexec_fn=no_room), 74,
                           "[ERROR] [r0] Unable to write metadata", "File too large")

    def test_an_inconsistent_component_says_so_and_the_newer_copy_counts(self):  # INV-5, INV-10
        image = self.make_image("a.img", 16 * MIB)
        self.hastctl("create", "r0")
        old = self.hastctl("dump", "r0").stdout
        for newer in (0, MIB - 4096):
            self.hastctl("create", "r0")
            block = self.inconsistent(image.read_bytes()[:4096])
            with image.open("r+b") as file:
                file.seek(newer)
                file.write(block)
            self.assert_ran(self.hastctl("dump", "r0"), stdout=old + "    inconsistent: yes\n")

    def inconsistent(self, block):
        """`block` as hastd writes it next, before the first block of a resync."""
        block = bytearray(block)
        block[block.index(b"hast_sequence\0") + 16] += 1
        block[block.index(b"hast_inconsistent\0") + 24] = 1
        at = block.index(b"hast_checksum\0") + 16
        block[at:at + 4] = bytes(4)
        block[at:at + 4] = zlib.crc32(block).to_bytes(4, "little")
        return block

    def test_the_first_status_that_is_not_0_is_the_exit_status(self):
        self.assert_failed(self.hastctl("create", "nosuch", "r0"), 65, "Unknown resource nosuch.",
                           "Unable to open")
        self.assert_failed(self.hastctl("create", "r0", "nosuch"), 66, "Unknown resource nosuch.",
                           "Unable to open")
        self.make_image("a.img", 16 * MIB)
        self.assert_failed(self.hastctl("create", "r0", "nosuch"), 65, "Unknown resource nosuch.")
        self.assertIn("keepdirty: 64", self.hastctl("dump", "r0").stdout)


if __name__ == "__main__":
    harness.main()
