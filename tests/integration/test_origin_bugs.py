"""What the systems that Freshet replaces got wrong, one test for each; the pets system first, then the products system.

Changes, rules, images, authentication and the page of products have tests of their own where they are made.
"""

import json
import threading
import unittest

import support


class Pets(support.ServerTest):
    def test_01_a_missing_pet_is_404_and_no_empty_answer_is_kept(self):
        for _ in range(2):
            self.problem(self.request("GET", "/pets/1-missing"), 404, "Pet not found")
        self.put("/pets/1-missing", {"message": "here"})
        self.assertEqual(self.request("GET", "/pets/1-missing").json["message"], "here")

    def test_02_a_deleted_pet_is_gone_at_once_and_an_inserted_one_there(self):
        self.request("GET", "/pets/2")
        self.put("/pets/2", {"message": "a"})
        self.assertEqual(self.request("GET", "/pets/2").json["message"], "a")
        self.request("GET", "/pets/2")
        self.request("DELETE", "/pets/2")
        self.assertEqual(self.request("GET", "/pets/2").status, 404)

    def test_03_a_refresh_after_a_write_never_caches_the_old_record(self):
        for number in range(100):
            self.put("/pets/3", {"n": number})
            refreshed = self.request("GET", "/pets/3", headers={"Cache-Control": "max-age=0"})
            self.assertEqual(refreshed.json["n"], number)
            self.assertEqual(self.request("GET", "/pets/3").json["n"], number)

    def test_04_a_miss_in_flight_during_a_write_stores_nothing_old(self):
        stop = threading.Event()

        def refresh():
            client = self.server.client()
            while not stop.is_set():
                client.request("GET", "/pets/4", headers={"Cache-Control": "no-cache"})
            client.close()

        threads = [threading.Thread(target=refresh) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for number in range(300):
                self.put("/pets/4", {"n": number})
                self.assertEqual(self.request("GET", "/pets/4").json["n"], number)
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def test_05_quotes_and_newlines_in_ids_and_values_are_data(self):
        for encoded, plain in (("%22%7D", '"}'), ("a%22%2C%22b", 'a","b'), ("%5C", "\\"), ("$context", "$context")):
            value = 'a "quoted"\nline\\ </script> \u2028'
            self.put(f"/pets/{encoded}", {"message": value})
            self.assertEqual(self.request("GET", f"/pets/{encoded}").json, {"id": plain, "message": value})
        self.problem(self.request("GET", "/pets/a%0Ab"), 400)

    def test_06_a_list_is_plain_json_and_paged(self):
        for number in range(5):
            self.put(f"/pets/6-{number}", {"message": "x" * 900_000})
        seen = []
        target = "/pets"
        while target is not None:
            answer = self.request("GET", target)
            seen += [record["id"] for record in answer.json]
            link = answer.headers.get("link")
            target = link[1 : link.index(">")] if link else None
        self.assertTrue({f"6-{number}" for number in range(5)} <= set(seen))
        self.assertEqual(len(seen), len(set(seen)))
        for number in range(5):
            self.request("DELETE", f"/pets/6-{number}")

    def test_07_a_number_as_message_is_kept(self):
        answer = self.put("/pets/7", '{"message":42.0}')
        self.assertEqual(answer.text, '{"id":"7","message":42.0}')

    def test_11_the_query_of_a_read_changes_nothing(self):
        self.put("/pets/11", {"message": "a"})
        for query in ("", "?x=1", "?x=2"):
            self.assertEqual(self.request("GET", f"/pets/11{query}").json["message"], "a")

    def test_other_members_than_message_are_kept(self):
        self.assertEqual(self.put("/pets/other", {"message": "a", "name": "Rex"}).json["name"], "Rex")


class Products(support.ServerTest):
    def test_02_a_price_as_a_json_number_is_kept_as_written(self):
        body = '{"title":"Lamp","description":"","price":29.99,"category":"lamps"}'
        answer = self.request("POST", "/products", body)
        self.assertEqual(answer.status, 201)
        self.assertIn('"price":29.99', answer.text)
        self.assertIn('"price":29.99', self.request("GET", answer.headers["location"]).text)

    def test_03_a_product_without_category_is_accepted_and_other_members_are_kept(self):
        for body in ({"title": "a"}, {"title": "a", "category": ""}, {"name": "Lamp"}):
            answer = self.request("POST", "/products", body)
            self.assertEqual(answer.status, 201, answer)
            self.assertEqual(answer.json["category"], "")
        self.assertEqual(answer.json["name"], "Lamp")

    def test_03_missing_fields_have_their_defaults_and_wrong_types_are_named(self):
        record = self.request("POST", "/products", {}).json
        record.pop("id")
        self.assertEqual(record, {"title": "", "description": "", "price": 0, "category": ""})
        for field, value in (("title", 1), ("price", "1"), ("category", ["a"]), ("description", None)):
            self.problem(self.request("POST", "/products", {field: value}), 422, field)

    def test_04_what_is_no_object_is_400_in_plain_words_and_json(self):
        for body in ("", "{", "[1]", '"id"', "null", "{'a':1}"):
            answer = self.request("POST", "/products", body)
            problem = self.problem(answer, 400)
            self.assertNotIn("Exception", problem["detail"])
            self.assertNotIn("0x", problem["detail"])
        for method in ("PUT", "DELETE", "GET"):
            body = {} if method == "PUT" else None
            self.problem(self.request(method, "/products/", body), 400, "Product id is required")

    def test_05_a_read_without_a_query_string_works(self):
        self.put("/products/5", {"title": "a"})
        self.assertEqual(self.request("GET", "/products/5").status, 200)
        self.assertEqual(self.request("GET", "/products?").status, 200)

    def test_15_a_deleted_product_never_comes_back_from_the_cache(self):
        stop = threading.Event()

        def read():
            client = self.server.client()
            while not stop.is_set():
                client.request("GET", "/products/15")
            client.close()

        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for number in range(150):
                self.put("/products/15", {"title": str(number)})
                self.assertEqual(self.request("DELETE", "/products/15").status, 200)
                self.assertEqual(self.request("GET", "/products/15").status, 404)
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def test_15_of_two_puts_the_later_one_is_read(self):
        def write(offset):
            client = self.server.client()
            for number in range(100):
                client.request("PUT", "/products/15b", {"title": f"{offset}-{number}"})
            client.close()

        threads = [threading.Thread(target=write, args=(offset,)) for offset in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        cached = self.request("GET", "/products/15b")
        stored = self.request("GET", "/products/15b", headers={"Cache-Control": "no-cache"})
        self.assertEqual(cached.body, stored.body)
        self.assertEqual(cached.headers["etag"], stored.headers["etag"])

    def test_16_a_patch_of_a_price_makes_no_ghost_product(self):
        self.problem(self.request("PATCH", "/products/16", '{"price":9.99}'), 404, "Product not found")
        self.put("/products/16", {"title": "a", "price": 1})
        answer = self.request("PATCH", "/products/16", '{"price":9.99}')
        self.assertIn('"price":9.99', answer.text)
        self.assertEqual(answer.json["title"], "a")
        self.request("GET", "/products/16")
        self.assertIn('"price":9.99', self.request("GET", "/products/16").text)

    def test_18_a_list_by_category_shows_what_was_just_created(self):
        for number in range(20):
            created = self.request("POST", "/products", {"category": "fresh", "title": str(number)}).json
            found = self.request("GET", "/products?category=fresh").json
            self.assertIn(created["id"], [record["id"] for record in found])
            self.assertEqual(len(found), number + 1)

    def test_19_every_method_carries_the_origin_and_put_exists(self):
        for method, body in (("GET", None), ("PUT", {}), ("DELETE", None), ("OPTIONS", None)):
            answer = self.request(method, "/products/19", body)
            self.assertEqual(answer.headers["access-control-allow-origin"], "*")
            self.assertLess(answer.status, 500)

    def test_images_of_a_product_outlive_a_put_and_cannot_be_set(self):
        answer = self.put("/products/images", {"title": "a", "images": {"main": ["small"]}})
        self.assertNotIn("images", answer.json)


if __name__ == "__main__":
    unittest.main()
