"""Rules: what matches becomes a call, in order per record, across failures."""

import base64
import hashlib
import hmac
import socket
import threading
import time
import unittest

import support
from receiver import Receiver

SECRET_ONE = base64.b64encode(b"0123456789012345678901234").decode()
SECRET_TWO = base64.b64encode(b"abcdefghijklmnopqrstuvwxyz").decode()


class RulesTest(support.ServerTest):
    arguments = ("--threads", "2", "--durability", "none")

    def setUp(self):
        super().setUp()
        self.receiver = Receiver()
        self.addCleanup(self.receiver.close)
        self.names = []
        self.addCleanup(self.forget)

    def forget(self):
        for name in self.names:
            self.request("DELETE", f"/rules/{name}")

    def rule(self, name, target=None, **members):
        """Puts a rule for this test's receiver, and deletes it in the end."""
        target = {"url": self.receiver.url("/{id}"), "path": {"id": "$.keys.id"}, **(target or {})}
        self.names.append(name)
        return self.put(f"/rules/{name}", {"collection": "pets", "target": target, **members})

    def state(self, name):
        return self.request("GET", f"/rules/{name}").json["state"]

    def until(self, name, **values):
        """The state, when it has these values."""

        def attempt():
            state = self.state(name)
            return state if all(state.get(key) == value for key, value in values.items()) else None

        return support.eventually(attempt)

    def dead_letters(self, name, count=1):
        def attempt():
            letters = self.request("GET", f"/rules/{name}/dead-letters").json
            return letters if len(letters) >= count else None

        return support.eventually(attempt)


