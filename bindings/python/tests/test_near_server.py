"""The near cache of both clients against a real server, other writers, and a bad connection."""

import random
import threading
import time
import unittest

import support
from support import eventually

import freshet

CONFIG = """
collections:
  - { name: pets, cache: { ttl: 1h } }
  - { name: products, indexes: [category], fields: [ { name: title, type: string, default: "" } ] }
  - { name: numbers }
  - { name: changed }
"""


class Near:
    """The near cache behind a proxy that cuts and holds back, and writers that it does not know of."""

    config = CONFIG
    LEASE = 0.4

    def setUp(self):
        super().setUp()
        self.proxy = support.Proxy(int(self.server.ready["wire"].rpartition(":")[2]))
        self.addCleanup(self.proxy.close)
        self.db = self.connect(self.proxy.url, near_cache_bytes=1 << 20, lease=self.LEASE)

    def near(self, id):
        """Reads until it comes out of the near cache."""
        return eventually(lambda: (record := self.db.get_record("pets", id)) and record.near and record)

    def test_hits_are_copies_and_are_counted(self):
        self.db.put("pets", "copy", {"list": [1]})
        record = self.near("copy")
        record.value["list"].append(2)
        self.assertEqual(self.near("copy").value["list"], [1])
        self.assertGreater(self.db.near_statistics().hits, 1)
        self.assertEqual(self.db.get_many("pets", ["copy"])[0]["list"], [1])

    def test_what_is_not_there_is_cached_too(self):
        self.assertIsNone(self.db.get("pets", "absent"))
        before = self.db.near_statistics().hits
        eventually(lambda: self.db.get("pets", "absent") is None and self.db.near_statistics().hits > before)
        self.rest.request("PUT", "/pets/absent", {"n": 1})
        eventually(lambda: self.db.get("pets", "absent"))

    def test_own_writes_are_seen_at_once(self):
        for n in range(200):
            self.db.put("pets", "own", {"n": n})
            self.assertEqual(self.db.get("pets", "own")["n"], n)
        self.db.delete("pets", "own")
        self.assertIsNone(self.db.get("pets", "own"))

    def test_a_foreign_write_is_heard_of(self):
        for n in range(20):
            self.rest.request("PUT", "/pets/foreign", {"n": n})
            stale_until = time.monotonic() + self.LEASE

            def is_heard(n=n, stale_until=stale_until):
                begun = time.monotonic()
                heard = self.db.get("pets", "foreign")["n"] == n
                self.assertTrue(heard or begun <= stale_until, "older than the lease allows")
                return heard

            eventually(is_heard)
            self.near("foreign")

    def test_a_cut_connection_keeps_what_is_valid(self):
        self.db.put("pets", "kept", {"n": 1})
        self.near("kept")
        misses = self.db.near_statistics().misses
        entries = self.db.near_statistics().entries
        self.proxy.cut()
        self.near("kept")
        self.assertGreaterEqual(self.db.near_statistics().entries, entries)
        self.assertEqual(self.db.near_statistics().misses, misses)

    def test_nothing_is_staler_than_the_lease_whatever_happens_to_the_connection(self):
        seed = support.seed()
        rng = random.Random(seed)
        keys = [f"c{n}" for n in range(4)]
        history = {key: [] for key in keys}  # (when the write was answered, n)
        stop = threading.Event()
        failures = []

        def write():
            client = self.server.client()
            n = 0
            while not stop.is_set():
                n += 1
                key = keys[n % len(keys)]
                client.request("PUT", f"/pets/{key}", {"n": n})
                history[key].append((time.monotonic(), n))
                stop.wait(0.01)
            client.close()

        hits = [0] * len(keys)

        def read(number):
            # A reader for each key: one that waits for the server does not keep the others from hits.
            key, seen = keys[number], 0
            while not stop.is_set():
                begun = time.monotonic()
                try:
                    record = self.db.get_record("pets", key, timeout=5)
                except (freshet.Timeout, freshet.Disconnected):
                    continue
                n = record.value["n"] if record else 0
                hits[number] += bool(record and record.near)
                due = max((value for at, value in history[key][-200:] if at <= begun - self.LEASE), default=0)
                if n < due:
                    failures.append(f"{key}: {n} is older than the lease allows, {due}")
                if n < seen:
                    failures.append(f"{key}: {n} after {seen}")
                seen = n
                stop.wait(0.002)

        threads = [threading.Thread(target=write)]
        threads += [threading.Thread(target=read, args=(number,)) for number in range(len(keys))]
        for thread in threads:
            thread.start()
        end = time.monotonic() + 4
        while time.monotonic() < end:
            stop.wait(rng.uniform(0.1, 0.6))
            if rng.random() < 0.5:
                self.proxy.cut()
            else:
                self.proxy.flowing.clear()
                stop.wait(rng.uniform(0, 4 * self.LEASE))
                self.proxy.flowing.set()
        stop.set()
        for thread in threads:
            thread.join(30)
        self.assertEqual(failures, [], f"FRESHET_SEED={seed}")
        self.assertGreater(sum(hits), 100, f"FRESHET_SEED={seed}")

    def test_a_restart_of_the_server_is_survived(self):
        self.db.put("pets", "restart", {"n": 1})
        self.near("restart")
        self.restart()
        self.rest.request("PUT", "/pets/restart", {"n": 2})
        eventually(lambda: self.db.get("pets", "restart")["n"] == 2)
        self.assertEqual(self.near("restart").value["n"], 2)


support.for_both(Near, support.RealTest)


if __name__ == "__main__":
    unittest.main()
