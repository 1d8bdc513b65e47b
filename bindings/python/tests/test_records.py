"""Both clients against a real server: every call on records, and every error."""

import unittest
from decimal import Decimal

import support

import freshet
from freshet import Create, Delete, Get, Patch, Put

CONFIG = """
collections:
  - { name: pets, cache: { ttl: 1h } }
  - { name: products, indexes: [category], fields: [ { name: title, type: string, default: "" } ] }
  - { name: numbers }
  - { name: changed }
"""


class Records:
    config = CONFIG

    def setUp(self):
        super().setUp()
        self.db = self.connect()

    def test_a_record_lives_from_create_to_delete(self):
        made = self.db.create("pets", {"name": "Rex"})
        self.assertEqual((made.version, made.created, made.changed), (1, True, True))
        self.assertEqual(self.db.get("pets", made.id), {"id": made.id, "name": "Rex"})
        replaced = self.db.put("pets", made.id, {"name": "Tom"})
        self.assertEqual((replaced.id, replaced.version, replaced.created), (made.id, 2, False))
        patched = self.db.patch("pets", made.id, {"age": 3, "name": None})
        self.assertEqual(patched.version, 3)
        record = self.db.get_record("pets", made.id)
        self.assertEqual((record.value, record.version, record.etag),
                         ({"id": made.id, "age": 3}, 3, patched.etag))
        self.assertIs(self.db.delete("pets", made.id), True)
        self.assertIs(self.db.delete("pets", made.id), False)
        self.assertIsNone(self.db.get("pets", made.id))
        self.assertIsNone(self.db.get_record("pets", made.id))

    def test_an_equal_write_changes_nothing(self):
        first = self.db.put("pets", "equal", {"a": 1, "b": 2})
        again = self.db.put("pets", "equal", {"b": 2, "a": 1})
        self.assertEqual((again.etag, again.position, again.version), (first.etag, first.position, first.version))
        self.assertEqual((first.changed, again.changed, again.created), (True, False, False))
        # What was read can be written back, id and all.
        self.assertFalse(self.db.put("pets", "equal", self.db.get("pets", "equal")).changed)

    def test_the_etag_is_the_one_of_rest(self):
        written = self.db.put("pets", "etag", {"n": 1})
        answer = self.rest.request("GET", "/pets/etag")
        self.assertEqual(answer.headers["etag"], written.etag)
        self.assertEqual(self.db.get_record("pets", "etag").etag, written.etag)
        answer = self.rest.request("PUT", "/pets/etag", {"n": 2}, {"If-Match": written.etag})
        self.assertEqual(answer.status, 200)
        self.assertEqual(self.db.get("pets", "etag"), {"id": "etag", "n": 2})

    def test_preconditions(self):
        first = self.db.put("pets", "pre", {"n": 1}, if_absent=True)
        for call in (lambda: self.db.put("pets", "pre", {"n": 2}, if_absent=True),
                     lambda: self.db.put("pets", "pre", {"n": 2}, if_match='"0-0-1"'),
                     lambda: self.db.put("pets", "nobody", {"n": 2}, if_match="*"),
                     lambda: self.db.patch("pets", "pre", {"n": 2}, if_match='"0-0-1"'),
                     lambda: self.db.delete("pets", "pre", if_match='"0-0-1"')):
            with self.assertRaises(freshet.PreconditionFailed) as caught:
                call()
            self.assertEqual(caught.exception.code, 412)
            self.assertTrue(caught.exception.detail)
        with self.assertRaises(freshet.NotModified):
            self.db.get("pets", "pre", if_none_match=first.etag)
        second = self.db.put("pets", "pre", {"n": 2}, if_match=first.etag)
        self.assertEqual(self.db.get("pets", "pre", if_none_match=first.etag)["n"], 2)
        third = self.db.patch("pets", "pre", {"n": 3}, if_match=second.etag)
        self.assertIs(self.db.delete("pets", "pre", if_match=third.etag), True)

    def test_an_idempotency_key_gives_the_first_answer_again(self):
        first = self.db.create("pets", {"n": 1}, idempotency_key="once")
        again = self.db.create("pets", {"n": 1}, idempotency_key="once")
        self.assertEqual(again.id, first.id)
        with self.assertRaises(freshet.Unprocessable):
            self.db.create("pets", {"n": 2}, idempotency_key="once")

    def test_errors_have_the_codes_of_rest(self):
        cases = [
            (freshet.NotFound, 404, lambda: self.db.get("none", "a")),
            (freshet.NotFound, 404, lambda: self.db.put("none", "a", {})),
            (freshet.NotFound, 404, lambda: self.db.patch("pets", "nobody", {"a": 1})),
            (freshet.NotFound, 404, lambda: list(self.db.list("none"))),
            (freshet.Invalid, 400, lambda: self.db.get("pets", "")),
            (freshet.Invalid, 400, lambda: self.db.put("pets", "x" * 513, {})),
            (freshet.Invalid, 400, lambda: self.db.put("pets", "a", {"id": "b"})),
            (freshet.Invalid, 400, lambda: self.db.create("pets", {"id": "b"})),
            (freshet.Invalid, 400, lambda: list(self.db.list("products", title="a"))),
            (freshet.Invalid, 400, lambda: list(self.db.list("pets", page_size=0))),
            (freshet.Invalid, 400, lambda: self.db.get("pets", "a", min_position="nonsense")),
            (freshet.Invalid, 400, lambda: self.db.subscribe("pets", start="nonsense")),
            (freshet.Invalid, 400, lambda: self.db.subscribe("pets", {"a": [{"nonsense": 1}]})),
            (freshet.TooLarge, 413, lambda: self.db.put("pets", "a", {"x": "x" * (1 << 20)})),
            (freshet.Unprocessable, 422, lambda: self.db.put("products", "a", {"title": 1})),
            (freshet.Unprocessable, 422, lambda: self.db.put("pets", "a", {"n": Decimal("1e400")})),
            (freshet.NotFound, 404, lambda: self.db.subscribe("none")),
            (freshet.NotFound, 404, lambda: self.db.subscribe(consumer="nobody")),
        ]
        for number, (kind, code, call) in enumerate(cases):
            with self.subTest(number=number):
                with self.assertRaises(kind) as caught:
                    call()
                self.assertEqual(caught.exception.code, code, caught.exception)
                self.assertTrue(caught.exception.detail)
        self.db.ping()

    def test_get_many_and_a_batch(self):
        for n in range(5):
            self.db.put("pets", f"m{n}", {"n": n})
        found = self.db.get_many("pets", ["m3", "nobody", "m0", "m3"])
        self.assertEqual(found, [{"id": "m3", "n": 3}, None, {"id": "m0", "n": 0}, {"id": "m3", "n": 3}])
        self.assertEqual(self.db.get_many("pets", []), [])
        results = self.db.batch([
            Put("pets", "b", {"n": 1}), Get("pets", "m1"), Patch("pets", "b", {"n": 2}), Delete("pets", "b"),
            Delete("pets", "b"), Get("pets", "nobody"), Create("pets", {"n": 3}), Put("pets", "b", {}, if_match="*"),
            Get("none", "b")])
        self.assertTrue(results[0].created)
        self.assertEqual(results[1], {"id": "m1", "n": 1})
        self.assertEqual((results[2].version, results[3], results[4], results[5]), (2, True, False, None))
        self.assertEqual(self.db.get("pets", results[6].id)["n"], 3)
        self.assertIsInstance(results[7], freshet.PreconditionFailed)
        self.assertIsInstance(results[8], freshet.NotFound)
        self.assertEqual(self.db.batch([]), [])

    def test_get_many_asks_again_for_what_a_short_answer_leaves_out(self):
        large = "x" * (900 << 10)
        for n in range(7):
            self.db.put("pets", f"large{n}", {"n": n, "x": large})
        found = self.db.get_many("pets", [f"large{n}" for n in range(7)])
        self.assertEqual([record["n"] for record in found], list(range(7)))
        for n in range(7):
            self.db.delete("pets", f"large{n}")

    def test_lists_come_page_by_page_in_the_order_of_the_ids(self):
        names = sorted(f"l{n}" for n in range(25))
        for name in names:
            self.db.put("products", name, {"title": name, "category": "odd" if int(name[1:]) % 2 else "even"})
        for size in (1, 7, 25, 1000, None):
            found = [one["id"] for one in self.db.list("products", page_size=size)]
            self.assertEqual(found, names)
        self.assertEqual([one["id"] for one in self.db.list("products", page_size=3, category="odd")],
                         [name for name in names if int(name[1:]) % 2])
        self.assertEqual(list(self.db.list("products", category="none")), [])
        last = self.db.put("products", "last", {"category": "even"})
        self.assertEqual([one["id"] for one in self.db.list("products", min_position=last.position)][0], "l0")
        self.db.delete("products", "last")

    def test_a_read_waits_for_a_position(self):
        answer = self.rest.request("PUT", "/pets/p", {"n": 1})
        position = answer.headers["freshet-position"]
        self.assertEqual(self.db.get("pets", "p", min_position=position), {"id": "p", "n": 1})
        written = self.db.put("pets", "p", {"n": 2})
        self.assertEqual(self.rest.request("GET", "/pets/p", headers={"freshet-min-position": written.position}).json["n"], 2)
        self.assertEqual(self.db.get("pets", "p", fresh=True)["n"], 2)

    def test_numbers_are_those_of_rest_digit_for_digit(self):
        from test_codec import KEPT
        for number, text in enumerate(KEPT):
            value = freshet.loads(text)
            self.db.put("numbers", str(number), {"n": value})
            answer = self.rest.request("GET", f"/numbers/{number}")
            self.assertEqual(answer.text, f'{{"id":"{number}","n":{text}}}')
            self.rest.request("PUT", f"/numbers/r{number}", f'{{"n":{text}}}')
            read = self.db.get("numbers", f"r{number}", fresh=True)
            self.assertEqual(freshet.dumps(read["n"]), text)
            self.assertFalse(self.db.put("numbers", f"r{number}", read).changed, text)
        self.db.put("numbers", "d", {"n": Decimal("1.50"), "m": Decimal("29.99"), "i": 10**30})
        self.assertEqual(self.rest.request("GET", "/numbers/d").text,
                         '{"id":"d","n":1.50,"m":29.99,"i":1000000000000000000000000000000}')

    def test_stats_and_consumers(self):
        self.assertGreater(self.db.stats()["freshet_wire_connections"], 0)
        made = self.db.consumers.put("c1", collection="pets", pattern={"changed": ["n"]}, start="earliest")
        self.assertEqual((made.name, made.collection, made.pattern, made.group),
                         ("c1", "pets", {"changed": ["n"]}, False))
        self.assertEqual(self.db.consumers.get("c1").name, "c1")
        self.db.consumers.put("c2", group=True)
        listed = [info.name for info in self.db.consumers.list()]
        self.assertEqual([name for name in listed if name in ("c1", "c2")], ["c1", "c2"])
        self.assertIs(self.db.consumers.delete("c1"), True)
        self.assertIs(self.db.consumers.delete("c1"), False)
        self.assertIsNone(self.db.consumers.get("c1"))
        self.assertIs(self.db.consumers.delete("c2"), True)

    def test_checksums(self):
        db = self.connect(checked=True)
        db.put("pets", "checked", {"n": 1})
        self.assertEqual(db.get("pets", "checked"), {"id": "checked", "n": 1})


support.for_both(Records, support.RealTest)


if __name__ == "__main__":
    unittest.main()