class TestCalls(RulesTest):
    def test_a_change_is_delivered(self):
        self.rule("told")
        self.put("/pets/told", {"name": "Rex"})
        call = self.receiver.wait(1)[0]
        self.assertEqual((call.method, call.path), ("POST", "/told"))
        self.assertEqual(call.headers["content-type"], "application/json")
        self.assertEqual(call.json["eventName"], "INSERT")
        self.assertEqual(call.json["eventID"], call.event_id)
        self.assertEqual(call.json["newImage"], {"id": "told", "name": "Rex"})

    def test_whoever_is_called_reads_the_change(self):
        read = []

        def look(call):
            client = self.server.client()
            read.append((call.json["newImage"]["n"], client.request("GET", call.path).json["n"]))
            client.close()
            return 200

        self.receiver.decide = look
        self.rule("reads", {"url": self.receiver.url("/pets/{id}")})
        for number in range(50):
            self.put("/pets/reads", {"n": number})
        self.receiver.wait(50)
        self.until("reads", delivered=50)
        for told, found in read:
            self.assertGreaterEqual(found, told)

    def test_only_changes_that_match(self):
        self.rule("match", pattern={"eventName": ["MODIFY"], "changed": ["price"]})
        self.put("/pets/match", {"price": 1, "name": "a"})
        self.put("/pets/match", {"price": 1, "name": "b"})
        self.put("/pets/match", {"price": 2, "name": "b"})
        self.put("/pets/match", {"price": 2, "name": "b"})
        self.request("DELETE", "/pets/match")
        self.put("/pets/match", {"price": 3})
        self.put("/pets/match", {"price": 4})
        calls = self.receiver.wait(2)
        self.assertEqual([call.json["newImage"]["price"] for call in calls], [2, 4])

    def test_the_rule_of_the_original_pattern(self):
        self.rule(
            "original",
            {"method": "GET", "headers": {"Cache-Control": "max-age=0"}},
            pattern={"eventName": ["MODIFY"]},
        )
        self.put("/pets/a%2Fb", {"n": 1})
        self.put("/pets/a%2Fb", {"n": 2})
        call = self.receiver.wait(1)[0]
        self.assertEqual((call.method, call.path, call.body), ("GET", "/a%2Fb", b""))
        self.assertEqual(call.headers["cache-control"], "max-age=0")
        self.assertNotIn("content-type", call.headers)

    def test_methods(self):
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
            with self.subTest(method):
                name = f"method-{method}"
                self.rule(name, {"method": method}, pattern={"keys": {"id": [name]}})
                self.put(f"/pets/{name}", {})
                call = self.receiver.wait(1, of=lambda call, name=name: call.path == f"/{name}")[0]
                self.assertEqual(call.method, method)
                self.assertEqual(call.body != b"", method in ("POST", "PUT", "PATCH"))
                self.until(name, delivered=1)

    def test_a_template(self):
        self.rule("template", {"template": '{"id": <$.newImage.id>, "said": "\\"<$.newImage.word>\\""}'})
        self.put("/pets/template", {"word": 'quo"te\nline'})
        call = self.receiver.wait(1)[0]
        self.assertEqual(call.json, {"id": "template", "said": '"quo"te\nline"'})

    def test_cloudevents_binary(self):
        self.rule("ce-binary", {"format": "cloudevents-binary"})
        self.put("/pets/ce-binary", {"n": 1})
        call = self.receiver.wait(1)[0]
        self.assertEqual(call.headers["ce-specversion"], "1.0")
        self.assertEqual(call.headers["ce-id"], call.event_id)
        self.assertEqual(call.headers["ce-type"], "freshet.record.insert")
        self.assertEqual(call.headers["ce-source"], "/freshet/pets")
        self.assertEqual(call.headers["ce-subject"], "ce-binary")
        self.assertEqual(call.json["newImage"]["n"], 1)

    def test_cloudevents_structured(self):
        self.rule("ce-structured", {"format": "cloudevents-structured"})
        self.put("/pets/ce-structured", {"n": 1})
        call = self.receiver.wait(1)[0]
        self.assertTrue(call.headers["content-type"].startswith("application/cloudevents+json"))
        event = call.json
        self.assertEqual(event["specversion"], "1.0")
        self.assertEqual(event["id"], call.event_id)
        self.assertEqual(event["data"]["newImage"]["n"], 1)

    def test_users_own_events(self):
        self.names.append("events")
        self.put(
            "/rules/events",
            {"pattern": {"source": ["shop"]}, "target": {"url": self.receiver.url("/e")}},
        )
        event = {"source": "shop", "detail-type": "sold", "detail": {"price": 9.5}}
        self.assertEqual(self.request("POST", "/events", event).status, 201)
        call = self.receiver.wait(1)[0]
        self.assertEqual(call.json["detail"], {"price": 9.5})
        self.assertEqual(call.json["eventName"], "EVENT")

    def test_two_secrets_verified_independently(self):
        self.rule("signed", secret=[f"whsec_{SECRET_ONE}", f"whsec_{SECRET_TWO}"])
        self.put("/pets/signed", {"n": 1})
        call = self.receiver.wait(1)[0]
        sent = call.headers["webhook-signature"].split(" ")
        content = f"{call.event_id}.{call.headers['webhook-timestamp']}.".encode() + call.body
        expected = [
            "v1," + base64.b64encode(hmac.new(base64.b64decode(secret), content, hashlib.sha256).digest()).decode()
            for secret in (SECRET_ONE, SECRET_TWO)
        ]
        self.assertEqual(sent, expected)
        self.assertLess(abs(int(call.headers["webhook-timestamp"]) - time.time()), 60)

    def test_connections_are_kept_alive(self):
        ports = set()
        original = self.receiver.server.get_request

        def get_request():
            connection, address = original()
            ports.add(address[1])
            return connection, address

        self.receiver.server.get_request = get_request
        self.rule("kept", {"concurrency": 1})
        for number in range(30):
            self.put("/pets/kept", {"n": number})
        self.receiver.wait(30)
        self.assertLessEqual(len(ports), 2)

    def test_concurrency(self):
        running = []
        most = []
        lock = threading.Lock()
        release = threading.Event()

        def hold(call):
            with lock:
                running.append(call)
                most.append(len(running))
            release.wait(support.REQUEST_TIMEOUT_S)
            with lock:
                running.remove(call)
            return 200

        self.receiver.decide = hold
        self.rule("together", {"concurrency": 3})
        for number in range(12):
            self.put(f"/pets/together-{number}", {})
        support.eventually(lambda: len(running) == 3)
        release.set()
        self.until("together", delivered=12)
        self.assertEqual(max(most), 3)

    def test_rate(self):
        self.rule("rate", {"rate": 20, "concurrency": 16})
        began = time.monotonic()
        for number in range(20):
            self.put(f"/pets/rate-{number}", {})
        calls = self.receiver.wait(20)
        self.assertGreater(calls[-1].at - began, 0.7)


