"""Memory is bounded by configuration: what connections that do nothing cost, and what a full cache holds."""

import pathlib
import resource
import unittest

import support

CONNECTIONS = 2000
CONNECTION_BYTES_MAX = 10 << 10
MIB = 1 << 20
PIPELINED = 200  # requests that are under way on a connection


def metric(server, name):
    """The sum of a metric over its labels."""
    with server.connect() as connection:
        connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        text = support.read_until_closed(connection)[0].decode()
    lines = [line for line in text.splitlines() if line.startswith((name + " ", name + "{"))]
    assert lines, name
    return sum(int(line.rpartition(" ")[2]) for line in lines)


def is_sanitized(server):
    """Under a sanitizer the memory of the process says nothing: it keeps what was freed."""
    return "libasan" in pathlib.Path(f"/proc/{server.process.pid}/maps").read_text("utf-8")


def resident_bytes(server, peak=False):
    name = "VmHWM:" if peak else "VmRSS:"
    for line in pathlib.Path(f"/proc/{server.process.pid}/status").read_text("utf-8").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) << 10
    raise AssertionError(f"no {name}")


def peak_forget(server):
    """From now on the peak is the highest since now."""
    pathlib.Path(f"/proc/{server.process.pid}/clear_refs").write_text("5", "utf-8")


def statuses(connection, requests):
    """Sends the requests, PIPELINED at a time, and counts the answers by status; bodies are not kept."""
    counted = {}
    reader = connection.makefile("rb", buffering=1 << 18)
    for first in range(0, len(requests), PIPELINED):
        part = requests[first : first + PIPELINED]
        connection.sendall(b"".join(part))
        for _ in part:
            status = int(reader.readline().split(b" ")[1])
            length = 0
            while (line := reader.readline()) not in (b"\r\n", b""):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            assert len(reader.read(length)) == length
            counted[status] = counted.get(status, 0) + 1
    return counted


def put_request(path, text):
    body = b'{"text":"' + text + b'"}'
    head = f"PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def get_request(path):
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


