"""POST /events: a user's own event reaches those who follow all changes, in the order of the writes."""

import json
import unittest
import urllib.parse

import support

EVENT = {"source": "shop", "detail-type": "Order Placed", "detail": {"total": 29.9, "items": [{"sku": "a", "n": 2}]}}


class Events(support.ServerTest):
    def page(self, **parameters):
        answer = self.request("GET", "/changes?" + urllib.parse.urlencode(parameters))
        self.assertEqual(answer.status, 200, answer)
        return answer.json["changes"]

    def test_an_event_is_a_change_among_the_others(self):
        before = self.request("PUT", "/pets/before", {"message": "a"}).headers["freshet-position"]
        answer = self.request("POST", "/events", EVENT)
        self.assertEqual(answer.status, 201)
        after = self.request("PUT", "/pets/after", {"message": "b"})
        self.assertEqual(after.status, 201)
        changes = self.page(**{"from": before})
        self.assertEqual([change["eventName"] for change in changes], ["EVENT", "INSERT"])
        event = changes[0]
        self.assertEqual(event["eventID"], answer.json["eventID"])
        self.assertRegex(event["eventID"], r"^[A-Za-z0-9_-]+$")
        self.assertEqual({name: event[name] for name in EVENT}, EVENT)
        self.assertEqual(event["eventSource"], "freshet")
        self.assertLess(event["sequence"], changes[1]["sequence"])
        self.assertNotIn("keys", event)
        # Its position is the one after which the next change comes.
        later = self.page(**{"from": answer.headers["freshet-position"]})
        self.assertEqual([change["eventName"] for change in later], ["INSERT"])

    def test_an_event_is_found_by_a_pattern_and_belongs_to_no_collection(self):
        before = self.request("PUT", "/pets/one", {"message": "a"}).headers["freshet-position"]
        for name in ("Order Placed", "Order Paid"):
            self.assertEqual(self.request("POST", "/events", {**EVENT, "detail-type": name}).status, 201)
        pattern = json.dumps({"source": ["shop"], "detail-type": [{"suffix": "Paid"}]})
        found = self.page(**{"from": before, "pattern": pattern})
        self.assertEqual([change["detail-type"] for change in found], ["Order Paid"])
        self.assertEqual(self.page(**{"from": before, "collection": "pets"}), [])

    def test_numbers_of_an_event_come_back_as_written(self):
        before = self.request("PUT", "/pets/two", {"message": "a"}).headers["freshet-position"]
        body = b'{"source":"s","detail-type":"t","detail":{"a":1.50,"b":1E2,"c":12345678901234567890}}'
        self.assertEqual(self.request("POST", "/events", body).status, 201)
        answer = self.request("GET", "/changes?" + urllib.parse.urlencode({"from": before}))
        self.assertIn('{"a":1.50,"b":1E2,"c":12345678901234567890}', answer.text)

    def test_a_key_gives_the_first_answer_again(self):
        before = self.request("PUT", "/pets/four", {"message": "a"}).headers["freshet-position"]
        key = {"Idempotency-Key": "once"}
        first = self.request("POST", "/events", EVENT, key)
        self.assertEqual(first.status, 201)

        def repeated():
            again = self.request("POST", "/events", EVENT, key)
            self.assertEqual((again.status, again.json), (201, first.json))
            self.assertEqual(again.headers["freshet-position"], first.headers["freshet-position"])
            other = self.request("POST", "/events", {**EVENT, "source": "other"}, key)
            self.problem(other, 422, "Idempotency-Key")
            self.assertEqual([change["eventID"] for change in self.page(**{"from": before})], [first.json["eventID"]])

        repeated()
        # On another path the key is another one.
        self.assertEqual(self.request("POST", "/pets", {"a": 1}, key).status, 201)
        before = self.request("PUT", "/pets/four", {"message": "b"}).headers["freshet-position"]
        self.server.kill()
        self.server.start()
        self.setUp()
        again = self.request("POST", "/events", EVENT, key)
        self.assertEqual((again.status, again.json), (201, first.json))
        self.assertEqual(self.page(**{"from": before}), [])
        self.problem(self.request("POST", "/events", EVENT, {"Idempotency-Key": ""}), 400, "Idempotency-Key")

    def test_what_is_no_event_is_refused(self):
        for body, status, words in [
                ({**EVENT, "source": ""}, 422, "source"), ({**EVENT, "source": "x" * 257}, 422, "source"),
                ({**EVENT, "detail-type": 1}, 422, "detail-type"), ({**EVENT, "detail": "x"}, 422, "detail"),
                ({"source": "s", "detail-type": "t"}, 422, "detail"), ({**EVENT, "time": 1}, 422, "only"),
                (b"[]", 400, "object"), (b"{", 400, "line 1, column")]:
            with self.subTest(body=body):
                self.problem(self.request("POST", "/events", body), status, words)
        self.problem(self.request("POST", "/events", b"{}", content_type="text/plain"), 415)
        large = {**EVENT, "detail": {"x": "x" * (1 << 20)}}
        self.assertEqual(self.request("POST", "/events", large).status, 413)
        answer = self.request("GET", "/events")
        self.problem(answer, 405)
        self.assertEqual(answer.headers["allow"], "POST, OPTIONS")

    def test_events_outlive_a_kill(self):
        before = self.request("PUT", "/pets/three", {"message": "a"}).headers["freshet-position"]
        event_id = self.request("POST", "/events", EVENT).json["eventID"]
        self.server.kill()
        self.server.start()
        self.setUp()
        changes = self.page(**{"from": before})
        self.assertEqual([change["eventID"] for change in changes], [event_id])


if __name__ == "__main__":
    unittest.main()
