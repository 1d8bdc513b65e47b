"""Records over HTTP: create, read, replace, patch, delete, conditions, HEAD, methods and operating pages."""

import json
import re
import unittest
import uuid

import support


class Records(support.ServerTest):
    def test_a_created_record_has_a_new_id_a_place_a_tag_and_a_position(self):
        answer = self.request("POST", "/pets", {"message": "hello", "age": 3})
        self.assertEqual(answer.status, 201)
        record = answer.json
        self.assertEqual(uuid.UUID(record["id"]).version, 7)
        self.assertEqual(record, {"id": record["id"], "message": "hello", "age": 3})
        self.assertEqual(next(iter(record)), "id")
        self.assertEqual(answer.headers["location"], f"/pets/{record['id']}")
        self.assertEqual(answer.headers["content-type"], "application/json")
        self.assertTrue(answer.headers["freshet-position"])
        read = self.request("GET", answer.headers["location"])
        self.assertEqual(read.status, 200)
        self.assertEqual(read.body, answer.body)
        self.assertEqual(read.headers["etag"], answer.headers["etag"])

    def test_an_id_in_a_creation_is_refused_with_the_name_of_the_thing(self):
        self.problem(self.request("POST", "/products", {"id": "1"}), 400, "Product id is not allowed")
        self.problem(self.request("POST", "/pets", {"id": None}), 400, "Pet id is not allowed")

    def test_put_creates_then_replaces(self):
        first = self.request("PUT", "/pets/put", {"message": "a", "extra": True})
        self.assertEqual(first.status, 201)
        self.assertEqual(first.json, {"id": "put", "message": "a", "extra": True})
        second = self.request("PUT", "/pets/put", {"id": "put", "message": "b"})
        self.assertEqual(second.status, 200)
        self.assertEqual(second.json, {"id": "put", "message": "b"})
        self.assertNotEqual(first.headers["etag"], second.headers["etag"])
        self.assertEqual(self.request("GET", "/pets/put").json, {"id": "put", "message": "b"})

    def test_an_id_in_the_body_of_a_put_must_be_that_of_the_path(self):
        self.problem(self.request("PUT", "/pets/1", {"id": "2"}), 400)
        self.problem(self.request("PUT", "/pets/1", {"id": 1}), 400)
        self.assertEqual(self.request("GET", "/pets/1").status, 404)

    def test_an_equal_put_changes_nothing(self):
        first = self.put("/pets/equal", '{"a":1,"b":[1,2],"n":1.0}')
        again = self.put("/pets/equal", '{"n":1.0, "b":[1,2], "a":1}')
        self.assertEqual(again.status, 200)
        self.assertEqual(again.headers["etag"], first.headers["etag"])
        self.assertEqual(again.headers["freshet-position"], first.headers["freshet-position"])
        other = self.put("/pets/equal", '{"a":1,"b":[1,2],"n":1}')
        self.assertNotEqual(other.headers["etag"], first.headers["etag"], "1 is not 1.0")

    def test_patch_merges_and_needs_a_record(self):
        self.put("/pets/patch", {"a": 1, "b": {"c": 1, "d": 2}, "e": [1]})
        answer = self.request(
            "PATCH",
            "/pets/patch",
            {"a": None, "b": {"c": None, "x": 9}, "e": [2, None], "id": "patch"},
            content_type="application/merge-patch+json",
        )
        self.assertEqual(answer.status, 200)
        expected = {"id": "patch", "b": {"d": 2, "x": 9}, "e": [2, None]}
        self.assertEqual(answer.json, expected)
        self.assertEqual(self.request("GET", "/pets/patch").json, expected)
        self.problem(self.request("PATCH", "/pets/nobody", {"a": 1}), 404, "Pet not found")
        self.problem(self.request("PATCH", "/pets/patch", {"id": "other"}), 400)

    def test_a_patch_whose_result_is_over_a_mebibyte_is_413(self):
        self.put("/pets/large", {"a": "x" * 700_000})
        self.problem(self.request("PATCH", "/pets/large", {"b": "y" * 700_000}), 413)
        self.assertEqual(len(self.request("GET", "/pets/large").json["a"]), 700_000)

    def test_delete_says_the_same_whether_it_was_there_or_not(self):
        self.put("/pets/gone", {"a": 1})
        for _ in range(2):
            answer = self.request("DELETE", "/pets/gone")
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.json, {"message": "item deleted"})
            self.assertTrue(answer.headers["freshet-position"])
            self.problem(self.request("GET", "/pets/gone"), 404, "Pet not found")

    def test_a_deleted_record_starts_a_new_life(self):
        first = self.put("/pets/again", {"a": 1})
        self.request("DELETE", "/pets/again")
        second = self.put("/pets/again", {"a": 1})
        self.assertEqual(second.status, 201)
        self.assertNotEqual(first.headers["etag"], second.headers["etag"])

    def test_head_is_get_without_a_body(self):
        written = self.put("/pets/head", {"a": "b"})
        for path, status in (("/pets/head", 200), ("/pets/nobody", 404), ("/pets", 200)):
            get = self.request("GET", path)
            head = self.request("HEAD", path)
            self.assertEqual(head.status, status)
            self.assertEqual(head.body, b"")
            self.assertEqual(head.headers["content-type"], get.headers["content-type"])
            if status == 200:
                self.assertEqual(head.headers["content-length"], get.headers["content-length"])
        self.assertEqual(self.request("HEAD", "/pets/head").headers["etag"], written.headers["etag"])

    def test_any_utf8_is_an_id_when_it_is_percent_encoded(self):
        for encoded, plain in (
            ("a%2Fb", "a/b"),
            ("%20", " "),
            ("%C3%A9t%C3%A9", "été"),
            ("%F0%9F%90%B6", "\N{DOG FACE}"),
            ("a%22b%5Cc", 'a"b\\c'),
            ("..", ".."),
            ("a+b", "a+b"),
            ("%7Bid%7D", "{id}"),
            ("a?query=ignored", "a"),
            ("x" * 512, "x" * 512),
        ):
            written = self.put(f"/pets/{encoded}", {"n": 1})
            self.assertEqual(written.json["id"], plain)
            self.assertEqual(self.request("GET", f"/pets/{encoded}").json, {"id": plain, "n": 1})
            if written.status == 201:
                self.assertEqual(self.request("GET", written.headers["location"]).json["id"], plain)

    def test_the_largest_record_comes_back(self):
        body = json.dumps({"a": "x" * ((1 << 20) - 9)}, separators=(",", ":"))
        self.assertEqual(len(body) + 1, 1 << 20)
        self.assertEqual(self.request("PUT", "/pets/largest", body + " ").status, 201)
        for _ in range(3):
            self.assertEqual(len(self.request("GET", "/pets/largest").json["a"]), (1 << 20) - 9)

    def test_dates_are_http_dates(self):
        self.put("/pets/date", {"a": 1})
        headers = self.request("GET", "/pets/date").headers
        for name in ("date", "cache-timestamp"):
            self.assertRegex(headers[name], r"^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$")


