"""The near caches of three clients, one a language, under writes of all and of REST, while their connections are cut and delayed.

All clocks are one (CLOCK_MONOTONIC of this machine), and the journal says in which order the states of a record came. Every read is
[start, end, state]. Afterwards:

    lease       no read that begins more than the lease after a write was answered shows a state before that write
    fresh       one that was not a hit of the near cache shows no state before a write that was answered before it began
    monotonic   no read shows a state before what the same client has read or written before
    real        every state was written, and not before its write began

REST also deletes records. One deletion looks like another: a read that shows none is judged as the newest that it may show, and counts as the
oldest.

FRESHET_NEAR_SECONDS (20) is how long; the seed is printed, and FRESHET_SEED takes it back (it chooses what is done; the timing is the
machine's). What it has found when a rule of the near cache was turned off by hand: see PLANTED below.
"""

import collections
import dataclasses
import json
import os
import random
import threading
import time
import unittest

import proxy as proxies
import run
from proxy import DIRECTIONS, TO_CLIENT, TO_SERVER
from run import support

SEED = int(os.environ.get("FRESHET_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
SECONDS = float(os.environ.get("FRESHET_NEAR_SECONDS", "20"))
LEASE_S = 0.6
KEYS = [f"k{number}" for number in range(20)]
WRITES_PER_S = 40
DELETES = 0.2  # of REST's writes
CLIENT_WRITES = 0.01  # of a client's operations; and as many batches that write and read one record
TIMEOUT_S = 0.25  # of a client's call: while a read hangs, others shall be hits
HITS_LEAST = 200

# Rules of bindings/python turned off one at a time, and what noticed within 20 s.
PLANTED = """
a reconnect subscribes from the latest position, not from where it was     here: lease
hits go on when the lease is over                                          here: lease; cases/near_cache.yaml
an answer fills the cache though something newer was seen                  here: monotonic
the lease is counted from the PONG's arrival, not from the PING's sending  cases/near_cache.yaml (here it is too rare)
an own write leaves the old state in the cache                             nothing: this server invalidates before it answers
"""


@dataclasses.dataclass
class Read:
    client: str
    key: str
    value: int | None  # None: there is no record
    start_ns: int
    end_ns: int
    near: bool


@dataclasses.dataclass
class Write:
    client: str
    key: str
    value: int | None  # None: a deletion, by REST alone
    start_ns: int
    end_ns: int | None  # None: nobody knows whether it was kept; the journal does


class Numbers:
    """Values that are written once."""

    def __init__(self):
        self.lock = threading.Lock()
        self.last = 0

    def next(self):
        with self.lock:
            self.last += 1
            return self.last


class Play:
    """What happens for a while, and what was seen of it."""

    def __init__(self, names, seed):
        self.random = random.Random(seed)
        self.server = support.Server(["--threads", "2", "--durability", "none"]).start()
        wire = int(self.server.ready["wire"].rpartition(":")[2])
        self.proxies = {name: proxies.Proxy(wire).start() for name in names}
        self.drivers = {name: run.Driver(name) for name in names}
        self.numbers = Numbers()
        self.reads, self.writes, self.errors = [], [], []
        self.until = None

    def play(self, seconds):
        rest = self.server.client()
        for key in KEYS:
            self.rest_write(rest, key)
        for name, driver in self.drivers.items():
            url = f"freshet://127.0.0.1:{self.proxies[name].port}"
            members = {"near_cache_bytes": 1 << 20, "lease_ms": int(LEASE_S * 1000), "timeout_ms": int(TIMEOUT_S * 1000)}
            answer = driver.ask("connect", url=url, **members)
            assert "ok" in answer, answer
        self.until = time.monotonic() + seconds
        parts = [(self.rest_part, random.Random(self.random.random()))]
        parts += [(self.client_part, name, random.Random(self.random.random())) for name in self.drivers]
        parts += [(self.havoc_part, name, random.Random(self.random.random())) for name in self.drivers]
        threads = [threading.Thread(target=self.guard, args=part) for part in parts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(seconds + 60)
        rest.close()

    def guard(self, part, *arguments):
        try:
            part(*arguments)
        except BaseException as error:
            self.errors.append(error)
            raise

    def close(self):
        for driver in self.drivers.values():
            driver.close()
        for proxy in self.proxies.values():
            proxy.stop()
        status = self.server.stop()
        self.server.remove()
        if status != 0:
            raise AssertionError(f"the server ended with {status}")

    # ---- who takes part ----

    def rest_part(self, dice):
        rest = self.server.client()
        deleted = set()
        while time.monotonic() < self.until:
            key = dice.choice(KEYS)
            if key not in deleted and dice.random() < DELETES:
                self.rest_delete(rest, key)  # what is there for sure: nobody else deletes
                deleted.add(key)
            else:
                self.rest_write(rest, key)
                deleted.discard(key)
            time.sleep(dice.expovariate(WRITES_PER_S))  # pause between tries: the rate of writes
        rest.close()

    def rest_write(self, rest, key):
        value, start_ns = self.numbers.next(), time.monotonic_ns()
        answer = rest.request("PUT", f"/pets/{key}", {"v": value})
        assert answer.status in (200, 201), answer
        self.writes.append(Write("rest", key, value, start_ns, time.monotonic_ns()))

    def rest_delete(self, rest, key):
        start_ns = time.monotonic_ns()
        answer = rest.request("DELETE", f"/pets/{key}")
        assert answer.status == 200, answer
        self.writes.append(Write("rest", key, None, start_ns, time.monotonic_ns()))

    def client_part(self, name, dice):
        driver = self.drivers[name]
        while time.monotonic() < self.until:
            key, what = dice.choice(KEYS), dice.random()
            if what < CLIENT_WRITES:
                self.client_write(name, driver, key)
            elif what < 2 * CLIENT_WRITES:
                self.client_batch(name, driver, key)
            self.client_read(name, driver, key)

    def client_read(self, name, driver, key):
        answer = driver.ask("get", collection="pets", id=key)
        if "ok" in answer:
            self.note_read(name, key, answer["ok"], answer["start_ns"], answer["end_ns"])

    def note_read(self, name, key, ok, start_ns, end_ns):
        value = json.loads(ok["record"])["v"] if ok["record"] else None
        # Python and Node do not tell of what is not there whether it was a hit; the lease is the same.
        near = bool(ok.get("near")) or value is None
        self.reads.append(Read(name, key, value, start_ns, end_ns, near))

    def client_write(self, name, driver, key):
        value, start_ns = self.numbers.next(), time.monotonic_ns()
        answer = driver.ask("put", collection="pets", id=key, document=json.dumps({"v": value}))
        end_ns = answer["end_ns"] if "ok" in answer else None
        self.writes.append(Write(name, key, value, start_ns, end_ns))

    def client_batch(self, name, driver, key):
        """A put and a get side by side: the get may show what was before, and must not put that into the cache."""
        value, start_ns = self.numbers.next(), time.monotonic_ns()
        put = {"kind": "put", "collection": "pets", "id": key, "document": json.dumps({"v": value})}
        answer = driver.ask("batch", operations=[put, {"kind": "get", "collection": "pets", "id": key}])
        end_ns = time.monotonic_ns()
        results = answer["ok"]["results"] if "ok" in answer else [{}, {}]
        self.writes.append(Write(name, key, value, start_ns, end_ns if "ok" in results[0] else None))
        if "ok" in results[1]:
            self.note_read(name, key, results[1]["ok"], start_ns, end_ns)

    def havoc_part(self, name, dice):
        proxy = self.proxies[name]
        while time.monotonic() < self.until:
            time.sleep(dice.uniform(0.1, 1.0))  # pause between tries: calm, so that there is something to lose
            what = dice.choice(("cut", "delay", "delay", "delay", "hold", "refuse"))
            trouble_s = dice.uniform(0.1, 3) * LEASE_S
            if what == "cut":
                proxy.cut()
            elif what == "delay":
                delay_s = dice.uniform(0, 2.5) * LEASE_S
                proxy.delay(dice.choice((TO_CLIENT, TO_CLIENT, TO_SERVER)), delay_s)
                trouble_s += delay_s  # before it is over nothing comes at all
            elif what == "hold":
                proxy.hold(dice.choice(DIRECTIONS))
            else:
                proxy.refuse(True)
                proxy.cut()
            time.sleep(trouble_s)  # pause between tries: as long as the trouble lasts
            proxy.clear()

    # ---- the journal ----

    def order(self):
        """{(key, value): its place in the order of all changes}; of deletions (key, None): a list of them"""
        client, places = self.server.client(), {}
        position = "earliest"
        while True:
            page = client.request("GET", f"/changes?from={position}&collection=pets&view=new&limit=1000").json
            for change in page["changes"]:
                key = change["keys"]["id"]
                if change["eventName"] == "REMOVE":
                    places.setdefault((key, None), []).append(change["sequence"])
                else:
                    places[key, change["newImage"]["v"]] = change["sequence"]
            position = page["next"]
            if not page["more"]:
                client.close()
                return places


class Judge:
    """Looks for reads that break a rule; `failures` has the first of each."""

    def __init__(self, play):
        self.places = play.order()
        self.writes = collections.defaultdict(list)
        self.deletions = collections.defaultdict(list)  # of a key: (start, place), in their order
        for write in play.writes:
            place = self.place_of_write(write)
            if place is not None and write.end_ns is not None:
                self.writes[write.key].append((write.end_ns, place))
        # For each key: answered by this time, the newest state is at least this one.
        self.newest = {key: self.rising(found) for key, found in self.writes.items()}
        self.began = {(write.key, write.value): write.start_ns for write in play.writes}
        self.failures = {}
        self.stale = 0
        self.judge(play)

    def place_of_write(self, write):
        place = self.places.get((write.key, write.value))
        if write.value is None:
            # REST's one thread makes them all, one after the other, and each is a change.
            place = place[len(self.deletions[write.key])]
            self.deletions[write.key].append((write.start_ns, place))
        return place

    @staticmethod
    def rising(found):
        newest, most = [], 0
        for end_ns, place in sorted(found):
            most = max(most, place)
            newest.append((end_ns, most))
        return newest

    def answered(self, key, by_ns):
        """The newest state of which a write was answered by then."""
        newest = self.newest.get(key, [])
        low, high = 0, len(newest)
        while low < high:
            middle = (low + high) // 2
            if newest[middle][0] < by_ns:
                low = middle + 1
            else:
                high = middle
        return newest[low - 1][1] if low > 0 else 0

    def fail(self, rule, read, detail):
        self.failures.setdefault(f"{rule} {read.client}", f"{read}: {detail}")

    def judge(self, play):
        seen = collections.defaultdict(int)  # (client, key): the newest that it has read or written
        own = [(write.end_ns, write) for write in play.writes if write.end_ns is not None and write.client != "rest"]
        events = [(read.start_ns, 1, read) for read in play.reads] + [(end_ns, 0, write) for end_ns, write in own]
        for _, _, event in sorted(events, key=lambda one: one[:2]):
            before = seen[event.client, event.key]
            newest, oldest = self.places_of_event(event, before)
            if isinstance(event, Read):
                self.judge_read(event, newest, before)
            if oldest is not None:
                seen[event.client, event.key] = max(before, oldest)

    def places_of_event(self, event, seen):
        """What it shows or makes, at the newest and at the oldest."""
        if event.value is not None:
            place = self.places.get((event.key, event.value))
            return place, place
        found = [place for start_ns, place in self.deletions[event.key] if start_ns <= event.end_ns]
        newest = found[-1] if found else None
        return newest, next((place for place in found if place >= seen), newest)

    def judge_read(self, read, place, seen):
        if place is None or (read.value is not None and self.began[read.key, read.value] > read.end_ns):
            self.fail("real", read, "nobody has written that")
            return
        if place < seen:
            self.fail("monotonic", read, f"{seen - place} changes before what it has seen")
        now = self.answered(read.key, read.start_ns)
        if place < now:
            self.stale += 1
            if not read.near:
                self.fail("fresh", read, f"not of the near cache, and {now - place} changes old")
        if place < self.answered(read.key, read.start_ns - int(LEASE_S * 1e9)):
            self.fail("lease", read, "older than the lease allows")


class TestNearCaches(unittest.TestCase):
    def test_no_read_is_staler_than_the_lease_or_goes_back(self):
        print(f"seed {SEED}")
        play = Play(("c", "python", "node"), SEED)
        try:
            play.play(SECONDS)
            self.assertEqual(play.errors, [])
            judge = Judge(play)
        finally:
            play.close()
        counts = collections.Counter((read.client, read.near) for read in play.reads if read.value is not None)
        hits = {name: counts[name, True] for name in play.drivers}
        absent = sum(read.value is None for read in play.reads)
        print(f"{len(play.reads)} reads ({absent} of no record), hits {hits}, {judge.stale} within the lease behind, {len(play.writes)} writes")
        self.assertEqual(judge.failures, {}, f"seed {SEED}")
        for name, count in hits.items():
            self.assertGreaterEqual(count, HITS_LEAST, f"{name} has hardly used its near cache")


if __name__ == "__main__":
    unittest.main()
