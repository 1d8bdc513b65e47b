"""The near cache against a naive model: a server whose history is known, and a wire that delays.

The model keeps every state of every key with its time. Whatever the cache serves must have been current at
some moment within the lease, and be no older than what was read or written before.
"""

import random
import unittest

import support

from freshet._near import ENTRY_OVERHEAD_BYTES, NearCache

LEASE = 2.0
KEYS = [("pets", str(n)) for n in range(5)]
A = ("pets", "a")


def live(cache, now=0.0, position="p"):
    cache.subscribed(position)
    cache.invalidate(position, True, [])
    cache.pong(now)


def fill(cache, key, pair, body=b"x"):
    begun = cache.begin(key)
    cache.fill(key, pair, body, begun)
    cache.end(key)


class Rules(unittest.TestCase):
    def setUp(self):
        self.cache = NearCache(1 << 20, LEASE)

    def test_nothing_is_served_before_there_is_a_lease(self):
        cache = self.cache
        self.assertIsNone(cache.lookup(A, 0.0))
        cache.subscribed("p")
        fill(cache, A, (1, 1))
        self.assertIsNone(cache.lookup(A, 0.0))
        cache.pong(0.0)
        self.assertIsNone(cache.lookup(A, 0.0), "not live")
        cache.invalidate("p", True, [])
        self.assertEqual(cache.lookup(A, 0.0), b"x")
        cache.invalidate("p", False, [])
        self.assertIsNone(cache.lookup(A, 0.0), "behind")

    def test_the_lease_ends_at_its_instant_and_an_old_pong_does_not_shorten_it(self):
        live(self.cache, 10.0)
        fill(self.cache, A, (1, 1))
        self.cache.pong(5.0)
        self.assertEqual(self.cache.lookup(A, 11.999), b"x")
        self.assertIsNone(self.cache.lookup(A, 12.0))

    def test_a_fill_that_is_older_than_an_invalidation_is_dropped(self):
        live(self.cache)
        begun = self.cache.begin(A)
        self.cache.invalidate("q", True, [((1, 6), A)])
        self.cache.fill(A, (1, 5), b"old", begun)
        self.assertIsNone(self.cache.lookup(A, 0.0))
        self.cache.fill(A, (1, 6), b"new", begun)
        self.cache.end(A)
        self.assertEqual(self.cache.lookup(A, 0.0), b"new")
        self.assertEqual(self.cache.statistics().dropped_fills, 1)

    def test_epochs_come_before_sequences_and_versions_play_no_part(self):
        live(self.cache)
        fill(self.cache, A, (2, 1), b"later")
        fill(self.cache, A, (1, 900), b"earlier")
        self.cache.invalidate("q", True, [((1, 999), A)])
        self.assertEqual(self.cache.lookup(A, 0.0), b"later")
        self.cache.invalidate("q", True, [((2, 2), A)])
        self.assertIsNone(self.cache.lookup(A, 0.0))

    def test_a_fill_that_an_own_write_overtook_is_dropped(self):
        live(self.cache)
        begun = self.cache.begin(A)
        self.cache.written(A, (1, 9))
        self.cache.fill(A, (1, 8), b"old", begun)
        self.cache.end(A)
        self.assertIsNone(self.cache.lookup(A, 0.0))

    def test_what_another_request_has_read_is_a_floor_though_it_was_evicted(self):
        live(self.cache)
        slow, quick = self.cache.begin(A), self.cache.begin(A)
        self.cache.fill(A, (1, 9), b"new", quick)
        self.cache.end(A)
        self.cache.forget(A)
        self.cache.fill(A, (1, 8), b"old", slow)
        self.cache.end(A)
        self.assertIsNone(self.cache.lookup(A, 0.0))
        self.assertEqual(self.cache._pending, {})

    def test_an_answer_that_may_not_be_kept_has_been_seen_all_the_same(self):
        early = self.cache.begin(A)  # before changes were heard
        live(self.cache)
        fill(self.cache, A, (1, 5), b"old")
        self.cache.fill(A, (1, 8), b"new", early)
        self.cache.end(A)
        self.assertIsNone(self.cache.lookup(A, 0.0))

    def test_clearing_drops_what_is_under_way_too(self):
        live(self.cache)
        begun = self.cache.begin(A)
        self.cache.clear()
        live(self.cache)
        self.cache.fill(A, (1, 5), b"x", begun)
        self.cache.end(A)
        self.assertIsNone(self.cache.lookup(A, 0.0))
        self.assertEqual(self.cache.statistics().bytes, 0)

    def test_a_lost_connection_suspends_and_keeps(self):
        live(self.cache)
        fill(self.cache, A, (1, 1))
        self.cache.suspend()
        self.assertIsNone(self.cache.lookup(A, 0.0))
        live(self.cache, 1.0)
        self.assertEqual(self.cache.lookup(A, 1.0), b"x")

    def test_memory_is_bounded_and_the_oldest_use_goes_first(self):
        cost = ENTRY_OVERHEAD_BYTES + len("pets") + 1 + 100
        cache = NearCache(3 * cost, LEASE)
        live(cache)
        for n in range(3):
            fill(cache, KEYS[n], (1, n), b"x" * 100)
        cache.lookup(KEYS[0], 0.0)
        fill(cache, KEYS[3], (1, 9), b"x" * 100)
        self.assertEqual([cache.lookup(key, 0.0) is not None for key in KEYS[:4]], [True, False, True, True])
        fill(cache, KEYS[0], (1, 10), b"x" * (4 * cost))
        self.assertIsNone(cache.lookup(KEYS[0], 0.0))
        statistics = cache.statistics()
        self.assertEqual((statistics.entries, statistics.bytes, statistics.evictions), (2, 2 * cost, 1))
        cache = NearCache(cost, LEASE)
        live(cache)
        fill(cache, A, (1, 1), b"x" * 100)
        self.assertIsNotNone(cache.lookup(A, 0.0))
        cache = NearCache(cost - 1, LEASE)
        live(cache)
        fill(cache, A, (1, 1), b"x" * 100)
        self.assertIsNone(cache.lookup(A, 0.0))


