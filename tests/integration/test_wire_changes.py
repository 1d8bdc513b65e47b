"""Changes, invalidations and the rest of the control frames over the binary protocol."""

import json
import os
import random
import re
import threading
import time
import unittest

import frames
import support
from frames import decode, encode, pack, unpack
from wire_case import WireTest


class TestChanges(WireTest):
    def test_what_is_written_comes_with_a_pattern(self):
        pattern = json.dumps({"newImage": {"kind": ["dog"]}})
        dogs = self.wire.subscribe(collection="pets", pattern=pattern, credit=100)
        self.put("/pets/kitty", {"kind": "cat"})
        self.put("/pets/fido", {"kind": "dog", "price": 1.5})
        self.put("/products/x", {"kind": "dog"})
        self.request("DELETE", "/pets/fido")
        items = self.wire.changes(dogs, 2)
        self.assertEqual([frames.shown(item) for item in items], ["INSERT fido", "REMOVE fido"])
        self.assertEqual(items[0][2]["newImage"], {"id": "fido", "kind": "dog", "price": 1.5})
        self.assertEqual(items[1][2]["oldImage"], {"id": "fido", "kind": "dog", "price": 1.5})

    def test_it_says_when_nothing_more_is_published(self):
        pets = self.wire.subscribe(collection="pets", credit=100)
        kinds = [item[0] for item in self.wire.until(pets, bool)]
        self.assertEqual(kinds, [frames.CAUGHT_UP])
        self.put("/pets/rex", {"n": time.monotonic_ns()})
        items = self.wire.until(pets, lambda all: all and all[-1][0] == frames.CAUGHT_UP)
        self.assertEqual([item[0] for item in items], [frames.CHANGE, frames.CAUGHT_UP])
        self.assertIsNone(items[1][2])
        self.assertEqual(items[0][1], items[1][1], "it stands behind that change")

    def test_views(self):
        self.put("/pets/view", {"n": 0})
        ids = [self.wire.subscribe(collection="pets", view=view, credit=9) for view in range(4)]
        self.put("/pets/view", {"n": 1})
        shown = {view: self.wire.changes(ids[view], 1)[0][2] for view in range(4)}
        has = {view: ("newImage" in shown[view], "oldImage" in shown[view]) for view in range(4)}
        self.assertEqual(has[frames.BOTH], (True, True))
        self.assertEqual(has[frames.KEYS], (False, False))
        self.assertEqual(has[frames.NEW], (True, False))
        self.assertEqual(has[frames.OLD], (False, True))

    def test_json(self):
        pets = self.wire.subscribe(flags=frames.JSON, collection="pets", credit=9)
        self.put("/pets/json", '{"price":1.50}')
        frame = self.wire.find(pets, frames.CHANGES)
        items = unpack(frame.body)[0]
        while not any(frames.is_change(item) for item in items):
            frame = self.wire.find(pets, frames.CHANGES)
            items = unpack(frame.body)[0]
        self.assertEqual(frame.flags, frames.JSON)
        text = next(item[2] for item in items if frames.is_change(item))
        self.assertIn('"newImage":{"id":"json","price":1.50}', text)
        self.assertEqual(json.loads(text)["eventName"], "INSERT")

    def test_nothing_without_credit(self):
        pets = self.wire.subscribe(collection="pets")
        for n in range(3):
            self.put(f"/pets/credit-{n}", {"n": time.monotonic_ns()})
        self.wire.quiet(pets, 0.4)
        self.wire.credit(pets, 1)
        self.assertEqual([frames.shown(item) for item in self.wire.changes(pets, 1)], ["INSERT credit-0"])
        self.wire.quiet(pets, 0.2)
        self.wire.credit(pets, 1)
        self.wire.credit(pets, 5)
        rest = self.wire.changes(pets, 2)
        self.assertEqual([frames.shown(item) for item in rest], ["INSERT credit-1", "INSERT credit-2"])
        self.put("/pets/credit-3", {})
        self.assertEqual(frames.shown(self.wire.changes(pets, 1)[0]), "INSERT credit-3")

    def test_credit_of_one_that_is_not_there_is_left_alone(self):
        self.wire.credit(4711, 10)
        self.assertEqual(self.wire.call(frames.PING, b"x").body, b"x")

    def test_credit_that_cannot_be_read_ends_the_subscription(self):
        pets = self.wire.subscribe(collection="pets", credit=1)
        self.wire.send(frames.CREDIT, b"\xff\xff", pets)
        self.error(self.wire.find(pets, frames.ERROR), 400)
        self.assertEqual(self.wire.subscribe_frame(pets, collection="pets").code, 200, "its id is free")

    def test_a_snapshot_then_its_changes(self):
        for n in range(20):
            self.put(f"/products/snap-{n:02}", {"n": n})
        products = self.wire.subscribe(**{"collection": "products", "from": frames.FROM_SNAPSHOT}, credit=1000)
        items = self.wire.until(products, lambda all: any(item[0] == frames.SYNCED for item in all))
        self.assertEqual([item[0] for item in items if item[0] == frames.SYNCED], [frames.SYNCED])
        synced = [item[0] for item in items].index(frames.SYNCED)
        rows = [item for item in items[:synced] if item[0] == frames.SNAPSHOT]
        names = {item[2]["keys"]["id"] for item in rows if item[2]["keys"]["id"].startswith("snap-")}
        self.assertEqual(names, {f"snap-{n:02}" for n in range(20)})
        self.put("/products/snap-00", {"n": 100})
        self.assertEqual(frames.shown(self.wire.changes(products, 1)[0]), "MODIFY snap-00")

    def test_a_snapshot_goes_on_from_its_middle(self):
        for n in range(30):
            self.put(f"/products/middle-{n:02}", {"n": n})
        fields = {"collection": "products", "from": frames.FROM_SNAPSHOT}
        first = self.wire.subscribe(**fields, credit=11)
        begun = self.wire.changes(first, 11)
        self.wire.call(frames.UNSUBSCRIBE, request=first)
        self.wire.kept.clear()
        fields["from"] = frames.POSITION
        rest = self.wire.subscribe(**fields, position=begun[-1][1], credit=1000)
        items = self.wire.until(rest, lambda all: any(item[0] == frames.SYNCED for item in all))
        names = [item[2]["keys"]["id"] for item in begun + items if item[0] == frames.SNAPSHOT]
        self.assertEqual(len(names), len(set(names)))
        self.assertLessEqual({f"middle-{n:02}" for n in range(30)}, set(names))

    def test_it_goes_on_after_any_position(self):
        start = self.position()
        for n in range(5):
            self.put("/pets/resume", {"n": n})
        fields = {"collection": "pets", "from": frames.POSITION}
        first = self.wire.subscribe(**fields, position=start, credit=100)
        items = self.wire.changes(first, 5)
        self.assertEqual([item[2]["newImage"]["n"] for item in items], list(range(5)))
        second = self.wire.subscribe(**fields, position=items[1][1], credit=100)
        self.assertEqual([item[2]["newImage"]["n"] for item in self.wire.changes(second, 3)], [2, 3, 4])

    def test_from_earliest_and_from_a_time(self):
        self.put("/pets/early", {"n": 1})
        early = self.wire.subscribe(**{"collection": "pets", "from": frames.EARLIEST}, credit=10000)
        self.assertTrue(self.wire.position)
        self.assertTrue(self.wire.changes(early, 1))
        time.sleep(0.02)  # pause between tries: two writes with times of their own
        since = int(time.time() * 1000)
        self.put("/pets/late", {"n": time.monotonic_ns()})
        fields = {"collection": "pets", "from": frames.TIME, "time_ms": since}
        late = self.wire.subscribe(**fields, credit=100)
        self.assertEqual(self.wire.position, "", "it is still being looked for")
        self.assertEqual(self.wire.changes(late, 1)[0][2]["keys"]["id"], "late")

    def test_a_time_in_the_future_is_refused(self):
        fields = {"from": frames.TIME, "time_ms": int(time.time() * 1000) + 3600_000}
        request = self.wire.subscribe(**fields, credit=1)
        self.error(self.wire.find(request, frames.ERROR), 400, "in the future")

    def test_enter_and_leave(self):
        pattern = json.dumps({"newImage": {"cheap": [True]}})
        cheap = self.wire.subscribe(collection="pets", pattern=pattern, enter_leave=True, credit=100)
        self.put("/pets/enter", {"cheap": False})
        self.put("/pets/enter", {"cheap": True})
        self.put("/pets/enter", {"cheap": True, "n": 1})
        self.put("/pets/enter", {"cheap": False})
        items = self.wire.changes(cheap, 3)
        self.assertEqual([item[2].get("transition") for item in items], ["enter", None, "leave"])
        self.assertNotIn("newImage", items[2][2])

    def test_progress_where_nothing_matches(self):
        pattern = json.dumps({"newImage": {"nothing": ["matches"]}})
        request = self.wire.subscribe(collection="pets", pattern=pattern, credit=1, progress_ms=50)
        self.put("/pets/progress", {"n": time.monotonic_ns()})
        began = time.monotonic()
        items = self.wire.until(request, lambda all: sum(item[0] == frames.PROGRESS for item in all) >= 10)
        self.assertLess(time.monotonic() - began, 25, "not each 5 s, which is the default")
        self.assertEqual({item[0] for item in items}, {frames.PROGRESS, frames.CAUGHT_UP})
        fields = {"collection": "pets", "from": frames.POSITION, "position": items[-1][1]}
        after = self.wire.subscribe(**fields, credit=10)
        self.put("/pets/progress", {"n": time.monotonic_ns()})
        self.assertEqual(len(self.wire.changes(after, 1)), 1, "progress is a position to go on from")

    def test_users_events_come_where_no_collection_is_asked_for(self):
        everything = self.wire.subscribe(credit=100)
        pets = self.wire.subscribe(collection="pets", credit=100)
        answer = self.request("POST", "/events", {"source": "test", "detail-type": "Ping", "detail": {"n": 1}})
        self.assertEqual(answer.status, 201, answer)
        self.assertEqual(self.wire.changes(everything, 1)[0][2]["eventName"], "EVENT")
        self.put("/pets/event", {"n": time.monotonic_ns()})
        self.assertEqual(self.wire.changes(pets, 1)[0][2]["eventName"], "INSERT")

    def test_the_largest_change(self):
        text = "x" * (1024 * 1024 - 100)
        big = self.wire.subscribe(collection="pets", credit=10)
        self.put("/pets/big", {"text": text})
        self.put("/pets/big", {"text": "y" + text[1:]})
        items = self.wire.changes(big, 2)
        self.assertEqual(items[0][2]["newImage"]["text"], text)
        self.assertEqual(items[1][2]["oldImage"]["text"], text)
        self.request("DELETE", "/pets/big")

    def test_unsubscribe_in_the_middle(self):
        start = self.position()
        for n in range(300):
            self.put("/pets/unsubscribe", {"n": n})
        fields = {"collection": "pets", "from": frames.POSITION, "position": start}
        request = self.wire.subscribe(**fields, credit=100000)
        self.wire.changes(request, 1)
        self.assertEqual(self.wire.call(frames.UNSUBSCRIBE, request=request).code, 200)
        self.wire.kept.clear()
        self.put("/pets/unsubscribe", {"n": -1})
        self.wire.quiet(request, 0.2)
        self.assertEqual(self.wire.call(frames.UNSUBSCRIBE, request=request).code, 200, "again")

    def test_what_is_wrong_is_said(self):
        def refused(status, words, request=None, **fields):
            self.error(self.wire.subscribe_frame(request, **fields), status, words)

        refused(404, "no collection 'dragons'", collection="dragons")
        refused(404, "no collection", collection="_consumers")
        refused(400, "pattern is not JSON: line 1, column 2", pattern="{")
        refused(400, "price", pattern='{"price":1}')
        refused(400, "The position is not one that this server gave", **{"from": frames.POSITION, "position": "no"})
        refused(400, "from is LATEST", **{"from": 9})
        refused(400, "view is BOTH", view=9)
        refused(400, "progress_ms is at least 50", progress_ms=49)
        refused(400, "member is of a consumer", member="a")
        refused(400, "from where it stands", consumer="c", collection="pets")
        refused(400, "Invalidations have no", invalidate=True, credit=1)
        refused(400, "Invalidations have no", invalidate=True, **{"from": frames.FROM_SNAPSHOT})
        refused(404, "no consumer of that name", consumer="nobody")
        refused(400, "A consumer's name", consumer="a b")
        self.error(self.wire.call(frames.SUBSCRIBE, b"\xff"), 400)

    def test_a_second_subscription_of_one_id_ends_the_first(self):
        request = self.wire.subscribe(collection="pets", credit=10)
        self.error(self.wire.subscribe_frame(request, collection="pets", credit=10), 409, "of that id already")
        self.wire.kept.clear()  # what the first had been sent before
        self.put("/pets/twice", {"n": time.monotonic_ns()})
        self.wire.call(frames.PING)
        self.wire.quiet(request, 0.3)
        self.assertEqual(self.wire.subscribe_frame(request, collection="pets").code, 200)

    def test_invalidations_do_not_begin_within_a_snapshot(self):
        for n in range(3):
            self.put(f"/pets/within-{n}", {"n": time.monotonic_ns()})
        records = self.wire.subscribe(collection="pets", credit=1, **{"from": frames.FROM_SNAPSHOT})
        position = self.wire.changes(records, 1)[0][1]
        answer = self.wire.subscribe_frame(invalidate=True, position=position, **{"from": frames.POSITION})
        self.error(answer, 400, "snapshot")
        self.assertEqual(self.wire.call(frames.PING).opcode, frames.PING | 0x80)

    def test_the_feature_is_asked_for(self):
        with frames.Wire(self.server, features=()) as plain:
            self.error(plain.subscribe_frame(invalidate=True), 400, "HELLO asks for")
            self.error(plain.subscribe_frame(flags=frames.JSON), 400, "JSON")

    def test_so_many_on_one_connection(self):
        most = self.wire.welcome["subscriptions_max"]
        ids = [self.wire.subscribe(collection="pets", credit=1, view=frames.KEYS) for _ in range(most)]
        self.error(self.wire.subscribe_frame(collection="pets"), 503, "as many subscriptions")
        self.put("/pets/many", {"n": time.monotonic_ns()})
        for request in ids[:: most // 16]:
            self.assertEqual(len(self.wire.changes(request, 1)), 1)


class TestInvalidations(WireTest):
    def test_keys_of_what_others_write(self):
        self.put("/pets/inv", {"n": -1})
        request = self.wire.subscribe(invalidate=True)
        first = self.wire.invalidation(request)
        self.assertTrue(first.live, "there is nothing more")
        self.assertEqual(first.keys, [])
        written = [self.put("/pets/inv", {"n": n}) for n in range(3)]
        self.request("DELETE", "/pets/inv")
        keys = self.wire.keys(request, 4)
        self.assertEqual([key[2:] for key in keys], [["pets", "inv"]] * 4)
        tags = [f'"0-{epoch:x}-{sequence:x}"' for epoch, sequence, _, _ in keys[:3]]
        self.assertEqual(tags, [answer.headers["etag"] for answer in written])

    def test_one_collection_only_and_no_events(self):
        request = self.wire.subscribe(invalidate=True, collection="pets")
        everything = self.wire.subscribe(invalidate=True)
        self.put("/products/inv", {"n": time.monotonic_ns()})
        self.request("POST", "/events", {"source": "test", "detail-type": "Ping", "detail": {}})
        self.put("/pets/only", {"n": time.monotonic_ns()})
        self.assertEqual([key[2:] for key in self.wire.keys(request, 1)], [["pets", "only"]])
        keys = [key[2:] for key in self.wire.keys(everything, 2)]
        self.assertEqual(keys, [["products", "inv"], ["pets", "only"]])

    def test_live_ends_and_comes_again(self):
        start = self.position()
        for n in range(3000):
            self.put("/pets/live", {"n": n})
        fields = {"from": frames.POSITION, "position": start, "invalidate": True}
        request = self.wire.subscribe(**fields)
        seen = [self.wire.invalidation(request)]
        while not seen[-1].live:
            seen.append(self.wire.invalidation(request))
        self.assertGreater(len(seen), 1)
        self.assertEqual(sum(len(one.keys) for one in seen), 3000)
        fields["position"] = seen[0].position
        rest = self.wire.subscribe(**fields)
        self.assertEqual(len(self.wire.keys(rest, 3000 - len(seen[0].keys))), 3000 - len(seen[0].keys))

    def test_progress(self):
        request = self.wire.subscribe(invalidate=True, progress_ms=50)
        began = time.monotonic()
        marks = [self.wire.invalidation(request) for _ in range(10)]
        self.assertLess(time.monotonic() - began, 25, "not each 5 s, which is the default")
        self.assertEqual({(mark.live, len(mark.keys)) for mark in marks}, {(True, 0)})

    def test_pong_comes_behind_what_was_committed(self):
        request = self.wire.subscribe(invalidate=True)
        for n in range(200):
            tag = self.put("/pets/pong", {"n": n}).headers["etag"]
            sequence = int(tag.strip('"').split("-")[2], 16)
            ping = self.wire.send(frames.PING, b"%d" % n)
            keys = []
            while True:
                frame = self.wire.frame()
                if frame.opcode == frames.PING | 0x80:
                    break
                self.assertEqual((frame.opcode, frame.id), (frames.INVALIDATE, request))
                keys += unpack(frame.body)[0][2]
            self.assertEqual((frame.id, frame.body), (ping, b"%d" % n))
            self.assertIn(sequence, [key[1] for key in keys])

    def test_many_pings_keep_their_order_and_are_bounded(self):
        self.wire.subscribe(invalidate=True)
        stop = threading.Event()
        client = self.server.client()

        def write():
            n = 0
            while not stop.is_set():
                client.request("PUT", "/pets/pings", {"n": n})
                n += 1

        writer = threading.Thread(target=write)
        writer.start()
        try:
            ids = [self.wire.send(frames.PING, b"%d" % n) for n in range(500)]
            answers = [self.wire.find(request) for request in ids]
        finally:
            stop.set()
            writer.join()
            client.close()
        pongs = [frame for frame in answers if frame.opcode == frames.PING | 0x80]
        for frame in answers:
            if frame.opcode == frames.ERROR:
                self.error(frame, 429, "16 PINGs")
        self.assertGreater(len(pongs), 0)
        self.assertTrue(all(frame.body == b"%d" % ids.index(frame.id) for frame in pongs))

    def test_a_ping_without_invalidations_and_one_that_is_too_long(self):
        self.assertEqual(self.wire.call(frames.PING, b"").body, b"")
        self.assertEqual(self.wire.call(frames.PING, b"x" * 64).body, b"x" * 64)
        self.error(self.wire.call(frames.PING, b"x" * 65), 400, "64 bytes")


class TestSlow(WireTest):
    """A client that does not read costs its socket's buffers and a few frames."""

    arguments = ("--threads", "1", "--durability", "none")
    count = 100_000

    def write(self, count):
        writer = self.open()
        tail = pack({"text": "x" * 200})
        for begin in range(0, count, 500):
            bodies = (b"\x93" + pack("pets") + pack(f"slow-{n}") + tail for n in range(begin, begin + 500))
            header = frames.HEADER
            writer.socket.sendall(
                b"".join(header.pack(len(body), frames.PUT, 0, 0, 10, 0) + body for body in bodies)
            )
            self.assertEqual({writer.frame().code for _ in range(500)} - {200, 201}, set())

    def names(self, wire, opcode, request):
        """Of all changes, read off the bytes: there are many."""
        found = []
        while len(found) < self.count:
            frame = wire.frame()
            self.assertEqual((frame.opcode, frame.id), (opcode, request))
            found += map(int, re.findall(rb"slow-(\d+)", frame.body))
        return found

    def test_it_lags_and_gets_all_of_it(self):
        start = self.position()
        fields = {"collection": "pets", "from": frames.POSITION, "position": start}
        slow = self.open(receive_bytes=4096)
        request = slow.subscribe(**fields, view=frames.KEYS, credit=1 << 30)
        invalidations = self.open(receive_bytes=4096)
        invalidating = invalidations.subscribe(**fields, invalidate=True)
        self.write(self.count)
        support.eventually(lambda: self.metric("freshet_subscriptions_stuck") >= 2)
        self.assertLess(self.metric("freshet_wire_memory_bytes"), 4 << 20)
        ping = invalidations.send(frames.PING, b"late")
        numbers = list(range(self.count))
        self.assertEqual(self.names(slow, frames.CHANGES, request), numbers)
        self.assertEqual(self.names(invalidations, frames.INVALIDATE, invalidating), numbers)
        self.assertEqual(invalidations.find(ping).body, b"late", "behind all of it")


class TestStats(WireTest):
    def test_figures_are_those_of_metrics(self):
        request = self.wire.subscribe(collection="pets", credit=10)
        self.put("/pets/stats", {"n": time.monotonic_ns()})
        self.wire.changes(request, 1)
        answer = self.wire.call(frames.STATS)
        metrics = {one["name"]: one["value"] for one in decode("Stats", answer.body)["metrics"]}
        self.assertGreaterEqual(len(metrics), 20)
        text = self.request("GET", "/metrics").text
        for name in metrics:
            self.assertRegex(text, rf"(?m)^{name} \S+$")
        self.assertEqual(metrics["freshet_wire_subscriptions"], 1)
        self.assertEqual(metrics["freshet_published_sequence"], self.metric("freshet_published_sequence"))

    def test_metrics(self):
        request = self.wire.subscribe(collection="pets", credit=10)
        invalidations = self.wire.subscribe(invalidate=True)
        self.put("/pets/metrics", {"n": time.monotonic_ns()})
        self.wire.changes(request, 1)
        self.wire.keys(invalidations, 1)
        self.error(self.wire.subscribe_frame(collection="dragons"), 404)
        self.wire.call(frames.PING, b"")
        leasts = [
            ("freshet_wire_connections", 1),
            ("freshet_wire_connections_accepted_total", 1),
            ("freshet_wire_connections_refused_total", 0),
            ("freshet_wire_received_bytes_total", 1),
            ("freshet_wire_sent_bytes_total", 1),
            ("freshet_wire_memory_bytes", 1),
            ("freshet_wire_errors_total", 1),
            ("freshet_wire_subscriptions", 2),
            ("freshet_wire_changes_total", 1),
            ("freshet_wire_invalidations_total", 1),
            ('freshet_wire_requests_total{opcode="SUBSCRIBE"}', 3),
            ('freshet_wire_answers_total{opcode="SUBSCRIBE",code="200"}', 2),
            ('freshet_wire_answers_total{opcode="ERROR",code="404"}', 1),
            ('freshet_wire_answers_total{opcode="CHANGES",code="0"}', 1),
            ('freshet_wire_timeouts_total{kind="hello"}', 0),
        ]
        for name, least in leasts:
            support.eventually(lambda name=name, least=least: self.metric(name) >= least)
        text = self.request("GET", "/metrics").text
        for name, _ in leasts:
            self.assertRegex(text, rf"(?m)^{re.escape(name)} \d+$")
            family = name.partition("{")[0]
            self.assertRegex(text, rf"(?m)^# HELP {family} \S")
            self.assertRegex(text, rf"(?m)^# TYPE {family} (counter|gauge)$")


class TestEnds(unittest.TestCase):
    """What outlives the server, and what its end says."""

    def start(self, *arguments, data=None):
        server = support.Server(arguments, data=data)
        self.addCleanup(server.remove)
        return server.start()

    def put(self, server, path, body):
        client = server.client()
        answer = client.request("PUT", path, body)
        client.close()
        self.assertIn(answer.status, (200, 201), answer)
        return answer

    def test_a_position_outlives_a_kill(self):
        server = self.start()
        with frames.Wire(server) as wire:
            pets = wire.subscribe(collection="pets", credit=100)
            invalidations = wire.subscribe(invalidate=True)
            self.put(server, "/pets/rex", {"n": 1})
            position = wire.changes(pets, 1)[0][1]
            mark = wire.invalidation(invalidations)
            while not mark.keys:
                mark = wire.invalidation(invalidations)
            self.put(server, "/pets/rex", {"n": 2})
            server.kill()
        server.start()
        self.put(server, "/pets/rex", {"n": 3})
        with frames.Wire(server) as wire:
            fields = {"from": frames.POSITION}
            pets = wire.subscribe(**fields, collection="pets", position=position, credit=100)
            self.assertEqual([item[2]["newImage"]["n"] for item in wire.changes(pets, 2)], [2, 3])
            invalidations = wire.subscribe(**fields, position=mark.position, invalidate=True)
            epochs = [key[0] for key in wire.keys(invalidations, 2)]
            self.assertLess(epochs[0], epochs[1], "a new epoch")
        self.assertEqual(server.stop(), 0)

    def test_a_position_of_another_store_has_expired(self):
        other = self.start()
        position = self.put(other, "/pets/rex", {}).headers["freshet-position"]
        self.assertEqual(other.stop(), 0)
        server = self.start()
        self.put(server, "/pets/rex", {})
        with frames.Wire(server) as wire:
            answer = wire.subscribe_frame(**{"from": frames.POSITION, "position": position})
            self.assertEqual((answer.opcode, answer.code), (frames.ERROR, 410))
            error = decode("Error", answer.body)
            self.assertEqual(error["type"], "position-expired")
            wire.subscribe(**{"from": frames.POSITION, "position": error["newest"]}, credit=9)
            oldest = wire.subscribe(**{"from": frames.POSITION, "position": error["oldest"]}, credit=9)
            self.assertEqual(frames.shown(wire.changes(oldest, 1)[0]), "INSERT rex")
        self.assertEqual(server.stop(), 0)

    def test_who_is_passed_by_retention_is_told(self):
        server = self.start("--segment-bytes", "16MiB", "--retention-bytes", "16MiB", "--journal-tail-max", "1MiB",
                            "--durability", "none", "--shards", "1", "--recent-bytes", "1MiB")
        client = server.client()
        self.addCleanup(client.close)
        with frames.Wire(server) as wire:
            waits = wire.subscribe(collection="pets")
            other = wire.subscribe(collection="products", credit=100)
            position = self.put(server, "/pets/first", {}).headers["freshet-position"]
            text = "x" * (1000 << 10)

            def trimmed():
                for n in range(20):
                    client.request("PUT", f"/pets/{n % 4}", {"n": time.monotonic_ns(), "text": text})
                fields = {"from": frames.POSITION, "position": position}
                answer = wire.subscribe_frame(**fields)
                wire.call(frames.UNSUBSCRIBE, request=answer.id)
                return answer.code == 410

            support.eventually(trimmed, 60)
            wire.credit(waits, 1)
            frame = wire.find(waits, frames.ERROR, timeout_s=30)
            error = decode("Error", frame.body)
            self.assertEqual((frame.code, error["type"]), (410, "position-expired"))
            wire.subscribe(**{"from": frames.POSITION, "position": error["oldest"]})
            answer = wire.subscribe_frame(**{"from": frames.TIME, "time_ms": 1})
            self.assertEqual(wire.find(answer.id, frames.ERROR).code, 410)
            self.put(server, "/products/x", {})
            self.assertEqual(len(wire.changes(other, 1)), 1, "all others go on")
        self.assertEqual(server.stop(), 0)

    def test_subscriptions_of_all_are_bounded(self):
        server = self.start("--threads", "1", "--subscriptions-max", "4")
        with frames.Wire(server) as wire:
            answers = [wire.subscribe_frame(collection="pets") for _ in range(5)]
            refused = [decode("Error", one.body)["detail"] for one in answers if one.code == 503]
            self.assertGreaterEqual(len(refused), 1)
            self.assertIn("too many subscriptions", refused[0])
        self.assertEqual(server.stop(), 0)

    def test_goaway_has_the_positions(self):
        server = self.start()
        wire = frames.Wire(server)
        self.addCleanup(wire.close)
        pets = wire.subscribe(collection="pets", credit=100)
        stuck = wire.subscribe(collection="pets")
        invalidations = wire.subscribe(invalidate=True)
        for n in range(3):
            self.put(server, "/pets/rex", {"n": n})
        wire.changes(pets, 3)
        wire.keys(invalidations, 3)
        server.process.send_signal(15)
        goaway = wire.find(0, frames.GOAWAY)
        message = decode("Goaway", goaway.body)
        positions = {one["id"]: one["position"] for one in message["subscriptions"]}
        self.assertEqual(set(positions), {pets, stuck, invalidations})
        self.assertIn("shutting down", message["detail"])
        self.assertIsNone(wire.frame(), "and it closes")
        self.assertEqual(server.process.wait(20), 0)
        server.process.stdout.close()
        server.process = None
        server.start()
        self.put(server, "/pets/rex", {"n": 3})
        with frames.Wire(server) as wire:
            for request, numbers in ((pets, [3]), (stuck, [0, 1, 2, 3])):
                fields = {"collection": "pets", "from": frames.POSITION, "position": positions[request]}
                again = wire.subscribe(**fields, credit=100)
                items = wire.changes(again, len(numbers))
                self.assertEqual([item[2]["newImage"]["n"] for item in items], numbers)
        self.assertEqual(server.stop(), 0)


class TestRandom(WireTest):
    """Hundreds of subscriptions that are opened and closed at random while others write."""

    arguments = ("--threads", "2")
    rounds = int(os.environ.get("FRESHET_WIRE_ROUNDS", "2000"))

    def fields(self, chance, position):
        kind = chance.randrange(8)
        fields = {"credit": chance.choice([0, 1, 7, 100000]), "progress_ms": chance.choice([0, 50, 200])}
        if kind == 0:
            return {"invalidate": True, "progress_ms": 50}
        if kind == 1:
            return {**fields, "consumer": chance.choice(["random", "group"]), "member": "m" * chance.randrange(3)}
        if chance.random() < 0.7:
            fields["collection"] = chance.choice(["pets", "products"])
        if chance.random() < 0.4:
            fields["pattern"] = json.dumps({"newImage": {"n": [{"numeric": ["<", chance.randrange(9)]}]}})
            fields["enter_leave"] = chance.random() < 0.5
        fields["from"] = chance.choice([frames.LATEST, frames.EARLIEST, frames.FROM_SNAPSHOT, frames.TIME, frames.POSITION])
        fields["time_ms"] = int(time.time() * 1000) - chance.randrange(2000)
        fields["position"] = position
        return fields

    def write(self, stop, seed):
        chance = random.Random(seed)
        client = self.server.client()
        while not stop.is_set():
            path = f"/{chance.choice(['pets', 'products'])}/{chance.randrange(50)}"
            if chance.random() < 0.2:
                client.request("DELETE", path)
            else:
                client.request("PUT", path, {"n": chance.randrange(10), "text": "x" * chance.randrange(2000)})
        client.close()

    def test_nothing_is_left_behind(self):
        seed = int(os.environ.get("FRESHET_SEED", random.SystemRandom().randrange(1 << 32)))
        print(f"seed {seed}")
        chance = random.Random(seed)
        own = self.metric("freshet_subscriptions")
        self.wire.consumer(frames.CONSUMER_PUT, name="random")
        self.wire.consumer(frames.CONSUMER_PUT, name="group", group=True)
        position = self.position()
        stop = threading.Event()
        writers = [threading.Thread(target=self.write, args=(stop, seed + n)) for n in range(2)]
        for writer in writers:
            writer.start()
        try:
            self.run_rounds(chance, position)
        finally:
            stop.set()
            for writer in writers:
                writer.join()
        self.assertEqual(self.wire.call(frames.PING, b"alive").body, b"alive")
        self.wire.close()
        support.eventually(lambda: self.metric("freshet_wire_connections") == 0)
        self.assertEqual(self.metric("freshet_wire_subscriptions"), 0)
        self.assertEqual(self.metric("freshet_subscriptions"), own)
        support.eventually(lambda: self.metric("freshet_wire_memory_bytes") == 0)

    def run_rounds(self, chance, position):
        wires = []
        for _ in range(self.rounds):
            if len(wires) < 8 or chance.random() < 0.1:
                wires.append([frames.Wire(self.server, receive_bytes=chance.choice([None, 4096])), {}])
            wire, open_ids = chance.choice(wires)
            what = chance.randrange(10)
            if what < 5:
                flags = chance.choice([0, 0, frames.JSON])
                fields = self.fields(chance, position)
                flags = 0 if fields.get("invalidate") else flags
                open_ids[wire.send(frames.SUBSCRIBE, encode("Subscribe", **fields), flags=flags)] = True
            elif what < 7 and open_ids:
                wire.send(frames.UNSUBSCRIBE, b"", chance.choice(list(open_ids)))
            elif what < 8 and open_ids:
                wire.credit(chance.choice(list(open_ids)), chance.randrange(50))
            elif what < 9:
                wire.send(frames.PING, b"ping")
                try:
                    # Some of what there is: with the writers at work there is no end to it.
                    for _ in range(30):
                        wire.frame(0.005)
                except (TimeoutError, OSError):
                    pass
            elif len(wires) > 4:
                wire.close()
                wires.remove([wire, open_ids])
        for wire, _ in wires:
            wire.close()


if __name__ == "__main__":
    unittest.main()