class Connections(unittest.TestCase):
    def setUp(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = CONNECTIONS + 200
        if hard != resource.RLIM_INFINITY and hard < wanted:
            self.skipTest(f"no more than {hard} files may be open here")
        if soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        self.server = support.Server().start()
        self.addCleanup(self.server.remove)
        self.held = []
        self.addCleanup(lambda: [connection.close() for connection in self.held])

    def connect(self, count, ask):
        """Connections that stay; each has had an answer, or never sends anything. One asks at a time:
        what many answers at once take, a bounded pool keeps, however many connections there are. (The
        buffers that the kernel receives into are such a pool too, and are first touched here.)"""
        for _ in range(count):
            self.held.append(self.server.connect())
            if ask:
                self.held[-1].sendall(get_request("/pets/1"))
                self.assertIn(b" 200 ", self.held[-1].recv(4096))
        support.eventually(lambda: metric(self.server, "freshet_http_connections") >= len(self.held))

    def growth(self, ask):
        self.connect(50, ask)
        resident, counted = resident_bytes(self.server), metric(self.server, "freshet_http_memory_bytes")
        self.connect(CONNECTIONS, ask)
        return (
            (resident_bytes(self.server) - resident) / CONNECTIONS,
            (metric(self.server, "freshet_http_memory_bytes") - counted) / CONNECTIONS,
        )

    def test_idle_connections_cost_less_than_10_kib_each(self):
        with self.server.connect() as connection:
            self.assertEqual(statuses(connection, [put_request("/pets/1", b"x" * 1000)]), {201: 1})
        for ask in (False, True):
            with self.subTest(ask=ask):
                resident, counted = self.growth(ask)
                self.assertLess(counted, CONNECTION_BYTES_MAX)
                if not is_sanitized(self.server):
                    self.assertLess(resident, CONNECTION_BYTES_MAX)
        # They are still served, the first and the last.
        for connection in (self.held[0], self.held[-1]):
            connection.sendall(get_request("/pets/1"))
            self.assertIn(b" 200 ", connection.recv(4096))


class Cache(unittest.TestCase):
    def start(self, *arguments, data=None):
        arguments = ["--durability", "none", "--block-cache-bytes", "1MiB", *arguments]
        server = support.Server(arguments, data=data).start()
        self.addCleanup(server.remove)
        return server

    def connect(self, server):
        connection = server.connect()
        self.addCleanup(connection.close)
        return connection

    def limits_hold(self, server, bytes_max):
        self.assertEqual(metric(server, "freshet_cache_limit_bytes"), bytes_max)
        self.assertLessEqual(metric(server, "freshet_cache_bytes"), bytes_max)

    def test_a_scan_of_50000_keys_stays_within_16_mib(self):
        bytes_max, present, absent = 16 * MIB, 16000, 34000
        text = b"x" * 1500
        writer = self.start("--cache", "off")
        writes = [put_request(f"/pets/{i}", text) for i in range(present)]
        self.assertEqual(statuses(self.connect(writer), writes), {201: present})
        self.assertEqual(writer.stop(), 0)
        # A process of its own, so that what it took for the writes is not counted in its favour.
        server = self.start("--cache-bytes", "16MiB", data=writer.data)
        connection = self.connect(server)
        resident = resident_bytes(server)
        peak_forget(server)
        requests = [get_request(f"/pets/{i}") for i in range(present)]
        requests += [get_request(f"/pets/absent-{i}") for i in range(absent)]
        requests[::2], requests[1::2] = requests[: len(requests) // 2], requests[len(requests) // 2 :]
        answered = {}
        for first in range(0, len(requests), len(requests) // 4):
            for status, count in statuses(connection, requests[first : first + len(requests) // 4]).items():
                answered[status] = answered.get(status, 0) + count
            self.limits_hold(server, bytes_max)
        self.assertEqual(answered, {200: present, 404: absent})
        # It was full, not merely small, and absent keys are among what it holds.
        self.assertGreater(metric(server, "freshet_cache_evictions_total"), 1000)
        self.assertGreater(metric(server, "freshet_cache_bytes"), bytes_max * 9 // 10)
        client = server.client()
        self.addCleanup(client.close)
        self.assertEqual(client.request("GET", f"/pets/absent-{absent - 1}").outcome, "hit")
        if not is_sanitized(server):
            # Beside the cache: the block cache, and what a connection's pipelined answers take.
            self.assertLess(resident_bytes(server, peak=True) - resident, bytes_max + 8 * MIB)

    def test_lists_and_index_pages_are_counted(self):
        server = self.start("--cache-bytes", "64MiB")
        client = server.client()
        self.addCleanup(client.close)
        text = "y" * 4000
        for i in range(50):
            document = {"title": text, "price": i, "category": "lamps"}
            self.assertEqual(client.request("PUT", f"/products/{i}", document).status, 201)
        for path in ("/products", "/products?category=lamps"):
            with self.subTest(path=path):
                bytes_before = metric(server, "freshet_cache_bytes")
                entries_before = metric(server, "freshet_cache_entries")
                answer = client.request("GET", path)
                self.assertEqual(len(answer.json), 50)
                self.assertEqual(client.request("GET", path).outcome, "hit")
                self.assertEqual(metric(server, "freshet_cache_entries"), entries_before + 1)
                grown = metric(server, "freshet_cache_bytes") - bytes_before
                self.assertGreaterEqual(grown, len(answer.body))
                self.assertLess(grown, 2 * len(answer.body))

    def test_pages_stay_within_the_limit_too(self):
        bytes_max = 4 * MIB
        server = self.start("--cache-bytes", "4MiB")
        connection = self.connect(server)
        count = 200
        text = b"z" * 1000
        statuses(connection, [put_request(f"/products/{i:03}", text) for i in range(count)])
        # Every limit is a page of its own: together about 20 MB.
        pages = [get_request(f"/products?limit={limit}") for limit in range(1, count + 1)]
        self.assertEqual(statuses(connection, pages), {200: count})
        self.limits_hold(server, bytes_max)
        self.assertGreater(metric(server, "freshet_cache_evictions_total"), 0)


if __name__ == "__main__":
    unittest.main()