class Model:
    """A server with a journal, a connection that delays each direction in order, and a cache behind it."""

    def __init__(self, rng):
        self.rng = rng
        self.now = 0.0
        self.cache = NearCache(rng.choice([700, 1200, 1 << 20]), LEASE)
        self.sequence = 0
        self.epoch = 1
        self.journal = []  # (time, pair, key)
        self.states = {key: [(0.0, (0, 0))] for key in KEYS}  # (since, pair)
        self.seen = {key: (0, 0) for key in KEYS}
        self.hits = 0
        self.connected = False
        self.connect()

    # the connection: what the server has sent and has not arrived, in order but for answers
    def connect(self):
        self.wire = []  # (kind, arguments), in order
        self.to_server = []
        self.answers = []  # in any order
        self.told = self.start_of_telling()
        self.subscribed = False
        self.connected = True

    def start_of_telling(self):
        if self.cache.position == "":
            self.cache.clear()
            return len(self.journal)
        if self.rng.random() < 0.1:  # retention has passed it
            self.cache.clear()
            return len(self.journal)
        return int(self.cache.position)

    def pump(self):
        """The server sends all changes there are on the subscription."""
        if self.told < len(self.journal):
            keys = [(pair, key) for _, pair, key in self.journal[self.told :]]
            self.told = len(self.journal)
            self.wire.append(("invalidate", (str(self.told), True, keys)))

    def write(self, key, own):
        self.sequence += self.rng.randrange(1, 3)
        if self.rng.random() < 0.02:
            self.epoch, self.sequence = self.epoch + 1, 1
        pair = (self.epoch, self.sequence)
        self.journal.append((self.now, pair, key))
        self.states[key].append((self.now, pair))
        if own and self.connected:
            self.answers.append(("written", key, pair, None))

    def read(self, key):
        """A read: from the cache, or sent to the server."""
        body = self.cache.lookup(key, self.now)
        if body is None:
            if self.connected:
                self.to_server.append((key, self.cache.begin(key)))
            return
        self.hits += 1
        pair = tuple(map(int, body.split()))
        later = [since for since, other in self.states[key] if other > pair]
        if later and later[0] <= self.now - LEASE:
            raise AssertionError(f"{key} is stale by {self.now - later[0]} s")
        if pair < self.seen[key]:
            raise AssertionError(f"{key}: {pair} is older than what was seen, {self.seen[key]}")
        self.seen[key] = pair

    def serve(self):
        """The server takes one read, wherever it is, and answers from its state of this moment."""
        if self.to_server:
            key, begun = self.to_server.pop(self.rng.randrange(len(self.to_server)))
            self.answers.append(("read", key, self.states[key][-1][1], begun))

    def ping(self):
        if self.connected and self.subscribed:
            sent_at = self.now
            self.pump()
            self.wire.append(("pong", (sent_at,)))

    def arrive(self):
        """Something arrives."""
        if self.answers and self.rng.random() < 0.5:
            kind, key, pair, begun = self.answers.pop(self.rng.randrange(len(self.answers)))
            if kind == "written":
                self.cache.written(key, pair)
            else:
                self.cache.fill(key, pair, b"%d %d" % pair, begun)
                self.cache.end(key)
            self.seen[key] = max(self.seen[key], pair)
        elif not self.subscribed and self.connected:
            self.subscribed = True
            self.cache.subscribed(str(self.told))
        elif self.wire:
            kind, arguments = self.wire.pop(0)
            getattr(self.cache, kind)(*arguments)

    def cut(self):
        if not self.connected:
            self.connect()
            return
        for key, _ in self.to_server:
            self.cache.end(key)
        for kind, key, _, _ in self.answers:
            if kind == "read":
                self.cache.end(key)
            else:
                self.cache.forget(key)
        self.wire, self.to_server, self.answers = [], [], []
        self.cache.suspend()
        self.connected = False

    def step(self):
        self.now += self.rng.random() * 0.1
        roll = self.rng.random()
        key = self.rng.choice(KEYS)
        if roll < 0.35:
            self.read(key)
        elif roll < 0.42:
            self.write(key, own=self.rng.random() < 0.5)
        elif roll < 0.55:
            self.serve()
        elif roll < 0.60 and self.connected:
            self.pump()
        elif roll < 0.66:
            self.ping()
        elif roll < 0.67:
            self.cut()
        else:
            self.arrive()


class AgainstTheModel(unittest.TestCase):
    def test_nothing_is_ever_staler_than_the_lease_or_older_than_what_was_seen(self):
        seed = support.seed()
        hits = 0
        for run in range(600):
            model = Model(random.Random(seed + run))
            try:
                for _ in range(2000):
                    model.step()
            except AssertionError as failure:
                raise AssertionError(f"FRESHET_SEED={seed + run}: {failure}") from None
            hits += model.hits
        self.assertGreater(hits, 2000, f"FRESHET_SEED={seed}: the cache was hardly used")


if __name__ == "__main__":
    unittest.main()