class Conditions(support.ServerTest):
    def test_if_none_match_on_a_read_is_304(self):
        tag = self.put("/pets/1", {"a": 1}).headers["etag"]
        self.assertRegex(tag, r'^"[^"]+"$')
        for value in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            answer = self.request("GET", "/pets/1", headers={"If-None-Match": value})
            self.assertEqual(answer.status, 304, value)
            self.assertEqual(answer.body, b"")
            self.assertEqual(answer.headers["etag"], tag)
        self.put("/pets/1", {"a": 2})
        self.assertEqual(self.request("GET", "/pets/1", headers={"If-None-Match": tag}).status, 200)
        answer = self.request("GET", "/pets/nobody", headers={"If-None-Match": "*"})
        self.assertEqual(answer.status, 404)

    def test_if_match_on_a_read(self):
        tag = self.put("/pets/2", {"a": 1}).headers["etag"]
        self.assertEqual(self.request("GET", "/pets/2", headers={"If-Match": tag}).status, 200)
        self.problem(self.request("GET", "/pets/2", headers={"If-Match": f"W/{tag}"}), 412)
        self.problem(self.request("GET", "/pets/2", headers={"If-Match": '"x"'}), 412)

    def test_if_match_guards_a_write(self):
        tag = self.put("/pets/3", {"a": 1}).headers["etag"]
        self.assertEqual(self.request("PUT", "/pets/3", {"a": 2}, {"If-Match": tag}).status, 200)
        for method, body in (("PUT", {"a": 3}), ("PATCH", {"a": 3}), ("DELETE", None)):
            self.problem(self.request(method, "/pets/3", body, {"If-Match": tag}), 412)
        self.assertEqual(self.request("GET", "/pets/3").json["a"], 2)
        self.problem(self.request("PUT", "/pets/none", {"a": 1}, {"If-Match": "*"}), 412)
        self.assertEqual(self.request("GET", "/pets/none").status, 404)

    def test_if_none_match_star_creates_only(self):
        star = {"If-None-Match": "*"}
        self.assertEqual(self.request("PUT", "/pets/4", {"a": 1}, star).status, 201)
        self.problem(self.request("PUT", "/pets/4", {"a": 2}, star), 412)
        self.assertEqual(self.request("GET", "/pets/4").json["a"], 1)

    def test_of_many_conditional_writers_one_wins_each_round(self):
        tag = self.put("/pets/5", {"n": 0}).headers["etag"]
        statuses = []
        for number in range(4):
            answer = self.request("PUT", "/pets/5", {"n": number + 1}, {"If-Match": tag})
            statuses.append(answer.status)
        self.assertEqual(statuses, [200, 412, 412, 412])

    def test_a_malformed_condition_is_400(self):
        for value in ("abc", '"open', '*, "x"', "W/x", '"a" "b"'):
            for name in ("If-Match", "If-None-Match"):
                self.problem(self.request("GET", "/pets/1", headers={name: value}), 400)
                self.problem(self.request("PUT", "/pets/1", {}, {name: value}), 400)


