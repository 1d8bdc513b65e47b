"""./dev bench report, on result files made here: what it says, and what it refuses."""

import base64
import json
import re
import unittest
import unittest.mock
import xml.etree.ElementTree

from bench_records import MACHINE, ReportCase, a_record, a_run, ordinary_runs
from report import colours, figures, markdown, measured, page, report, svg, tables, words


def drawn(figure, colour_of):
    """Stands for matplotlib: what it was asked to draw."""
    bars = isinstance(figure, figures.Bars)
    names = [bar.label for bar in figure.bars] if bars else [line.server for line in figure.lines]
    return f"<svg><title>{figure.name}: {', '.join(f'{name} {colour_of[name]}' for name in names)}</title></svg>"


class WhatIsRead(ReportCase):
    def refused(self, record, *words_of_it):
        path = self.file(record)
        with self.assertRaises(measured.ReportError) as caught:
            measured.read(path)
        for word in (str(path), *words_of_it):
            self.assertIn(word, str(caught.exception))

    def test_a_file_that_is_missing_or_empty_or_no_json_is_named(self):
        self.refused("", "is empty")
        self.refused("{", "no JSON")
        self.refused("[1]", "no result file")
        self.refused({"name": "package.json"}, "no result file")
        with self.assertRaisesRegex(measured.ReportError, "nowhere.json: No such file"):
            measured.read(self.folder / "nowhere.json")

    def test_an_old_or_unknown_schema_is_named(self):
        self.refused({"bench": "get", "runs": []}, "before results had a schema", "measure again")
        self.refused(a_record(ordinary_runs(), schema=2), "schema 2", "reads 1")

    def test_a_number_that_is_none_is_refused_with_its_place(self):
        text = json.dumps(a_record([a_run("redis", float("nan"))]))
        self.refused(text, "NaN")
        self.refused(a_record([a_run("redis", "fast")]), "run 1 (get, redis)", "server.cpu_us_per_op", "'fast'")

    def test_a_run_must_say_who_did_what(self):
        run = a_run("redis", 8)
        del run["scenario"]
        self.refused(a_record([run]), "run 1", "'scenario'")
        self.refused(a_record([a_run("  ", 8)]), "run 1", "'label'")

    def test_a_file_in_which_nothing_was_measured_says_why(self):
        fill = {"scenario": "fill", "label": "fill", "point": {}}
        self.refused(a_record([fill], checks=[], failure="the disk is full"), "nothing was measured", "the disk is full")

    def test_a_run_without_server_block_is_a_warning_and_has_no_cpu(self):
        run = a_run("redis", 8)
        del run["server"]
        one = self.measured([run])
        self.assertEqual(len(one.warnings), 1)
        self.assertIn("run 1 (get, redis) has no 'server' block", one.warnings[0])
        self.assertIsNone(one.groups[0].median("cpu"))
        self.assertIn("redis", page.page([one], drawn))

    def test_the_median_counts_and_preparations_do_not(self):
        one = self.measured([a_run("redis", cpu) for cpu in (12, 7, 8)] + [a_run("redis", 100, scenario="fill")])
        self.assertEqual([(group.scenario, group.label) for group in one.groups], [("get", "redis")])
        self.assertEqual(one.groups[0].summary("cpu"), measured.Summary(8, 7, 12, 3))

    def test_the_ratio_is_that_of_neighbouring_runs(self):
        # The machine gets slow, and fast again in the middle of the last round: medians by themselves would be 10 and 4.
        rounds = ((5, 4), (10, 8), (10, 4))
        runs = [a_run(label, cpu) for both in rounds for label, cpu in zip(("freshet http", "floor"), both, strict=True)]
        one = self.measured(runs)
        self.assertEqual(one.groups[0].ratio(one.floor_of(one.groups[0]), "cpu"), 1.25)

    def test_what_a_stream_reports_is_understood(self):
        run = {"scenario": "changes", "label": "redis Pub/Sub", "point": {}, "writes_per_s": 5000, "notices_per_s": 4999,
               "write_us": {"p50": 100, "p99": 200}, "notice_us": {"p50": 130, "p99": 400},
               "server": {"cpu_us_per_op": 25, "rss_before": 1, "rss_after": 12 << 20}}
        group = self.measured([run]).groups[0]
        told = {"writes": 5000, "notices": 4999, "p50": 130, "p99": 400, "write_p99": 200, "rss": 12 << 20, "p99.99": None,
                "rate": None}
        self.assertEqual({name: group.median(name) for name in told}, told)


