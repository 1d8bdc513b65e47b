"""GET /changes against a real server: every sentence of the contract on server-sent events and pages."""

import json
import os
import select
import shutil
import socket
import subprocess
import threading
import time
import unittest
import urllib.parse

import sse
import support

MIB = 1 << 20


class ChangesTest(support.ServerTest):
    """Each test uses a collection's ids of its own, told apart by the test's name."""

    def setUp(self):
        super().setUp()
        self.prefix = self.id().rpartition(".")[2]

    def record(self, name="1"):
        return f"/pets/{self.prefix}-{name}"

    def stream(self, headers=None, **query):
        stream = sse.Stream(self.server, sse.target(**query), headers)
        self.addCleanup(stream.close)
        return stream

    def mine(self, **pattern):
        """A pattern that lets the changes of this test through alone."""
        return {"keys": {"id": [{"prefix": self.prefix}]}, **pattern}

    def page(self, headers=None, **query):
        answer = self.request("GET", sse.target(**query), headers=headers)
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.headers["content-type"], "application/json")
        return answer.json

    def now(self):
        """The position of the newest change."""
        return self.page()["next"]


class TestEvents(ChangesTest):
    def test_a_stream_is_open_at_once_and_says_so(self):
        stream = self.stream()
        self.assertEqual(stream.status, 200)
        self.assertEqual(stream.headers["content-type"], "text/event-stream")
        self.assertEqual(stream.headers["cache-control"], "no-store")
        self.assertEqual(stream.headers["x-accel-buffering"], "no")
        self.assertEqual(stream.headers["access-control-allow-origin"], "*")
        self.assertNotIn("content-length", stream.headers)
        self.put(self.record(), {"a": 1})
        event = stream.next()
        self.assertTrue(event.comments, "the first line is a comment")
        self.assertTrue(1000 <= stream.retry < 3000)

    def test_insert_modify_and_remove_with_their_images(self):
        stream = self.stream(pattern=self.mine())
        self.put(self.record(), '{"a":1,"b":1.50}')
        self.put(self.record(), '{"a":2,"b":1.50}')
        self.request("DELETE", self.record())
        insert, modify, remove = stream.changes(3)
        ident = f"{self.prefix}-1"
        for event, name in ((insert, "INSERT"), (modify, "MODIFY"), (remove, "REMOVE")):
            self.assertEqual(event.name, name.lower())
            self.assertEqual(event.data["eventName"], name)
            self.assertEqual(event.data["eventSource"], "freshet")
            self.assertEqual(event.data["collection"], "pets")
            self.assertEqual(event.data["keys"], {"id": ident})
            self.assertRegex(event.data["eventID"], "^[A-Za-z0-9_-]+$")
            self.assertRegex(event.data["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertTrue(0 < len(event.id) <= 4096)
        self.assertEqual(insert.data["newImage"], {"id": ident, "a": 1, "b": 1.5})
        self.assertIn('"b":1.50', insert.text, "digit for digit")
        self.assertNotIn("oldImage", insert.data)
        self.assertEqual(insert.data["changed"], [])
        self.assertEqual(modify.data["oldImage"], {"id": ident, "a": 1, "b": 1.5})
        self.assertEqual(modify.data["newImage"], {"id": ident, "a": 2, "b": 1.5})
        self.assertEqual(modify.data["changed"], ["a"])
        self.assertEqual(modify.data["version"], 2)
        self.assertEqual(remove.data["oldImage"], {"id": ident, "a": 2, "b": 1.5})
        self.assertNotIn("newImage", remove.data)
        self.assertEqual(remove.data["changed"], [])
        sequences = [event.data["sequence"] for event in (insert, modify, remove)]
        self.assertEqual(sequences, sorted(set(sequences)))

    def test_an_equal_write_is_no_change(self):
        stream = self.stream(pattern=self.mine())
        self.put(self.record(), {"a": 1, "b": 2})
        self.put(self.record(), {"b": 2, "a": 1})
        self.put(self.record(), {"a": 2, "b": 2})
        self.assertEqual([event.name for event in stream.changes(2)], ["insert", "modify"])

    def test_whoever_has_heard_of_a_change_reads_it(self):
        stream = self.stream(pattern=self.mine())
        for i in range(50):
            self.put(self.record(), {"i": i})
            event = stream.next()
            client = self.server.client()
            self.assertGreaterEqual(client.request("GET", self.record()).json["i"], event.data["newImage"]["i"])
            client.close()

    def test_a_collection_and_a_pattern_choose(self):
        position = self.now()
        self.put(f"/products/{self.prefix}", {"title": self.prefix, "price": 5})
        self.put(self.record(), {"price": 5})
        self.put(self.record(), {"price": 7})
        self.put(self.record(), {"price": 7, "name": "x"})
        by_collection = self.stream(**{"from": position}, collection="products").next()
        self.assertEqual(by_collection.data["collection"], "products")
        price = self.stream(**{"from": position}, pattern=self.mine(changed=["price"])).next()
        self.assertEqual(price.data["newImage"]["price"], 7)
        self.assertEqual(price.name, "modify")

    def test_views(self):
        position = self.now()
        self.put(self.record(), {"a": 1})
        self.put(self.record(), {"a": 2})
        images = {"keys": set(), "new": {"newImage"}, "old": {"oldImage"}, "both": {"newImage", "oldImage"}}
        for view, expected in images.items():
            event = self.stream(**{"from": position}, pattern=self.mine(), view=view).changes(2)[1]
            self.assertEqual(expected, {"newImage", "oldImage"} & set(event.data), view)
            self.assertEqual(event.data["keys"]["id"], f"{self.prefix}-1")

    def test_a_record_that_enters_and_leaves_the_pattern(self):
        position = self.now()
        pattern = self.mine(newImage={"state": ["open"]})
        for state in ("closed", "open", "open", "closed", "open"):
            self.put(self.record(), {"state": state, "n": time.monotonic_ns()})
        self.request("DELETE", self.record())
        query = {"from": position, "pattern": pattern}
        told = [
            (event.data["eventName"], event.data.get("transition"))
            for event in self.stream(**query, enter_leave="true").changes(5)
        ]
        self.assertEqual(
            told,
            [("MODIFY", "enter"), ("MODIFY", None), ("MODIFY", "leave"), ("MODIFY", "enter"), ("REMOVE", "leave")],
        )
        without = self.stream(**query).changes(4)
        self.assertEqual([event.name for event in without], ["modify", "modify", "modify", "remove"])
        self.assertNotIn("transition", without[0].data)

    def test_a_remove_does_not_leak_what_the_pattern_excludes(self):
        position = self.now()
        self.put(self.record("secret"), {"state": "closed"})
        self.request("DELETE", self.record("secret"))
        self.put(self.record("public"), {"state": "open"})
        pattern = self.mine(newImage={"state": ["open"]})
        for query in ({}, {"enter_leave": "true"}):
            event = self.stream(**{"from": position}, pattern=pattern, **query).next()
            self.assertEqual(event.data["keys"]["id"], f"{self.prefix}-public")

    def test_users_own_events(self):
        stream = self.stream(pattern={"source": [self.prefix]})
        body = {"source": self.prefix, "detail-type": "greeting", "detail": {"n": 1}}
        self.assertIn(self.request("POST", "/events", body).status, (200, 201, 202))
        event = stream.next()
        self.assertEqual(event.name, "event")
        self.assertEqual(event.data["eventName"], "EVENT")
        self.assertEqual(event.data["detail"], {"n": 1})
        self.assertNotIn("collection", event.data)

    def test_last_event_id_goes_on_and_wins_over_from(self):
        first = self.stream(pattern=self.mine())
        for i in range(5):
            self.put(self.record(str(i)), {"i": i})
        events = first.changes(5)
        first.close()
        self.put(self.record("5"), {"i": 5})
        for at in range(5):
            again = self.stream({"Last-Event-ID": events[at].id}, pattern=self.mine(), **{"from": "latest"})
            told = [event.data["newImage"]["i"] for event in again.changes(5 - at)]
            self.assertEqual(told, list(range(at + 1, 6)))

    def test_an_id_is_good_for_pages_and_next_is_good_for_events(self):
        stream = self.stream(pattern=self.mine())
        self.put(self.record("1"), {})
        event = stream.next()
        self.put(self.record("2"), {})
        page = self.page(pattern=json.dumps(self.mine()), **{"from": event.id})
        self.assertEqual([change["keys"]["id"] for change in page["changes"]], [f"{self.prefix}-2"])
        self.put(self.record("3"), {})
        again = self.stream(pattern=self.mine(), **{"from": page["next"]}).next()
        self.assertEqual(again.data["keys"]["id"], f"{self.prefix}-3")

    def test_from_a_time(self):
        stream = self.stream(pattern=self.mine())
        self.put(self.record("before"), {})
        before = stream.next().data["time"]
        event, n = None, 0
        while event is None or event.data["time"] == before:
            n += 1
            self.put(self.record(str(n)), {})
            event = stream.next()
        first = self.stream(pattern=self.mine(), **{"from": event.data["time"]}).next()
        self.assertEqual(first.id, event.id)
        offset = event.data["time"].replace("Z", " 00:00")  # what an unencoded '+' becomes
        self.assertEqual(self.stream(pattern=self.mine(), **{"from": offset}).next().id, event.id)

    def test_snapshot_then_synced_then_what_changes(self):
        for i in range(20):
            self.put(self.record(f"{i:02}"), {"i": i})
        stream = self.stream(pattern=self.mine(), collection="pets", **{"from": "snapshot"})
        seen = {}
        while (event := stream.next()).name != "synced":
            self.assertEqual(event.name, "snapshot")
            self.assertEqual(event.data["eventName"], "INSERT")
            self.assertNotIn(event.data["keys"]["id"], seen)
            seen[event.data["keys"]["id"]] = event.data["newImage"]["i"]
        self.assertEqual(seen, {f"{self.prefix}-{i:02}": i for i in range(20)})
        self.assertIn("position", event.data)
        self.put(self.record("07"), {"i": 100})
        self.assertEqual(stream.next().name, "modify")

    def test_a_snapshot_goes_on_after_a_reconnect(self):
        for i in range(30):
            self.put(self.record(f"{i:02}"), {"i": i})
        query = {"pattern": self.mine(), "collection": "pets", "from": "snapshot"}
        state, last_id, synced = {}, None, False
        while not synced:
            stream = self.stream({"Last-Event-ID": last_id} if last_id else None, **query)
            for _ in range(7):
                event = stream.next()
                last_id = event.id
                if event.name == "synced":
                    synced = True
                    break
                self.assertNotIn(event.data["keys"]["id"], state, "no duplicate")
                state[event.data["keys"]["id"]] = event.data["newImage"]["i"]
            stream.close()
        self.assertEqual(state, {f"{self.prefix}-{i:02}": i for i in range(30)})

    def test_two_tabs_hear_the_same(self):
        tabs = [self.stream(pattern=self.mine()) for _ in range(2)]
        for i in range(100):
            self.put(self.record(str(i % 7)), {"i": i})
        heard = [[(event.id, event.text) for event in tab.changes(100)] for tab in tabs]
        self.assertEqual(heard[0], heard[1])

    def test_progress_when_nothing_matches(self):
        stream = self.stream(pattern={"keys": {"id": ["never"]}})
        self.put(self.record(), {"a": 1})
        event = stream.next()
        self.assertEqual(event.name, "progress")
        self.assertEqual(event.data, {"position": event.id})
        page = self.page(pattern=json.dumps(self.mine()), **{"from": event.id})
        self.assertEqual(page["changes"], [], "the position has moved on")

    def test_a_heartbeat_comes_within_15_seconds(self):
        stream = self.stream(pattern={"keys": {"id": ["never"]}})
        deadline = time.monotonic() + support.REQUEST_TIMEOUT_S
        while not [line for line in stream.comments if line == ""]:
            self.assertLess(time.monotonic(), deadline)
            try:
                event = stream.next(timeout_s=1)
                stream.comments += event.comments
            except TimeoutError:
                pass

    def test_http_1_0_gets_a_body_until_the_connection_closes(self):
        position = self.now()
        self.put(self.record(), {"a": 1})
        stream = sse.Stream(
            self.server, sse.target(pattern=self.mine(), **{"from": position}),
            {"Connection": "keep-alive"}, version="1.0",
        )
        self.addCleanup(stream.close)
        self.assertNotIn("transfer-encoding", stream.headers)
        self.assertEqual(stream.headers["connection"], "close")
        self.assertEqual(stream.next().name, "insert")

    def test_a_request_behind_a_stream_waits_and_does_not_disturb_it(self):
        with self.server.connect() as connection:
            connection.sendall(b"GET /changes HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n" * 2)
            connection.settimeout(1)
            data = b""
            try:
                while True:
                    data += connection.recv(65536)
            except socket.timeout:
                pass
        self.assertEqual(data.count(b"HTTP/1.1 200"), 1)

    def test_a_client_that_has_shut_its_side_has_gone(self):
        stream = self.stream(pattern=self.mine())
        stream.socket.shutdown(socket.SHUT_WR)
        with self.assertRaises(sse.Closed):
            stream.next(timeout_s=4)  # before there is anything to write to it

    def test_a_page_is_still_sent_to_a_client_that_has_shut_its_side(self):
        with self.server.connect() as connection:
            connection.sendall(b"GET /changes?wait=200ms HTTP/1.1\r\nHost: h\r\n\r\n")
            connection.shutdown(socket.SHUT_WR)
            data = b"".join(iter(lambda: connection.recv(65536), b""))
        self.assertIn(b'"next":', data)

    def test_head_has_the_headers_and_no_body(self):
        answer = self.request("HEAD", "/changes", headers={"Accept": "text/event-stream"})
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["content-type"], "text/event-stream")
        self.assertEqual(answer.body, b"")
        self.assertEqual(self.request("GET", "/changes").status, 200, "the connection goes on")

    def test_accept_decides(self):
        for accept, kind in (
            ("text/event-stream", "text/event-stream"),
            ("text/event-stream, */*;q=0.1", "text/event-stream"),
            ("application/json, text/event-stream;q=0.5", "application/json"),
            ("text/event-stream;q=0", "application/json"),
            ("*/*", "application/json"),
        ):
            answer = self.request("HEAD", "/changes", headers={"Accept": accept})
            self.assertEqual(answer.headers["content-type"], kind, accept)

    def test_a_browser_is_told_what_it_may_read(self):
        stream = self.stream({"Origin": "http://example.org"})
        self.assertIn("access-control-expose-headers", stream.headers)
        answer = self.request("OPTIONS", "/changes")
        self.assertIn("Last-Event-ID", answer.headers["access-control-allow-headers"])

    @unittest.skipUnless(shutil.which("curl"), "curl is not there")
    def test_curl_shows_events_as_they_come(self):
        url = f"http://127.0.0.1:{self.server.port}" + sse.target(pattern=self.mine())
        command = ["curl", "-sN", "-H", "Accept: text/event-stream", url]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as curl:
            try:
                output = b""
                began = time.monotonic()
                written = False
                while b'"eventName":"INSERT"' not in output and time.monotonic() - began < 10:
                    if select.select([curl.stdout], [], [], 0.2)[0]:
                        output += os.read(curl.stdout.fileno(), 65536)
                    if b"retry:" in output and not written:
                        written = True
                        self.put(self.record(), {"a": 1})
            finally:
                curl.kill()
        self.assertIn(b"event: insert\ndata: {", output)

    def test_clients_that_go_leave_nothing_behind(self):
        # Those of the tests before this one may still be ending.
        support.eventually(lambda: self.subscriptions() == 0)
        streams = [self.stream() for _ in range(50)]
        support.eventually(lambda: self.subscriptions() == 50)
        for stream in streams:
            stream.close()
        for i in range(3):
            self.put(self.record(), {"i": i})
        support.eventually(lambda: self.subscriptions() == 0)

    def subscriptions(self):
        text = self.request("GET", "/metrics").text
        lines = [line for line in text.splitlines() if line.startswith("freshet_subscriptions{") or line.startswith("freshet_subscriptions ")]
        self.assertTrue(lines, text)
        return sum(int(line.rpartition(" ")[2]) for line in lines)


class TestRefusals(ChangesTest):
    def refused(self, status, words, **query):
        for accept in ("*/*", "text/event-stream"):
            answer = self.request("GET", sse.target(**query), headers={"Accept": accept})
            self.problem(answer, status, words)

    def test_what_is_not_understood_is_400_with_the_reason(self):
        self.refused(400, "it takes collection, pattern, from", colection="pets")
        self.refused(400, "from is latest", **{"from": "yesterday"})
        self.refused(400, "from is latest", **{"from": "2026-02-30T00:00:00Z"})
        self.refused(400, "from is latest", **{"from": ""})
        self.refused(400, "view", view="everything")
        self.refused(400, "enter_leave", enter_leave="yes")
        self.refused(400, "line 1, column", pattern='{"a":')
        self.refused(400, None, pattern='{"a":1}')
        self.refused(400, None, pattern='{"a":[{"numeric":["=="]}]}')
        self.refused(404, "cats", collection="cats")
        self.refused(404, None, collection="_rules")

    def test_a_changed_token_is_400(self):
        token = self.now()
        for i in (0, len(token) // 2, len(token) - 1):
            broken = token[:i] + ("A" if token[i] != "A" else "B") + token[i + 1 :]
            self.refused(400, None, **{"from": broken})
            answer = self.request("GET", "/changes", headers={"Last-Event-ID": broken})
            self.problem(answer, 400, "Last-Event-ID")

    def test_a_time_in_the_future_is_400(self):
        self.refused(400, "future", **{"from": "2199-01-01T00:00:00Z"})

    def test_a_time_before_what_is_kept_is_410_or_the_first_entry(self):
        answer = self.request("GET", sse.target(**{"from": "1999-01-01T00:00:00Z"}))
        self.assertIn(answer.status, (200, 410), answer)

    def test_limits_of_pages(self):
        for query in ({"limit": 0}, {"limit": 1001}, {"limit": "x"}, {"wait": "10"}, {"wait": "61s"}, {"wait": "-1s"}):
            self.problem(self.request("GET", sse.target(**query)), 400)
        answer = self.request("GET", "/changes?limit=5", headers={"Accept": "text/event-stream"})
        self.problem(answer, 400, "pages")

    def test_other_methods_are_405(self):
        for method in ("PUT", "POST", "PATCH", "DELETE"):
            answer = self.request(method, "/changes", {})
            self.problem(answer, 405)
            self.assertEqual(answer.headers["allow"], "GET, HEAD, OPTIONS")


class TestPages(ChangesTest):
    def test_latest_is_an_empty_page_with_next(self):
        page = self.page()
        self.assertEqual(page["changes"], [])
        self.assertFalse(page["more"])
        self.assertTrue(page["next"])

    def test_pages_go_on_from_next_without_gap_or_duplicate(self):
        position = self.now()
        for i in range(25):
            self.put(self.record(str(i)), {"i": i})
        told, more = [], True
        while more:
            page = self.page(limit=10, collection="pets", **{"from": position})
            told += [change["newImage"]["i"] for change in page["changes"]]
            position, more = page["next"], page["more"]
            self.assertLessEqual(len(page["changes"]), 10)
        self.assertEqual(told, list(range(25)))

    def test_the_largest_page_has_1000_changes(self):
        position = self.now()
        with self.server.connect() as connection:
            body = b'{"i":%d}'
            parts = []
            for i in range(1010):
                text = body % i
                parts.append(
                    b"PUT %s HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                    % (self.record(str(i)).encode(), len(text), text)
                )
            connection.sendall(b"".join(parts))
            received = b""
            while received.count(b"HTTP/1.1 201") < 1010:
                received += connection.recv(1 << 16)
        page = self.page(**{"from": position})
        self.assertEqual(len(page["changes"]), 1000)
        self.assertTrue(page["more"])
        page = self.page(**{"from": page["next"]})
        self.assertEqual(len(page["changes"]), 10)
        self.assertFalse(page["more"])

    def test_a_page_ends_at_4_mib(self):
        position = self.now()
        text = "x" * (900 << 10)
        for i in range(6):
            self.put(self.record(str(i)), {"text": text})
        sizes = []
        more = True
        while more:
            answer = self.request("GET", sse.target(**{"from": position}))
            self.assertLess(len(answer.body), 4 * MIB + 1024)
            page = answer.json
            sizes.append(len(page["changes"]))
            position, more = page["next"], page["more"]
        self.assertEqual(sizes, [4, 2])

    def test_wait_returns_when_something_comes(self):
        position = self.now()
        other = self.server.client()
        self.addCleanup(other.close)
        timer = threading.Timer(0.5, lambda: other.request("PUT", self.record(), {"a": 1}))
        began = time.monotonic()
        timer.start()
        page = self.page(wait="30s", pattern=json.dumps(self.mine()), **{"from": position})
        timer.join()
        self.assertEqual(len(page["changes"]), 1)
        self.assertLess(time.monotonic() - began, 30, "not when the wait is over")
        self.assertFalse(page["more"])

    def test_wait_returns_at_once_when_something_is_there(self):
        position = self.now()
        self.put(self.record(), {"a": 1})
        began = time.monotonic()
        page = self.page(wait="30s", pattern=json.dumps(self.mine()), **{"from": position})
        self.assertEqual(len(page["changes"]), 1)
        self.assertLess(time.monotonic() - began, 30, "not when the wait is over")

    def test_wait_ends_in_time_with_a_position_that_moves_on(self):
        position = self.now()
        self.put(self.record(), {"a": 1})
        began = time.monotonic()
        page = self.page(wait="700ms", pattern='{"keys":{"id":["never"]}}', **{"from": position})
        self.assertGreaterEqual(time.monotonic() - began, 0.7)
        self.assertEqual(page["changes"], [])
        again = self.page(pattern=json.dumps(self.mine()), **{"from": page["next"]})
        self.assertEqual(again["changes"], [])

    def test_pages_of_a_snapshot_end_with_synced(self):
        for i in range(15):
            self.put(self.record(f"{i:02}"), {"i": i})
        query = {"collection": "pets", "pattern": json.dumps(self.mine()), "limit": 4}
        state, position, pages = {}, "snapshot", 0
        while True:
            page = self.page(**query, **{"from": position})
            for change in page["changes"]:
                self.assertNotIn(change["keys"]["id"], state)
                state[change["keys"]["id"]] = change["newImage"]["i"]
            position = page["next"]
            pages += 1
            self.assertLess(pages, 50)
            if page.get("synced"):
                break
            self.assertTrue(page["more"])
        self.assertEqual(state, {f"{self.prefix}-{i:02}": i for i in range(15)})
        self.put(self.record("03"), {"i": 33})
        page = self.page(**query, **{"from": position})
        self.assertEqual([change["eventName"] for change in page["changes"]], ["MODIFY"])

    def test_head_of_a_page(self):
        answer = self.request("HEAD", "/changes?wait=10s")
        self.assertEqual((answer.status, answer.body), (200, b""))


class TestSlowReaders(ChangesTest):
    arguments = ("--threads", "2", "--durability", "none")

    def test_stuck_clients_cost_no_writer_and_little_memory(self):
        text = "x" * 10000
        streams = []
        for _ in range(200):
            stream = sse.Stream(self.server, "/changes", receive_bytes=4096)
            self.addCleanup(stream.close)
            streams.append(stream)
        before = self.resident()
        began = time.monotonic()
        for i in range(2000):
            self.put(self.record(str(i % 100)), {"i": i, "text": text})
        self.assertLess(time.monotonic() - began, 30)
        grown = self.resident() - before
        # 20 MB for each of them, if they had queues. A sanitizer keeps what was freed.
        self.assertLess(grown, (1000 if self.is_sanitized() else 300) * MIB)
        told = streams[0].changes(2000)
        self.assertEqual([event.data["newImage"]["i"] for event in told], list(range(2000)))

    def is_sanitized(self):
        with open(f"/proc/{self.server.process.pid}/maps", encoding="utf-8") as maps:
            return "libasan" in maps.read()

    def resident(self):
        with open(f"/proc/{self.server.process.pid}/status", encoding="utf-8") as status:
            return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmRSS:"))


class TestLives(unittest.TestCase):
    """A server of each test's own."""

    def server(self, arguments=(), config=None):
        server = support.Server(arguments, config)
        self.addCleanup(server.remove)
        return server.start()

    def test_shutdown_ends_streams_with_their_position(self):
        server = self.server(("--shutdown-timeout", "1h"))  # stop() kills what does not end
        client = server.client()
        client.request("PUT", "/pets/1", {"a": 1})
        streams = [sse.Stream(server, "/changes") for _ in range(3)]
        results = []
        other = server.client()
        waiting = threading.Thread(target=lambda: results.append(other.request("GET", "/changes?wait=30s")))
        waiting.start()
        client.request("PUT", "/pets/1", {"a": 2})
        events = [stream.next() for stream in streams]
        client.close()
        self.assertEqual(server.stop(), 0)
        for stream, event in zip(streams, events):
            last = stream.find("shutdown")
            self.assertEqual(last.data, {"position": last.id})
            self.assertTrue(last.id >= "" and event.name == "modify")
            with self.assertRaises(sse.Closed):
                stream.next()
            stream.close()
        waiting.join()
        other.close()
        self.assertEqual(results[0].status, 200)
        server.start()
        client = server.client()
        client.request("PUT", "/pets/1", {"a": 3})
        stream = sse.Stream(server, "/changes", {"Last-Event-ID": last.id})
        self.assertEqual(stream.next().data["newImage"]["a"], 3)
        stream.close()
        client.close()
        self.assertEqual(server.stop(), 0)

    def test_a_stuck_client_does_not_hold_up_the_end(self):
        server = self.server(("--shutdown-timeout", "1h"))  # stop() kills what does not end
        stream = sse.Stream(server, "/changes", receive_bytes=4096)
        client = server.client()
        for i in range(100):
            client.request("PUT", "/pets/1", {"i": i, "text": "x" * 20000})
        client.close()
        self.assertEqual(server.stop(), 0)
        stream.close()

    def resume(self, end):
        server = self.server()
        client = server.client()
        stream = sse.Stream(server, "/changes")
        for i in range(10):
            self.assertIn(client.request("PUT", f"/pets/{i}", {"i": i}).status, (200, 201))
        heard = stream.changes(4)
        stream.close()
        client.close()
        end(server)
        server.start()
        client = server.client()
        client.request("PUT", "/pets/10", {"i": 10})
        stream = sse.Stream(server, "/changes", {"Last-Event-ID": heard[-1].id})
        told = [event.data["newImage"]["i"] for event in stream.changes(7)]
        self.assertEqual(told, list(range(4, 11)))
        stream.close()
        client.close()
        self.assertEqual(server.stop(), 0)

    def test_a_position_is_good_after_a_restart(self):
        self.resume(lambda server: self.assertEqual(server.stop(), 0))

    def test_a_position_is_good_after_kill_9(self):
        self.resume(lambda server: server.kill())

    def test_a_position_that_was_trimmed_is_410_and_a_reset(self):
        server = self.server(("--segment-bytes", "16MiB", "--retention-bytes", "16MiB", "--journal-tail-max", "1MiB",
                              "--durability", "none", "--shards", "1", "--recent-bytes", "1MiB"))
        client = server.client()
        position = client.request("GET", "/changes").json["next"]
        client.request("PUT", "/pets/first", {"a": 1})
        stuck = sse.Stream(server, "/changes?from=" + position, receive_bytes=4096)
        text = "x" * (1000 << 10)

        def trimmed():
            for i in range(20):
                self.assertIn(client.request("PUT", f"/pets/{i % 4}", {"i": time.monotonic_ns(), "t": text}).status,
                              (200, 201))
            return client.request("GET", "/changes?limit=1&from=" + position).status == 410

        support.eventually(trimmed, 60)
        answer = client.request("GET", "/changes?from=" + position)
        self.assertEqual(answer.headers["content-type"], "application/problem+json")
        problem = answer.json
        self.assertTrue(problem["type"].endswith("position-expired"))
        oldest = client.request("GET", "/changes?limit=1&from=" + problem["oldest"])
        self.assertEqual(oldest.status, 200)
        self.assertEqual(client.request("GET", "/changes?from=" + problem["newest"]).status, 200)
        self.assertEqual(client.request("GET", "/changes?from=2001-01-01T00:00:00Z").status, 410)
        for query, headers in (("?from=" + position, {}), ("?from=latest", {"Last-Event-ID": position})):
            with sse.Stream(server, "/changes" + query, headers) as stream:
                self.assertEqual(stream.status, 200)
                event = stream.next()
                self.assertEqual(event.name, "reset")
                self.assertEqual(event.id, "", "a browser forgets the position")
                self.assertEqual(set(event.data) >= {"oldest", "newest"}, True)
                with self.assertRaises(sse.Closed):
                    stream.next()
        # The one that did not read hears at last that it was passed.
        self.assertEqual(stuck.find("reset", 30).name, "reset")
        stuck.close()
        client.close()
        self.assertEqual(server.stop(), 0)

    def test_a_position_of_another_store_is_410(self):
        one, other = self.server(), self.server()
        clients = [server.client() for server in (one, other)]
        position = clients[0].request("GET", "/changes").json["next"]
        answer = clients[1].request("GET", "/changes?from=" + urllib.parse.quote(position))
        self.assertEqual(answer.status, 410, answer)
        with sse.Stream(other, "/changes", {"Last-Event-ID": position}) as stream:
            self.assertEqual(stream.next().name, "reset")
        for server, client in zip((one, other), clients):
            client.close()
            self.assertEqual(server.stop(), 0)

    def test_one_subscription_too_many_is_503(self):
        server = self.server(("--subscriptions-max", "4", "--threads", "1"))
        streams = [sse.Stream(server, "/changes") for _ in range(4)]
        client = server.client()
        answer = client.request("GET", "/changes", headers={"Accept": "text/event-stream"})
        self.assertEqual(answer.status, 503, answer)
        self.assertIn("retry-after", answer.headers)
        for stream in streams:
            stream.close()
        client.close()
        self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    unittest.main()
