"""The cache as its clients see it: what is a hit, what is fresh, what is told to caches downstream."""

import email.utils
import threading
import unittest

import support


class Cache(support.ServerTest):
    def read(self, path, **headers):
        return self.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def test_a_second_read_is_a_hit_that_repeats_its_timestamp(self):
        self.put("/pets/hit", {"a": 1})
        first = self.read("/pets/hit")

        def aged():
            answer = self.read("/pets/hit")
            return answer if answer.headers["age"] != "0" else None

        second = support.eventually(aged)
        self.assertEqual(second.outcome, "hit")
        self.assertRegex(second.headers["cache-status"], r"^freshet; hit; ttl=3[56]\d\d$")
        self.assertEqual(second.headers["cache-timestamp"], first.headers["cache-timestamp"])
        self.assertEqual(second.body, first.body)
        self.assertGreaterEqual(int(second.headers["age"]), 1)
        made = email.utils.parsedate_to_datetime(second.headers["cache-timestamp"])
        now = email.utils.parsedate_to_datetime(second.headers["date"])
        self.assertLessEqual(abs((now - made).total_seconds() - int(second.headers["age"])), 1)

    def test_downstream_caches_are_to_ask_again(self):
        self.put("/pets/down", {"a": 1})
        for path in ("/pets/down", "/pets/nobody"):
            self.assertEqual(self.read(path).headers["cache-control"], "no-cache")
        self.assertEqual(self.read("/pets").headers["cache-control"], "no-cache, no-store")

    def test_an_answered_write_is_what_every_later_read_sees(self):
        other = self.server.client()
        self.addCleanup(other.close)
        for number in range(300):
            self.put("/pets/fresh", {"n": number})
            for client in (self.client, other):
                self.assertEqual(client.request("GET", "/pets/fresh").json["n"], number)
        self.request("DELETE", "/pets/fresh")
        self.assertEqual(other.request("GET", "/pets/fresh").status, 404)

    def test_an_absent_record_is_cached_until_it_is_inserted(self):
        self.problem(self.read("/pets/later"), 404, "Pet not found")
        second = self.read("/pets/later")
        self.assertEqual(second.status, 404)
        self.assertEqual(second.outcome, "hit")
        self.put("/pets/later", {"a": 1})
        self.assertEqual(self.read("/pets/later").status, 200)
        self.request("DELETE", "/pets/later")
        self.assertEqual(self.read("/pets/later").status, 404)

    def test_errors_are_not_cached(self):
        self.request("GET", "/pets/%00")
        self.put("/pets/err", {"a": 1})
        self.problem(self.read("/pets/err", If_Match='"x"'), 412)
        self.assertEqual(self.read("/pets/err").status, 200)

    def test_no_cache_refreshes_the_entry(self):
        self.put("/pets/refresh", {"a": 1})
        old = self.read("/pets/refresh").headers["cache-timestamp"]
        support.eventually(lambda: self.read("/pets/refresh").headers["age"] != "0")
        for value in ("max-age=0", "no-cache", "no-store, Max-Age=0"):
            answer = self.read("/pets/refresh", Cache_Control=value)
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.outcome, "fwd=request; stored", value)
        hit = self.read("/pets/refresh")
        self.assertEqual(hit.outcome, "hit")
        self.assertNotEqual(hit.headers["cache-timestamp"], old)
        self.assertEqual(self.read("/pets/refresh", Pragma="no-cache").outcome, "fwd=request; stored")
        self.assertEqual(self.read("/pets/refresh", Cache_Control="max-age=60").outcome, "hit")

    def test_a_refresh_of_what_is_not_there_is_404(self):
        self.assertEqual(self.read("/pets/no-such", Cache_Control="no-cache").status, 404)

    def test_a_hit_can_be_not_modified(self):
        tag = self.put("/pets/modified", {"a": 1}).headers["etag"]
        self.read("/pets/modified")
        answer = self.read("/pets/modified", If_None_Match=tag)
        self.assertEqual(answer.status, 304)
        self.assertEqual(answer.outcome, "hit")
        self.assertEqual(answer.headers["cache-control"], "no-cache")

    def test_large_bodies_are_hits_too(self):
        for size in (4000, 4096, 5000, 16 * 1024, 100_000, 1_000_000):
            self.put("/pets/size", {"a": "x" * size})
            for _ in range(3):
                answer = self.read("/pets/size")
                self.assertEqual(len(answer.json["a"]), size)
            self.assertEqual(answer.outcome, "hit", size)

    def test_the_query_is_no_part_of_a_record(self):
        self.put("/pets/query", {"a": 1})
        self.read("/pets/query")
        self.assertEqual(self.read("/pets/query?x=1").outcome, "hit")

    def test_readers_at_once_all_see_one_state(self):
        self.put("/pets/many", {"n": 1})
        failures = []

        def read():
            client = self.server.client()
            for _ in range(50):
                answer = client.request("GET", "/pets/many", headers={"Cache-Control": "no-cache"})
                if answer.status != 200 or answer.json["n"] != 1:
                    failures.append(answer)
            client.close()

        threads = [threading.Thread(target=read) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])


class CacheOff(support.ServerTest):
    arguments = ("--cache-bytes", "0")

    def test_everything_works_and_nothing_is_a_hit(self):
        for number in range(20):
            self.put("/pets/1", {"n": number})
            for _ in range(2):
                answer = self.request("GET", "/pets/1")
                self.assertEqual(answer.json["n"], number)
                self.assertNotEqual(answer.outcome, "hit")
            self.assertEqual(self.request("GET", "/pets").json, [{"id": "1", "n": number}])


class CollectionWithoutCache(support.ServerTest):
    config = """
collections:
  - { name: pets, cache: off }
  - { name: others, cache: { ttl: 1h } }
"""

    def test_its_reads_pass_the_cache_by(self):
        self.put("/pets/1", {"a": 1})
        self.put("/others/1", {"a": 1})
        for _ in range(3):
            self.assertEqual(self.request("GET", "/pets/1").outcome, "fwd=bypass")
        self.request("GET", "/others/1")
        self.assertEqual(self.request("GET", "/others/1").outcome, "hit")


class ShortTtl(support.ServerTest):
    config = """
collections:
  - { name: pets, cache: { ttl: 1s } }
"""

    def test_an_entry_ends_with_its_time(self):
        self.put("/pets/1", {"a": 1})
        self.request("GET", "/pets/1")
        hit = self.request("GET", "/pets/1")
        self.assertEqual(hit.headers["cache-status"], "freshet; hit; ttl=0")

        def missed():
            answer = self.request("GET", "/pets/1")
            return answer if answer.outcome != "hit" else None

        answer = support.eventually(missed)
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.outcome, "fwd=uri-miss; stored")


class SmallCache(support.ServerTest):
    arguments = ("--cache-bytes", "1MiB")

    def test_a_full_cache_evicts_and_stays_right(self):
        for number in range(400):
            self.put(f"/pets/{number}", {"n": number, "fill": "x" * 8000})
        for _ in range(2):
            for number in range(0, 400, 7):
                self.assertEqual(self.request("GET", f"/pets/{number}").json["n"], number)


if __name__ == "__main__":
    unittest.main()