class ThePage(ReportCase):
    def test_it_fetches_nothing_and_runs_nothing(self):
        text = page.page([self.measured()], drawn)
        outside = [link for link in re.findall(r'(?:src|href|action|data)\s*=\s*"([^"]*)"', text)
                   if not link.startswith(("#", "data:"))]
        self.assertEqual(outside, [])
        self.assertNotRegex(re.sub(r'xmlns(:\w+)?="[^"]*"', "", text), r"https?://|//[a-z]+\.|@import|url\(")
        self.assertNotRegex(text, r"<script|<link|<iframe| on\w+=")

    def test_it_names_every_server_work_and_where_it_ran(self):
        text = page.page([self.measured()], drawn)
        for said in ("freshet http", "freshet wire", "redis", "floor", "mix", "scale"):
            self.assertIn(said, text)
        for said in ("Test CPU &lt;9&gt;", "8 GiB", "6.1.0", "ext4", "abc1234", "./dev bench peers --runs 3", "18 minutes"):
            self.assertIn(said, text)
        for said in ("7.0.15", "keep anything", "save &quot;&quot;"):
            self.assertIn(said, text)
        self.assertIn("1 of 2 targets met", text)
        self.assertIn('<td class="fail">FAIL</td>', text)

    def test_it_is_well_formed(self):
        text = page.page([self.measured()], drawn).replace("<!DOCTYPE html>", "")
        xml.etree.ElementTree.fromstring(re.sub(r"<(meta [^>]*)>", r"<\1/>", text))

    def test_its_links_lead_somewhere(self):
        text = page.page([self.measured()], drawn)
        for target in re.findall(r'href="#([^"]+)"', text):
            self.assertEqual(text.count(f'id="{target}"'), 1, target)

    def test_the_raw_file_is_in_it(self):
        one = self.measured()
        data = re.search(r"data:application/json;base64,([^\"]+)", page.page([one], drawn)).group(1)
        self.assertEqual(base64.b64decode(data).decode(), one.path.read_text(encoding="utf-8"))

    def test_the_same_input_gives_the_same_page(self):
        self.assertEqual(page.page([self.measured()], drawn), page.page([self.measured()], drawn))

    def test_a_mix_shows_the_latency_of_reads_and_writes_apart(self):
        runs = ordinary_runs()
        for run, reads in zip([run for run in runs if run["scenario"] == "get" and run["label"] == "redis"], (11, 12, 13)):
            run["latency_us_by_kind"] = {"get": {"count": 990, "p50": reads, "p99": 300, "p99.9": 400},
                                         "put": {"count": 0, "p50": 0, "p99": 7654}}
        one = self.measured(runs)
        for text, row in ((page.page([one], drawn), "<td>redis</td><td>{}</td>" + '<td class="n">{}</td>' * 4),
                          (markdown.markdown([one], short=False), "| redis |" + " {} |" * 5)):
            self.assertIn(row.format("get", "12.0", "300", "400", "–"), text)
            self.assertIn(row.format("put", "–", "7,654", "–", "–"), text)
        self.assertNotIn("operation</th>", page.page([self.measured()], drawn))

    def test_a_scenario_is_told_in_words_where_it_has_them(self):
        titled = [dict(run, title="half reads <and> writes") if run["scenario"] == "mix" else run for run in ordinary_runs()]
        one = self.measured(titled)
        self.assertEqual(page.page([one], drawn).count("<p>half reads &lt;and&gt; writes</p>"), 1)
        self.assertIn("### mix\n\nhalf reads <and> writes\n", markdown.markdown([one], short=False))

    def test_a_percentile_that_is_missing_leaves_a_gap(self):
        runs = ordinary_runs()
        for run in runs:
            run.get("latency_us", {}).pop("p99.99", None)
        del runs[3]["latency_us"]
        text = page.page([self.measured(runs)], drawn)
        self.assertNotIn("p99.99, µs", text)

    def test_a_benchmark_that_did_not_finish_says_so_first(self):
        text = page.page([self.measured(failure="redis <died>")], drawn)
        self.assertIn("is not complete:</b> redis &lt;died&gt;", text)

    def test_what_was_not_measured_is_no_zero(self):
        run = {"scenario": "catch-up", "label": "nats", "point": {}, "writes_per_s": 0, "notices_per_s": 9000,
               "write_us": {"p50": 0.0}, "notice_us": {"p50": 0, "p99": 0}, "server": {"cpu_us_per_op": 3}}
        group = self.measured([run]).groups[0]
        self.assertEqual([group.median(name) for name in ("p50", "p99", "writes", "write_p50")], [None] * 4)
        self.assertEqual([figure.name for figure in figures.of_scenario(self.measured([run]), "catch-up")],
                         ["peers-catch-up-cpu", "peers-catch-up-notices"])

    def test_checks_without_runs_are_a_report_too(self):
        self.assertIn("1 of 2 targets met", page.page([self.measured([])], drawn))

    def test_a_missing_matplotlib_is_said_and_the_rest_is_there(self):
        path = self.file(a_record(ordinary_runs()))
        with unittest.mock.patch("importlib.util.find_spec", return_value=None):
            code, _, err = self.command(report.main, path, "--html", self.folder / "r.html")
            self.assertEqual(code, 0)
            self.assertIn("python3-matplotlib", err)
            text = (self.folder / "r.html").read_text(encoding="utf-8")
            self.assertIn("The plots are missing", text)
            self.assertIn("freshet wire", text)
            self.assertEqual(self.command(report.main, path, "--plots", self.folder / "plots")[0], 1)

    def test_a_bad_file_is_an_error_of_one_line(self):
        code, out, err = self.command(report.main, self.file("{"), "--markdown", "-")
        self.assertEqual((code, out, err.count("\n")), (1, "", 1))


