"""Each setting has an effect that somebody outside can see. (ttl, cache_bytes, cache and cors_origin are tested with REST.)"""

import json
import os
import pathlib
import re
import socket
import subprocess
import time
import unittest

import support


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

    def closed_within(self, server, data, least_s, most_s):
        """Sends data and waits for the close; all that came."""
        with server.connect() as connection:
            connection.sendall(data)
            began = time.monotonic()
            received, closed = support.read_until_closed(connection, 10)
        self.assertTrue(closed)
        self.assertGreaterEqual(time.monotonic() - began, least_s)
        self.assertLess(time.monotonic() - began, most_s)
        return received

    def test_head_timeout(self):
        server = self.server("--head-timeout", "200ms")
        self.assertIn(b" 408 ", self.closed_within(server, b"GET / HTTP/1.1\r\n", 0.15, 3))

    def test_body_timeout(self):
        server = self.server("--body-timeout", "200ms")
        head = b"PUT /pets/1 HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n{"
        self.assertIn(b" 408 ", self.closed_within(server, head, 0.15, 3))

    def test_idle_timeout(self):
        server = self.server("--idle-timeout", "200ms")
        request = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
        self.assertIn(b" 200 ", self.closed_within(server, request, 0.15, 3))

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

    def test_connections_max(self):
        server = self.server("--connections-max", "3", "--threads", "1")
        held = [server.connect() for _ in range(3)]
        for connection in held:
            self.addCleanup(connection.close)
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertIn(b" 200 ", connection.recv(1000))
        self.assertIn(b" 503 ", self.closed_within(server, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 0, 3))

    def test_head_bytes_max(self):
        server = self.server("--head-bytes-max", "2KiB")
        request = b"GET /healthz HTTP/1.0\r\nA: " + b"a" * 1500 + b"\r\n\r\n"
        self.assertIn(b" 200 ", self.closed_within(server, request, 0, 3))
        request = b"GET /healthz HTTP/1.0\r\nA: " + b"a" * 2500 + b"\r\n\r\n"
        self.assertIn(b" 431 ", self.closed_within(server, request, 0, 3))

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

    def test_retention_recycles_segments(self):
        server = self.server(
            "--segment-bytes", "16MiB", "--retention-bytes", "16MiB", "--journal-tail-max", "1MiB", "--shards", "1"
        )
        client = self.client(server)
        for i in range(70):
            self.assertEqual(client.request("PUT", f"/pets/{i}", {"text": f"{i}" + "x" * 999000}).status, 201)
        folder = pathlib.Path(server.data, "journal")
        support.eventually(lambda: len(list(folder.glob("*.seg"))) <= 3)
        self.assertEqual(server.stop(), 0)

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

    def test_sync_interval_syncs_without_writes(self):
        server = self.server("--durability", "interval", "--sync-interval", "10ms")
        self.client(server).request("PUT", "/pets/1", {})
        metrics = self.metrics(server)
        name = next(name for name in metrics if "journal" in name and "sync" in name and "seconds" not in name)
        support.eventually(lambda: self.metrics(server)[name] > metrics[name] or metrics[name] > 0)

    def test_block_cache_bytes_queued_bytes_and_reserved_addresses_are_taken(self):
        server = self.server("--block-cache-bytes", "1MiB", "--queued-bytes", "8MiB", "--wire", "127.0.0.1:1")
        self.assertEqual(self.client(server).request("PUT", "/pets/1", {"t": "x" * 1000000}).status, 201)
        self.assertNotIn("wire", server.ready)


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
