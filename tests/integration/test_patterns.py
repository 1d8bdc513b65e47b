"""POST /patterns/test: the language of patterns, as its users write it, and refusals with the reason."""

import unittest

import support

CHANGE = {
    "eventID": "1f3a9c2e-1-7", "eventName": "MODIFY", "eventSource": "freshet", "collection": "products",
    "keys": {"id": "42"}, "sequence": 7, "version": 3, "time": "2026-01-01T00:00:00.000Z", "changed": ["price"],
    "newImage": {"id": "42", "title": "Desk lamp", "price": 29.90, "category": "lamps", "stock": 0, "note": None,
                 "ip": "10.1.2.3", "ip6": "2001:db8::1", "tags": ["brass", "desk"], "active": True,
                 "sizes": [{"name": "s", "stock": 3}, {"name": "m", "stock": 0}], "box": {"width": 18}, "none": []},
    "oldImage": {"id": "42", "title": "Desk lamp", "price": 35, "category": "lamps"},
}


def image(**fields):
    return {"newImage": fields}


MATCH = [
    {"collection": ["products"], "eventName": ["INSERT", "MODIFY"]},
    {"changed": ["price"]},
    image(price=[29.9]), image(price=[2.990e1]), image(note=[None]), image(active=[True]),
    image(title=[{"prefix": "Desk"}]), image(title=[{"suffix": "lamp"}]),
    image(title=[{"prefix": {"equals-ignore-case": "DESK"}}]), image(title=[{"suffix": {"equals-ignore-case": "LAMP"}}]),
    image(title=[{"equals-ignore-case": "desk LAMP"}]), image(title=[{"wildcard": "D*k*mp"}]),
    image(category=[{"anything-but": "desks"}]), image(category=[{"anything-but": ["desks", "chairs"]}]),
    image(category=[{"anything-but": {"prefix": "de"}}]), image(category=[{"anything-but": {"suffix": ["x", "y"]}}]),
    image(category=[{"anything-but": {"equals-ignore-case": "DESKS"}}]),
    image(category=[{"anything-but": {"wildcard": "*e*"}}]), image(stock=[{"anything-but": [1, 2]}]),
    image(price=[{"numeric": [">", 0, "<=", 29.9]}]), image(stock=[{"numeric": ["=", 0]}]),
    image(price=[{"exists": True}]), image(colour=[{"exists": False}]), image(box=[{"exists": False}]),
    image(none=[{"exists": False}]),
    image(ip=[{"cidr": "10.0.0.0/8"}]), image(ip6=[{"cidr": "2001:db8::/32"}]),
    image(tags=["desk", "oak"]), image(sizes={"name": ["s"], "stock": [{"numeric": [">", 0]}]}),
    {"$or": [{"newImage": {"price": [1]}}, {"oldImage": {"price": [{"numeric": [">", 30]}]}}]},
    image(colour=[{"exists": False}, "red"], box={"width": [18]}),
]
NO_MATCH = [
    {"collection": ["pets"]}, {"changed": ["title"]}, image(price=["29.9"]), image(title=["desk lamp"]),
    image(stock=[{"prefix": "0"}]), image(colour=[{"anything-but": "red"}]), image(category=[{"anything-but": ["lamps"]}]),
    image(price=[{"numeric": [">", 29.9]}]), image(box=[{"exists": True}]), image(price=[{"exists": False}]),
    image(ip=[{"cidr": "10.2.0.0/16"}]), image(tags=["oak"]),
    image(sizes={"name": ["m"], "stock": [{"numeric": [">", 0]}]}),
    {"$or": [{"newImage": {"price": [1]}}, {"oldImage": {"price": [{"numeric": ["<", 30]}]}}]},
    image(title=[{"wildcard": "D*lamps"}]), image(note=[False]),
]
INVALID = [
    {"newImage": {"price": 29.9}}, {"newImage": {"price": []}}, {"newImage": {}}, {},
    image(title=[{"prefix": 1}]), image(title=[{"prefix": "a", "suffix": "b"}]), image(title=[{"regex": ".*"}]),
    image(price=[{"numeric": [">"]}]), image(price=[{"numeric": [">", "1"]}]), image(price=[{"numeric": ["!", 1]}]),
    image(price=[{"numeric": ["<", 1, ">", 0]}]), image(ip=[{"cidr": "10.0.0.0"}]), image(ip=[{"cidr": "10.0.0.0/33"}]),
    image(title=[{"wildcard": "a**b"}]), image(title=[{"wildcard": "a\\b"}]), image(title=[{"exists": 1}]),
    image(title=[{"anything-but": ["a", 1]}]), image(title=[["a"]]),
]


class Patterns(support.ServerTest):
    def ask(self, pattern, event=CHANGE, path="/patterns/test", **more):
        return self.request("POST", path, {"pattern": pattern, "event": event, **more})

    def test_what_matches(self):
        for pattern in MATCH:
            with self.subTest(pattern=pattern):
                answer = self.ask(pattern)
                self.assertEqual((answer.status, answer.text), (200, '{"result":true}'))

    def test_what_does_not_match(self):
        for pattern in NO_MATCH:
            with self.subTest(pattern=pattern):
                answer = self.ask(pattern)
                self.assertEqual((answer.status, answer.text), (200, '{"result":false}'))

    def test_an_explanation_names_the_field_that_failed(self):
        pattern = image(category=["lamps"], price=[{"numeric": [">", 100]}])
        answer = self.ask(pattern, path="/patterns/test?explain=true")
        self.assertEqual(answer.json, {"result": False, "field": "newImage.price"})
        self.assertEqual(self.ask(pattern, explain=True).json, {"result": False, "field": "newImage.price"})
        self.assertEqual(self.ask({"collection": ["products"]}, explain=True).json, {"result": True})

    def test_an_invalid_pattern_is_400_with_the_reason(self):
        for pattern in INVALID:
            with self.subTest(pattern=pattern):
                answer = self.ask(pattern)
                self.problem(answer, 400)
                self.assertGreater(len(answer.json["detail"]), 10)

    def test_a_pattern_that_costs_too_much_is_400_with_the_reason(self):
        branch = {"$or": [{"a": [1]}, {"b": [1]}, {"c": [1]}]}
        pattern = {name: branch for name in "stuvw"}
        self.problem(self.ask(pattern), 400, "alternatives")

    def test_only_post_of_json_is_taken(self):
        answer = self.request("GET", "/patterns/test")
        self.problem(answer, 405)
        self.assertEqual(answer.headers["allow"], "POST, OPTIONS")
        self.problem(self.request("POST", "/patterns/test", b"{}", content_type="text/plain"), 415)
        self.problem(self.request("POST", "/patterns/test", b'{"pattern":'), 400, "line 1, column")
        self.problem(self.request("POST", "/patterns/test", {"pattern": {"a": [1]}}), 400, "event")


if __name__ == "__main__":
    unittest.main()