class TheTables(ReportCase):
    def test_a_load_that_was_more_than_the_server_can_do_is_marked(self):
        runs = [dict(a_run("freshet http", 5, point={"rate": rate}), unsent=unsent)
                for rate, unsent in ((1000, 10), (2000, 11)) for _ in range(2)]  # fmt: skip
        (table,) = tables.scenario(self.measured(runs), "get")[1]
        column = table.columns.index(">throughput/s")
        self.assertEqual(["fell behind" in row[column].note for row in table.rows], [False, True])

    def test_markdown_has_medians_spread_and_ratio(self):
        text = markdown.markdown([self.measured()], short=False)
        self.assertIn("| **freshet http** | 5.00 (4.90–5.10) | 1.25× | 80,000 (80,000–80,000) | 200 |", text)
        self.assertIn("| GET, CPU of freshet / floor | 1.20 | ≤ 1.25 | pass |", text)
        self.assertIn("| GET, rate \\| of redis | 0.800 | ≥ 0.900 | **FAIL** |", text)
        self.assertIn("| redis | 7.0.15 | keep anything |", text)
        self.assertIn("`./dev bench peers --runs 3`", text)

    def test_every_row_has_as_many_cells_as_its_head(self):
        for block in re.findall(r"(?:^\|.*\n)+", markdown.markdown([self.measured()], short=False), re.MULTILINE):
            self.assertEqual(len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}), 1, block)

    def test_short_has_the_targets_and_cpu_alone(self):
        text = markdown.markdown([self.measured()], short=True)
        self.assertEqual(re.findall(r"^### (.*)$", text, re.MULTILINE), ["Targets", "Server CPU per operation, µs"])
        # The cheapest is bold, if ours; the floor is no contestant.
        self.assertIn("| work | freshet http | freshet wire | floor | the others |", text)
        self.assertIn("| get | 5.00 | **4.80** | 4.00 | redis 8.00 |", text)

    def test_numbers_keep_three_digits_and_never_an_exponent(self):
        cases = {0: "0", 0.0123: "0.0123", 0.953: "0.953", 4.606: "4.61", 46.06: "46.1", 999.4: "999",
                 1234567.8: "1,234,568", 0.00001234: "0.0000123"}
        self.assertEqual({value: words.digits(value) for value in cases}, cases)
        sizes = {300: "300 B", 1024: "1 KiB", 10000: "10 kB", 1 << 20: "1 MiB"}
        self.assertEqual({value: words.exact_size(value) for value in sizes}, sizes)

    def test_two_files_are_told_apart(self):
        elsewhere = a_record([a_run("floor", 4)], bench="floor", machine={**MACHINE, "kernel": "5"})
        other = measured.read(self.file(elsewhere, "b.json"))
        text = page.page([self.measured(), other], drawn)
        self.assertIn("peers: get", text)
        self.assertIn("different machines", text)


