"""What /metrics tells of the change stream."""

import re
import unittest

import sse
import support


class TestStreamMetrics(support.ServerTest):
    def metric(self, name):
        text = self.request("GET", "/metrics").text
        found = re.search(rf"(?m)^freshet_{name} (\d+)$", text)
        self.assertIsNotNone(found, name)
        self.assertRegex(text, rf"(?m)^# HELP freshet_{name} \S")
        return int(found.group(1))

    def streams(self):
        text = self.request("GET", "/metrics").text
        return sum(map(int, re.findall(r'(?m)^freshet_http_streams\{thread="\d+"\} (\d+)$', text)))

    def test_subscriptions_and_what_they_were_given(self):
        # The server itself follows its rules.
        before = self.metric("subscriptions")
        delivered = self.metric("changes_delivered_total")
        self.put("/pets/before", {"n": 0})
        with sse.Stream(self.server, sse.target(collection="pets", **{"from": "snapshot"})) as stream:
            stream.find("synced")
            support.eventually(lambda: self.metric("subscriptions") == before + 1)
            support.eventually(lambda: self.streams() == 1)  # noted ten times a second
            support.eventually(lambda: self.metric("snapshot_records_total") >= 1)
            for n in range(3):
                self.put("/pets/a", {"n": n})
            self.assertEqual(len(stream.changes(3)), 3)
            support.eventually(lambda: self.metric("changes_delivered_total") >= delivered + 3)
            self.assertEqual(self.metric("subscriptions_stuck"), 0)
        support.eventually(lambda: self.metric("subscriptions") == before)
        support.eventually(lambda: self.streams() == 0)


if __name__ == "__main__":
    unittest.main()
