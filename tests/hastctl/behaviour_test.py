#!/usr/bin/env python3
"""What hastctl does that no transcript of the original shows: our options, and a hastd that answers
late, wrongly or not at all."""
import json
import re
import subprocess

import harness
from harness import HastctlTest, error, no_such, result, status

CURRENT = {"name": "r0", "previous_role": "init", "role": "primary"}


class OptionTest(HastctlTest):

    def test_help_goes_to_standard_output(self):
        for arguments in (["--help"], ["list", "--help"], ["create", "--help"]):
            process = self.run_hastctl(*arguments)
            self.assertEqual((process.returncode, process.stderr), (0, ""))
            self.assertTrue(process.stdout.startswith("usage: hastctl create [-d] [-c config]"))
            for option in ("--node", "--layout", "--json", "--timeout"):
                self.assertIn(option, process.stdout)

    def test_the_sub_command_comes_first(self):
        self.assert_failed(self.run_hastctl("-c", self.config, "status"), 64, "usage: hastctl")

    def test_operands_end_the_options(self):
        self.assert_failed(self.run_hastctl("dump", "-c", self.config, "--node", "nodea", "nosuch",
                                            "-d"), 65, "Unknown resource -d.")

    def test_an_option_without_effect_is_refused(self):
        for command, *option in (("list", "-e", "4m"), ("status", "-k", "1"), ("dump", "-m", "1g"),
                                 ("dump", "--json"), ("role", "--layout", "original"),
                                 ("create", "--json"), ("dump", "--timeout", "5")):
            self.assert_failed(self.hastctl(command, *option, "r0"), 64, "usage: hastctl")

    def test_the_commands_that_the_original_does_not_have_have_a_usage_of_their_own(self):
        for command, *rest in (("attach",), ("attach", "-h"), ("attach", "--force", "r0"),
                               ("resolve", "r0"), ("resolve", "--discard", "local"),
                               ("resolve", "--discard", "local", "r0", "x"),
                               ("resolve", "--discard", "local", "--backup", "/x", "--no-backup", "r0"),
                               ("resolve", "--nosuch")):
            process = self.hastctl(command, *rest)
            self.assert_failed(process, 64, "usage: hastctl attach [-d]", "\n       hastctl resolve [-d]")
            self.assertNotIn("hastctl role", process.stderr)

    def test_help_has_the_commands_of_both_one_below_the_other(self):
        synopsis = self.run_hastctl("--help").stdout.split("\n\n")[0].splitlines()
        commands = [line[7:].split()[:2] for line in synopsis if not line.startswith("\t")]
        self.assertEqual(commands, [["hastctl", command] for command in
                                    ("create", "role", "list", "status", "dump", "attach", "resolve")])

    def test_values_that_mean_nothing_are_refused_by_name(self):
        for option, value, name in (("-e", "", "extentsize"), ("-e", "4x", "extentsize"),
                                    ("-e", "99999999999999999999", "extentsize"),
                                    ("-k", "-", "keepdirty"), ("-m", "18446744073709551615k",
                                                               "mediasize"),
                                    ("--layout", "modern", "layout")):
            self.assert_ran(self.hastctl("create", option, value, "r0"), 64,
                            stderr=f"hastctl: Invalid {name}\n")
        for seconds in ("0", "-1", "5s", "", "86401", "99999999999"):
            self.assert_ran(self.hastctl("status", "--timeout", seconds), 64,
                            stderr="hastctl: Invalid timeout\n")

    def test_a_node_that_is_not_in_the_file_is_an_error(self):
        self.assert_failed(self.hastctl("dump", "r0", node="nodez"), 78,
                           "No resource r0 configuration for this node (acceptable node names: "
                           "nodez)", "--node NAME")

    def test_a_broken_file_is_reported_with_its_place(self):
        self.config.write_text("resources:\n  r0:\n    locl: /x\n")
        self.assert_failed(self.hastctl("status"), 78, f"[ERROR] {self.config}:3:5: ",
                           'did you mean "local"? Correct')


class ManualTest(HastctlTest):

    def test_the_manual_page_has_every_option_and_exit_status(self):
        page = (harness.GOLDEN.parent.parent / "docs" / "man" / "hastctl.8").read_text()
        described = set(re.findall(r"^\.It Fl (\S+)", page, re.M))
        usage = self.run_hastctl("--help").stdout
        options = {o[1:] for o in re.findall(r"(?<![\w-])--?[a-z]+(?:-[a-z]+)*\b", usage)}
        self.assertGreaterEqual(len(options), 10)
        self.assertEqual(options, described)
        statuses = set(re.findall(r"\b\d+\b", " ".join(re.findall(r"^\.It ([\d ,]+)$", page, re.M))))
        self.assertEqual({int(s) for s in statuses},
                         {0, 1, 2, 4, 5, 64, 65, 66, 69, 70, 71, 72, 74, 75, 78, 255})


