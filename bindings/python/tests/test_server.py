"""Both clients against a real server: every call, every error, and what survives a kill -9 in mid-stream."""

import datetime
import random
import threading
import time
import unittest
from decimal import Decimal

import support
from support import eventually

import freshet
from freshet import Create, Delete, Get, Patch, Put

CONFIG = """
collections:
  - { name: pets, cache: { ttl: 1h } }
  - { name: products, indexes: [category], fields: [ { name: title, type: string, default: "" } ] }
  - { name: numbers }
  - { name: changed }
"""


class Records:
    config = CONFIG

    def setUp(self):
        super().setUp()
        self.db = self.connect()

    def test_a_record_lives_from_create_to_delete(self):
        made = self.db.create("pets", {"name": "Rex"})
        self.assertEqual((made.version, made.created, made.changed), (1, True, True))
        self.assertEqual(self.db.get("pets", made.id), {"id": made.id, "name": "Rex"})
        replaced = self.db.put("pets", made.id, {"name": "Tom"})
        self.assertEqual((replaced.id, replaced.version, replaced.created), (made.id, 2, False))
        patched = self.db.patch("pets", made.id, {"age": 3, "name": None})
        self.assertEqual(patched.version, 3)
        record = self.db.get_record("pets", made.id)
        self.assertEqual((record.value, record.version, record.etag),
                         ({"id": made.id, "age": 3}, 3, patched.etag))
        self.assertIs(self.db.delete("pets", made.id), True)
        self.assertIs(self.db.delete("pets", made.id), False)
        self.assertIsNone(self.db.get("pets", made.id))
        self.assertIsNone(self.db.get_record("pets", made.id))

    def test_an_equal_write_changes_nothing(self):
        first = self.db.put("pets", "equal", {"a": 1, "b": 2})
        again = self.db.put("pets", "equal", {"b": 2, "a": 1})
        self.assertEqual((again.etag, again.position, again.version), (first.etag, first.position, first.version))
        self.assertEqual((first.changed, again.changed, again.created), (True, False, False))
        # What was read can be written back, id and all.
        self.assertFalse(self.db.put("pets", "equal", self.db.get("pets", "equal")).changed)

    def test_the_etag_is_the_one_of_rest(self):
        written = self.db.put("pets", "etag", {"n": 1})
        answer = self.rest.request("GET", "/pets/etag")
        self.assertEqual(answer.headers["etag"], written.etag)
        self.assertEqual(self.db.get_record("pets", "etag").etag, written.etag)
        answer = self.rest.request("PUT", "/pets/etag", {"n": 2}, {"If-Match": written.etag})
        self.assertEqual(answer.status, 200)
        self.assertEqual(self.db.get("pets", "etag"), {"id": "etag", "n": 2})

    def test_preconditions(self):
        first = self.db.put("pets", "pre", {"n": 1}, if_absent=True)
        for call in (lambda: self.db.put("pets", "pre", {"n": 2}, if_absent=True),
                     lambda: self.db.put("pets", "pre", {"n": 2}, if_match='"0-0-1"'),
                     lambda: self.db.put("pets", "nobody", {"n": 2}, if_match="*"),
                     lambda: self.db.patch("pets", "pre", {"n": 2}, if_match='"0-0-1"'),
                     lambda: self.db.delete("pets", "pre", if_match='"0-0-1"')):
            with self.assertRaises(freshet.PreconditionFailed) as caught:
                call()
            self.assertEqual(caught.exception.code, 412)
            self.assertTrue(caught.exception.detail)
        with self.assertRaises(freshet.NotModified):
            self.db.get("pets", "pre", if_none_match=first.etag)
        second = self.db.put("pets", "pre", {"n": 2}, if_match=first.etag)
        self.assertEqual(self.db.get("pets", "pre", if_none_match=first.etag)["n"], 2)
        third = self.db.patch("pets", "pre", {"n": 3}, if_match=second.etag)
        self.assertIs(self.db.delete("pets", "pre", if_match=third.etag), True)

    def test_an_idempotency_key_gives_the_first_answer_again(self):
        first = self.db.create("pets", {"n": 1}, idempotency_key="once")
        again = self.db.create("pets", {"n": 1}, idempotency_key="once")
        self.assertEqual(again.id, first.id)
        with self.assertRaises(freshet.Unprocessable):
            self.db.create("pets", {"n": 2}, idempotency_key="once")

    def test_errors_have_the_codes_of_rest(self):
        cases = [
            (freshet.NotFound, 404, lambda: self.db.get("none", "a")),
            (freshet.NotFound, 404, lambda: self.db.put("none", "a", {})),
            (freshet.NotFound, 404, lambda: self.db.patch("pets", "nobody", {"a": 1})),
            (freshet.NotFound, 404, lambda: list(self.db.list("none"))),
            (freshet.Invalid, 400, lambda: self.db.get("pets", "")),
            (freshet.Invalid, 400, lambda: self.db.put("pets", "x" * 513, {})),
            (freshet.Invalid, 400, lambda: self.db.put("pets", "a", {"id": "b"})),
            (freshet.Invalid, 400, lambda: self.db.create("pets", {"id": "b"})),
            (freshet.Invalid, 400, lambda: list(self.db.list("products", title="a"))),
            (freshet.Invalid, 400, lambda: list(self.db.list("pets", page_size=0))),
            (freshet.Invalid, 400, lambda: self.db.get("pets", "a", min_position="nonsense")),
            (freshet.Invalid, 400, lambda: self.db.subscribe("pets", start="nonsense")),
            (freshet.Invalid, 400, lambda: self.db.subscribe("pets", {"a": [{"nonsense": 1}]})),
            (freshet.TooLarge, 413, lambda: self.db.put("pets", "a", {"x": "x" * (1 << 20)})),
            (freshet.Unprocessable, 422, lambda: self.db.put("products", "a", {"title": 1})),
            (freshet.Unprocessable, 422, lambda: self.db.put("pets", "a", {"n": Decimal("1e400")})),
            (freshet.NotFound, 404, lambda: self.db.subscribe("none")),
            (freshet.NotFound, 404, lambda: self.db.subscribe(consumer="nobody")),
        ]
        for number, (kind, code, call) in enumerate(cases):
            with self.subTest(number=number):
                with self.assertRaises(kind) as caught:
                    call()
                self.assertEqual(caught.exception.code, code, caught.exception)
                self.assertTrue(caught.exception.detail)
        self.db.ping()

    def test_get_many_and_a_batch(self):
        for n in range(5):
            self.db.put("pets", f"m{n}", {"n": n})
        found = self.db.get_many("pets", ["m3", "nobody", "m0", "m3"])
        self.assertEqual(found, [{"id": "m3", "n": 3}, None, {"id": "m0", "n": 0}, {"id": "m3", "n": 3}])
        self.assertEqual(self.db.get_many("pets", []), [])
        results = self.db.batch([
            Put("pets", "b", {"n": 1}), Get("pets", "b"), Patch("pets", "b", {"n": 2}), Delete("pets", "b"),
            Delete("pets", "b"), Get("pets", "b"), Create("pets", {"n": 3}), Put("pets", "b", {}, if_match="*"),
            Get("none", "b")])
        self.assertTrue(results[0].created)
        self.assertEqual(results[1], {"id": "b", "n": 1})
        self.assertEqual((results[2].version, results[3], results[4], results[5]), (2, True, False, None))
        self.assertEqual(self.db.get("pets", results[6].id)["n"], 3)
        self.assertIsInstance(results[7], freshet.PreconditionFailed)
        self.assertIsInstance(results[8], freshet.NotFound)
        self.assertEqual(self.db.batch([]), [])

    def test_get_many_asks_again_for_what_a_short_answer_leaves_out(self):
        large = "x" * (900 << 10)
        for n in range(7):
            self.db.put("pets", f"large{n}", {"n": n, "x": large})
        found = self.db.get_many("pets", [f"large{n}" for n in range(7)])
        self.assertEqual([record["n"] for record in found], list(range(7)))
        for n in range(7):
            self.db.delete("pets", f"large{n}")

    def test_lists_come_page_by_page_in_the_order_of_the_ids(self):
        names = sorted(f"l{n}" for n in range(25))
        for name in names:
            self.db.put("products", name, {"title": name, "category": "odd" if int(name[1:]) % 2 else "even"})
        for size in (1, 7, 25, 1000, None):
            found = [one["id"] for one in self.db.list("products", page_size=size)]
            self.assertEqual(found, names)
        self.assertEqual([one["id"] for one in self.db.list("products", page_size=3, category="odd")],
                         [name for name in names if int(name[1:]) % 2])
        self.assertEqual(list(self.db.list("products", category="none")), [])
        last = self.db.put("products", "last", {"category": "even"})
        self.assertEqual([one["id"] for one in self.db.list("products", min_position=last.position)][0], "l0")
        self.db.delete("products", "last")

    def test_a_read_waits_for_a_position(self):
        answer = self.rest.request("PUT", "/pets/p", {"n": 1})
        position = answer.headers["freshet-position"]
        self.assertEqual(self.db.get("pets", "p", min_position=position), {"id": "p", "n": 1})
        written = self.db.put("pets", "p", {"n": 2})
        self.assertEqual(self.rest.request("GET", "/pets/p", headers={"freshet-min-position": written.position}).json["n"], 2)
        self.assertEqual(self.db.get("pets", "p", fresh=True)["n"], 2)

    def test_numbers_are_those_of_rest_digit_for_digit(self):
        from test_codec import KEPT
        for number, text in enumerate(KEPT):
            value = freshet.loads(text)
            self.db.put("numbers", str(number), {"n": value})
            answer = self.rest.request("GET", f"/numbers/{number}")
            self.assertEqual(answer.text, f'{{"id":"{number}","n":{text}}}')
            self.rest.request("PUT", f"/numbers/r{number}", f'{{"n":{text}}}')
            read = self.db.get("numbers", f"r{number}", fresh=True)
            self.assertEqual(freshet.dumps(read["n"]), text)
            self.assertFalse(self.db.put("numbers", f"r{number}", read).changed, text)
        self.db.put("numbers", "d", {"n": Decimal("1.50"), "m": Decimal("29.99"), "i": 10**30})
        self.assertEqual(self.rest.request("GET", "/numbers/d").text,
                         '{"id":"d","n":1.50,"m":29.99,"i":1000000000000000000000000000000}')

    def test_stats_and_consumers(self):
        self.assertGreater(self.db.stats()["freshet_wire_connections"], 0)
        made = self.db.consumers.put("c1", collection="pets", pattern={"changed": ["n"]}, start="earliest")
        self.assertEqual((made.name, made.collection, made.pattern, made.group),
                         ("c1", "pets", {"changed": ["n"]}, False))
        self.assertEqual(self.db.consumers.get("c1").name, "c1")
        self.db.consumers.put("c2", group=True)
        listed = [info.name for info in self.db.consumers.list()]
        self.assertEqual([name for name in listed if name in ("c1", "c2")], ["c1", "c2"])
        self.assertIs(self.db.consumers.delete("c1"), True)
        self.assertIs(self.db.consumers.delete("c1"), False)
        self.assertIsNone(self.db.consumers.get("c1"))
        self.assertIs(self.db.consumers.delete("c2"), True)

    def test_checksums(self):
        db = self.connect(checked=True)
        db.put("pets", "checked", {"n": 1})
        self.assertEqual(db.get("pets", "checked"), {"id": "checked", "n": 1})


