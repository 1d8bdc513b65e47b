"""Both clients follow a real server's changes: subscriptions, consumers, and a kill -9 in mid-stream."""

import datetime
import threading
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

    def test_a_consumer_gets_nothing_twice_over_a_kill_though_it_was_not_acknowledged(self):
        self.db.consumers.put("twice", collection="pets", start="latest")
        subscription = self.db.subscribe(consumer="twice", window=8)
        for n in range(10):
            self.db.put("pets", "twice", {"n": n})
        found = [one.new_image["n"] for one in self.take(subscription, 3)]
        subscription.ack()
        found += [one.new_image["n"] for one in self.take(subscription, 3)]
        self.restart()
        self.db.put("pets", "twice", {"n": 10})
        found += [one.new_image["n"] for one in self.take(subscription, 5)]
        self.assertEqual(found, list(range(11)))
        subscription.ack()
        eventually(lambda: self.db.consumers.get("twice").lag_events == 0)
        subscription.close()
        self.db.consumers.delete("twice")

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
