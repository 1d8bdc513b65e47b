"""Idempotency-Key: the same creation twice is one record, whenever, wherever and however often it is asked for."""

import threading
import unittest

import support


class Idempotency(support.ServerTest):
    def post(self, key, body='{"a":1}', path="/pets", client=None):
        return (client or self.client).request("POST", path, body, {"Idempotency-Key": key})

    def count(self, path="/pets"):
        return len(self.request("GET", path).json)

    def test_the_same_key_gives_the_first_answer(self):
        before = self.count()
        first = self.post("key-1")
        self.assertEqual(first.status, 201)
        again = self.post("key-1")
        self.assertEqual(again.status, 201)
        for name in ("location", "etag", "freshet-position"):
            self.assertEqual(again.headers[name], first.headers[name])
        self.assertEqual(again.body, first.body)
        self.assertEqual(self.count(), before + 1)

    def test_the_first_answer_stays_when_the_record_has_changed(self):
        first = self.post("key-2")
        self.put(first.headers["location"], {"a": 2})
        again = self.post("key-2")
        self.assertEqual((again.status, again.json["a"]), (201, 1))
        self.request("DELETE", first.headers["location"])
        self.assertEqual(self.post("key-2").headers["location"], first.headers["location"])
        self.assertEqual(self.request("GET", first.headers["location"]).status, 404)

    def test_another_body_under_the_key_is_422(self):
        self.post("key-3")
        self.problem(self.post("key-3", '{"a":2}'), 422)
        self.problem(self.post("key-3", '{"a": 1}'), 422)

    def test_another_path_or_key_is_another_creation(self):
        one = self.post("key-4")
        two = self.post("key-4", path="/products")
        three = self.post("key-4b")
        self.assertEqual({one.status, two.status, three.status}, {201})
        self.assertNotEqual(one.json["id"], two.json["id"])
        self.assertNotEqual(one.json["id"], three.json["id"])

    def test_quotes_of_a_structured_string_are_no_part_of_the_key(self):
        self.assertEqual(self.post("key-5").body, self.post('"key-5"').body)

    def test_many_at_once_make_one_record(self):
        for number in range(10):
            answers = []

            def post(key=f"at-once-{number}"):
                client = self.server.client()
                answers.append(self.post(key, client=client))
                client.close()

            before = self.count()
            threads = [threading.Thread(target=post) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual({answer.status for answer in answers}, {201})
            self.assertEqual(len({answer.body for answer in answers}), 1)
            self.assertEqual(self.count(), before + 1)

    def test_a_refused_creation_does_not_use_the_key_up(self):
        self.problem(self.post("key-6", '{"a":'), 400)
        self.problem(self.post("key-6", '{"id":"1"}'), 400)
        self.assertEqual(self.post("key-6").status, 201)

    def test_keys_that_are_none_are_400(self):
        for key in ("", "a b", "x" * 256, '"open', "\u00e9"):
            self.problem(self.post(key), 400)
        self.assertEqual(self.post("x" * 255).status, 201)
        answers, _ = self.raw(
            b"POST /pets HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
            b"Idempotency-Key: a\r\nIdempotency-Key: b\r\nConnection: close\r\n\r\n{}"
        )
        self.problem(answers[0], 400)

    def test_it_means_nothing_to_other_methods(self):
        self.assertEqual(self.request("PUT", "/pets/k", {"a": 1}, {"Idempotency-Key": "a b"}).status, 201)
        self.assertEqual(self.request("GET", "/pets/k", headers={"Idempotency-Key": "a b"}).status, 200)


class AcrossRestarts(unittest.TestCase):
    def test_the_first_answer_outlives_the_process(self):
        server = support.Server().start()
        self.addCleanup(server.remove)
        answers = []
        for end in (server.stop, server.kill, server.stop):
            client = server.client()
            answers.append(client.request("POST", "/pets", '{"a":1.50}', {"Idempotency-Key": "k"}))
            client.close()
            end()
            server.start()
        self.assertEqual({answer.status for answer in answers}, {201})
        self.assertEqual(len({answer.body for answer in answers}), 1)
        self.assertEqual(len({answer.headers["etag"] for answer in answers}), 1)


if __name__ == "__main__":
    unittest.main()
