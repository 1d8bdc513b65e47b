"""What the rows have in common: the names of ours, the requests, how long and how often."""

import dataclasses
from collections.abc import Callable

HTTP, WIRE = "freshet http", "freshet wire"


@dataclasses.dataclass(frozen=True)
class Windows:
    """Rounds in which each server of a row is measured once, in turn, for so long: what --runs and --seconds say for all,
    or else what is usual here."""

    rounds: int
    seconds: float
    warmup_s: float

    def rounds_of(self, bench):
        return bench.options.runs or self.rounds

    def arguments(self, bench):
        return ["--seconds", bench.seconds(self.seconds), "--warmup", self.warmup_s]

    def takes_s(self, bench, every):
        """How long all of them take. every: label -> in every so manieth round it takes part."""
        rounds = self.rounds_of(bench)
        return sum(-(-rounds // one) for one in every.values()) * (bench.seconds(self.seconds) + self.warmup_s)


@dataclasses.dataclass(frozen=True)
class Work:
    """One kind of work: the name that --only takes, how long it takes about, and what is done."""

    name: str
    title: str
    takes_s: Callable[[object], float]  # of the bench
    measure: Callable[[object], None]  # of the comparison


# The targets ask for writes of 30 s or more, so that what gathers shows: flushes, compactions, a disk that is behind. All
# must come to less than 20 minutes, so two rounds of them have to do. A read finds the same after 3 s as after 30.
READS = Windows(rounds=5, seconds=3, warmup_s=0.5)
WRITES = Windows(rounds=2, seconds=30, warmup_s=1)
STREAMS = Windows(rounds=3, seconds=3, warmup_s=1)
# Takes part in the first round, and in the fourth: no target is near.
FAR = 3

VALUE_BYTES = 300
GET_KEYS = 10000
READ = ["--keys", GET_KEYS, "--connections", 50, "--expect-status", 200]


def count(bench, usual):
    """A tenth of the records, for a short look."""
    return usual if bench.seconds(READS.seconds) >= READS.seconds else usual // 10