class TestFailures(RulesTest):
    def test_order_per_record_across_retries(self):
        seen = {}

        def fail_sometimes(call):
            number = call.json["newImage"]["n"]
            key = (call.path, number)
            seen[key] = seen.get(key, 0) + 1
            return 500 if number % 3 == 0 and seen[key] <= 2 else 200

        self.receiver.decide = fail_sometimes
        self.rule("order", retry={"first": "20ms", "max_attempts": 20})
        # The times of Standard Webhooks begin at 5 s; a put of the rule makes what is parked due.
        for number in range(12):
            for record in range(3):
                self.put(f"/pets/order-{record}", {"n": number})

        def done():
            self.put("/rules/order", self.plain_rule("order"))
            return self.state("order").get("delivered") == 36

        support.eventually(done, 30)
        for record in range(3):
            calls = [call for call in self.receiver.calls if call.path == f"/order-{record}"]
            numbers = [call.json["newImage"]["n"] for call in calls]
            self.assertEqual(sorted(set(numbers)), list(range(12)))
            self.assertEqual(numbers, sorted(numbers), "a change comes again, but never after a later one")

    def plain_rule(self, name):
        rule = self.request("GET", f"/rules/{name}").json
        return {key: value for key, value in rule.items() if key not in ("name", "state")}

    def test_a_failing_record_parks_only_itself(self):
        self.receiver.decide = lambda call: 500 if call.path == "/bad" else 200
        self.rule("parks")
        self.put("/pets/bad", {"n": 1})
        self.put("/pets/bad", {"n": 2})
        for number in range(20):
            self.put(f"/pets/good-{number}", {"n": number})
        self.receiver.wait(20, of=lambda call: call.path.startswith("/good"))
        self.until("parks", parked=2, delivered=20, lag_events=0)  # what is parked does not hold the position
        self.assertEqual(len([call for call in self.receiver.calls if call.path == "/bad"]), 1)

    def test_dead_letters_are_listed_and_redriven(self):
        self.receiver.decide = lambda call: 500
        self.rule("dead", retry={"max_attempts": 2, "first": "10ms"})
        for number in range(3):
            self.put("/pets/dead", {"n": number})
        self.put("/pets/dead-too", {"n": 3})
        letters = self.dead_letters("dead", 4)
        self.assertEqual({letter["change"]["newImage"]["n"] for letter in letters}, {0, 1, 2, 3})
        for letter in letters:
            self.assertEqual(letter["status"], 500)
            self.assertEqual(letter["attempts"], 2)
            self.assertEqual(letter["reason"], "The target answered 500")
            self.assertEqual(letter["answer"], "words of the target")
            self.assertEqual(letter["eventID"], letter["change"]["eventID"])
            self.assertLessEqual(letter["first_attempt"], letter["last_attempt"])
            self.assertLessEqual(letter["last_attempt"], letter["given_up"])
        self.receiver.decide = lambda call: 200
        one = next(letter for letter in letters if letter["change"]["newImage"]["n"] == 3)
        answer = self.request("POST", "/rules/dead/redrive", {"eventID": one["eventID"]})
        self.assertEqual((answer.status, answer.json), (200, {"redriven": 1}))
        self.until("dead", delivered=1, dead_letters=3)
        before = len(self.receiver.calls)
        answer = self.request("POST", "/rules/dead/redrive")
        self.assertEqual((answer.status, answer.json), (200, {"redriven": 3}))
        self.until("dead", delivered=4, dead_letters=0, parked=0)
        numbers = [call.json["newImage"]["n"] for call in self.receiver.calls[before:]]
        self.assertEqual(numbers, [0, 1, 2], "redriven in their order")
        self.assertEqual(self.request("GET", "/rules/dead/dead-letters").json, [])
        answer = self.request("POST", "/rules/dead/redrive", {"eventID": one["eventID"]})
        self.problem(answer, 404, "no such dead letter")

    def test_dead_letters_come_in_pages(self):
        self.receiver.decide = lambda call: 500
        self.rule("paged", retry={"max_attempts": 1})
        self.rule("paged2", retry={"max_attempts": 1})
        for number in range(7):
            self.put(f"/pets/paged-{number}", {"n": number})
        self.dead_letters("paged", 7)
        self.dead_letters("paged2", 7)
        path = "/rules/paged/dead-letters?limit=3"
        found = []
        pages = 0
        while path:
            answer = self.request("GET", path)
            self.assertEqual(answer.status, 200)
            found += [letter["change"]["keys"]["id"] for letter in answer.json]
            pages += 1
            link = answer.headers.get("link")
            path = link[1 : link.index(">")] if link else None
        self.assertEqual(pages, 3)
        self.assertEqual(sorted(found), [f"paged-{number}" for number in range(7)])

    def test_gone_disables_the_rule(self):
        self.receiver.decide = lambda call: 410
        self.rule("gone")
        self.put("/pets/gone", {"n": 1})
        state = self.until("gone", status="disabled")
        self.assertIn("410", state["reason"])
        self.put("/pets/gone", {"n": 2})
        self.receiver.decide = lambda call: 200
        self.rule("gone")
        self.until("gone", status="active", delivered=2)
        self.assertEqual([call.json["newImage"]["n"] for call in self.receiver.calls], [1, 1, 2])

    def test_retry_after(self):
        answers = iter([(503, {"Retry-After": "2"})])
        self.receiver.decide = lambda call: next(answers, 200)
        self.rule("later", retry={"first": "10ms"})
        self.put("/pets/later", {})
        first, second = self.receiver.wait(2)
        self.assertGreaterEqual(second.at - first.at, 1.9)

    def test_too_many_requests_slow_the_target(self):
        answers = iter([429, 429, 429])
        self.receiver.decide = lambda call: next(answers, 200)
        self.rule("slow", {"concurrency": 1}, retry={"first": "400ms"})
        for number in range(3):
            self.put(f"/pets/slow-{number}", {})
        calls = self.receiver.wait(4)
        self.assertGreaterEqual(calls[1].at - calls[0].at, 0.09)
        self.assertGreaterEqual(calls[2].at - calls[1].at, 0.19, "longer each time")

    def test_redirects_are_not_followed(self):
        self.receiver.decide = lambda call: (302, {"Location": self.receiver.url("/elsewhere")})
        self.rule("redirect", retry={"max_attempts": 1})
        self.put("/pets/redirect", {})
        letter = self.dead_letters("redirect")[0]
        self.assertEqual(letter["status"], 302)
        self.assertIn("redirects are not followed", letter["reason"])
        self.assertEqual(len(self.receiver.calls), 1)

    def test_timeouts(self):
        release = threading.Event()
        self.addCleanup(release.set)

        def hang(call):
            release.wait(10)
            return 200

        self.receiver.decide = hang
        self.rule("hangs", {"timeout": "100ms"}, retry={"max_attempts": 1})
        self.put("/pets/hangs", {})
        letter = self.dead_letters("hangs")[0]
        self.assertIsNone(letter["status"])
        self.assertIn("timed out", letter["reason"].lower())

    def test_special_addresses_are_refused(self):
        for host in ("169.254.169.254", "10.0.0.1", "[fe80::1]", "0.0.0.0", "no-such-host.invalid"):
            with self.subTest(host):
                name = "refused-" + "".join(c if c.isalnum() else "-" for c in host)
                self.rule(
                    name,
                    {"url": f"http://{host}/", "path": {}},
                    retry={"max_attempts": 1},
                    pattern={"keys": {"id": [name]}},
                )
                self.put(f"/pets/{name}", {})
                letter = self.dead_letters(name)[0]
                self.assertIsNone(letter["status"])
                if "invalid" not in host:
                    self.assertIn("webhook_allow", letter["reason"])

    def test_a_target_that_comes_back(self):
        closed = socket.socket()
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        closed.close()
        self.rule("back", {"url": f"http://127.0.0.1:{port}/{{id}}"})
        for number in range(40):
            self.put(f"/pets/back-{number % 5}", {"n": number})
        self.until("back", delivered=0)
        support.eventually(lambda: self.state("back")["parked"] > 0)
        with Receiver(port) as receiver:
            receiver.wait(40)
            self.until("back", delivered=40)
            for record in range(5):
                numbers = [
                    call.json["newImage"]["n"]
                    for call in receiver.calls
                    if call.path == f"/back-{record}"
                ]
                self.assertEqual(numbers, sorted(numbers))

    def test_an_answer_without_an_end_is_bounded(self):
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)

        def flood():
            connection, _ = listening.accept()
            connection.recv(65536)
            try:
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                while True:
                    connection.sendall(b"x" * 65536)
            except OSError:
                connection.close()

        threading.Thread(target=flood, daemon=True).start()
        port = listening.getsockname()[1]
        self.rule("flood", {"url": f"http://127.0.0.1:{port}/", "path": {}})
        self.put("/pets/flood", {})
        self.until("flood", delivered=1)

    def test_a_value_that_is_missing_in_the_url(self):
        self.rule("missing", {"path": {"id": "$.newImage.other"}})
        self.put("/pets/missing", {"n": 1})
        letter = self.dead_letters("missing")[0]
        self.assertIn("target.url", letter["reason"])
        self.assertEqual(letter["attempts"], 0)
        self.assertEqual(self.receiver.calls, [])


