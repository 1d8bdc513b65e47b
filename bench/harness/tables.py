"""Medians and ratios of runs, and the tables that people read."""

import statistics

MIB = 1 << 20


def middle(reports, *names):
    """The median over reports of what stands at that place in each."""
    values = []
    for report in reports:
        for name in names:
            report = report[name]
        values.append(report)
    return statistics.median(values)


def cpu_us(reports):
    return middle(reports, "server", "cpu_us_per_op")


def rate(reports):
    return middle(reports, "rate_per_s")


def ratio_of_pairs(reports, others, value):
    """The median of the ratios of neighbouring runs: a machine that slows down for a while slows both of a pair."""
    return statistics.median(value([one]) / value([other]) for one, other in zip(reports, others, strict=True))


def ratio_of_runs(reports, others, *names):
    return ratio_of_pairs(reports, others, lambda some: middle(some, *names))


def spread(values, digits=3):
    values = list(values)
    digits = digits if max(values) < 1000 else 0
    return f"{min(values):.{digits}f}-{max(values):.{digits}f}"


def print_table(title, rows):
    """rows: label -> reports."""
    print(f"\n{title}")
    print(f"  {'':<20}{'CPU us each':>12}{'spread':>16}{'a second':>12}{'p50 us':>9}{'p99 us':>9}{'p99.9 us':>10}")
    for label, reports in rows.items():
        latency = {name: middle(reports, "latency_us", name) for name in ("p50", "p99", "p99.9")}
        print(f"  {label:<20}{cpu_us(reports):>12.3f}"
              f"{spread(report['server']['cpu_us_per_op'] for report in reports):>16}{rate(reports):>12.0f}"
              f"{latency['p50']:>9.0f}{latency['p99']:>9.0f}{latency['p99.9']:>10.0f}")


def print_kinds(rows):
    """Of a mix, the latency of each kind of operation."""
    print(f"  {'of each kind':<20}{'':<6}{'p50 us':>9}{'p99 us':>9}{'p99.9 us':>10}")
    for label, reports in rows.items():
        for kind in reports[0]["latency_us_by_kind"]:
            of_kind = [middle(reports, "latency_us_by_kind", kind, name) for name in ("p50", "p99", "p99.9")]
            print(f"  {label:<20}{kind:<6}{of_kind[0]:>9.0f}{of_kind[1]:>9.0f}{of_kind[2]:>10.0f}")


def print_streams(title, rows):
    print(f"\n{title}")
    print(f"  {'':<38}{'writes a second':>16}{'write p50 us':>14}{'p99':>9}{'notice p50 us':>15}{'p99':>9}"
          f"{'CPU us each':>13}")
    for label, some in rows.items():
        print(f"  {label:<38}{middle(some, 'writes_per_s'):>16.0f}{middle(some, 'write_us', 'p50'):>14.0f}"
              f"{middle(some, 'write_us', 'p99'):>9.0f}{middle(some, 'notice_us', 'p50'):>15.0f}"
              f"{middle(some, 'notice_us', 'p99'):>9.0f}{middle(some, 'server', 'cpu_us_per_op'):>13.2f}")
