"""What once broke a whole server from outside, one test a fault."""

import random
import socket
import sys
import threading
import time
import unittest

import support

LIST_RECORDS = 8  # of half a MiB each: a list is almost 4 MiB
SLOW_READERS = 40
RESIDENT_MIB_MAX = 500  # three quarters of 256 MiB, what a turn makes, and what malloc keeps
LISTS_EACH = 12


def put_bytes(path, body):
    head = f"PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    return (head + f"Content-Length: {len(body)}\r\n\r\n").encode() + body


def get_bytes(path):
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


def resident_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) // 1024
    raise AssertionError("no VmRSS")


class TestPipelines(support.ServerTest):
    arguments = ("--threads", "2")

    def pipeline(self, data, count, methods=None):
        """All answers to what is sent in one piece, while it is being read."""
        with self.server.connect() as connection:
            sender = threading.Thread(target=connection.sendall, args=(data,))
            sender.start()
            received = b""
            answers = []
            while len(answers) < count:
                piece = connection.recv(1 << 20)
                self.assertNotEqual(piece, b"", f"closed after {len(answers)} answers")
                received += piece
                more, received = support.read_answers(
                    received, methods[len(answers) :] if methods else None
                )
                answers += more
            sender.join()
        self.assertEqual(received, b"")
        return answers

    def test_a_read_behind_a_write_of_the_same_connection_sees_it(self):
        count = 500
        data = b"".join(
            put_bytes("/pets/k", b'{"v":%d}' % i) + get_bytes("/pets/k") for i in range(count)
        )
        answers = self.pipeline(data, 2 * count)
        for i in range(count):
            self.assertEqual(answers[2 * i].json["v"], i)
            self.assertEqual(answers[2 * i + 1].json, {"id": "k", "v": i})

    def test_a_list_behind_a_write_of_the_same_connection_has_it(self):
        ids = [f"listed-{i:03}" for i in range(100)]
        data = b"".join(
            put_bytes(f"/products/{name}", b"{}") + get_bytes("/products") for name in ids
        )
        answers = self.pipeline(data, 2 * len(ids))
        for i, name in enumerate(ids):
            self.assertIn(name, [record["id"] for record in answers[2 * i + 1].json])

    def test_a_write_does_not_overtake_the_reads_before_it(self):
        for i in range(50):
            path = f"/pets/overtaken-{i}"
            self.put(path, {"v": 0})
            refresh = f"GET {path} HTTP/1.1\r\nHost: a\r\nCache-Control: no-cache\r\n\r\n".encode()
            answers = self.pipeline(refresh * 8 + put_bytes(path, b'{"v":1}'), 9)
            self.assertEqual([answer.json["v"] for answer in answers], [0] * 8 + [1])

    def test_a_mixed_pipeline_is_answered_in_order(self):
        seed = random.randrange(1 << 32)
        print(f"seed {seed}", file=sys.stderr)
        choice = random.Random(seed)
        value = None
        data, methods, wanted = b"", [], []
        for i in range(1000):
            method = choice.choice(["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
            methods.append(method)
            if method == "PUT":
                data += put_bytes("/pets/mixed", b'{"v":%d}' % i)
                wanted.append((200 if value is not None else 201, i))
                value = i
                continue
            data += f"{method} /pets/mixed HTTP/1.1\r\nHost: a\r\n\r\n".encode()
            if method == "DELETE":
                wanted.append((200, None))
                value = None
            elif method == "OPTIONS":
                wanted.append((200, None))
            else:
                body = value if method == "GET" else None
                wanted.append((200 if value is not None else 404, body))
        answers = self.pipeline(data, len(methods), methods)
        for i, (answer, (status, body)) in enumerate(zip(answers, wanted)):
            self.assertEqual(answer.status, status, (seed, i, methods[i]))
            if body is not None:
                self.assertEqual(answer.json["v"], body, (seed, i, methods[i]))


class TestSlowReaders(support.ServerTest):
    arguments = ("--threads", "1", "--cache-bytes", "64MiB")

    def test_lists_that_nobody_reads_are_bounded(self):
        """At least 480 lists of 4 MiB for clients that do not read: 1.9 GB, unless they count.
        Those over the bound are refused in words, and others go on."""
        for i in range(LIST_RECORDS):
            self.put(f"/products/{i}", b'{"a":"' + b"x" * 500_000 + b'"}')
        before = resident_mib(self.server.process.pid)
        readers = []

        def refused():
            reader = socket.socket()
            self.addCleanup(reader.close)
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.connect(("127.0.0.1", self.server.port))
            reader.sendall(get_bytes("/products") * LISTS_EACH)
            readers.append(reader)
            answer = self.request("GET", "/products")
            return answer if len(readers) >= SLOW_READERS and answer.status != 200 else None

        answer = support.eventually(refused)
        self.problem(answer, 503)
        self.assertEqual(answer.headers["retry-after"], "1")
        self.assertEqual(self.request("GET", "/pets/other").status, 404)
        self.assertIn(self.request("PUT", "/pets/other", {"v": 1}).status, (200, 201))
        self.assertEqual(self.request("GET", "/pets/other").json["v"], 1)
        self.assertLess(resident_mib(self.server.process.pid) - before, RESIDENT_MIB_MAX)
        for reader in readers:
            reader.close()
        support.eventually(lambda: self.request("GET", "/products").status == 200)


if __name__ == "__main__":
    unittest.main()