support.for_both(Records, support.RealTest)


class Stream:
    config = CONFIG

    def setUp(self):
        super().setUp()
        self.db = self.connect()

    def take(self, subscription, count):
        found = []
        for _ in range(count):
            one = subscription.next(15)
            self.assertIsNotNone(one, f"only {len(found)} of {count} came")
            found.append(one)
        return found

    def test_changes_have_all_their_parts(self):
        with_id = self.db.subscribe("pets")
        first = self.db.put("pets", "s1", {"a": 1})
        self.db.put("pets", "s1", {"a": 2, "b": 1})
        self.db.delete("pets", "s1")
        insert, modify, remove = self.take(with_id, 3)
        self.assertEqual([one.event_name for one in (insert, modify, remove)], ["INSERT", "MODIFY", "REMOVE"])
        self.assertEqual((insert.collection, insert.id, insert.new_image, insert.old_image, insert.position),
                         ("pets", "s1", {"id": "s1", "a": 1}, None, first.position))
        self.assertEqual((sorted(modify.changed), modify.old_image["a"], modify.new_image["a"], modify.version),
                         (["a", "b"], 1, 2, 2))
        self.assertIsNone(remove.new_image)
        self.assertLess(insert.sequence, modify.sequence)
        self.assertIsInstance(insert.time, datetime.datetime)
        with_id.close()

    def test_views_patterns_and_enter_leave(self):
        start = self.db.put("pets", "v0", {"x": 0}).position
        for n in (1, 5, 2):
            self.db.put("pets", "v", {"x": n, "y": n * n})
        keys = self.take(self.db.subscribe("pets", view="keys", start=start), 3)
        self.assertTrue(all(one.new_image is None and one.old_image is None for one in keys))
        big = {"newImage": {"x": [{"numeric": [">", 3]}]}}
        [one] = self.take(self.db.subscribe("pets", big, start=start), 1)
        self.assertEqual(one.new_image["x"], 5)
        moved = self.take(self.db.subscribe("pets", big, start=start, enter_leave=True), 2)
        self.assertEqual([one.transition for one in moved], ["enter", "leave"])

    def test_starts(self):
        before = datetime.datetime.now(datetime.timezone.utc)
        self.db.put("changed", "t1", {"n": 1})
        at = self.take(self.db.subscribe("changed", start="earliest"), 1)[0].time
        self.assertLess(abs(at - before), datetime.timedelta(minutes=1))
        [one] = self.take(self.db.subscribe("changed", start=at), 1)
        self.assertEqual(one.id, "t1")
        latest = self.db.subscribe("changed", start="latest")
        self.assertIsNone(latest.next(0.05))
        self.db.put("changed", "t2", {"n": 1})
        self.assertEqual(self.take(latest, 1)[0].id, "t2")
        again = self.db.subscribe("changed", start=latest.position)
        self.db.put("changed", "t3", {"n": 1})
        self.assertEqual(self.take(again, 1)[0].id, "t3")

    def test_a_snapshot_and_its_tail(self):
        for n in range(20):
            self.db.put("products", f"snap{n}", {"n": n})
        self.db.delete("products", "snap7")
        subscription = self.db.subscribe("products", start="snapshot", window=4)
        records = {}
        while (one := subscription.next(15)).event_name != "SYNCED":
            self.assertEqual(one.event_name, "SNAPSHOT")
            records[one.id] = one.new_image["n"]
        self.assertEqual(records, {f"snap{n}": n for n in range(20) if n != 7})
        self.db.put("products", "snap7", {"n": 7})
        self.assertEqual(self.take(subscription, 1)[0].event_name, "INSERT")

    def test_progress_is_told_where_wanted(self):
        subscription = self.db.subscribe("pets", {"newImage": {"never": ["this"]}}, progress=True)
        for n in range(3):
            self.db.put("pets", "progress", {"n": n})
        self.assertEqual(subscription.next(15).event_name, "PROGRESS")

    def test_somebodys_own_event_comes_too(self):
        subscription = self.db.subscribe()
        event = {"source": "shop", "detail-type": "Order Placed", "detail": {"total": 1}}
        self.assertEqual(self.rest.request("POST", "/events", event).status, 201)
        [one] = self.take(subscription, 1)
        self.assertEqual((one.event_name, one.id, one.raw["source"]), ("EVENT", None, "shop"))

    def test_a_consumer_goes_on_from_what_is_acknowledged(self):
        self.db.consumers.put("work", collection="pets", start="latest")
        for n in range(5):
            self.db.put("pets", f"w{n}", {"n": n})
        with_it = self.db.subscribe(consumer="work")
        self.assertEqual([one.id for one in self.take(with_it, 2)], ["w0", "w1"])
        with_it.ack()
        self.take(with_it, 2)
        with_it.close()
        again = self.db.subscribe(consumer="work")
        found = self.take(again, 3)
        self.assertEqual([one.id for one in found], ["w2", "w3", "w4"])
        self.db.ack("work", found[-1].position)
        eventually(lambda: self.db.consumers.get("work").lag_events == 0)
        self.db.consumers.delete("work")

    def test_members_of_a_group_share_the_records(self):
        self.db.consumers.put("team", collection="pets", group=True, start="latest")
        members = {name: self.db.subscribe(consumer="team", member=name) for name in ("one", "two")}
        found = {name: [] for name in members}
        stop = threading.Event()

        def work(name):
            while not stop.is_set():
                change = members[name].next(0.05)
                if change is not None:
                    found[name].append(change.id)
                    members[name].ack()

        threads = [threading.Thread(target=work, args=(name,)) for name in members]
        for thread in threads:
            thread.start()
        for n in range(60):
            self.db.put("pets", f"g{n}", {"n": n})
        wanted = {f"g{n}" for n in range(60)}
        eventually(lambda: set(found["one"]) | set(found["two"]) == wanted)
        stop.set()
        for thread in threads:
            thread.join()
        # Those that were under way when the second member came may have gone to both.
        self.assertTrue(found["one"] and found["two"], found)
        for subscription in members.values():
            subscription.close()
        self.db.consumers.delete("team")

    def test_a_position_of_another_store_has_expired(self):
        other = support.integration.Server()
        self.addCleanup(other.remove)
        other.start()
        client = other.client()
        position = client.request("PUT", "/pets/x", {}).headers["freshet-position"]
        client.close()
        self.assertEqual(other.stop(), 0)
        with self.assertRaises(freshet.PositionExpired) as caught:
            subscription = self.db.subscribe("pets", start=position)
            subscription.next(15)
        self.assertTrue(caught.exception.oldest)
        self.assertTrue(caught.exception.newest)

    def test_a_slow_taker_loses_nothing(self):
        subscription = self.db.subscribe("pets", window=5)
        for n in range(200):
            self.db.put("pets", "slow", {"n": n})
        found = self.take(subscription, 200)
        self.assertEqual([one.new_image["n"] for one in found], list(range(200)))

    def test_a_kill_in_mid_stream_leaves_no_gap_and_no_duplicate(self):
        subscription = self.db.subscribe("pets", {"newImage": {"kill": [{"exists": True}]}}, window=50)
        snapshot = self.db.subscribe("pets", start="snapshot", window=20)
        acknowledged, stop = [], threading.Event()

        def write():
            n = 0
            while not stop.is_set():
                n += 1
                try:
                    self.db.put("pets", f"k{n % 10}", {"kill": n})
                    acknowledged.append(n)
                except freshet.FreshetError as failure:
                    if not isinstance(failure, (freshet.OutcomeUnknown, freshet.Disconnected, freshet.Busy)):
                        raise

        writer = threading.Thread(target=write)
        writer.start()
        found = []
        for _ in range(3):
            found += self.take(subscription, 60)
            self.restart()
        stop.set()
        writer.join()
        while not set(acknowledged) <= {one.new_image["kill"] for one in found}:
            found += self.take(subscription, 1)
        values = [one.new_image["kill"] for one in found]
        self.assertEqual(values, sorted(set(values)))
        self.assertGreater(len(acknowledged), 150)
        # A second one was in the middle of its snapshot: it holds what GET shows in the end.
        held = {}
        last = self.db.put("pets", "last", {"last": True}).position
        while True:
            one = snapshot.next(15)
            self.assertIsNotNone(one)
            if one.event_name == "REMOVE":
                held.pop(one.id, None)
            elif one.id is not None:
                held[one.id] = one.new_image
            if one.position == last:
                break
        self.assertEqual(held, {one["id"]: one for one in self.db.list("pets")})

    def test_a_clean_restart_is_nothing_but_a_pause(self):
        subscription = self.db.subscribe("pets")
        self.db.put("pets", "clean", {"n": 1})
        self.take(subscription, 1)
        self.assertEqual(self.server.stop(), 0)
        self.server.start()
        self.assertEqual(self.db.get("pets", "clean")["n"], 1)
        self.db.put("pets", "clean", {"n": 2})
        [one] = self.take(subscription, 1)
        self.assertEqual(one.new_image["n"], 2)


