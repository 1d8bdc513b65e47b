"""Start, stop, kill, and what a data folder remembers."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time
import unittest

import support


def log_lines(server):
    return [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]


def said(server, message):
    """The last log line with this message; None: there is none."""
    lines = [line for line in log_lines(server) if line.get("message") == message]
    return lines[-1] if lines else None


def heard(server, message):
    """The same, waited for: the log has a thread of its own, so a line may come after what it tells of."""
    return support.eventually(lambda: said(server, message))


class Lifecycle(unittest.TestCase):
    def server(self, *arguments, config=None, data=None):
        server = support.Server(arguments, config=config, data=data)
        self.addCleanup(server.remove)
        return server

    def client(self, server):
        client = server.client()
        self.addCleanup(client.close)
        return client

    def refused(self, server):
        ended = subprocess.run(server.command, capture_output=True, text=True, timeout=20)
        self.assertEqual(ended.stdout, "")
        self.assertEqual(ended.returncode, 1, ended.stderr)
        return ended.stderr

    def test_the_ready_line_has_what_is_served(self):
        server = self.server("--threads", "2").start()
        self.assertEqual(server.ready["event"], "ready")
        self.assertEqual(server.ready["pid"], server.process.pid)
        self.assertEqual(server.ready["threads"], 2)
        self.assertTrue(server.ready["position"])
        self.assertEqual(self.client(server).request("GET", "/readyz").status, 200)
        self.assertEqual(server.stop(), 0)

    def test_a_stopped_server_replays_nothing_and_a_killed_one_all(self):
        server = self.server("--threads", "1").start()
        client = self.client(server)
        for i in range(20):
            self.assertEqual(client.request("PUT", f"/pets/{i}", {"n": i}).status, 201)
        client.close()
        self.assertEqual(server.stop(), 0)
        server.start()
        self.assertEqual(heard(server, "replayed")["entries"], 0)
        self.assertEqual(heard(server, "journal opened")["tail"], "clean")
        client = self.client(server)
        for i in range(20, 30):
            self.assertEqual(client.request("PUT", f"/pets/{i}", {"n": i}).status, 201)
        server.kill()
        server.start()
        self.assertEqual(heard(server, "replayed")["entries"], 10)
        self.assertEqual(heard(server, "journal opened")["tail"], "unclean")
        client = self.client(server)
        self.assertEqual([pet["n"] for pet in client.request("GET", "/pets").json], sorted(range(30), key=str))
        self.assertEqual(server.stop(), 0)

    def test_any_number_of_threads_on_any_folder(self):
        server = self.server("--shards", "3").start()
        data = server.data
        self.assertEqual(server.stop(), 0)
        written = 0
        for threads in (1, 2, 3, 5, 1):
            with self.subTest(threads=threads):
                again = self.server("--threads", str(threads), data=data).start()
                client = self.client(again)
                for _ in range(10):
                    self.assertEqual(client.request("PUT", f"/pets/{written:03}", {"n": written}).status, 201)
                    written += 1
                pets = client.request("GET", "/pets").json
                self.assertEqual([pet["n"] for pet in pets], list(range(written)))
                client.close()
                self.assertEqual(again.stop(), 0)
                warned = said(again, "more threads than shards: some only answer from the cache")
                self.assertEqual(warned is not None, threads > 3)

    def test_shards_are_those_of_the_creation(self):
        server = self.server("--shards", "5").start()
        self.assertEqual(server.stop(), 0)
        self.assertEqual(sorted(os.listdir(server.data + "/shards")), ["000", "001", "002", "003", "004"])
        again = self.server("--shards", "2", data=server.data).start()
        self.assertEqual(heard(again, "the data folder keeps the shards it was made with")["shards"], 5)
        self.assertEqual(again.stop(), 0)
        self.assertEqual(len(os.listdir(server.data + "/shards")), 5)

    def test_a_taken_port_is_told(self):
        first = self.server().start()
        second = self.server("--http", f"127.0.0.1:{first.port}")
        self.assertRegex(self.refused(second), rf"http 127\.0\.0\.1:{first.port}: .*(taken|in use)")
        self.assertEqual(self.client(first).request("GET", "/healthz").status, 200)
        self.assertEqual(first.stop(), 0)

    def test_a_folder_in_use_is_told_with_the_process(self):
        first = self.server().start()
        second = self.server(data=first.data)
        self.assertIn(f"is in use by process {first.process.pid}; ", self.refused(second))
        self.assertEqual(first.stop(), 0)

    def test_a_manifest_of_a_newer_format_or_damaged_or_lost_is_refused(self):
        server = self.server().start()
        self.assertEqual(server.stop(), 0)
        path = pathlib.Path(server.data, "MANIFEST")
        whole = path.read_text("ascii")
        path.write_text(whole.replace("freshet-manifest 1", "freshet-manifest 2"), "ascii")
        self.assertIn("has format 2 and this version knows up to 1", self.refused(server))
        path.write_text(whole.replace("shards 4", "shards 5"), "ascii")
        self.assertIn("MANIFEST is damaged", self.refused(server))
        path.unlink()
        self.assertIn("there is a journal but no MANIFEST", self.refused(server))
        path.write_text(whole, "ascii")
        server.start()
        self.assertEqual(server.stop(), 0)

    def test_two_stores_cannot_be_mixed(self):
        one = self.server().start()
        other = self.server().start()
        self.assertEqual((one.stop(), other.stop()), (0, 0))
        pathlib.Path(one.data, "MANIFEST").write_bytes(pathlib.Path(other.data, "MANIFEST").read_bytes())
        self.assertIn("MANIFEST and the journal are of different stores", self.refused(one))

    def test_a_folder_that_cannot_be_made_is_told(self):
        server = self.server(data="/proc/freshet/data")
        self.assertIn("/proc/freshet: the folder cannot be made", self.refused(server))

    def test_data_folders_are_made_with_those_above(self):
        server = self.server()
        server.command[server.command.index("--data") + 1] = server.folder + "/a/b/c"
        server.start()
        self.assertTrue(os.path.exists(server.folder + "/a/b/c/MANIFEST"))
        self.assertEqual(server.stop(), 0)

    def test_term_under_load_finishes_what_was_asked(self):
        server = self.server("--threads", "2", "--shutdown-timeout", "1h").start()  # stop() kills what does not end
        acknowledged = [0] * 4
        broken = []

        def write(index):
            client = server.client()
            try:
                while True:
                    answer = client.request("PUT", f"/pets/{index}", {"n": acknowledged[index] + 1})
                    if answer.status not in (200, 201):
                        broken.append(answer)
                        return
                    acknowledged[index] += 1
            except (OSError, support.http.client.HTTPException):
                return  # the connection was closed between two requests
            finally:
                client.close()

        writers = [threading.Thread(target=write, args=(i,)) for i in range(4)]
        for writer in writers:
            writer.start()
        support.eventually(lambda: min(acknowledged) > 20)
        self.assertEqual(server.stop(), 0)
        for writer in writers:
            writer.join()
        self.assertEqual(broken, [])
        server.start()
        self.assertEqual(heard(server, "replayed")["entries"], 0)
        client = self.client(server)
        for i in range(4):
            # A last write may have been carried out though its answer was not read.
            self.assertIn(client.request("GET", f"/pets/{i}").json["n"] - acknowledged[i], (0, 1))
        self.assertEqual(server.stop(), 0)

    def test_a_request_in_flight_is_answered_and_new_clients_are_refused(self):
        server = self.server("--threads", "1").start()
        with server.connect() as connection:
            connection.sendall(
                b"PUT /pets/1 HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{\"a\""
            )
            support.eventually(lambda: b" 200 " in self.once(server, b"GET /readyz HTTP/1.0\r\n\r\n"))
            server.process.send_signal(signal.SIGTERM)
            support.eventually(lambda: said(server, "stopping"))
            support.eventually(lambda: self.is_refused(server))
            connection.sendall(b": 12}")
            received, closed = support.read_until_closed(connection)
        self.assertIn(b" 201 Created\r\n", received)
        self.assertTrue(closed)
        self.assertEqual(server.process.wait(support.STOP_TIMEOUT_S), 0)

    def is_refused(self, server):
        try:
            server.connect().close()
        except ConnectionRefusedError:
            return True
        return False

    def once(self, server, request):
        with server.connect() as connection:
            connection.sendall(request)
            return support.read_until_closed(connection)[0]

    def test_who_does_not_finish_is_cut_off_after_shutdown_timeout(self):
        server = self.server("--shutdown-timeout", "300ms").start()
        with server.connect() as connection:
            connection.sendall(b"PUT /pets/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{")
            support.eventually(lambda: b" 200 " in self.once(server, b"GET /healthz HTTP/1.0\r\n\r\n"))
            began = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            status = server.process.wait(support.STOP_TIMEOUT_S)
            self.assertLess(time.monotonic() - began, 10, "not after the 10 s that are the default")
        self.assertEqual(status, 0)

    def test_a_second_signal_ends_at_once(self):
        server = self.server("--shutdown-timeout", "1h").start()
        with server.connect() as connection:
            connection.sendall(b"PUT /pets/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{")
            support.eventually(lambda: b" 200 " in self.once(server, b"GET /healthz HTTP/1.0\r\n\r\n"))
            server.process.send_signal(signal.SIGTERM)
            support.eventually(lambda: said(server, "stopping"))
            server.process.send_signal(signal.SIGINT)
            self.assertEqual(server.process.wait(support.STOP_TIMEOUT_S), 1)


class Hup(unittest.TestCase):
    def test_what_can_change_changes_and_the_rest_is_named(self):
        server = support.Server(["--threads", "2"], config="collections:\n  - { name: pets, cache: { ttl: 1h } }\n")
        self.addCleanup(server.remove)
        server.start()
        path = pathlib.Path(server.folder, "freshet.yaml")
        path.write_text(
            "cors_origin: https://example.org\ncache_control: max-age=5\naccess_log: on\nlog_level: debug\n"
            "cache_bytes: 1MiB\nidle_timeout: 200ms\n"
            "collections:\n  - { name: pets, cache: { ttl: 7s } }\n  - { name: more }\n",
            "utf-8",
        )
        server.process.send_signal(signal.SIGHUP)
        support.eventually(lambda: said(server, "configuration read again"))

        def ask(method, body=None):
            """Over a connection of its own: one may be idle for 200 ms at most."""
            client = server.client()
            self.addCleanup(client.close)
            return client.request(method, "/pets/1", body)

        def changed():
            ask("PUT", {"a": 1})
            answer = ask("GET")
            return (
                answer.headers["access-control-allow-origin"] == "https://example.org"
                and answer.headers["cache-control"] == "max-age=5"
            )

        support.eventually(changed)
        ask("DELETE")
        ask("PUT", {"a": 2})
        status = ask("GET").headers["cache-status"]
        self.assertLess(int(re.search(r"ttl=(\d+)", status).group(1)), 8)
        restart = {line["setting"] for line in log_lines(server) if line.get("message") == "needs a restart"}
        self.assertEqual(restart, {"cache_bytes", "collections.more"})
        support.eventually(lambda: any(line.get("path") == "/pets/1" for line in log_lines(server)))
        with server.connect() as connection:
            self.assertEqual(support.read_until_closed(connection), (b"", True))
        path.write_text("bogus: 1\n", "utf-8")
        server.process.send_signal(signal.SIGHUP)
        line = support.eventually(lambda: said(server, "SIGHUP: nothing was changed"))
        self.assertIn("freshet.yaml:1: bogus: there is no such key", line["problem"])
        self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    unittest.main()
