"""Each setting has an effect that somebody outside can see. (ttl, cache_bytes, cache and cors_origin are tested with REST.)"""

import base64
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import support

POLL_TIMEOUT_S = 60


class Settings(unittest.TestCase):
    def server(self, *arguments, config=None, data=None):
        server = support.Server(arguments, config=config, data=data).start()
        self.addCleanup(server.remove)
        return server

    def client(self, server):
        client = server.client()
        self.addCleanup(client.close)
        return client

    def metrics(self, server):
        text = self.client(server).request("GET", "/metrics").text
        return {
            name: float(value) for name, value in re.findall(r"^([^#\s][^ ]*) ([0-9.e+-]+)$", text, re.MULTILINE)
        }

    def closed_within(self, server, data, least_s=0, most_s=support.REQUEST_TIMEOUT_S):
        """Sends data and waits for the close; all that came. most_s: before the default would have closed."""
        began = time.monotonic()
        with server.connect() as connection:
            connection.sendall(data)
            received, closed = support.read_until_closed(connection)
        self.assertTrue(closed)
        self.assertGreaterEqual(time.monotonic() - began, least_s)
        self.assertLess(time.monotonic() - began, most_s)
        return received

    def test_head_timeout(self):
        server = self.server("--head-timeout", "200ms")
        self.assertIn(b" 408 ", self.closed_within(server, b"GET / HTTP/1.1\r\n", 0.2, 10))

    def test_body_timeout(self):
        server = self.server("--body-timeout", "200ms")
        head = b"PUT /pets/1 HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n{"
        self.assertIn(b" 408 ", self.closed_within(server, head, 0.2, 30))

    def test_idle_timeout(self):
        server = self.server("--idle-timeout", "200ms")
        request = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
        self.assertIn(b" 200 ", self.closed_within(server, request, 0.2, 60))

    def test_send_timeout(self):
        server = self.server("--send-timeout", "200ms", "--threads", "1")
        client = self.client(server)
        for i in range(8):
            client.request("PUT", f"/pets/{i}", {"text": "x" * 1000000})
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", server.port))
            connection.sendall(b"GET /pets HTTP/1.1\r\nHost: a\r\n\r\n" * 4)
            # Nobody reads: the connection goes, and is counted as gone.
            support.eventually(lambda: self.connections(server) == 1)

    def connections(self, server):
        with server.connect() as connection:
            connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            text = support.read_until_closed(connection)[0].decode()
        return sum(int(value) for value in re.findall(r"(?m)^freshet_http_connections(?:{.*})? (\d+)$", text)) - 1

    def sleeps(self, server):
        """How often its threads go to sleep in 50 requests, one each 2 ms."""

        def slept():
            tasks = pathlib.Path(f"/proc/{server.process.pid}/task").glob("*/status")
            texts = [task.read_text("utf-8") for task in tasks]
            return sum(int(re.search(r"(?m)^voluntary_ctxt_switches:\s+(\d+)", text)[1]) for text in texts)

        client = self.client(server)
        self.assertEqual(client.request("GET", "/healthz").status, 200)
        before = slept()
        for _ in range(50):
            time.sleep(0.002)  # pause between tries: long enough to fall asleep
            self.assertEqual(client.request("GET", "/healthz").status, 200)
        return slept() - before

    def test_who_polls_does_not_sleep_between_requests(self):
        # On a busy machine a thread may find no time to sleep, or requests come later than it looks for them; not always.
        for poll, is_so in (("0", lambda sleeps: sleeps >= 50), ("10ms", lambda sleeps: sleeps < 40)):
            server = self.server("--poll", poll, "--threads", "1")
            support.eventually(lambda server=server, is_so=is_so: is_so(self.sleeps(server)), POLL_TIMEOUT_S)

    def test_connections_max(self):
        server = self.server("--connections-max", "3", "--threads", "1")
        held = [server.connect() for _ in range(3)]
        for connection in held:
            self.addCleanup(connection.close)
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertIn(b" 200 ", connection.recv(1000))
        self.assertIn(b" 503 ", self.closed_within(server, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"))

    def test_head_bytes_max(self):
        server = self.server("--head-bytes-max", "2KiB")
        request = b"GET /healthz HTTP/1.0\r\nA: " + b"a" * 1500 + b"\r\n\r\n"
        self.assertIn(b" 200 ", self.closed_within(server, request))
        request = b"GET /healthz HTTP/1.0\r\nA: " + b"a" * 2500 + b"\r\n\r\n"
        self.assertIn(b" 431 ", self.closed_within(server, request))

    def test_cache_control_goes_downstream(self):
        client = self.client(self.server("--cache-control", "max-age=9"))
        client.request("PUT", "/pets/1", {})
        self.assertEqual(client.request("GET", "/pets/1").headers["cache-control"], "max-age=9")

    def test_cache_off_is_off_for_all(self):
        for arguments, config in ((["--cache", "off"], None), ([], "cache: off\n"), (["--cache-bytes", "0"], None)):
            client = self.client(self.server(*arguments, config=config))
            client.request("PUT", "/pets/1", {})
            for _ in range(2):
                self.assertNotIn("hit", client.request("GET", "/pets/1").headers["cache-status"])

    def test_access_log_and_log_level(self):
        server = self.server("--access-log", "--log-level", "error")
        self.client(server).request("PUT", "/pets/1", {"a": 1})
        line = support.eventually(
            lambda: [line for line in map(json.loads, server.log().splitlines()) if line.get("path") == "/pets/1"]
        )[0]
        self.assertEqual((line["method"], line["status"]), ("PUT", 201))
        self.assertEqual(server.stop(), 0)
        self.assertNotIn('"level":"info"', server.log())

    def test_segment_bytes(self):
        server = self.server("--segment-bytes", "16MiB")
        self.client(server).request("PUT", "/pets/1", {})
        folder = pathlib.Path(server.data, "journal")
        support.eventually(lambda: any(path.stat().st_size == 16 << 20 for path in folder.iterdir()))

    def test_disk_reserve_refuses_writes_and_not_reads(self):
        server = self.server("--disk-reserve", "1000TiB")
        client = self.client(server)
        answer = support.eventually(
            lambda: (lambda a: a if a.status == 503 else None)(client.request("PUT", "/pets/1", {"n": time.monotonic()}))
        )
        self.assertIn("retry-after", answer.headers)
        self.assertIn(client.request("GET", "/pets").status, (200,))

    def test_memtable_bytes_and_journal_tail_max_flush(self):
        for arguments in (["--memtable-bytes", "1MiB"], ["--journal-tail-max", "1MiB"]):
            with self.subTest(arguments=arguments):
                server = self.server("--shards", "1", "--threads", "1", *arguments)
                client = self.client(server)
                for i in range(6):
                    client.request("PUT", f"/pets/{i}", {"text": "x" * 500000})
                folder = pathlib.Path(server.data, "shards", "000")
                support.eventually(lambda: any(path.suffix == ".sst" for path in folder.iterdir()))

    def put_large(self, server, count):
        client = self.client(server)
        for i in range(count):
            self.assertEqual(client.request("PUT", f"/pets/{i}", {"text": f"{i}" + "x" * 999000}).status, 201)

    def test_retention_bytes_and_retention_let_the_oldest_go(self):
        # 34 MB are in three segments, which no store needs any more once its shard is flushed.
        common = ("--segment-bytes", "16MiB", "--journal-tail-max", "1MiB", "--shards", "1", "--threads", "1")
        kept = self.server(*common)
        self.put_large(kept, 34)
        support.eventually(lambda: self.metrics(kept)["freshet_flushes_total"] > 0)
        for limit in (("--retention-bytes", "16MiB"), ("--retention", "1ms")):
            with self.subTest(limit=limit):
                server = self.server(*common, *limit)
                self.put_large(server, 34)
                self.assertEqual(self.metrics(kept)["freshet_journal_oldest_sequence"], 1)
                folder = pathlib.Path(server.data, "journal")
                support.eventually(lambda: self.metrics(server)["freshet_journal_oldest_sequence"] > 1)
                # The active one, the next one, and one that may still be needed.
                support.eventually(lambda: len(list(folder.glob("*.seg"))) <= 3)
                self.assertEqual(self.client(server).request("GET", "/pets/0").status, 200)
                self.assertEqual(server.stop(), 0)
        # The same journal under the default limits has had the time of two others, and is whole.
        self.assertEqual(self.metrics(kept)["freshet_journal_oldest_sequence"], 1)
        self.assertGreater(len(list(pathlib.Path(kept.data, "journal").glob("*.seg"))), 3)

    def test_durability_counts_syncs(self):
        syncs = {}
        for mode in ("sync", "none"):
            server = self.server("--durability", mode)
            client = self.client(server)
            for i in range(50):
                client.request("PUT", f"/pets/{i}", {"n": i})
            metrics = self.metrics(server)
            name = next(name for name in metrics if "journal" in name and "sync" in name and "seconds" not in name)
            syncs[mode] = metrics[name]
            self.assertEqual(server.stop(), 0)
        self.assertGreaterEqual(syncs["sync"], 50)
        self.assertLess(syncs["none"], 10)

    def test_sync_interval_is_the_pace_of_the_syncs(self):
        interval_s = 0.05
        began = time.monotonic()
        server = self.server("--durability", "interval", "--sync-interval", "50ms")
        seldom = self.server("--durability", "interval", "--sync-interval", "1h")
        client, other = self.client(server), self.client(seldom)
        syncs, writes = 0, 0
        while syncs < 8:
            self.assertLess(time.monotonic() - began, support.REQUEST_TIMEOUT_S, "the journal is not synced")
            for _ in range(20):
                self.assertIn(client.request("PUT", "/pets/1", {"n": writes}).status, (200, 201))
                self.assertIn(other.request("PUT", "/pets/1", {"n": writes}).status, (200, 201))
                writes += 1
            syncs = self.metrics(server)["freshet_journal_syncs_total"]
        # Not more often than the interval says, and so not with each write.
        self.assertLessEqual(syncs, (time.monotonic() - began) / interval_s + 1)
        self.assertEqual(self.metrics(seldom)["freshet_journal_syncs_total"], 0)

    def test_sync_interval_syncs_the_last_write(self):
        server = self.server("--durability", "interval", "--sync-interval", "10ms")
        self.client(server).request("PUT", "/pets/1", {})
        support.eventually(lambda: self.metrics(server)["freshet_journal_syncs_total"] > 0)

    def statuses_of_writes_at_once(self, *arguments):
        """The answers to 32 writes of a million bytes that one turn of the only thread finds whole."""
        server = self.server("--threads", "1", *arguments)
        document = b'{"text":"' + b"x" * 999000 + b'"}'
        head = b"PUT /pets/%d HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        connections = [server.connect() for _ in range(32)]
        for i, connection in enumerate(connections):
            self.addCleanup(connection.close)
            connection.sendall(head % (i, len(document)) + document[:-1])
        support.eventually(lambda: self.metrics(server)['freshet_http_received_bytes_total{thread="0"}'] > 32 * 999000)
        os.kill(server.process.pid, signal.SIGSTOP)
        for connection in connections:
            connection.sendall(document[-1:])
        os.kill(server.process.pid, signal.SIGCONT)
        answers = []
        for connection in connections:
            connection.settimeout(support.REQUEST_TIMEOUT_S)
            data = b""
            while not support.read_answers(data)[0]:
                piece = connection.recv(1 << 16)
                self.assertTrue(piece, "closed without an answer")
                data += piece
                if data.startswith(b"HTTP/1.1 201"):
                    break  # the record of a million bytes need not be read
            answers.append(data)
        refused = [support.read_answers(data)[0][0] for data in answers if not data.startswith(b"HTTP/1.1 201")]
        return server, refused

    def test_queued_bytes_refuses_what_is_more(self):
        server, refused = self.statuses_of_writes_at_once("--queued-bytes", "8MiB")
        # Admission closes behind the write that passes the limit: nine of a million bytes.
        self.assertGreaterEqual(len(refused), 16)
        self.assertLessEqual(len(refused), 23)
        for answer in refused:
            self.assertEqual(answer.status, 503)
            self.assertIn("retry-after", answer.headers)
        metrics = self.metrics(server)
        self.assertEqual(metrics["freshet_refused_writes_total"], len(refused))
        # It opens again.
        self.assertEqual(self.client(server).request("PUT", "/pets/again", {}).status, 201)
        self.assertEqual(self.metrics(server)["freshet_journal_queued_bytes"], 0)

    def test_queued_bytes_takes_what_is_less(self):
        self.assertEqual(self.statuses_of_writes_at_once("--queued-bytes", "64MiB")[1], [])

    def test_block_cache_bytes_bounds_what_rocksdb_keeps(self):
        used = {}
        for size in ("1MiB", "64MiB"):
            server = self.server(
                "--block-cache-bytes", size, "--cache", "off", "--memtable-bytes", "1MiB", "--shards", "1"
            )
            client = self.client(server)
            for i in range(60):
                client.request("PUT", f"/pets/{i}", {"text": base64.b64encode(os.urandom(75000)).decode()})
            support.eventually(lambda: self.metrics(server)["freshet_rocksdb_files_bytes"] > 4 << 20)
            for i in range(60):
                self.assertEqual(client.request("GET", f"/pets/{i}").status, 200)

            added = itertools.count(60)

            def files():
                # RocksDB is asked for its figures while there are writes; these fill its files with what is new.
                text = base64.b64encode(os.urandom(75000)).decode()
                client.request("PUT", f"/pets/{next(added)}", {"text": text})
                return self.metrics(server)["freshet_rocksdb_files_bytes"]

            # Twice there are new figures: the second ones are of after the reads.
            for _ in range(2):
                before = files()
                support.eventually(lambda: files() > before)
            used[size] = self.metrics(server)["freshet_rocksdb_block_cache_bytes"]
            self.assertEqual(server.stop(), 0)
        self.assertLess(used["1MiB"], 2 << 20)
        self.assertGreater(used["64MiB"], 4 << 20)

    def test_reserved_addresses_are_taken(self):
        self.assertNotIn("s3", self.server("--s3", "127.0.0.1:2").ready)

    def test_the_binary_protocol_is_served_where_it_is_asked_for(self):
        server = self.server()
        self.assertRegex(server.ready["wire"], r"^127\.0\.0\.1:[1-9][0-9]*$")
        self.assertNotIn("wire", self.server("--wire", "off").ready)
        taken = server.ready["wire"]
        second = support.Server(["--wire", taken])
        self.addCleanup(second.remove)
        with self.assertRaises(AssertionError) as refused:
            second.start()
        self.assertIn("(exit 1)", str(refused.exception))
        self.assertIn(f"wire {taken}", str(refused.exception))

    def test_a_taken_default_port_of_the_binary_protocol_is_a_warning(self):
        holder = socket.socket()
        self.addCleanup(holder.close)
        try:
            holder.bind(("127.0.0.1", 7400))
            holder.listen()
        except OSError:
            pass  # whoever has it keeps it: all the same it is taken
        server = support.Server()
        at = server.command.index("--wire")
        del server.command[at : at + 2]
        self.addCleanup(server.remove)
        server.start()
        self.assertNotIn("wire", server.ready)
        self.assertIn("the binary protocol is not served", server.log())

    def small_disk(self, size):
        """A file system of its own; the test is skipped where that is not allowed."""
        folder = tempfile.mkdtemp(prefix="freshet-disk-")
        self.addCleanup(os.rmdir, folder)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
        try:
            told = subprocess.run(mount, capture_output=True, text=True, timeout=20, check=False)
        except OSError as error:
            self.skipTest(f"mount cannot be run: {error}")
        if told.returncode != 0:
            self.skipTest(f"no file system can be mounted here: {told.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "--lazy", folder], check=False)
        return folder

    def test_disk_reserve_is_kept_free_and_given_back(self):
        folder = self.small_disk("256m")
        # What it would be by itself is two segments and a memtable, 33 MiB: with 48 MiB free only the setting refuses.
        common = ("--segment-bytes", "16MiB", "--shards", "1", "--memtable-bytes", "1MiB")
        server = self.server(*common, "--disk-reserve", "64MiB", data=os.path.join(folder, "data"))
        client = self.client(server)

        def put():
            return client.request("PUT", "/pets/1", {"n": time.monotonic()})

        self.assertEqual(put().status, 201)
        # The second segment is prepared beside the first: only then is the free space at rest.
        journal = pathlib.Path(server.data, "journal")
        support.eventually(lambda: len(list(journal.glob("*.seg"))) == 2)
        filler = os.path.join(folder, "filler")
        free = shutil.disk_usage(folder).free
        with open(filler, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, free - (48 << 20))
        answer = support.eventually(lambda: (lambda a: a if a.status == 503 else None)(put()))
        self.assertIn("retry-after", answer.headers)
        self.assertIn("disk", answer.json["detail"])
        self.assertEqual(client.request("GET", "/pets/1").status, 200)
        self.assertEqual(client.request("GET", "/pets").status, 200)
        self.assertGreater(shutil.disk_usage(folder).free, 40 << 20)
        os.unlink(filler)
        support.eventually(lambda: put().status == 200)
        self.assertEqual(server.stop(), 0)


class Check(unittest.TestCase):
    def check(self, server):
        ended = subprocess.run(
            [support.BINARY, "check", "--data", server.data], capture_output=True, text=True, timeout=60
        )
        return ended.returncode, [json.loads(line) for line in ended.stdout.splitlines()], ended.stderr

    def setUp(self):
        self.server = support.Server(["--segment-bytes", "16MiB"]).start()
        self.addCleanup(self.server.remove)
        client = self.server.client()
        for i in range(30):
            client.request("PUT", f"/pets/{i}", {"n": i})
        for i in range(10):
            client.request("DELETE", f"/pets/{i}")
        client.request("PATCH", "/pets/20", {"n": "x"})
        client.close()

    def test_a_folder_in_use_is_not_checked(self):
        code, lines, told = self.check(self.server)
        self.assertEqual((code, lines), (1, []))
        self.assertIn("is in use by process", told)

    def test_a_stopped_one_is_whole_and_compared(self):
        self.assertEqual(self.server.stop(), 0)
        code, lines, told = self.check(self.server)
        self.assertEqual(code, 0, told)
        self.assertEqual(lines[1]["records"], 20)
        self.assertEqual((lines[1]["compared"], lines[1]["to_replay"]), (True, 0))

    def test_a_killed_one_has_the_rest_in_the_journal(self):
        self.server.kill()
        code, lines, told = self.check(self.server)
        self.assertEqual(code, 0, told)
        self.assertEqual((lines[1]["records"], lines[1]["to_replay"]), (0, 41))

    def test_a_lost_shard_is_noticed(self):
        self.assertEqual(self.server.stop(), 0)
        shard = pathlib.Path(self.server.data, "shards", "002")
        shard.rename(shard.with_name("away"))
        code, lines, told = self.check(self.server)
        self.assertEqual(code, 1)
        self.assertFalse(lines[-1]["ok"])
        self.assertIn("shards/002", told)

    def test_a_damaged_journal_is_told_with_file_and_offset(self):
        self.assertEqual(self.server.stop(), 0)
        segment = sorted(pathlib.Path(self.server.data, "journal").glob("*.seg"))[0]
        data = bytearray(segment.read_bytes())
        at = data.index(b'\x81\xa1n')
        data[at + 3] ^= 1
        segment.write_bytes(data)
        code, lines, _ = self.check(self.server)
        self.assertEqual(code, 1)
        self.assertEqual(lines[0]["file"], segment.name)
        ended = subprocess.run(self.server.command, capture_output=True, text=True, timeout=20)
        self.assertEqual(ended.returncode, 1)
        self.assertIn(segment.name, ended.stderr)


if __name__ == "__main__":
    unittest.main()
