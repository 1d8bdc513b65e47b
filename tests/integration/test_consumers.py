"""Named consumers and consumer groups: created, read, acknowledged, and still there after a kill."""

import collections
import http.client
import json
import queue
import socket
import threading
import time
import urllib.parse

import support

NAMES = ("a", "Az09._-", "x" * 128)
BAD_NAMES = ("x" * 129, "a%20b", "a%2Fb", "%C3%A4")


class Events:
    """Server-sent events of one request."""

    def __init__(self, port, path, headers=None, timeout_s=support.REQUEST_TIMEOUT_S):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
        fields = {"Accept": "text/event-stream", **(headers or {})}
        self.connection.request("GET", path, headers=fields)
        self.response = self.connection.getresponse()
        self.status = self.response.status

    def next(self):
        """(id, event, data) of the next one, heartbeats left out; None at the end."""
        fields = {}
        while True:
            line = self.response.readline()
            if line == b"":
                return None
            line = line.decode("utf-8").rstrip("\n")
            if line == "" and "data" in fields:
                return fields.get("id"), fields.get("event"), json.loads(fields["data"])
            name, colon, value = line.partition(":")
            if colon and name in ("id", "event", "data"):
                fields[name] = value.removeprefix(" ")

    def change(self):
        """The next that is a change: (id, change)."""
        while True:
            event = self.next()
            if event is None:
                return None
            if "eventID" in event[2]:
                return event[0], event[2]

    def close(self):
        self.response.close()
        self.connection.close()


class ConsumersTest(support.ServerTest):
    arguments = ("--threads", "2")

    def make(self, name, **body):
        answer = self.request("PUT", f"/consumers/{name}", body)
        self.assertEqual(answer.status, 201, answer)
        return answer.json

    def show(self, name):
        answer = self.request("GET", f"/consumers/{name}")
        self.assertEqual(answer.status, 200, answer)
        return answer.json

    def page(self, name, **query):
        answer = self.request("GET", f"/consumers/{name}/changes?{urllib.parse.urlencode(query)}")
        self.assertEqual(answer.status, 200, answer)
        return answer.json

    def ack(self, name, position, status=200, **more):
        answer = self.request("POST", f"/consumers/{name}/ack", {"position": position, **more})
        self.assertEqual(answer.status, status, answer)
        return answer.json


def ids(page):
    return [change["keys"]["id"] for change in page["changes"]]


