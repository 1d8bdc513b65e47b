"""Lists over HTTP: order, pages, cursors, indexes, and that a list shows every write that was answered."""

import json
import random
import re
import unittest
import urllib.parse

import support


def next_of(answer):
    """The target of the Link to the next page, or None."""
    link = answer.headers.get("link")
    if link is None:
        return None
    found = re.fullmatch(r'<([^>]+)>; rel="next"', link)
    assert found, link
    return found[1]


class Lists(support.ServerTest):
    def fill(self, collection, count, document=None):
        ids = [f"{number:04d}" for number in range(count)]
        for one in ids:
            self.put(f"/{collection}/{one}", document or {"n": one})
        return ids

    def pages(self, target):
        records = []
        sizes = []
        while target is not None:
            answer = self.request("GET", target)
            self.assertEqual(answer.status, 200, answer)
            records += answer.json
            sizes.append(len(answer.json))
            target = next_of(answer)
        return records, sizes

    def setUp(self):
        super().setUp()
        for collection in ("pets", "products"):
            for record in self.request("GET", f"/{collection}").json:
                self.request("DELETE", f"/{collection}/{urllib.parse.quote(record['id'], safe='')}")

    def test_an_empty_list_is_an_empty_array(self):
        answer = self.request("GET", "/pets")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.body, b"[]")
        self.assertEqual(answer.headers["cache-control"], "no-cache, no-store")
        self.assertEqual(answer.headers["content-type"], "application/json")
        self.assertNotIn("link", answer.headers)

    def test_records_come_in_byte_order_of_their_ids(self):
        ids = ["b", "a", "B", "aa", "é", "Z", "10", "9", "~", "a/b", "a b"]
        for one in ids:
            self.put(f"/pets/{urllib.parse.quote(one, safe='')}", {"m": one})
        answer = self.request("GET", "/pets")
        expected = sorted(ids, key=lambda one: one.encode("utf-8"))
        self.assertEqual([record["id"] for record in answer.json], expected)
        self.assertEqual(answer.json[0], {"id": expected[0], "m": expected[0]})

    def test_pages_have_every_record_once(self):
        ids = self.fill("pets", 25)
        for limit, expected in ((1, [1] * 25), (7, [7, 7, 7, 4]), (24, [24, 1]), (25, [25]), (1000, [25])):
            records, sizes = self.pages(f"/pets?limit={limit}")
            self.assertEqual([record["id"] for record in records], ids)
            self.assertEqual([size for size in sizes if size > 0], expected)

    def test_a_page_goes_on_where_it_was_whatever_happens_before_it(self):
        self.fill("pets", 6)
        first = self.request("GET", "/pets?limit=3")
        self.request("DELETE", "/pets/0002")
        self.put("/pets/0001a", {"late": True})
        self.put("/pets/0004a", {"new": True})
        second, _ = self.pages(next_of(first))
        self.assertEqual([record["id"] for record in second], ["0003", "0004", "0004a", "0005"])

    def test_a_page_ends_at_four_mebibytes(self):
        self.fill("pets", 6, {"a": "x" * 1_000_000})
        records, sizes = self.pages("/pets")
        self.assertEqual(len(records), 6)
        self.assertGreater(len(sizes), 1)
        self.assertLessEqual(max(sizes), 4)

    def test_an_index_finds_what_has_the_value(self):
        for number, category in enumerate(["lamps", "chairs", "lamps", "", "lamp", "lamps & more"]):
            self.put(f"/products/{number}", {"title": str(number), "category": category})

        def ids(query):
            return [record["id"] for record in self.request("GET", f"/products?{query}").json]

        self.assertEqual(ids("category=lamps"), ["0", "2"])
        self.assertEqual(ids("category=lamp"), ["4"])
        self.assertEqual(ids("category=lamps+%26+more"), ["5"])
        self.assertEqual(ids("category=lamps%20%26%20more"), ["5"])
        self.assertEqual(ids("category=none"), [])
        self.assertEqual(ids("category="), ["0", "1", "2", "3", "4", "5"])

    def test_index_pages_link_to_their_next(self):
        for number in range(9):
            category = "odd & even" if number % 2 else "even"
            self.put(f"/products/{number}", {"category": category})
        target = "/products?" + urllib.parse.urlencode({"category": "odd & even", "limit": 2})
        records, sizes = self.pages(target)
        self.assertEqual([record["id"] for record in records], ["1", "3", "5", "7"])
        self.assertEqual([size for size in sizes if size > 0], [2, 2])

    def test_a_list_shows_each_write_that_was_answered(self):
        seed = 20260101
        print(f"seed {seed}")
        choices = random.Random(seed)
        expected = {}
        for _ in range(150):
            one = str(choices.randrange(8))
            if choices.random() < 0.3:
                self.request("DELETE", f"/products/{one}")
                expected.pop(one, None)
            else:
                category = choices.choice(["a", "b"])
                self.put(f"/products/{one}", {"category": category, "n": choices.randrange(3)})
                expected[one] = category
            everything = self.request("GET", "/products").json
            self.assertEqual({record["id"]: record["category"] for record in everything}, expected)
            for category in ("a", "b"):
                found = self.request("GET", f"/products?category={category}").json
                wanted = sorted(one for one, value in expected.items() if value == category)
                self.assertEqual([record["id"] for record in found], wanted)

    def test_a_list_is_answered_from_the_cache_until_something_changes(self):
        self.fill("pets", 3)
        self.request("GET", "/pets")
        hit = self.request("GET", "/pets")
        self.assertEqual(hit.outcome, "hit")
        self.put("/pets/0001", {"n": "other"})
        after = self.request("GET", "/pets")
        self.assertNotEqual(after.outcome, "hit")
        self.assertEqual(after.json[1]["n"], "other")

    def test_what_a_list_does_not_understand_is_400(self):
        self.fill("pets", 3)
        cursor = urllib.parse.parse_qs(urllib.parse.urlsplit(next_of(self.request("GET", "/pets?limit=1"))).query)
        token = cursor["cursor"][0]
        for target in (
            "/pets?limit=0", "/pets?limit=-1", "/pets?limit=x", "/pets?limit=", "/pets?limit=1001",
            "/pets?limit=1&limit=1", "/pets?cursor=", "/pets?cursor=abc", f"/pets?cursor={token}A",
            f"/pets?cursor={token[:-1]}", f"/products?cursor={token}", f"/products?category=a&cursor={token}",
            "/pets?name=x", "/pets?category=x", "/products?title=x", "/products?category=a&category=b",
            "/products?category=%zz", "/products?category=%FF", "/products?category=" + "x" * 513,
        ):
            self.problem(self.request("GET", target), 400)

    def test_numbers_and_booleans_are_indexed_by_their_text_and_the_rest_not(self):
        config = """
collections:
  - { name: things, indexes: [value] }
"""
        server = support.Server(config=config).start()
        self.addCleanup(server.remove)
        client = server.client()
        self.addCleanup(client.close)
        values = {"int": 1, "text": "1", "float": "1.0", "true": True, "word": "true", "null": None,
                  "list": [1], "object": {"value": 1}}
        for name, value in values.items():
            body = json.dumps({"value": value}) if name != "float" else '{"value":1.0}'
            self.assertEqual(client.request("PUT", f"/things/{name}", body).status, 201)

        def ids(value):
            return [record["id"] for record in client.request("GET", f"/things?value={value}").json]

        self.assertEqual(ids("1"), ["int", "text"])
        self.assertEqual(ids("1.0"), ["float"])
        self.assertEqual(ids("true"), ["true", "word"])
        self.assertEqual(ids("null"), [])
        answer = client.request("PUT", "/things/long", {"value": "x" * 513})
        self.problem(answer, 422)
        self.assertEqual(client.request("PUT", "/things/long", {"value": "x" * 512}).status, 201)
        self.assertEqual(ids("x" * 512), ["long"])


if __name__ == "__main__":
    unittest.main()
