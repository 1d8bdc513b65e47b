"""A disk that fails under a running server: what is answered, what is kept, and how it goes on.

The failure is a limit of the size of files (RLIMIT_FSIZE) that is put on the process: a write behind it is an error of the system.
"""

import json
import pathlib
import unittest

import support

# The journal's first batch is behind the header of its first segment; the log, which is a file as well, is shorter.
HEADER_BYTES = 4096


class DiskFailure(unittest.TestCase):
    def server(self, *arguments):
        server = support.Server(arguments).start()
        self.addCleanup(server.remove)
        return server

    def put(self, client, n):
        return client.request("PUT", "/pets/1", {"n": n})

    def refused(self, answer, name, words):
        self.assertEqual(answer.status, 503, answer)
        self.assertEqual(answer.json["type"], f"urn:freshet:problem:{name}")
        self.assertIn(words, answer.json["detail"])
        self.assertIn("retry-after", answer.headers)

    def test_a_write_that_fails_is_unknown_then_none_is_accepted_until_a_restart_and_reads_go_on(self):
        server = self.server()
        client = server.client()
        self.addCleanup(client.close)
        self.assertEqual(self.put(client, 1).status, 201)
        server.fail_writes(HEADER_BYTES)
        self.refused(self.put(client, 2), "outcome-unknown", "may or may not")
        self.refused(self.put(client, 3), "not-accepted", "read-only after a disk error")
        # What was not applied is not shown, and what was is.
        self.assertEqual(client.request("GET", "/pets/1").json["n"], 1)
        self.assertEqual(client.request("GET", "/pets").json, [{"id": "1", "n": 1}])
        # A disk that works again is no reason to trust what the failure left on it.
        server.mend_writes()
        self.refused(self.put(client, 4), "not-accepted", "restart")
        client.close()
        self.assertEqual(server.stop(), 0)
        levels = {line["message"]: line["level"] for line in map(json.loads, server.log().splitlines())}
        said = [message for message in levels if message.startswith("a write or a sync of the journal failed")]
        self.assertEqual([levels[message] for message in said], ["error"])
        server.start()
        again = server.client()
        self.addCleanup(again.close)
        # The unknown one was not kept: nothing of it had come to the disk.
        self.assertEqual(again.request("GET", "/pets/1").json["n"], 1)
        self.assertEqual(self.put(again, 5).status, 200)
        self.assertEqual(server.stop(), 0)

    def test_without_a_next_segment_nothing_is_accepted_until_the_disk_works_again(self):
        server = self.server("--segment-bytes", "16MiB")
        client = server.client()
        self.addCleanup(client.close)
        self.assertEqual(self.put(client, 0).status, 201)
        # Segments that are there can be written to the end; a third one cannot be made.
        server.fail_writes((16 << 20) - 1)
        answer, kept = None, 0
        for n in range(1, 40):
            answer = client.request("PUT", "/pets/1", {"n": n, "text": "x" * 999000})
            if answer.status != 200:
                break
            kept = n
        self.refused(answer, "not-accepted", "cannot make its next file")
        self.assertEqual(client.request("GET", "/pets/1").json["n"], kept)
        # The log knows it within a second, unless it has passed by then.
        support.eventually(lambda: "no journal segment can be prepared" in server.log())
        server.mend_writes()
        support.eventually(lambda: self.put(client, 2).status == 200)
        self.assertEqual(len(list(pathlib.Path(server.data, "journal").glob("*.seg"))), 3)
        # What ended was no full disk, and the log does not say so.
        support.eventually(lambda: "a journal segment can be prepared again" in server.log())
        self.assertNotIn("room on the disk", server.log())
        self.assertEqual(server.stop(), 0)

    def test_a_store_that_fails_at_the_end_is_not_waited_for_and_nothing_is_lost(self):
        server = self.server("--shutdown-timeout", "1h")
        client = server.client()
        self.addCleanup(client.close)
        self.assertEqual(self.put(client, 1).status, 201)
        client.close()
        shards = pathlib.Path(server.data, "shards")
        away = shards.rename(shards.with_name("away"))
        self.assertEqual(server.stop(), 1)
        self.assertIn("a store has failed", server.log())
        away.rename(shards)
        server.start()
        again = server.client()
        self.addCleanup(again.close)
        self.assertEqual(again.request("GET", "/pets/1").json["n"], 1)
        self.assertEqual(server.stop(), 0)

    def test_a_disk_is_not_mended_under_a_server_that_ended_and_how_it_ended_is_told(self):
        server = self.server()
        server.process.kill()
        server.process.wait()
        with self.assertRaisesRegex(AssertionError, "the server ended with -9:\n.*journal opened"):
            server.mend_writes()


if __name__ == "__main__":
    unittest.main()