support.for_both(Stream, support.RealTest)


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
            begun = time.monotonic()
            eventually(lambda: self.db.get("pets", "foreign")["n"] == n)
            self.assertLess(time.monotonic() - begun, self.LEASE + 0.2)
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
        seed = random.SystemRandom().randrange(1 << 32)
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

        hits = [0]

        def read():
            seen = dict.fromkeys(keys, 0)
            while not stop.is_set():
                for key in keys:
                    begun = time.monotonic()
                    try:
                        record = self.db.get_record("pets", key, timeout=5)
                    except (freshet.Timeout, freshet.Disconnected):
                        continue
                    n = record.value["n"] if record else 0
                    hits[0] += bool(record and record.near)
                    due = max((value for at, value in history[key][-200:] if at <= begun - self.LEASE), default=0)
                    if n < due:
                        failures.append(f"{key}: {n} is older than the lease allows, {due}")
                    if n < seen[key]:
                        failures.append(f"{key}: {n} after {seen[key]}")
                    seen[key] = n
                time.sleep(0.001)

        threads = [threading.Thread(target=write), threading.Thread(target=read)]
        for thread in threads:
            thread.start()
        end = time.monotonic() + 4
        while time.monotonic() < end:
            stop.wait(rng.uniform(0.1, 0.6))
            if rng.random() < 0.5:
                self.proxy.cut()
            else:
                self.proxy.flowing.clear()
                stop.wait(rng.uniform(0, 2 * self.LEASE))
                self.proxy.flowing.set()
        stop.set()
        for thread in threads:
            thread.join(30)
        self.assertEqual(failures, [], f"seed {seed}")
        self.assertGreater(hits[0], 20, f"seed {seed}")

    def test_a_restart_of_the_server_is_survived(self):
        self.db.put("pets", "restart", {"n": 1})
        self.near("restart")
        self.restart()
        self.rest.request("PUT", "/pets/restart", {"n": 2})
        eventually(lambda: self.db.get("pets", "restart")["n"] == 2)
        self.assertEqual(self.near("restart").value["n"], 2)


support.for_both(Near, support.RealTest)


class ManyThreads(support.RealTest):
    """One blocking client, shared."""

    def test_threads_write_read_and_follow_without_disturbing_each_other(self):
        db = self.connect(near_cache_bytes=1 << 20)
        failures = []
        subscription = db.subscribe("pets")

        def work(name):
            try:
                for n in range(60):
                    db.put("pets", name, {"n": n})
                    if db.get("pets", name)["n"] != n:
                        failures.append((name, n))
                with db.subscribe("pets", {"keys": {"id": [name]}}, start="earliest") as own:
                    if [own.next(15).new_image["n"] for _ in range(60)] != list(range(60)):
                        failures.append(name)
            except Exception as failure:
                failures.append(failure)

        threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(6)]
        for thread in threads:
            thread.start()
        counts = {}
        for _ in range(360):
            change = subscription.next(15)
            self.assertEqual(change.new_image["n"], counts.get(change.id, 0))
            counts[change.id] = counts.get(change.id, 0) + 1
        for thread in threads:
            thread.join(60)
        self.assertEqual(failures, [])


if __name__ == "__main__":
    unittest.main()