class Positions(support.ServerTest):
    def test_a_read_waits_for_a_position(self):
        position = self.put("/pets/1", {"a": 1}).headers["freshet-position"]
        answer = self.request("GET", "/pets/1", headers={"freshet-min-position": position})
        self.assertEqual(answer.json["a"], 1)
        answer = self.request("GET", "/pets", headers={"freshet-min-position": position})
        self.assertEqual(answer.status, 200)
        self.assertEqual(len(answer.json), 1)

    def test_text_that_is_no_position_is_400(self):
        position = self.put("/pets/1", {"a": 1}).headers["freshet-position"]
        for text in ("", "x", position[:-1], position + "A", "A" * 5000, "%00"):
            answer = self.request("GET", "/pets/1", headers={"freshet-min-position": text})
            self.problem(answer, 400)

    def test_a_position_of_another_store_is_400(self):
        other = support.Server().start()
        self.addCleanup(other.remove)
        client = other.client()
        self.addCleanup(client.close)
        position = client.request("PUT", "/pets/1", {"a": 1}).headers["freshet-position"]
        answer = self.request("GET", "/pets/1", headers={"freshet-min-position": position})
        self.problem(answer, 400)

    def test_positions_and_records_outlive_a_restart(self):
        server = support.Server().start()
        self.addCleanup(server.remove)
        client = server.client()
        written = client.request("PUT", "/pets/1", {"a": 1.50})
        client.close()
        self.assertEqual(server.stop(), 0)
        server.start()
        client = server.client()
        self.addCleanup(client.close)
        position = written.headers["freshet-position"]
        answer = client.request("GET", "/pets/1", headers={"freshet-min-position": position})
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.headers["etag"], written.headers["etag"])
        self.assertEqual(answer.body, written.body)