class TestConsumers(ConsumersTest):
    def test_is_created_shown_listed_and_deleted(self):
        pattern = {"eventName": ["INSERT"], "newImage": {"price": [{"numeric": ["<", 10]}]}}
        created = self.make("c-made", collection="pets", pattern=pattern)
        self.assertEqual(created["name"], "c-made")
        self.assertEqual(created["collection"], "pets")
        self.assertEqual(created["pattern"], pattern)
        self.assertIs(created["group"], False)
        self.assertEqual(created["lag"], {"events": 0, "bytes": 0, "seconds": 0})
        self.assertNotIn("members", created)
        self.assertEqual(self.show("c-made"), created)
        self.assertIn(created, self.request("GET", "/consumers").json)
        again = self.request("PUT", "/consumers/c-made", {"collection": "pets", "pattern": pattern})
        self.assertEqual((again.status, again.json), (200, created))
        answer = self.request("DELETE", "/consumers/c-made")
        self.assertEqual((answer.status, answer.json), (200, {"message": "consumer deleted"}))
        self.problem(self.request("GET", "/consumers/c-made"), 404, "no consumer")
        self.problem(self.request("DELETE", "/consumers/c-made"), 404)
        self.problem(self.request("GET", "/consumers/c-made/changes"), 404)
        self.problem(self.request("POST", "/consumers/c-made/ack", {"position": created["position"]}), 404)
        self.assertNotIn("c-made", [each["name"] for each in self.request("GET", "/consumers").json])

    def test_a_body_is_not_needed(self):
        self.assertEqual(self.request("PUT", "/consumers/bare").status, 201)
        self.assertEqual(self.request("PUT", "/consumers/bare", {}).status, 200)
        self.assertEqual(self.request("HEAD", "/consumers/bare").body, b"")

    def test_names(self):
        for name in NAMES:
            self.assertEqual(self.request("PUT", f"/consumers/{name}").status, 201, name)
            self.assertEqual(self.show(name)["name"], name)
        for name in BAD_NAMES:
            self.problem(self.request("PUT", f"/consumers/{name}"), 400, "1 to 128")

    def test_the_list_comes_in_pages(self):
        for number in range(25):
            self.make(f"list-{number:02}", group=number % 5 == 0)
        names, path = [], "/consumers?limit=7"
        while path:
            answer = self.request("GET", path)
            self.assertEqual(answer.status, 200)
            names += [consumer["name"] for consumer in answer.json]
            path = answer.headers.get("link", "").partition(">")[0].removeprefix("<")
        self.assertEqual(names, sorted(names))
        self.assertEqual([name for name in names if name.startswith("list-")],
                         [f"list-{number:02}" for number in range(25)])
        self.assertEqual(names, [each["name"] for each in self.request("GET", "/consumers").json])

    def test_what_is_wrong_is_said(self):
        for body, words in (
            ({"collection": "nothing"}, "no collection"),
            ({"collection": 7}, "a string"),
            ({"pattern": {"a": "b"}}, ""),
            ({"pattern": {"a": [{"no-such": 1}]}}, ""),
            ({"from": "yesterday"}, "from is"),
            ({"from": "snapshot"}, "snapshot"),
            ({"from": "2999-01-01T00:00:00Z"}, "future"),
            ({"group": "yes"}, "true or false"),
            ({"name": "x"}, "nothing else"),
        ):
            self.problem(self.request("PUT", "/consumers/wrong", body), 400, words)
        self.problem(self.request("PUT", "/consumers/wrong", "{", content_type="application/json"), 400)
        self.problem(self.request("PUT", "/consumers/wrong", "{}", content_type="text/plain"), 415)
        self.problem(self.request("GET", "/consumers/wrong"), 404)
        self.make("right")
        self.problem(self.request("PUT", "/consumers/right", {"group": True}), 409, "no group")
        self.problem(self.request("POST", "/consumers/right"), 405)
        self.problem(self.request("GET", "/consumers/right/ack"), 405)
        self.problem(self.request("POST", "/consumers/right/changes", {}), 405)
        self.problem(self.request("DELETE", "/consumers"), 405)
        self.problem(self.request("GET", "/consumers/right/nothing"), 404)
        for query in ("collection=pets", "pattern={}", "from=latest", "from=earliest", "from=x",
                      "limit=0", "wait=5", "nothing=1"):
            self.problem(self.request("GET", f"/consumers/right/changes?{query}"), 400)
        self.problem(self.request("GET", "/consumers/right/changes?member=me"), 409, "no group")
        for query in ("limit=0", "limit=1001", "limit=x", "cursor=%2F", "nothing=1", "limit=1&limit=2"):
            self.problem(self.request("GET", f"/consumers?{query}"), 400)

    def test_acknowledgements_that_are_none(self):
        position = self.make("acks")["position"]
        for body, words in (
            ({}, "needs position"),
            ({"position": "x"}, "position is"),
            ({"position": 7}, "position is"),
            ({"position": position[:-1] + ("A" if position[-1] != "A" else "B")}, "position is"),
            ({"position": position, "more": 1}, "nothing else"),
            ({"position": position, "member": ""}, "member"),
            ({"position": position, "leave": 1}, "leave"),
            ({"leave": True}, "member"),
        ):
            self.problem(self.request("POST", "/consumers/acks/ack", body), 400, words)
        self.problem(self.request("POST", "/consumers/acks/ack", {"position": position, "member": "me"}), 409)

    def test_pages_are_read_from_what_is_acknowledged(self):
        self.make("pages", collection="pets", pattern={"keys": {"id": [{"prefix": "page-"}]}})
        for number in range(5):
            self.put(f"/pets/page-{number}", {"n": number})
            self.put(f"/pets/other-{number}", {"n": number})
            self.put(f"/products/page-{number}", {"title": "x"})
        first = self.page("pages", limit=2)
        self.assertEqual((ids(first), first["more"]), (["page-0", "page-1"], True))
        self.assertEqual(self.page("pages", limit=2), first, "not acknowledged, not moved on")
        ahead = self.page("pages", limit=2, **{"from": first["next"]})
        self.assertEqual(ids(ahead), ["page-2", "page-3"])
        self.assertEqual(self.ack("pages", first["next"])["position"], first["next"])
        second = self.page("pages")
        self.assertEqual(ids(second), ["page-2", "page-3", "page-4"])
        self.ack("pages", second["next"])
        self.ack("pages", first["next"])
        self.assertEqual(ids(self.page("pages")), [])
        view = self.page("pages", view="keys", **{"from": first["next"]})
        self.assertNotIn("newImage", view["changes"][0])

    def test_a_page_waits(self):
        self.make("waits", collection="pets")
        began = time.monotonic()
        self.assertEqual(self.page("waits", wait="300ms")["changes"], [])
        self.assertGreaterEqual(time.monotonic() - began, 0.3)
        answers = []
        thread = threading.Thread(target=lambda: answers.append(
            self.server.client().request("GET", "/consumers/waits/changes?wait=20s")))
        thread.start()
        self.put("/pets/waited-for", {"n": 1})
        thread.join(support.REQUEST_TIMEOUT_S)
        self.assertEqual(ids(answers[0].json), ["waited-for"])

    def test_events_go_on_after_the_last_acknowledged(self):
        self.make("events", collection="pets")
        events = Events(self.server.port, "/consumers/events/changes")
        self.addCleanup(events.close)
        self.assertEqual(events.status, 200)
        for number in range(4):
            self.put(f"/pets/event-{number}", {"n": number})
        seen = [events.change() for _ in range(4)]
        self.assertEqual([change["keys"]["id"] for _, change in seen], [f"event-{n}" for n in range(4)])
        self.ack("events", seen[1][0])
        events.close()
        events = Events(self.server.port, "/consumers/events/changes")
        self.addCleanup(events.close)
        self.assertEqual(events.change()[1]["keys"]["id"], "event-2")
        browser = Events(self.server.port, "/consumers/events/changes", {"Last-Event-ID": seen[2][0]})
        self.addCleanup(browser.close)
        self.assertEqual(browser.change()[1]["keys"]["id"], "event-3")

    def test_a_reader_follows_another_definition(self):
        self.make("turns", collection="pets")
        events = Events(self.server.port, "/consumers/turns/changes")
        self.addCleanup(events.close)
        self.put("/pets/turn", {"n": 1})
        self.assertEqual(events.change()[1]["collection"], "pets")
        answer = self.request("PUT", "/consumers/turns", {"collection": "products"})
        self.assertEqual((answer.status, answer.json["collection"]), (200, "products"))

        def products_come():
            self.put("/pets/turn", {"n": time.monotonic()})
            self.put("/products/turn", {"title": str(time.monotonic())})
            while True:
                change = events.change()[1]
                if change["keys"]["id"] == "turn" and change["collection"] == "products":
                    return True
                if change["collection"] == "pets":
                    return False

        support.eventually(products_come)

    def test_a_reader_ends_with_its_consumer(self):
        self.make("ends")
        events = Events(self.server.port, "/consumers/ends/changes")
        self.addCleanup(events.close)
        self.assertEqual(self.request("DELETE", "/consumers/ends").status, 200)
        deadline = time.monotonic() + support.REQUEST_TIMEOUT_S
        names = []
        while (event := events.next()) is not None and time.monotonic() < deadline:
            names.append(event[1])
        self.assertIsNone(event, names)
        self.assertEqual(names[-1], "shutdown")

    def test_from(self):
        self.put("/pets/from-1", {"n": 1})
        before = self.put("/pets/from-2", {"n": 2}).headers["freshet-position"]
        written = time.time()
        support.eventually(lambda: time.time() > written + 0.01)  # entries have milliseconds
        now = time.time()
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03}Z"
        support.eventually(lambda: time.time() > now + 0.01)
        self.put("/pets/from-3", {"n": 3})
        pattern = {"keys": {"id": [{"prefix": "from-"}]}}
        for start, wanted in ((None, []), ("latest", []), ("earliest", ["from-1", "from-2", "from-3"]),
                              (before, ["from-3"]), (moment, ["from-3"])):
            name = f"from-{(start or 'none')[:8]}-{len(wanted)}".replace(":", "")
            body = {"pattern": pattern} if start is None else {"pattern": pattern, "from": start}
            self.make(name, **body)
            self.assertEqual(ids(self.page(name)), wanted, start)

    def test_lag(self):
        self.make("lags", collection="pets")
        self.assertEqual(self.show("lags")["lag"], {"events": 0, "bytes": 0, "seconds": 0})
        for number in range(10):
            self.put(f"/pets/lag-{number}", {"n": number})
        support.eventually(lambda: self.show("lags")["lag"]["seconds"] >= 0.2)
        lag = self.show("lags")["lag"]
        self.assertEqual(lag["events"], 10)
        self.assertGreater(lag["bytes"], 10 * 20)
        self.assertLess(lag["seconds"], 30)
        self.ack("lags", self.page("lags", limit=4)["next"])
        self.assertEqual(self.show("lags")["lag"]["events"], 6)
        self.ack("lags", self.page("lags")["next"])
        self.assertEqual(self.show("lags")["lag"], {"events": 0, "bytes": 0, "seconds": 0})
        listed = {each["name"]: each for each in self.request("GET", "/consumers").json}
        self.assertEqual(listed["lags"]["lag"]["events"], 0)

    def test_none_keeps_itself_busy(self):
        """A consumer that acknowledges all it hears of, positions of its own acknowledgements included."""
        self.make("idle")
        self.put("/pets/idle", {"n": 1})
        self.ack("idle", self.page("idle")["next"])
        before = self.page("idle")["next"]
        for _ in range(20):
            self.ack("idle", self.page("idle")["next"])
        self.assertEqual(self.page("idle")["next"], before, "no entry was written for it")

    def test_records_of_the_servers_own_are_nobodys(self):
        self.problem(self.request("GET", "/_consumers"), 404)
        self.problem(self.request("GET", "/_consumers/idle"), 404)
        self.make("nosy")
        self.make("other")
        self.assertEqual(self.page("nosy")["changes"], [])


