"""Rules across restarts and kill -9: nothing lost, at least once, in order per record."""

import random
import threading
import unittest

import support
from receiver import Receiver

RECORDS = 8
WRITES = 400


class TestRestart(unittest.TestCase):
    def begin(self, *arguments):
        server = support.Server(arguments or ("--threads", "2", "--durability", "none"))
        self.addCleanup(server.remove)
        receiver = Receiver()
        self.addCleanup(receiver.close)
        return server.start(), receiver

    def ask(self, server, method, path, body=None):
        client = server.client()
        try:
            return client.request(method, path, body)
        finally:
            client.close()

    def rule(self, server, receiver, name="r", **members):
        url = receiver.url("/{id}" if name == "r" else f"/{name}/{{id}}")
        target = {"url": url, "path": {"id": "$.keys.id"}}
        rule = {"collection": "pets", "target": target, **members}
        self.assertIn(self.ask(server, "PUT", f"/rules/{name}", rule).status, (200, 201))

    def state(self, server, name="r"):
        return self.ask(server, "GET", f"/rules/{name}").json["state"]

    def test_a_clean_restart_delivers_nothing_twice_and_nothing_not(self):
        server, receiver = self.begin()
        self.rule(server, receiver)
        for number in range(50):
            self.ask(server, "PUT", f"/pets/{number % 5}", {"n": number})
        receiver.wait(50)
        support.eventually(lambda: self.state(server)["delivered"] == 50)
        self.assertEqual(server.stop(), 0)
        server.start()
        self.ask(server, "PUT", "/pets/0", {"n": 50})
        receiver.wait(51)
        support.eventually(lambda: self.state(server).get("delivered") == 1)
        self.assertEqual(len(receiver.calls), 51)
        self.assertEqual(server.stop(), 0)

    def test_what_comes_while_the_target_is_away_outlives_a_restart(self):
        server, receiver = self.begin()
        port = receiver.port
        self.rule(server, receiver)
        receiver.close()
        for number in range(30):
            self.ask(server, "PUT", f"/pets/{number % 3}", {"n": number})
        support.eventually(lambda: self.state(server)["parked"] > 0)
        self.assertEqual(server.stop(), 0)
        server.start()
        with Receiver(port) as again:
            # What is parked comes when it is due, or when the rule is put again.
            self.rule(server, again)
            again.wait(30)
            self.check_order(again)
        self.assertEqual(server.stop(), 0)

    def test_parked_changes_and_dead_letters_outlive_a_kill(self):
        server, receiver = self.begin("--threads", "2")
        receiver.decide = lambda call: 500
        self.rule(server, receiver, "parks")
        self.rule(server, receiver, "dies", retry={"max_attempts": 1})
        for number in range(5):
            self.ask(server, "PUT", "/pets/0", {"n": number})
        support.eventually(
            lambda: self.state(server, "parks")["parked"] == 5
            and self.state(server, "dies")["dead_letters"] == 5
        )
        server.kill()
        receiver.decide = lambda call: 200
        server.start()
        state = support.eventually(lambda: self.known(server, "dies"))
        self.assertEqual(state["dead_letters"], 5)
        self.assertEqual(support.eventually(lambda: self.known(server, "parks"))["parked"], 5)
        before = len(receiver.calls)
        self.rule(server, receiver, "parks")

        def parked():
            # What the other rule had given up just before the kill may come once more.
            calls = [call for call in receiver.calls[before:] if call.path.startswith("/parks/")]
            return calls if len(calls) == 5 else None

        numbers = [call.json["newImage"]["n"] for call in support.eventually(parked)]
        self.assertEqual(numbers, [0, 1, 2, 3, 4])
        answer = self.ask(server, "POST", "/rules/dies/redrive")
        self.assertEqual(answer.json, {"redriven": 5})
        support.eventually(lambda: self.state(server, "dies")["dead_letters"] == 0)
        self.assertEqual(server.stop(), 0)

    def known(self, server, name):
        state = self.state(server, name)
        return state if state["status"] != "starting" else None

    def test_a_disabled_rule_stays_disabled(self):
        server, receiver = self.begin()
        receiver.decide = lambda call: 410
        self.rule(server, receiver)
        self.ask(server, "PUT", "/pets/0", {"n": 1})
        support.eventually(lambda: self.state(server)["status"] == "disabled")
        self.assertEqual(server.stop(), 0)
        receiver.decide = lambda call: 200
        server.start()
        state = support.eventually(lambda: self.known(server, "r"))
        self.assertEqual(state["status"], "disabled")
        self.assertIn("410", state["reason"])
        self.rule(server, receiver)
        receiver.wait(2)
        self.assertEqual(server.stop(), 0)

    def test_a_rule_deleted_and_put_again_begins_anew(self):
        server, receiver = self.begin()
        self.rule(server, receiver)
        self.ask(server, "PUT", "/pets/0", {"n": 1})
        receiver.wait(1)
        self.ask(server, "DELETE", "/rules/r")
        # Until its worker sees that it is gone, a rule goes on with what comes.
        support.eventually(lambda: 'rule="r"' not in self.ask(server, "GET", "/metrics").text)
        self.ask(server, "PUT", "/pets/0", {"n": 2})
        self.rule(server, receiver)
        self.assertEqual(server.stop(), 0)
        server.start()
        self.ask(server, "PUT", "/pets/0", {"n": 3})
        receiver.wait(2)
        support.eventually(lambda: self.state(server).get("delivered") == 1)
        self.assertEqual([call.json["newImage"]["n"] for call in receiver.calls], [1, 3])
        self.assertEqual(server.stop(), 0)

    def check_order(self, receiver):
        """Per record: first deliveries are in order, all are there, and what comes again is followed
        by all that came after it."""
        for record in {call.path for call in receiver.calls}:
            numbers = [call.json["newImage"]["n"] for call in receiver.calls if call.path == record]
            first = list(dict.fromkeys(numbers))
            self.assertEqual(first, sorted(first), f"{record}: {numbers}")
            self.assertEqual(numbers[-1], first[-1], f"{record}: an older change came last")

    def test_kill_9_under_load(self):
        seed = random.randrange(1 << 32)
        print(f"seed {seed}", flush=True)
        choose = random.Random(seed)
        server, receiver = self.begin("--threads", "2")
        flaky = random.Random(seed + 1)
        lock = threading.Lock()

        def sometimes(call):
            with lock:
                return 500 if flaky.random() < 0.02 else 200

        receiver.decide = sometimes
        self.rule(server, receiver, retry={"first": "50ms", "max_attempts": 1000})
        acknowledged = {}
        number = 0
        for kill in range(4):
            until = number + WRITES // 4
            client = server.client()
            while number < until:
                record = f"k{choose.randrange(RECORDS)}"
                self.assertIn(client.request("PUT", f"/pets/{record}", {"n": number}).status, (200, 201))
                acknowledged[number] = record
                number += 1
            client.close()
            server.kill()
            server.start()
        receiver.decide = lambda call: 200

        def all_delivered():
            state = self.known(server, "r")
            if state is None or state["waiting"] or state["lag_events"]:
                return False
            if state["parked"]:
                self.rule(server, receiver, retry={"first": "50ms", "max_attempts": 1000})
                return False
            with receiver.changed:
                got = {call.json["newImage"]["n"] for call in receiver.calls}
            return got == set(acknowledged)

        support.eventually(all_delivered, 60)
        delivered = {}
        for call in receiver.calls:
            delivered.setdefault(call.json["newImage"]["n"], call.path)
        self.assertEqual(delivered, {n: f"/{record}" for n, record in acknowledged.items()})
        # A call that failed is no delivery: of the others, the last of each record is its newest.
        for record in range(RECORDS):
            path = f"/k{record}"
            newest = max((n for n, r in acknowledged.items() if f"/{r}" == path), default=None)
            numbers = [c.json["newImage"]["n"] for c in receiver.calls if c.path == path]
            first = list(dict.fromkeys(numbers))
            self.assertEqual(first, sorted(first), f"{path}: {numbers}")
            if newest is not None:
                self.assertEqual(numbers[-1], newest, f"{path}: {numbers}")
        self.assertEqual(server.stop(), 0)

    def test_draining_does_not_wait_for_a_target_that_hangs(self):
        server, receiver = self.begin("--threads", "2", "--shutdown-timeout", "1h")  # stop() kills what does not end
        release = threading.Event()
        self.addCleanup(release.set)

        def hang(call):
            release.wait(60)
            return 200

        receiver.decide = hang
        self.rule(server, receiver)
        self.ask(server, "PUT", "/pets/0", {"n": 1})
        receiver.wait(1)
        self.assertEqual(server.stop(), 0)
        receiver.decide = lambda call: 200
        server.start()
        receiver.wait(2)
        self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    unittest.main()
