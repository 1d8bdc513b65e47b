"""Consumers over the binary protocol: what the server keeps of them, and who reads as one."""

import time
import unittest

import frames
import support
from frames import unpack
from wire_case import WireTest


class TestConsumers(WireTest):
    config = "consumer_lease: 3s\n"

    def put_consumer(self, name, **fields):
        code, answer = self.wire.consumer(frames.CONSUMER_PUT, name=name, **fields)
        self.assertIn(code, (200, 201), answer)
        return answer["consumers"][0]

    def test_it_is_made_shown_listed_and_deleted(self):
        pattern = '{"newImage":{"kind":["dog"]}}'
        code, answer = self.wire.consumer(frames.CONSUMER_PUT, name="made", collection="pets", pattern=pattern)
        self.assertEqual((code, len(answer["consumers"]), answer["more"]), (201, 1, 0))
        made = answer["consumers"][0]
        self.assertEqual((made["name"], made["collection"], made["pattern"]), ("made", "pets", pattern))
        self.assertEqual((made["group"], made["members"], made["lag_events"]), (0, 0, 0))
        self.assertTrue(made["position"])
        code, _ = self.wire.consumer(frames.CONSUMER_PUT, name="made", collection="pets")
        self.assertEqual(code, 200)
        self.put("/pets/lag", {"n": time.monotonic_ns()})

        def lag():
            return self.wire.consumer(frames.CONSUMER_GET, name="made")[1]["consumers"][0]["lag_events"]

        support.eventually(lambda: lag() == 1)  # a write is answered before it is published
        self.assertEqual(self.request("GET", "/consumers/made").json["lag"]["events"], 1, "REST says the same")
        for n in range(3):
            self.put_consumer(f"listed-{n}")
        code, answer = self.wire.consumer(frames.CONSUMER_LIST, after="listed-", limit=2)
        self.assertEqual([one["name"] for one in answer["consumers"]], ["listed-0", "listed-1"])
        self.assertTrue(answer["more"])
        code, answer = self.wire.consumer(frames.CONSUMER_DELETE, name="made")
        self.assertEqual((code, answer["consumers"]), (200, []))
        self.assertEqual(self.wire.consumer(frames.CONSUMER_GET, name="made")[0], 404)
        self.assertEqual(self.request("GET", "/consumers/made").status, 404)

    def test_it_begins_where_it_is_told(self):
        self.put("/pets/begin", {"n": 1})
        earliest = self.put_consumer("from-earliest", **{"from": frames.EARLIEST})
        self.assertGreaterEqual(earliest["lag_events"], 1)
        position = self.position()
        given = self.put_consumer("from-position", **{"from": frames.POSITION, "position": position})
        self.assertEqual(given["position"], position)
        self.put_consumer("from-time", **{"from": frames.TIME, "time_ms": int(time.time() * 1000)})

    def test_what_is_wrong_is_said(self):
        def refused(status, words, action, **fields):
            code, error = self.wire.consumer(action, **fields)
            self.assertEqual((code, error.get("status")), (status, status), error)
            self.assertIn(words, error["detail"])

        put = frames.CONSUMER_PUT
        self.put_consumer("plain")
        refused(400, "A consumer's name", put, name="a/b")
        refused(400, "A consumer's name", frames.CONSUMER_GET, name="")
        refused(400, "no collection", put, name="x", collection="dragons")
        refused(400, "pattern is not JSON", put, name="x", pattern="{")
        refused(400, "from is LATEST", put, name="x", **{"from": frames.FROM_SNAPSHOT})
        refused(400, "position is not", put, name="x", **{"from": frames.POSITION, "position": "no"})
        refused(404, "no consumer", frames.CONSUMER_GET, name="nobody")
        refused(404, "no consumer", frames.CONSUMER_DELETE, name="nobody")
        refused(409, "", put, name="plain", group=True)
        refused(400, "limit is at most 1000", frames.CONSUMER_LIST, limit=1001)
        refused(400, "action is", 9, name="plain")
        self.assertEqual(self.wire.ack("nobody", self.position())["status"], 404)
        self.assertEqual(self.wire.ack("plain", "no")["status"], 400)

    def test_it_is_read_and_acknowledged(self):
        self.put_consumer("reader", collection="pets")
        for n in range(4):
            self.put("/pets/read", {"n": n})
        request = self.wire.subscribe(consumer="reader", credit=100)
        items = self.wire.changes(request, 4)
        self.assertEqual([item[2]["newImage"]["n"] for item in items], [0, 1, 2, 3])
        self.assertIsNone(self.wire.ack("reader", items[1][1]))
        other = self.open()
        again = other.subscribe(consumer="reader", credit=100)
        self.assertEqual([item[2]["newImage"]["n"] for item in other.changes(again, 2)], [2, 3])

    def test_its_readers_end_with_it(self):
        self.put_consumer("ends", collection="pets")
        request = self.wire.subscribe(consumer="ends", credit=100)
        self.assertEqual(self.wire.consumer(frames.CONSUMER_DELETE, name="ends")[0], 200)
        self.error(self.wire.find(request, frames.ERROR), 404)
        self.put_consumer("alters", collection="pets")
        request = self.wire.subscribe(consumer="alters", credit=100)
        self.put_consumer("alters", collection="products")
        self.error(self.wire.find(request, frames.ERROR), 409, "subscribe again")

    def test_a_group_of_two(self):
        self.put_consumer("group", collection="pets", group=True)
        self.error(self.wire.subscribe_frame(consumer="group", credit=1), 409)
        first = self.wire.subscribe(consumer="group", member="a", credit=10000)
        for n in range(50):
            self.put(f"/pets/group-{n}", {"n": 0})
        items = self.wire.changes(first, 50)
        self.assertIsNone(self.wire.ack("group", items[-1][1], "a"))
        other = self.open()
        second = other.subscribe(consumer="group", member="b", credit=10000)
        self.error(self.wire.find(first, frames.ERROR), 409, "subscribe again")
        self.wire.kept.clear()
        first = self.wire.subscribe(consumer="group", member="a", credit=10000)

        # Slots may move once more, to the second.
        def rejoin(wire, member, request):
            frame = next((one for one in wire.kept if one.opcode == frames.ERROR), None)
            if frame is None:
                return request
            wire.kept.clear()
            return wire.subscribe(consumer="group", member=member, credit=10000)

        deadline = time.monotonic() + 30
        seen = {"a": set(), "b": set()}
        every = {f"group-{n}" for n in range(50)}
        written = 0
        while not (seen["a"] and seen["b"] and seen["a"] | seen["b"] == every) and time.monotonic() < deadline:
            for n in range(50):
                self.put(f"/pets/group-{n}", {"n": written + 1})
            written += 1
            for wire, member in ((self.wire, "a"), (other, "b")):
                request = first if member == "a" else second
                try:
                    while True:
                        wire.kept.append(wire.frame(0.1))
                except (TimeoutError, OSError):
                    pass
                for frame in list(wire.kept):
                    if frame.id == request and frame.opcode == frames.CHANGES:
                        wire.kept.remove(frame)
                        changes = [item for item in unpack(frame.body)[0] if frames.is_change(item)]
                        seen[member] |= {item[2]["keys"]["id"] for item in changes}
                        if changes:
                            wire.ack("group", changes[-1][1], member)
                request = rejoin(wire, member, request)
                first, second = (request, second) if member == "a" else (first, request)
        self.assertTrue(seen["a"] and seen["b"], seen)
        self.assertEqual(seen["a"] | seen["b"], every)
        members = self.wire.consumer(frames.CONSUMER_GET, name="group")[1]["consumers"][0]["members"]
        self.assertEqual(members, 2)
        # Who unsubscribes leaves; who is left gets all of it, without a lease to wait for.
        self.assertEqual(other.call(frames.UNSUBSCRIBE, request=second).code, 200)
        support.eventually(
            lambda: self.wire.consumer(frames.CONSUMER_GET, name="group")[1]["consumers"][0]["members"] == 1
        )


if __name__ == "__main__":
    unittest.main()