class TestRestarts(support.unittest.TestCase):
    def test_positions_outlive_kills_and_other_threads(self):
        server = support.Server(("--threads", "1"))
        self.addCleanup(server.remove)
        acked = {}
        for life, threads in enumerate((1, 3, 2, 4)):
            server.command[-1] = str(threads)
            server.start()
            client = server.client()
            for number in range(6):
                name = f"c{number}"
                if life == 0:
                    body = {"group": number % 2 == 1, "collection": "pets"}
                    self.assertEqual(client.request("PUT", f"/consumers/{name}", body).status, 201)
                else:
                    answer = client.request("GET", f"/consumers/{name}")
                    self.assertEqual((answer.status, answer.json["group"]), (200, number % 2 == 1))
                self.assertEqual(client.request("PUT", f"/pets/{life}-{number}", {"n": number}).status, 201)
                member = "?member=me" if number % 2 == 1 else ""
                page = client.request("GET", f"/consumers/{name}/changes{member}").json
                got = [change["keys"]["id"] for change in page["changes"]]
                everything = acked.get(name, []) + got
                self.assertEqual(everything, [f"{a}-{b}" for a in range(life + 1) for b in range(6)
                                              if (0, number) <= (a, b) <= (life, number)], name)
                body = {"position": page["next"], **({"member": "me"} if member else {})}
                self.assertEqual(client.request("POST", f"/consumers/{name}/ack", body).status, 200)
                acked[name] = everything
            client.close()
            server.kill()