class TheFigures(ReportCase):
    def figures(self, scenario, runs=None):
        return {figure.name: figure for figure in figures.of_scenario(self.measured(runs), scenario)}

    def test_the_floor_is_a_line_across_the_bars_of_cpu(self):
        found = self.figures("get")
        self.assertEqual(sorted(found), ["peers-get-cpu", "peers-get-percentiles", "peers-get-rate"])
        cpu = found["peers-get-cpu"]
        self.assertEqual([bar.label for bar in cpu.bars], ["freshet http", "freshet wire", "redis"])
        self.assertEqual(cpu.floor, 4.0)
        self.assertEqual((cpu.bars[0].summary.low, cpu.bars[0].summary.high), (4.9, 5.1))

    def test_an_open_loop_becomes_latency_against_rate(self):
        found = self.figures("mix")
        p99 = found["peers-mix-p99-by-rate"]
        self.assertTrue(p99.log_y)
        self.assertEqual([x for x, _ in p99.lines[0].points], [3e4, 5e4, 7e4, 9e4])
        self.assertLess({"peers-mix-p50-by-rate", "peers-mix-p99.9-by-rate", "peers-mix-open-percentiles"}, set(found))

    def test_a_sweep_becomes_curves_with_a_logarithmic_axis(self):
        cpu = self.figures("scale")["peers-scale-cpu-by-connections"]
        self.assertEqual((cpu.log_x, cpu.log_y), (True, False))
        self.assertEqual(cpu.ticks, [(1, "1"), (10, "10"), (100, "100"), (1000, "1k")])

    def test_every_sweep_has_a_plot_whose_axes_say_what_they_show(self):
        sweeps = {"connections": (1, 10000), "records": (10**4, 10**7), "value_bytes": (128, 1 << 20), "threads": (1, 2),
                  "subscribers": (0, 10000), "shards": (1, 32)}
        runs = [a_run("freshet http", 5, point={name: at}) for name, points in sweeps.items() for at in points]
        found = self.figures("get", runs)
        said = {name: found[f"peers-get-cpu-by-{name}"].x_label for name in sweeps}
        self.assertEqual(said, {**{name: name for name in sweeps}, "value_bytes": "size of a value"})
        self.assertEqual(found["peers-get-cpu-by-value_bytes"].ticks, [(128, "128 B"), (1 << 20, "1 MiB")])
        self.assertEqual({name.split("-")[2]: figure.y_label for name, figure in found.items()},
                         {"cpu": "CPU per operation, µs", "rate": "throughput, per second", "p99": "p99, µs", "rss": "RSS"})

    def test_a_second_dimension_becomes_lines_of_one_colour(self):
        points = [{"connections": count, "pipeline": depth} for count in (1, 10, 100) for depth in (1, 16)]
        runs = [a_run("freshet http", 5, point=point) for point in points]
        lines = self.figures("get", runs)["peers-get-cpu-by-connections"].lines
        self.assertEqual([(line.label, line.variant) for line in lines],
                         [("freshet http, 1 in flight", 0), ("freshet http, 16 in flight", 1)])
        self.assertEqual({line.server for line in lines}, {"freshet http"})

    def test_a_server_has_the_same_colour_whatever_is_beside_it(self):
        few = colours.assign(["redis", "freshet wire", "freshet http"])
        many = colours.assign(["varnish", "freshet http", "floor", "freshet wire", "redis", "nats JetStream"])
        self.assertEqual(few, {label: many[label] for label in few})
        self.assertEqual(len(set(many.values())), len(many))

    def test_plots_are_drawn_where_matplotlib_is_and_missed_where_it_is_not(self):
        path = self.file(a_record(ordinary_runs()))
        code, _, err = self.command(report.main, path, "--html", self.folder / "a.html")
        again = self.command(report.main, path, "--html", self.folder / "b.html")
        self.assertEqual((code, again[0]), (0, 0))
        text = (self.folder / "a.html").read_text(encoding="utf-8")
        self.assertEqual(text, (self.folder / "b.html").read_text(encoding="utf-8"))
        self.assertNotRegex(re.sub(r'xmlns(:\w+)?="[^"]*"', "", text), "https?://")
        plots = text.count("<svg")
        self.assertEqual(plots, 0 if "no plots" in err else 12)

    def test_what_matplotlib_draws_is_made_to_fit_the_page(self):
        drawing = ('<?xml version="1.0"?>\n<!DOCTYPE svg PUBLIC "x" "http://www.w3.org/x.dtd">\n<svg xmlns:xlink="x" '
                   'width="500pt" height="300pt" viewBox="0 0 500 300" xmlns="http://www.w3.org/2000/svg">'
                   "<metadata>http://purl.org</metadata>"
                   '<g id="figure_1"><!-- redis --><path id="m1a2b" style="stroke: #0a5fc4"/><use xlink:href="#m1a2b"/>'
                   "<text style=\"font: bold 12px 'DejaVu Sans', sans-serif; text-anchor: start\">redis</text></g></svg>")
        themed = svg.themed(drawing, "CPU < floor")
        self.assertTrue(themed.startswith('<svg role="img" aria-label="CPU &lt; floor"'))
        for said in ("var(--ours-0,#0a5fc4)", 'id="m1a2b"', "bold 12px system-ui, sans-serif; text-anchor", ">redis<"):
            self.assertIn(said, themed)
        for gone in ("DOCTYPE", "purl", "figure_1", "<!--", "500pt", "DejaVu"):
            self.assertNotIn(gone, themed)
        alone = svg.standalone(themed)
        self.assertIn("prefers-color-scheme:dark", alone)
        xml.etree.ElementTree.fromstring(alone)


if __name__ == "__main__":
    unittest.main()
