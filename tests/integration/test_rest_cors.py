"""Browsers of other origins: what OPTIONS says, and what every answer carries."""

import unittest

import support

METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
FIELDS = (
    "Content-Type, Authorization, X-Requested-With, If-Match, If-None-Match, Idempotency-Key, "
    "Cache-Control, Last-Event-ID, freshet-min-position"
)
EXPOSED = "ETag, Location, Link, Age, Cache-Status, cache-timestamp, freshet-position, Retry-After"
ORIGIN = {"Origin": "https://shop.example"}


class Cors(support.ServerTest):
    def test_options_answers_anything(self):
        for path in ("/pets", "/pets/1", "/products", "/products/1/images", "/nothing", "/", "*"):
            answer = self.request("OPTIONS", path, headers=ORIGIN)
            self.assertEqual(answer.status, 200, path)
            self.assertEqual(answer.body, b"")
            self.assertEqual(answer.headers["access-control-allow-origin"], "*")
            self.assertEqual(answer.headers["access-control-allow-methods"], METHODS)
            self.assertEqual(answer.headers["access-control-allow-headers"], FIELDS)
            self.assertEqual(answer.headers["access-control-max-age"], "86400")

    def test_a_preflight_is_answered(self):
        answer = self.request(
            "OPTIONS",
            "/pets/1",
            headers={
                **ORIGIN,
                "Access-Control-Request-Method": "PUT",
                "Access-Control-Request-Headers": "content-type,if-match",
            },
        )
        self.assertEqual(answer.status, 200)

    def test_every_answer_may_be_read_and_exposes_its_headers_to_an_origin(self):
        self.put("/pets/1", {"a": 1})
        for method, path, body in (
            ("GET", "/pets/1", None), ("GET", "/pets/1", None), ("GET", "/pets", None), ("GET", "/pets/2", None),
            ("POST", "/pets", {"a": 1}), ("PUT", "/pets/3", {"a": 1}), ("PATCH", "/pets/3", {"a": 2}),
            ("DELETE", "/pets/3", None), ("POST", "/pets/3", {}), ("GET", "/nothing", None), ("PUT", "/pets/3", "{"),
            ("HEAD", "/pets/1", None), ("GET", "/healthz", None),
        ):
            with_origin = self.request(method, path, body, headers=ORIGIN)
            self.assertEqual(with_origin.headers["access-control-allow-origin"], "*")
            self.assertEqual(with_origin.headers["access-control-expose-headers"], EXPOSED, path)
            without = self.request(method, path, body)
            self.assertEqual(without.headers["access-control-allow-origin"], "*")
            self.assertNotIn("access-control-expose-headers", without.headers)

    def test_even_malformed_http_is_answered_with_it(self):
        answers, closed = self.raw(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        self.assertEqual(answers[0].headers["access-control-allow-origin"], "*")
        self.assertTrue(closed)


class OneOrigin(support.ServerTest):
    arguments = ("--cors-origin", "https://shop.example")

    def test_the_origin_is_as_configured(self):
        self.put("/pets/1", {"a": 1})
        for path in ("/pets/1", "/pets/1", "/pets", "/nothing"):
            answer = self.request("GET", path, headers=ORIGIN)
            self.assertEqual(answer.headers["access-control-allow-origin"], "https://shop.example")


if __name__ == "__main__":
    unittest.main()