class Member:
    """A member of a group: one thread reads events, another works on them and acknowledges."""

    def __init__(self, port, group, name, done):
        self.port, self.group, self.name, self.done = port, group, name, done
        self.queue = queue.Queue()
        self.stopped = threading.Event()
        self.acknowledges = True
        self.refused = 0
        self.events = Events(port, f"/consumers/{group}/changes?member={name}")
        self.threads = [threading.Thread(target=run, daemon=True) for run in (self.read, self.work)]
        for thread in self.threads:
            thread.start()

    def read(self):
        try:
            while (event := self.events.change()) is not None:
                self.queue.put(event)
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            pass  # it was closed meanwhile
        self.queue.put(None)

    def work(self):
        client = support.Client(self.port)
        while (event := self.queue.get()) is not None:
            token = None
            while event is not None:
                token, change = event
                self.done(self.name, change)
                try:
                    event = self.queue.get_nowait()
                except queue.Empty:
                    break
            if self.acknowledges:
                answer = client.request("POST", f"/consumers/{self.group}/ack",
                                        {"position": token, "member": self.name})
                self.refused += answer.status != 200
            if event is None:
                break
        client.close()

    def vanish(self):
        """The process dies: nothing is said."""
        self.acknowledges = False
        try:
            self.events.connection.sock.shutdown(socket.SHUT_RDWR)
        except (OSError, AttributeError):
            pass  # it is gone already
        for thread in self.threads:
            thread.join(support.REQUEST_TIMEOUT_S)
        self.events.close()