class DaemonTest(HastctlTest):

    def test_role_succeeds_silently_and_asks_for_what_was_said(self):
        with self.daemon(lambda request: result(request, [CURRENT])) as daemon:
            self.assert_ran(self.hastctl("role", "primary", "r0"))
        self.assertEqual(daemon.requests, [{"jsonrpc": "2.0", "id": 1, "method": "role", "params": {
            "role": "primary", "resources": ["r0"]}}])

    def test_role_says_why_it_is_not_in_force(self):
        busy = {"name": "r0", "error": error(5, "component_busy", "/dev/x", 16)}
        with self.daemon(lambda request: result(request, [busy])):
            self.assert_failed(self.hastctl("role", "primary", "r0"), 5,
                               "[WARNING] [r0] Received error 5 from hastd. The local component is "
                               "in use by another process: /dev/x: Device or resource busy.",
                               "Stop the process")

    def test_the_first_error_of_several_resources_is_the_exit_status(self):
        entries = [CURRENT, {"name": "x", "error": error(5, "io_failed")}, no_such("y")]
        with self.daemon(lambda request: result(request, entries)):
            self.assert_failed(self.hastctl("role", "primary", "r0", "x", "y"), 5,
                               "[x] Received error 5", "[y] Received error 1")

    def test_all_in_front_means_every_resource(self):
        with self.daemon(lambda request: result(request, [CURRENT])) as daemon:
            for operands in (["all"], ["all", "r0"]):
                self.assert_ran(self.hastctl("role", "primary", *operands))
        self.assertEqual([r["params"]["resources"] for r in daemon.requests], ["all", "all"])

    def test_a_resource_whose_status_is_unknown_keeps_its_row_and_says_why(self):
        entries = [{"name": "r0", "error": error(5, "internal", "the map is away")}]
        with self.daemon(lambda request: result(request, entries)):
            process = self.hastctl("status")
        self.assertEqual(process.stdout, "Name\tStatus\t Role\t\tComponents\nr0\tERR5\n")
        self.assertIn("the map is away", process.stderr)
        self.assertEqual(process.returncode, 5)

    def test_no_resources_print_nothing(self):  # the original's hastctl died of it
        with self.daemon(lambda request: result(request, [])):
            for command in ("status", "list"):
                self.assert_ran(self.hastctl(command))

    def test_json_is_what_hastd_said(self):
        entries = [status(role="primary", status="degraded", reason="no \"answer\"",
                          dirty_bytes=2**64 - 1,
                          resync={"source": "secondary", "done_bytes": 1, "left_bytes": 2}),
                   no_such("x")]
        with self.daemon(lambda request: result(request, entries)):
            for command in ("status", "list"):
                process = self.hastctl(command, "--json", "r0", "x")
                self.assertEqual(process.stdout.count("\n"), 1)
                printed = json.loads(process.stdout)["resources"]
                self.assertEqual(printed[0], entries[0])
                self.assertEqual((printed[1]["name"], printed[1]["error"]["code"]), ("x", 1))
                self.assertEqual(process.returncode, 1)

    def test_names_cannot_steer_the_terminal(self):
        entries = [{"name": "x\n[ERROR] forged", "error": error(5, "internal", "\x1b[2J")}]
        with self.daemon(lambda request: result(request, entries)):
            process = self.hastctl("role", "primary", "r0")
        self.assertEqual(len(process.stderr.splitlines()), 1)
        self.assertNotIn("\x1b", process.stderr)

    def test_a_refusal_of_the_whole_request_is_70(self):
        refusal = {"jsonrpc": "2.0", "id": 1, "error": error(-32000, "limit_reached", "clients")}
        with self.daemon(lambda request: refusal):
            self.assert_failed(self.hastctl("status"), 70, "a limit is reached: clients")

    def test_an_answer_that_is_none_is_69(self):
        answers = [b"hello\n", b"[]\n", b"{}\n", b"\n", b'{"jsonrpc":"2.0","id":2,"result":{}}\n',
                   b'{"jsonrpc":"2.0","id":1,"result":{"resources":[{"name":"r0"}]}}\n',
                   b"", b'{"jsonrpc":"2.0",', b"x" * (17 << 20)]
        for answer in answers:
            with self.subTest(answer[:60]), self.daemon(lambda request, a=answer: a):
                self.assert_failed(self.hastctl("status"), 69, "[ERROR] ")
                self.assert_failed(self.hastctl("role", "init", "r0"), 69, "[ERROR] ")

    def test_a_silent_hastd_is_waited_for_as_long_as_allowed(self):
        with self.daemon(lambda request: None):
            self.assert_failed(self.hastctl("status", "--timeout", "1"), 69,
                               "No answer from hastd within 1 seconds")

    def test_a_socket_nobody_listens_on_is_71(self):
        with self.daemon(lambda request: None):
            pass  # leaves nothing behind
        self.assert_failed(self.hastctl("status"), 71, "Unable to connect to hastd via",
                           "No such file or directory", "Check that hastd is running")
        (self.folder / "ctl").touch()
        self.assert_failed(self.hastctl("status"), 71, "Connection refused")

    def test_more_names_than_a_request_holds_are_refused(self):
        with self.daemon(lambda request: result(request, [])):
            names = ["n" * 254] * 300
            self.assert_failed(self.hastctl("status", *names), 64, "Too many names")

    def test_output_that_cannot_be_written_is_an_error(self):
        entries = [status() for _ in range(3)]
        with self.daemon(lambda request: result(request, entries)), open("/dev/full", "w") as full:
            process = subprocess.run(
                [harness.HASTCTL, "status", "-c", self.config, "--node", "nodea"], stdout=full,
                stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(process.returncode, 74)
        self.assertIn("Unable to write the output", process.stderr)


if __name__ == "__main__":
    harness.main()