class TestRoutes(RulesTest):
    def test_a_rule_is_shown_without_its_secrets(self):
        answer = self.rule(
            "shown",
            {"headers": {"Authorization": "Bearer secret-token", "X-Other": "seen"}},
            secret=f"whsec_{SECRET_ONE}",
        )
        self.assertEqual(answer.status, 201)
        self.assertEqual(answer.headers["location"], "/rules/shown")
        self.assertIn("freshet-position", answer.headers)
        for shown in (answer, self.request("GET", "/rules/shown"), self.request("GET", "/rules")):
            self.assertNotIn(SECRET_ONE, shown.text)
            self.assertNotIn("secret-token", shown.text)
            self.assertIn("whsec_****", shown.text)
            self.assertIn("seen", shown.text)
        self.assertEqual(self.rule("shown").status, 200)

    def test_a_mask_is_not_taken_for_a_secret(self):
        self.rule("masked", secret=f"whsec_{SECRET_ONE}")
        rule = self.request("GET", "/rules/masked").json
        del rule["name"], rule["state"]
        self.problem(self.request("PUT", "/rules/masked", rule), 422, "secret")

    def test_wrong_rules_name_the_member(self):
        url = self.receiver.url()
        for rule, status, words in (
            ({}, 400, "target"),
            ({"target": {"url": "ftp://h/"}}, 400, "target.url"),
            ({"target": {"url": url}, "pattern": {"a": [{"what": 1}]}}, 400, "pattern"),
            ({"target": {"url": url}, "colour": 1}, 400, "colour"),
            ({"target": {"url": url}, "secret": "whsec_short"}, 400, "secret"),
            ({"target": {"url": url}, "collection": "cats"}, 422, "collection"),
        ):
            with self.subTest(words):
                answer = self.request("PUT", "/rules/wrong", rule)
                self.assertIn(answer.status, (status, 422), answer)
                self.assertIn(words, answer.json["detail"])
        self.problem(self.request("GET", "/rules/wrong"), 404)
        self.problem(self.request("PUT", "/rules/wrong", "{"), 400)
        self.problem(self.request("PUT", "/rules/a%20b", {"target": {"url": url}}), 400, "name")

    def test_what_is_not_there(self):
        self.problem(self.request("GET", "/rules/none"), 404)
        self.problem(self.request("GET", "/rules/none/dead-letters"), 404)
        self.problem(self.request("POST", "/rules/none/redrive"), 404)
        self.problem(self.request("GET", "/rules/none/what"), 404)
        self.problem(self.request("POST", "/rules/none"), 405)
        self.problem(self.request("PATCH", "/rules"), 405)
        self.problem(self.request("PUT", "/rules/none/redrive", {}), 405)
        self.assertEqual(self.request("DELETE", "/rules/none").status, 200)
        self.problem(self.request("GET", "/rules?limit=0"), 400, "limit")
        self.problem(self.request("GET", "/rules?what=1"), 400)

    def test_rules_are_listed_in_pages(self):
        for number in range(5):
            self.rule(f"listed-{number}", enabled=False)
        path = "/rules?limit=2"
        found = []
        while path:
            answer = self.request("GET", path)
            found += [rule["name"] for rule in answer.json]
            link = answer.headers.get("link")
            path = link[1 : link.index(">")] if link else None
        self.assertEqual([n for n in found if n.startswith("listed")], [f"listed-{n}" for n in range(5)])

    def test_a_deleted_rule_calls_no_more(self):
        self.rule("deleted")
        self.put("/pets/deleted", {"n": 1})
        self.receiver.wait(1)
        self.request("DELETE", "/rules/deleted")
        support.eventually(lambda: "freshet_rule_enabled{rule=\"deleted\"}" not in self.request("GET", "/metrics").text)
        self.put("/pets/deleted", {"n": 2})
        self.rule("afterwards")
        self.put("/pets/deleted", {"n": 3})
        self.assertEqual([call.json["newImage"]["n"] for call in self.receiver.wait(2)], [1, 3])

    def test_metrics(self):
        self.receiver.decide = lambda call: 500 if call.path == "/metrics-bad" else 200
        self.rule("metrics", retry={"max_attempts": 2, "first": "10ms"}, pattern={"keys": {"id": [{"prefix": "metrics"}]}})
        self.put("/pets/metrics-good", {})
        self.put("/pets/metrics-bad", {})
        self.put("/pets/other", {})
        wanted = (
            ("triggered_total", "2"),
            ("matched_events_total", "2"),
            ("invocations_total", "2"),
            ("failed_invocations_total", "1"),
            ("invocation_attempts_total", "3"),
            ("retry_invocation_attempts_total", "1"),
            ("dead_letters", "1"),
            ("parked_changes", "0"),
            ("lag_events", "0"),
            ("lag_seconds", "0.000"),
        )
        lines = {f'freshet_rule_{name}{{rule="metrics"}} {value}' for name, value in wanted}
        text = ""

        def told():
            nonlocal text
            text = self.request("GET", "/metrics").text
            return lines <= set(text.splitlines())

        support.eventually(told)
        for word in ("TriggeredRules", "MatchedEvents", "Invocations", "FailedInvocations"):
            self.assertIn(f" {word}: ", text)


class TestAllow(support.ServerTest):
    arguments = ("--webhook-allow", "none", "--durability", "none")

    def test_nothing_special_is_allowed(self):
        with Receiver() as receiver:
            self.put("/rules/local", {"target": {"url": receiver.url()}})
            self.put("/pets/1", {})
            letters = support.eventually(lambda: self.request("GET", "/rules/local/dead-letters").json)
            self.assertIn("loopback", letters[0]["reason"])
            self.assertEqual(receiver.calls, [])


if __name__ == "__main__":
    unittest.main()
