"""A record that nests as deep as a document may: its change, one level deeper, reaches every kind of reader."""

import json
import unittest

import support

DEPTH = 128


def nested(depth):
    return '{"a":' + "[" * (depth - 1) + "]" * (depth - 1) + "}"


class DeepRecords(support.ServerTest):
    def test_the_change_of_the_deepest_record_is_read_and_so_are_those_behind_it(self):
        before = self.request("GET", "/changes?from=latest").json["next"]
        self.assertEqual(self.request("PUT", "/pets/deep", nested(DEPTH)).status, 201)
        self.assertEqual(self.request("PUT", "/pets/deeper", nested(DEPTH + 1)).status, 400)
        self.assertEqual(self.request("PUT", "/pets/deep", '{"was":"deep"}').status, 200)
        self.put("/pets/behind", {})
        page = self.request("GET", f"/changes?from={before}").json
        self.assertEqual([change["keys"]["id"] for change in page["changes"]], ["deep", "deep", "behind"])
        self.assertFalse(page["more"])
        self.assertEqual(page["changes"][0]["newImage"]["a"], json.loads(nested(DEPTH))["a"])
        self.assertEqual(page["changes"][1]["oldImage"]["a"], json.loads(nested(DEPTH))["a"])

    def test_a_rule_whose_target_is_away_keeps_it_and_lists_it(self):
        """As parked change and dead letter it is yet deeper."""
        rule = {
            "target": {"url": "http://127.0.0.1:1/", "method": "POST"},
            "retry": {"max_attempts": 1},
            "collection": "pets",
        }
        self.assertEqual(self.request("PUT", "/rules/away", rule).status, 201)
        self.put("/pets/kept", json.loads(nested(DEPTH)))
        letters = support.eventually(lambda: self.request("GET", "/rules/away/dead-letters").json)
        self.assertEqual([letter["change"]["keys"]["id"] for letter in letters], ["kept"])
        self.assertEqual(letters[0]["change"]["newImage"]["a"], json.loads(nested(DEPTH))["a"])


if __name__ == "__main__":
    unittest.main()