class TestGroups(ConsumersTest):
    arguments = ("--threads", "2", "--consumer-lease", "2s")

    def setUp(self):
        super().setUp()
        self.lock = threading.Lock()
        self.worked = collections.defaultdict(list)  # id -> [(member, n)]
        self.members = []

    def done(self, member, change):
        with self.lock:
            self.worked[change["keys"]["id"]].append((member, change["newImage"]["n"]))

    def join(self, group, name):
        member = Member(self.server.port, group, name, self.done)
        self.addCleanup(member.vanish)
        self.members.append(member)
        return member

    def write(self, prefix, begin, end):
        for number in range(begin, end):
            self.put(f"/pets/{prefix}-{number % 40}", {"n": number})

    def is_done(self, count):
        with self.lock:
            return sum(len({n for _, n in each}) for each in self.worked.values()) == count

    def who_works(self):
        with self.lock:
            return {member for each in self.worked.values() for member, _ in each}

    def test_members_come_and_each_change_is_worked_on_once_and_in_order(self):
        self.make("crew", collection="pets", group=True)
        self.join("crew", "m1")
        self.write("crew", 0, 80)
        self.join("crew", "m2")
        self.write("crew", 80, 160)
        self.join("crew", "m3")
        self.write("crew", 160, 240)
        self.assertEqual(self.show("crew")["members"], 3)
        support.eventually(lambda: self.is_done(240))
        count = 240
        deadline = time.monotonic() + support.REQUEST_TIMEOUT_S
        while self.who_works() != {"m1", "m2", "m3"} and time.monotonic() < deadline:
            self.write("crew", count, count + 40)
            count += 40
            support.eventually(lambda: self.is_done(count))
        self.assertEqual(self.who_works(), {"m1", "m2", "m3"})
        support.eventually(lambda: self.show("crew")["lag"]["events"] == 0)
        for pet, worked in self.worked.items():
            numbers = [n for _, n in worked]
            self.assertEqual(numbers, sorted(set(numbers)), f"{pet}: {worked}")
        self.assertEqual([member.refused for member in self.members], [0, 0, 0])

    def test_who_dies_is_replaced(self):
        self.make("tough", collection="pets", group=True)
        dying = self.join("tough", "dies")
        self.join("tough", "stays")
        support.eventually(lambda: self.show("tough")["members"] == 2)
        self.write("tough", 0, 60)
        support.eventually(lambda: self.is_done(60))
        dying.acknowledges = False
        self.write("tough", 60, 100)
        dying.vanish()
        self.write("tough", 100, 140)
        self.join("tough", "comes")
        support.eventually(lambda: self.is_done(140))
        support.eventually(lambda: self.show("tough")["lag"]["events"] == 0)
        self.assertEqual(self.show("tough")["members"], 2)
        for pet, worked in self.worked.items():
            for name in ("dies", "stays", "comes"):
                numbers = [n for member, n in worked if member == name]
                self.assertEqual(numbers, sorted(numbers), f"{pet}: {worked}")
            latest = {}
            for place, (_, n) in enumerate(worked):
                latest[n] = place
            self.assertEqual(sorted(latest, key=latest.get), sorted(latest), f"{pet}: {worked}")
        again = sum(len(each) - len(set(n for _, n in each)) for each in self.worked.values())
        self.assertLessEqual(again, 40, "only what the dead had and did not acknowledge")

    def test_pages_of_members(self):
        self.make("pagers", collection="pets", group=True)
        self.problem(self.request("GET", "/consumers/pagers/changes"), 409, "which member")
        self.problem(self.request("GET", "/consumers/pagers/changes?member=a%2Fb"), 400)
        self.write("pagers", 0, 40)
        first = self.page("pagers", member="a")
        self.assertEqual(len(first["changes"]), 40)
        self.assertEqual(self.page("pagers", member="b")["changes"], [], "all slots are a's")
        self.ack("pagers", first["next"], member="a")
        self.write("pagers", 40, 80)
        halves = [self.page("pagers", member=name) for name in ("a", "b")]
        pets = [{change["keys"]["id"] for change in half["changes"]} for half in halves]
        self.assertEqual(pets[0] & pets[1], set())
        self.assertEqual(len(pets[0] | pets[1]), 40)
        self.ack("pagers", halves[1]["next"], member="b")
        self.ack("pagers", halves[1]["next"], 409, member="stranger")
        self.ack("pagers", halves[0]["next"].partition("~")[0], 400, member="a")
        left = self.request("POST", "/consumers/pagers/ack",
                            {"position": halves[0]["next"], "member": "a", "leave": True})
        self.assertEqual((left.status, left.json), (200, {"message": "member left"}))
        self.assertEqual(self.show("pagers")["members"], 1)
        self.assertEqual(self.show("pagers")["lag"]["events"], 0)
        self.assertEqual(self.page("pagers", member="b")["changes"], [])
        self.write("pagers", 80, 120)
        self.assertEqual(len(self.page("pagers", member="b")["changes"]), 40)

    def test_a_waiting_member_gets_slots_that_come(self):
        self.make("patient", collection="pets", group=True)
        self.write("patient", 0, 40)
        self.assertEqual(len(self.page("patient", member="a")["changes"]), 40)
        answers = []
        thread = threading.Thread(target=lambda: answers.append(
            self.server.client().request("GET", "/consumers/patient/changes?member=b&wait=14s")))
        thread.start()
        support.eventually(lambda: self.show("patient")["members"] == 2)
        thread.join(support.REQUEST_TIMEOUT_S)
        self.assertEqual(len(answers[0].json["changes"]), 40, "the lease of a has ended")


if __name__ == "__main__":
    support.unittest.main()