class Operations(support.ServerTest):
    def test_health_and_readiness(self):
        self.assertEqual(self.request("GET", "/healthz").json, {"status": "ok"})
        self.assertEqual(self.request("GET", "/readyz").json, {"status": "ready"})

    def test_metrics_count_requests(self):
        for _ in range(3):
            self.request("GET", "/pets/counted")
        answer = self.request("GET", "/metrics")
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.headers["content-type"].startswith("text/plain; version=0.0.4"))
        found = re.search(
            r'^freshet_http_requests_total\{route="/pets/\{id\}",method="GET",status="404"\} (\d+)$',
            answer.text,
            re.MULTILINE,
        )
        self.assertIsNotNone(found, answer.text[:3000])
        self.assertGreaterEqual(int(found[1]), 3)
        for name in ("cache_hits_total", "journal_entries_total", "rocksdb_files_bytes",
                     "thread_busy_seconds_total", "http_connections", "uptime_seconds"):
            self.assertRegex(answer.text, rf"(?m)^freshet_{name}(\{{.*\}})? ")

    def test_the_api_describes_itself(self):
        answer = self.request("GET", "/openapi.json")
        self.assertEqual(answer.headers["content-type"], "application/json")
        self.assertEqual(answer.json["openapi"][:3], "3.1")
        self.assertIn("/{collection}/{id}", answer.json["paths"])

    def test_nothing_else_is_there(self):
        for path in ("/", "/cats", "/cats/1", "/change", "/pets/1/2", "/pets/a/", "//pets", "/PETS"):
            self.problem(self.request("GET", path), 404)
        for path in ("/pets/", "/products/"):
            self.problem(self.request("GET", path), 400, "id is required")

    def test_methods_that_are_not_there_are_405_and_unknown_ones_501(self):
        for method, path, allow in (
            ("PUT", "/pets", "GET, HEAD, POST, OPTIONS"),
            ("DELETE", "/pets", "GET, HEAD, POST, OPTIONS"),
            ("POST", "/pets/1", "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"),
            ("POST", "/metrics", "GET, HEAD, OPTIONS"),
        ):
            answer = self.request(method, path, {} if method != "DELETE" else None)
            self.problem(answer, 405)
            self.assertEqual(answer.headers["allow"], allow)
        self.assertEqual(self.request("TRACE", "/pets").status, 501)


class AccessLog(support.ServerTest):
    arguments = ("--access-log", "on")

    def lines(self):
        found = []
        for line in self.server.log().splitlines():
            if line.startswith('{"time"') and '"duration_us"' in line:
                found.append(json.loads(line))
        return found

    def test_each_request_is_one_line_without_what_was_said(self):
        self.put("/pets/logged", {"secret": "in the body"})
        self.request("GET", "/pets/logged?secret=in-the-query", headers={"X-Secret": "in a field"})
        self.raw(b"GET /pets HTTP/1.1\r\n\r\n")
        lines = support.eventually(lambda: self.lines() if len(self.lines()) >= 3 else None)
        put, get, refused = lines[:3]
        self.assertEqual((put["method"], put["path"], put["status"]), ("PUT", "/pets/logged", 201))
        self.assertEqual((get["method"], get["path"], get["status"]), ("GET", "/pets/logged", 200))
        self.assertEqual(get["cache"], "hit")
        self.assertEqual(put["cache"], "none")
        self.assertEqual(refused["status"], 400)
        self.assertGreater(get["bytes"], 100)
        self.assertEqual(len({line["request_id"] for line in lines}), len(lines))
        self.assertNotIn("secret", "".join(map(json.dumps, lines)))
        self.assertNotIn("in the body", self.server.log())


if __name__ == "__main__":
    unittest.main()
