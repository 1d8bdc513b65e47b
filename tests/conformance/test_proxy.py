"""The proxy does what its commands say, to the byte."""

import socket
import threading
import time
import unittest

import proxy as proxies
from proxy import TO_CLIENT, TO_SERVER


class Echo:
    """A server that sends back what it gets."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._echo, args=(connection,), daemon=True).start()

    @staticmethod
    def _echo(connection):
        with connection:
            try:
                while data := connection.recv(65536):
                    connection.sendall(data)
            except OSError:
                pass


def read(connection, size):
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            break
        data += piece
    return data


def read_all(connection):
    data = b""
    try:
        while piece := connection.recv(65536):
            data += piece
    except ConnectionResetError:
        pass
    return data


class TestProxy(unittest.TestCase):
    def setUp(self):
        self.echo = Echo()
        self.addCleanup(self.echo.listener.close)
        self.proxy = proxies.Proxy(self.echo.port).start()
        self.addCleanup(self.proxy.stop)

    def connect(self):
        connection = socket.create_connection(("127.0.0.1", self.proxy.port), proxies.COMMAND_TIMEOUT_S)
        self.addCleanup(connection.close)
        return connection

    def test_bytes_pass_in_both_directions(self):
        connection = self.connect()
        data = bytes(range(256)) * 4096
        threading.Thread(target=connection.sendall, args=(data,), daemon=True).start()
        self.assertEqual(read(connection, len(data)), data)
        self.assertEqual(self.proxy.passed, {TO_SERVER: len(data), TO_CLIENT: len(data)})

    def test_a_cut_after_n_bytes_lets_exactly_n_through(self):
        for size in range(0, 12):
            with self.subTest(size):
                connection = self.connect()
                self.proxy.cut_after(TO_CLIENT, size)
                connection.sendall(b"0123456789ab")
                self.assertEqual(read_all(connection), b"0123456789ab"[:size])

    def test_a_cut_is_made_once(self):
        first = self.connect()
        self.proxy.cut_after(TO_CLIENT, 1)
        first.sendall(b"ab")
        self.assertEqual(read_all(first), b"a")
        second = self.connect()
        second.sendall(b"cd")
        self.assertEqual(read(second, 2), b"cd")

    def test_what_is_held_comes_when_it_is_resumed(self):
        connection = self.connect()
        self.proxy.hold(TO_CLIENT)
        connection.sendall(b"late")
        connection.settimeout(0.1)
        with self.assertRaises(TimeoutError):
            connection.recv(1)
        self.proxy.resume(TO_CLIENT)
        connection.settimeout(proxies.COMMAND_TIMEOUT_S)
        self.assertEqual(read(connection, 4), b"late")

    def test_a_delay_is_never_shorter_than_it_says(self):
        connection = self.connect()
        self.proxy.delay(TO_SERVER, 0.1)
        self.proxy.delay(TO_CLIENT, 0.1)
        started = time.monotonic()
        connection.sendall(b"x")
        self.assertEqual(read(connection, 1), b"x")
        self.assertGreaterEqual(time.monotonic() - started, 0.2)

    def test_a_cut_ends_all_connections_and_refusing_ends_new_ones(self):
        connections = [self.connect() for _ in range(3)]
        for connection in connections:
            connection.sendall(b"x")
            self.assertEqual(read(connection, 1), b"x")
        self.proxy.cut()
        self.assertEqual([read_all(connection) for connection in connections], [b"", b"", b""])
        self.proxy.refuse(True)
        try:
            self.assertEqual(read_all(self.connect()), b"")
        except ConnectionResetError:
            pass  # it was refused before connect had returned
        self.proxy.refuse(False)
        connection = self.connect()
        connection.sendall(b"y")
        self.assertEqual(read(connection, 1), b"y")

    def test_the_end_of_one_side_is_passed_on(self):
        connection = self.connect()
        connection.sendall(b"x")
        self.assertEqual(read(connection, 1), b"x")
        connection.close()
        deadline = time.monotonic() + proxies.COMMAND_TIMEOUT_S
        while self.proxy.open > 0 and time.monotonic() < deadline:
            time.sleep(0.01)  # pause between tries
        self.assertEqual(self.proxy.open, 0)


if __name__ == "__main__":
    unittest.main()
