"""What once broke the change stream from outside, one test a fault."""

import threading
import unittest

import sse
import support

PETS = """
collections:
  - { name: pets }
"""


def metric(server, name):
    """The value of the first line of that name, labels and all."""
    client = server.client()
    for line in client.request("GET", "/metrics").text.splitlines():
        if line.startswith(name + " "):
            return float(line.rpartition(" ")[2])
    raise AssertionError(f"no metric {name}")


class TestRestarts(unittest.TestCase):
    def setUp(self):
        self.server = support.Server(["--threads", "2"], PETS).start()
        self.addCleanup(self.server.remove)

    def test_shutdown_of_a_stuck_client_is_where_it_stands(self):
        """Its position was the one at which the stream had begun, so that all came twice."""
        client = self.server.client()
        stream = sse.Stream(self.server, "/changes?collection=pets&view=new", receive_bytes=4096)
        self.addCleanup(stream.close)
        text = "x" * 20000
        for number in range(400):
            client.request("PUT", f"/pets/{number}", {"n": number, "text": text})
        support.eventually(lambda: metric(self.server, "freshet_subscriptions_stuck") == 1)
        events = []

        def read():
            while not events or events[-1].name != "shutdown":
                events.append(stream.next())

        ends = []
        reader = threading.Thread(target=read)
        stopper = threading.Thread(target=lambda: ends.append(self.server.stop()))
        stopper.start()
        support.eventually(lambda: "stopping" in self.server.log())
        reader.start()
        stopper.join()
        reader.join()
        self.assertEqual(ends, [0], self.server.log())
        shutdown = events[-1]
        given = [event.data["newImage"]["n"] for event in events if event.name == "insert"]
        self.assertEqual(given, list(range(len(given))))
        self.assertLess(len(given), 400, "it was not stuck")
        self.server.start()
        with sse.Stream(self.server, "/changes?collection=pets", {"Last-Event-ID": shutdown.id}) as again:
            rest = [event.data["newImage"]["n"] for event in again.changes(400 - len(given))]
        self.assertEqual(given + rest, list(range(400)))


class TestConsumers(support.ServerTest):
    config = PETS + "  - { name: slim, old_images: off }\n"

    def test_a_pattern_that_no_reader_could_use_is_refused_when_it_is_given(self):
        """It was taken, and every read of the consumer was 400."""
        pattern = {"newImage": {"price": [{"numeric": [">", 1]}]}}
        for body in ({"pattern": pattern, "collection": "slim"}, {"pattern": pattern}):
            self.problem(self.request("PUT", "/consumers/one", body), 400, "old_images")
        self.assertEqual(self.request("GET", "/consumers/one").status, 404)
        for body in (
            {"pattern": pattern, "collection": "pets"},
            {"pattern": {"eventName": ["REMOVE"]}, "collection": "slim"},
        ):
            self.assertIn(self.request("PUT", "/consumers/one", body).status, (200, 201), body)
            self.assertEqual(self.request("GET", "/consumers/one/changes").status, 200, body)


if __name__ == "__main__":
    unittest.main()
