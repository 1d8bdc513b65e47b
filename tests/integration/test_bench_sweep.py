"""The sweeps of ./dev bench scaling: what goes wrong at one point costs nothing of the others, and ends in time."""

import argparse
import contextlib
import datetime
import io
import sys
import unittest
import unittest.mock

import support

sys.path.insert(0, str(support.ROOT / "bench"))

from harness.bench import Bench  # noqa: E402
from harness.servers import BenchError  # noqa: E402
from harness.sweep import Column, Sweep  # noqa: E402
from suites import scaling  # noqa: E402

HTTP, FLOOR = "freshet http", "floor"


class PlantedBench(Bench):
    """Loads cost what was planted for (label, point), in turn, or go wrong."""

    def __init__(self, planted, **options):
        super().__init__(argparse.Namespace(**{"build": support.ROOT, "runs": 2, "seconds": None, "quick": False,
                                               "minutes": 10, "dimensions": [], **options}), support.ROOT)
        self.planted = planted
        self.asked = []

    def load(self, label, server, *_arguments, scenario, point=None):
        (at,) = point.values()
        self.asked.append((at, label))
        cost = self.planted[label, at]
        cost = cost.pop(0) if isinstance(cost, list) else cost
        if isinstance(cost, Exception):
            raise cost
        return self.keep({"server": {"cpu_us_per_op": cost}}, label, server, scenario, point)


class Sweeps(unittest.TestCase):
    def setUp(self):
        self.said = io.StringIO()
        self.enterContext(contextlib.redirect_stdout(self.said))

    def sweep(self, bench, points, floor=True, **how):
        columns = [Column("get", HTTP, f"{FLOOR} get" if floor else None), *([Column("get", FLOOR)] if floor else [])]
        with Sweep(bench, "connections", "GET", columns, **how) as sweep:
            for at in sweep.points(points):
                sweep.load(at, {column.label: None for column in columns}, scenario="get")
        return sweep

    def test_servers_take_turns_at_each_point(self):
        bench = PlantedBench({(label, at): 1.0 for label in (HTTP, FLOOR) for at in (1, 10)})
        self.sweep(bench, (1, 10))
        self.assertEqual(bench.asked, [(at, label) for at in (1, 10) for _ in range(2) for label in (HTTP, FLOOR)])
        self.assertEqual([run["point"] for run in bench.runs[:1]], [{"connections": 1}])

    def test_one_that_fails_at_a_point_costs_nothing_of_the_others(self):
        planted = {(label, at): 2.0 for label in (HTTP, FLOOR) for at in (1, 10, 100)}
        planted[HTTP, 10] = BenchError("it died:\nlog")
        planted[FLOOR, 100] = [3.0, BenchError("no answer")]
        bench = PlantedBench(planted)
        sweep = self.sweep(bench, (1, 10, 100))
        self.assertEqual(bench.left_out, ["connections 10, freshet http get: it died", "connections 100, floor get: no answer"])
        costs = [[sweep.cost(at, f"{label} get") for label in (HTTP, FLOOR)] for at in (1, 10, 100)]
        self.assertEqual(costs, [[2.0, 2.0], [None, 2.0], [2.0, 3.0]])
        self.assertEqual(bench.asked.count((10, HTTP)), 1, "once is enough")
        self.assertRegex(self.said.getvalue(), r"\n +10 +- +2.000 ")

    def test_without_the_floor_at_a_point_the_cost_stands_alone(self):
        planted = {(label, at): 2.0 for label in (HTTP, FLOOR) for at in (1, 10)}
        sweep = self.sweep(PlantedBench(planted | {(FLOOR, 10): BenchError("gone")}), (1, 10))
        self.assertEqual((sweep.ratio(1, f"{HTTP} get"), sweep.ratio(10, f"{HTTP} get")), (1.0, None))
        self.assertRegex(self.said.getvalue(), r"\n +10 +2.000 +- *\n")

    def test_a_point_whose_server_does_not_start_does_not_stop_the_next(self):
        bench = PlantedBench({(HTTP, at): 1.0 for at in (1, 10)})
        with Sweep(bench, "shards", "GET", [Column("get", HTTP)]) as sweep:
            for at in sweep.points((1, 10)):
                with sweep.point(at):
                    if at == 1:
                        raise BenchError("did not get ready")
                    sweep.load(at, {HTTP: None}, scenario="get")
        self.assertEqual((list(sweep.rows), bench.left_out), ([10], ["shards 1: did not get ready"]))

    def test_what_was_measured_is_printed_when_the_whole_sweep_breaks(self):
        def broken(bench):
            with Sweep(bench, "records", "reads", [Column("get", HTTP)]) as sweep:
                for at in sweep.points((10, 100)):
                    if at == 100:
                        raise BenchError("the disk is full")
                    sweep.load(at, {HTTP: None}, scenario="get")

        whole = unittest.mock.Mock()
        bench = PlantedBench({(HTTP, 10): 7.25})
        with unittest.mock.patch.object(scaling, "DIMENSIONS", {"records": broken, "shards": whole}):
            scaling.bench_scaling(bench)
        self.assertIn("7.250", self.said.getvalue())
        self.assertEqual(bench.left_out, ["records: the disk is full"])
        whole.assert_called_once_with(bench)

    def test_no_point_is_begun_when_the_time_is_over(self):
        bench = PlantedBench({(HTTP, 1): 1.0}, minutes=5)
        with Sweep(bench, "connections", "GET", [Column("get", HTTP)]) as sweep:
            for at in sweep.points((1, 10, 100)):
                sweep.load(at, {HTTP: None}, scenario="get")
                bench.started_at -= datetime.timedelta(minutes=6)
        self.assertEqual(list(sweep.rows), [1])
        self.assertEqual([text.partition(":")[0] for text in bench.left_out], ["connections 10", "connections 100"])

    def test_steps_are_marked_by_the_floor_or_by_each_of_what_grows(self):
        # Twice the cost beside twice the floor is no step; beside the same floor it is one.
        planted = {(HTTP, 1): 2.0, (FLOOR, 1): 1.0, (HTTP, 10): 4.0, (FLOOR, 10): 2.0, (HTTP, 100): 8.0, (FLOOR, 100): 2.0}
        sweep = self.sweep(PlantedBench(planted), (1, 10, 100))
        name = f"{HTTP} get"
        self.assertEqual([sweep.steps_up(*pair, name) for pair in ((None, 1), (1, 10), (10, 100))], [False, False, True])
        planted = {(HTTP, at): cost for at, cost in ((100, 1.0), (200, 2.0), (400, 8.0))}
        sweep = self.sweep(PlantedBench(planted), (100, 200, 400), floor=False, grows=True)
        self.assertEqual([sweep.steps_up(*pair, name) for pair in ((100, 200), (200, 400))], [False, True])


if __name__ == "__main__":
    unittest.main()
