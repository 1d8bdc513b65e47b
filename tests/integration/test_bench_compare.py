"""./dev bench compare, on result files made here: what moved, and what is noise."""

import copy
import unittest

from bench_records import MACHINE, ReportCase, a_record, a_run, ordinary_runs
from report import compare, measured


class WhatMoved(ReportCase):
    def compared(self, before, after, **options):
        """What is printed, and what moved: (label, figure) -> verdict."""
        one = measured.read(self.file(a_record(before), "a.json"))
        two = measured.read(self.file(a_record(after, **options), "b.json"))
        text, found = compare.compare(one, two, 0.05)
        moved = [change for change in found if change.verdict is not compare.Verdict.SAME]
        return text, {(change.pair.before.label, change.metric): change.verdict for change in moved}

    def scaled(self, factor, *labels, where=("server", "cpu_us_per_op"), scenario="get"):
        runs = copy.deepcopy(ordinary_runs())
        for run in runs:
            if run["label"] in labels and run["scenario"] == scenario:
                run[where[0]][where[1]] *= factor
        return runs

    def test_a_rise_by_a_fifth_is_worse_and_shown_beside_the_floor(self):
        text, moved = self.compared(ordinary_runs(), self.scaled(1.2, "freshet http"))
        self.assertEqual(moved, {("freshet http", "cpu"): compare.Verdict.WORSE})
        self.assertRegex(text, r"get +freshet http +CPU per operation +5\.00 µs +6\.00 µs +\+20 % +floor \+20 % +worse")
        self.assertIn("1 worse, 0 better", text)

    def test_noise_of_three_percent_is_none(self):
        self.assertEqual(self.compared(ordinary_runs(), self.scaled(1.03, "freshet http"))[1], {})

    def test_ranges_that_overlap_have_not_moved(self):
        before = [a_run("freshet http", cpu) for cpu in (4, 5, 6)]
        after = [a_run("freshet http", cpu) for cpu in (5.5, 6.5, 7.5)]
        self.assertEqual(self.compared(before, after)[1], {})

    def test_less_cpu_and_more_throughput_are_better(self):
        _, moved = self.compared(ordinary_runs(), self.scaled(0.8, "redis"))
        self.assertEqual(moved, {("redis", "cpu"): compare.Verdict.BETTER})
        after = [dict(run, rate_per_s=run["rate_per_s"] * 1.3) if run["label"] == "redis" else run for run in self.scaled(1)
                 if run["scenario"] == "get"]
        self.assertEqual(self.compared(ordinary_runs(), after)[1], {("redis", "rate"): compare.Verdict.BETTER})

    def test_what_the_floor_shows_too_is_the_machines(self):
        labels = ("freshet http", "freshet wire", "redis", "floor")
        text, moved = self.compared(ordinary_runs(), self.scaled(1.2, *labels))
        self.assertEqual(moved, {(label, "cpu"): compare.Verdict.MACHINE for label in labels})
        self.assertIn("0 worse, 0 better, 4 moved as the machine did", text)

    def test_a_faster_machine_does_not_hide_what_got_dearer(self):
        _, moved = self.compared(ordinary_runs(), self.scaled(0.8, "freshet wire", "redis", "floor"))
        self.assertEqual(moved[("freshet http", "cpu")], compare.Verdict.WORSE)

    def test_an_open_loop_at_another_rate_yields_another_rate(self):
        def runs(offered):
            return [a_run("freshet http", 5, point={"rate": offered}, rate=offered + noise) for noise in (0, 1)]

        self.assertEqual(self.compared(runs(1000), runs(2000))[1], {}, "what was offered is no figure of the server")
        slower = [dict(run, rate_per_s=run["rate_per_s"] / 2) for run in runs(1000)]
        self.assertEqual(self.compared(runs(1000), slower)[1], {("freshet http", "rate"): compare.Verdict.WORSE})

    def test_one_repetition_cannot_tell_noise(self):
        text, moved = self.compared([a_run("freshet http", 5)], [a_run("freshet http", 7)])
        self.assertEqual(moved, {("freshet http", "cpu"): compare.Verdict.UNKNOWN})
        self.assertIn("one run says nothing about the spread", text)

    def test_shares_of_another_capacity_belong_together_by_rank(self):
        after = copy.deepcopy(ordinary_runs())
        for run in after:
            if "rate" in run["point"] and run["label"] == "freshet http":
                run["point"]["rate"] += 137
                run["latency_us"]["p99"] *= 2
        text, moved = self.compared(ordinary_runs(), after)
        self.assertEqual(moved, {("freshet http", "p99"): compare.Verdict.WORSE})
        self.assertIn("30,000 and 30,137/s offered", text)
        self.assertIn("4 worse", text)

    def test_the_largest_change_comes_first(self):
        after = self.scaled(3, "redis")
        for run in after:
            if run["label"] == "freshet wire":
                run["server"]["cpu_us_per_op"] *= 1.3
        text, _ = self.compared(ordinary_runs(), after)
        self.assertLess(text.index("+200 %"), text.index("+30 %"))

    def test_another_machine_build_load_or_configuration_is_a_warning(self):
        after = copy.deepcopy(ordinary_runs())
        for run in after:
            run.get("config", {}).update(connections=500)
        redis = {"version": "7.2", "config": "appendonly yes\n"}
        text, _ = self.compared(ordinary_runs(), after, build="asan", machine={**MACHINE, "kernel": "6.6"},
                                servers={"redis": redis})
        for said in ("kernel 6.1.0 and 6.6", "build differs: release and asan", "connections 50 and 500",
                     "redis differs: 7.0.15 and 7.2", "the configuration of redis differs"):
            self.assertIn(said, text)
        self.assertNotIn("warning", self.compared(ordinary_runs(), ordinary_runs())[0])

    def test_ports_and_folders_of_a_run_are_no_difference(self):
        one, two = ({"redis": {"version": "7", "config": f"port {port}\ndir {folder}\n"}}
                    for port, folder in ((40001, "build/bench/run-abc/redis"), (40002, "build/bench/run-xyz/redis")))
        before = measured.read(self.file(a_record(ordinary_runs(), servers=one), "a.json"))
        after = measured.read(self.file(a_record(ordinary_runs(), servers=two), "b.json"))
        self.assertNotIn("warning", compare.compare(before, after, 0.05)[0])

    def test_what_only_one_file_has_is_named_and_nothing_in_common_is_an_error(self):
        text, _ = self.compared(ordinary_runs(), [a_run("redis", 8) for _ in range(3)])
        self.assertRegex(text, r"only in .*a\.json: get/freshet http")
        code, _, err = self.command(compare.main, self.file(a_record([a_run("redis", 8)]), "c.json"),
                                    self.file(a_record([a_run("floor", 8)]), "d.json"))
        self.assertEqual(code, 1)
        self.assertIn("nothing to compare", err)

    def test_it_fails_on_worse_when_asked_and_for_ours_alone(self):
        before = self.file(a_record(ordinary_runs()), "a.json")
        ours = self.file(a_record(self.scaled(1.2, "freshet http")), "b.json")
        theirs = self.file(a_record(self.scaled(1.2, "redis")), "c.json")
        self.assertEqual(self.command(compare.main, before, ours)[0], 0)
        self.assertEqual(self.command(compare.main, before, ours, "--fail-on-worse")[0], 1)
        self.assertEqual(self.command(compare.main, before, ours, "--fail-on-worse", "--threshold", "30")[0], 0)
        self.assertEqual(self.command(compare.main, before, theirs, "--fail-on-worse")[0], 0)
        self.assertEqual(self.command(compare.main, ours, before, "--fail-on-worse")[0], 0)


if __name__ == "__main__":
    unittest.main()
