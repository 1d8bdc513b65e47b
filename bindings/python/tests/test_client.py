"""Both clients against a server that plays a script: connecting, waiting, losing the connection."""

import gc
import socket
import threading
import unittest

import support
from support import answer, change, changes, control, error, frame

import freshet
from freshet import _codec, _frames, freshet_pb2 as pb

WRITTEN = [1, 5, 1, "a", '"0-1-5"', "p5", True]


class Scripted:
    """Tests with a scripted server."""

    def serve(self, script):
        server = support.ScriptedServer(script)
        self.addCleanup(server.close)
        return server

    def client(self, server, **options):
        client = self.connector(server.url, **options)
        self.addCleanup(client.close)
        return client

    # ---- connecting ----

    def test_connecting_to_nobody_fails_at_once(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        with self.assertRaises(freshet.Disconnected) as caught:
            self.connector(f"freshet://127.0.0.1:{port}")
        self.assertIsInstance(caught.exception, ConnectionError)

    def test_a_server_that_does_not_greet_is_given_up(self):
        server = self.serve(lambda connection: connection.drain())
        with self.assertRaises(freshet.Timeout):
            self.connector(server.url, connect_timeout=0.05)

    def test_a_refused_token_is_told(self):
        def script(connection):
            id, body = connection.expect(_frames.HELLO)
            self.assertEqual(pb.Hello.FromString(body).token, "wrong")
            connection.send(error(id, 401, detail="the token is not valid"))

        with self.assertRaisesRegex(freshet.Unauthorized, "not valid"):
            self.connector(self.serve(script).url, token="wrong")

    def test_wrong_addresses_and_settings_are_refused(self):
        for url in ("127.0.0.1:7400", "http://127.0.0.1", "freshet://", "freshet://h:x", "freshet://h/path",
                    "freshet://h:99999", "freshet://u@h", "freshet://h?x=1"):
            with self.assertRaises(freshet.Invalid):
                self.connector(url)
        for options in ({"lease": 0}, {"timeout": -1}, {"near_cache_bytes": -1}, {"connect_timeout": 0}):
            with self.assertRaises(freshet.Invalid):
                self.connector("freshet://127.0.0.1:1", **options)

    def test_checksums_go_both_ways_when_asked_for(self):
        def script(connection):
            hello = connection.greet()
            self.assertIn("checked", hello.features)
            id, _ = connection.expect(_frames.GET)
            connection.send(frame(0x81, id, _codec.pack([1, 1, 1, {"id": "a"}]), flags=2))
            connection.drain()

        self.assertEqual(self.client(self.serve(script), checked=True).get("pets", "a"), {"id": "a"})

    # ---- waiting ----

    def test_a_read_without_an_answer_times_out_and_the_connection_goes_on(self):
        def script(connection):
            connection.greet()
            first, _ = connection.expect(_frames.GET)
            second, _ = connection.expect(_frames.GET)
            connection.send(answer(_frames.GET, first, [1, 1, 1, {"id": "late"}]))
            connection.send(answer(_frames.GET, second, [1, 1, 1, {"id": "b"}]))
            connection.drain()

        server = self.serve(script)
        client = self.client(server)
        with self.assertRaises(freshet.Timeout) as caught:
            client.get("pets", "a", timeout=0.02)
        self.assertIsInstance(caught.exception, TimeoutError)
        self.assertEqual(client.get("pets", "b"), {"id": "b"})
        self.assertEqual(server.accepted, 1)

    def test_a_write_without_an_answer_has_an_unknown_outcome(self):
        def script(connection):
            connection.greet()
            connection.drain()

        with self.assertRaises(freshet.OutcomeUnknown):
            self.client(self.serve(script)).put("pets", "a", {}, timeout=0.02)

    def test_what_cannot_be_sent_is_refused_here(self):
        client = self.client(self.serve(lambda connection: (connection.greet(), connection.drain())))
        for document in ({"n": float("nan")}, {"n": float("inf")}, {1: 2}, {"n": b"x"}, {"n": {1, 2}}, [], None,
                         {"n": "\ud800"}):
            with self.assertRaises(freshet.Invalid) as caught:
                client.put("pets", "a", document)
            self.assertEqual((caught.exception.code, caught.exception.type), (0, "invalid"))
            self.assertIsInstance(caught.exception, ValueError)
        with self.assertRaises(freshet.Invalid):
            list(client.list("products", category="a", title="b"))
        with self.assertRaises(freshet.Invalid):
            client.batch([freshet.Get("pets", "a")] * 1001)
        with self.assertRaises(freshet.TooLarge):
            client.put("pets", "a", {"n": "x" * (9 << 20)})

    # ---- losing the connection ----

    def test_a_read_goes_to_the_next_connection_and_a_write_does_not(self):
        written = []

        def script(connection):
            connection.greet()
            if connection.number == 1:
                connection.expect(_frames.PUT)
                connection.expect(_frames.GET)
                return
            id, body = connection.expect(_frames.GET)
            written.append(_codec.unpack(body))
            connection.send(answer(_frames.GET, id, [1, 1, 1, {"id": "a"}]))
            connection.drain()

        client = self.client(self.serve(script))
        outcome = []

        def write():
            try:
                client.put("pets", "a", {})
            except freshet.FreshetError as failure:
                outcome.append(failure)

        writer = threading.Thread(target=write)
        writer.start()
        self.assertEqual(client.get("pets", "a"), {"id": "a"})
        writer.join()
        self.assertIsInstance(outcome[0], freshet.OutcomeUnknown)
        self.assertEqual(written, [["pets", "a"]])
        self.assertTrue(client.connected)

    def test_without_reconnect_a_lost_connection_stays_lost(self):
        def script(connection):
            connection.greet()
            connection.expect(_frames.GET)

        server = self.serve(script)
        client = self.client(server, reconnect=False)
        for _ in range(3):
            with self.assertRaises(freshet.Disconnected):
                client.get("pets", "a")
        self.assertEqual(server.accepted, 1)

    def test_a_server_that_comes_and_goes_is_asked_again_and_again(self):
        def script(connection):
            if connection.number % 2:
                connection.greet()
                connection.expect(_frames.GET)
            elif connection.number > 5:
                connection.greet()
                id, _ = connection.expect(_frames.GET)
                connection.send(answer(_frames.GET, id, [1, 1, 0, None], 404))
                connection.drain()

        server = self.serve(script)
        self.assertIsNone(self.client(server).get("pets", "a"))
        self.assertEqual(server.accepted, 6)

    def test_a_protocol_error_ends_the_connection_and_not_the_client(self):
        def script(connection):
            connection.greet()
            id, _ = connection.expect(_frames.GET)
            if connection.number == 1:
                connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                connection.drain()
            connection.send(answer(_frames.GET, id, [1, 1, 1, {"id": "a"}]))
            connection.drain()

        self.assertEqual(self.client(self.serve(script)).get("pets", "a"), {"id": "a"})

    def test_while_there_is_no_server_a_call_waits_and_then_says_so(self):
        gone = threading.Event()

        def script(connection):
            connection.greet()
            gone.wait(10)

        server = self.serve(script)
        client = self.client(server)
        server.refuse()
        gone.set()
        support.eventually(lambda: not client.connected)
        for call in (lambda: client.get("pets", "a", timeout=0.05), lambda: client.put("pets", "a", {}, timeout=0.05)):
            with self.assertRaises(freshet.Disconnected):
                call()

    def test_closing_ends_what_is_under_way(self):
        asked = threading.Event()

        def script(connection):
            connection.greet()
            id, _ = connection.expect(_frames.SUBSCRIBE)
            connection.send(control(0xC1, id, pb.Subscribed(position="p0")))
            connection.expect(_frames.GET)
            asked.set()
            connection.drain()

        client = self.client(self.serve(script))
        subscription = client.subscribe()
        ends = []

        def read():
            try:
                client.get("pets", "a")
            except freshet.FreshetError as failure:
                ends.append(failure)

        threads = [threading.Thread(target=read), threading.Thread(target=lambda: ends.append(list(subscription)))]
        for thread in threads:
            thread.start()
        asked.wait(10)
        client.close()
        for thread in threads:
            thread.join(10)
        self.assertEqual(len(ends), 2)
        self.assertIn([], ends)
        for call in (lambda: client.get("pets", "a"), lambda: client.put("pets", "a", {}), client.subscribe):
            with self.assertRaises(freshet.Closed):
                call()
        client.close()

    # ---- subscriptions ----

    def subscribed(self, connection, credit=None):
        id, body = connection.expect(_frames.SUBSCRIBE)
        message = pb.Subscribe.FromString(body)
        if credit is not None:
            self.assertEqual(message.credit, credit)
        connection.send(control(0xC1, id, pb.Subscribed(position=message.position or "p0")))
        return id, message

    def test_changes_arrive_over_three_connections_without_gap_or_duplicate(self):
        def script(connection):
            connection.greet()
            id, message = self.subscribed(connection)
            first = int(message.position[1:] or 0) if message.position else 0
            self.assertEqual(first, (connection.number - 1) * 4)
            connection.send(changes(id, *((0, f"p{n}", change(n)) for n in range(first + 1, first + 5))))
            if connection.number == 3:
                connection.drain()

        subscription = self.client(self.serve(script)).subscribe(window=100)
        self.assertEqual([subscription.next(10).sequence for _ in range(12)], list(range(1, 13)))
        self.assertIsNone(subscription.next(0))
        self.assertEqual(subscription.position, "p12")

    def test_a_slow_taker_holds_the_server_back_by_its_credit(self):
        def script(connection):
            connection.greet()
            id, message = self.subscribed(connection, 10)
            credit, sequence = message.credit, 0
            while sequence < 100:
                while credit > 0:
                    sequence, credit = sequence + 1, credit - 1
                    connection.send(changes(id, (0, f"p{sequence}", change(sequence))))
                _, body = connection.expect(_frames.CREDIT)
                credit += pb.Credit.FromString(body).changes
                self.assertLessEqual(credit, 10)
            connection.drain()

        subscription = self.client(self.serve(script)).subscribe(window=10)
        found = [subscription.next(10) for _ in range(100)]
        self.assertEqual([one.sequence for one in found if one], list(range(1, 101)))

    def test_pings_keep_coming_though_nothing_else_does(self):
        enough = threading.Event()

        def script(connection):
            connection.greet()
            id, _ = connection.expect(_frames.SUBSCRIBE)
            connection.send(control(0xC1, id, pb.Subscribed(position="p0")))
            for _ in range(6):
                ping, _ = connection.expect(_frames.PING)
                connection.send(frame(0xC7, ping))
            enough.set()
            connection.drain()

        self.client(self.serve(script), near_cache_bytes=1000, lease=0.1)
        self.assertTrue(enough.wait(5))

    def test_a_refused_subscription_raises_where_it_is_made(self):
        def script(connection):
            connection.greet()
            id, _ = connection.expect(_frames.SUBSCRIBE)
            connection.send(error(id, 400, detail="the pattern is none"))
            connection.drain()

        with self.assertRaisesRegex(freshet.Invalid, "the pattern is none"):
            self.client(self.serve(script)).subscribe(pattern="nonsense")

    def test_an_unanswered_subscription_times_out_and_is_ended(self):
        ended = threading.Event()

        def script(connection):
            connection.greet()
            id, _ = connection.expect(_frames.SUBSCRIBE)
            self.assertEqual(connection.expect(_frames.UNSUBSCRIBE)[0], id)
            ended.set()
            connection.drain()

        with self.assertRaises(freshet.Timeout):
            self.client(self.serve(script)).subscribe(timeout=0.02)
        self.assertTrue(ended.wait(10))

    def test_an_expired_position_is_raised_behind_the_last_change(self):
        def script(connection):
            connection.greet()
            id, _ = self.subscribed(connection)
            connection.send(changes(id, (0, "p1", change(1))))
            connection.send(error(id, 410, type="position-expired", detail="gone", oldest="o", newest="n"))
            connection.drain()

        subscription = self.client(self.serve(script)).subscribe(start="old")
        self.assertEqual(subscription.next(10).sequence, 1)
        for _ in range(2):
            with self.assertRaises(freshet.PositionExpired) as caught:
                subscription.next(10)
            self.assertEqual((caught.exception.code, caught.exception.oldest, caught.exception.newest),
                             (410, "o", "n"))

    def test_closing_a_subscription_ends_its_iteration_and_tells_the_server(self):
        ended = threading.Event()

        def script(connection):
            connection.greet()
            id, _ = self.subscribed(connection)
            connection.send(changes(id, (0, "p1", change(1)), (0, "p2", change(2))))
            self.assertEqual(connection.expect(_frames.UNSUBSCRIBE)[0], id)
            connection.send(frame(0xC6, id))
            ended.set()
            connection.drain()

        subscription = self.client(self.serve(script)).subscribe()
        self.assertEqual(subscription.next(10).sequence, 1)
        subscription.close()
        self.assertEqual(list(subscription), [])
        self.assertTrue(ended.wait(10))

    def test_many_pages_make_one_list_and_many_short_answers_one_get_many(self):
        def script(connection):
            connection.greet()
            for cursor, last in ((None, False), ("c1", False), ("c2", True)):
                id, body = connection.expect(_frames.LIST)
                collection, options = _codec.unpack(body)
                self.assertEqual((collection, options.get("cursor"), options["limit"], options["index"],
                                  options["value"], options.get("min")),
                                 ("products", cursor, 2, "price", "29.99", None if cursor else "p1"))
                following = None if last else "c1" if cursor is None else "c2"
                connection.send(answer(_frames.LIST, id, [following, [{"id": "x"}, {"id": "y"}]]))
            for _ in range(4):
                id, body = connection.expect(_frames.MGET)
                ids = _codec.unpack(body)[1]
                self.assertLessEqual(len(ids), 1000)
                connection.send(answer(_frames.MGET, id, [[1, 1, 1, {"id": one}] for one in ids[:400]]))
            connection.drain()

        client = self.client(self.serve(script))
        found = list(client.list("products", page_size=2, min_position="p1", price=29.99))
        self.assertEqual([record["id"] for record in found], ["x", "y"] * 3)
        ids = [str(n) for n in range(1400)]
        self.assertEqual([record["id"] for record in client.get_many("pets", ids + ids[:5])], ids + ids[:5])


support.for_both(Scripted, unittest.TestCase)


class Threads(unittest.TestCase):
    """What only the blocking client has."""

    def test_many_threads_share_one_connection(self):
        def script(connection):
            connection.greet()
            while True:
                id, body = connection.expect(_frames.GET)
                connection.send(answer(_frames.GET, id, [1, 1, 1, {"id": _codec.unpack(body)[1]}]))

        server = support.ScriptedServer(script)
        self.addCleanup(server.close)
        client = freshet.connect(server.url)
        self.addCleanup(client.close)
        failures = []

        def ask(name):
            for n in range(200):
                if client.get("pets", f"{name}-{n}") != {"id": f"{name}-{n}"}:
                    failures.append((name, n))

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(failures, [])
        self.assertEqual(server.accepted, 1)

    def test_a_subscription_that_nobody_holds_is_ended(self):
        ended = threading.Event()

        def script(connection):
            connection.greet()
            id, _ = connection.expect(_frames.SUBSCRIBE)
            connection.send(control(0xC1, id, pb.Subscribed(position="p0")))
            connection.expect(_frames.GET)
            connection.send(answer(_frames.GET, id + 1, [1, 1, 1, None], 404))
            connection.expect(_frames.UNSUBSCRIBE)
            ended.set()
            connection.drain()

        server = support.ScriptedServer(script)
        self.addCleanup(server.close)
        client = freshet.connect(server.url)
        self.addCleanup(client.close)
        client.subscribe()
        gc.collect()
        client.get("pets", "a")
        self.assertTrue(ended.wait(10))

    def test_a_large_request_does_not_stop_the_answers(self):
        """The server reads nothing until the client has taken 8 MiB of changes."""
        def script(connection):
            connection.greet()
            id, _ = connection.expect(_frames.SUBSCRIBE)
            connection.send(control(0xC1, id, pb.Subscribed(position="p0")))
            large = change(1, newImage={"id": "a", "x": "x" * (1 << 20)})
            for _ in range(8):
                connection.send(changes(id, (0, "p", large)))
            write, _ = connection.expect(_frames.PUT)
            connection.send(answer(_frames.PUT, write, WRITTEN, 201))
            connection.drain()

        server = support.ScriptedServer(script)
        self.addCleanup(server.close)
        client = freshet.connect(server.url)
        self.addCleanup(client.close)
        subscription = client.subscribe()
        self.assertTrue(client.put("pets", "a", {"x": "x" * (7 << 20)}).created)
        self.assertEqual(sum(1 for _ in range(8) if subscription.next(10)), 8)


    def test_what_the_socket_does_not_take_at_once_is_sent_as_soon_as_it_does(self):
        def script(connection):
            connection.greet()
            write, body = connection.expect(_frames.PUT)
            self.assertGreater(len(body), 7 << 20)
            connection.send(answer(_frames.PUT, write, WRITTEN, 201))
            connection.drain()

        server = support.ScriptedServer(script)
        self.addCleanup(server.close)
        client = freshet.connect(server.url)
        self.addCleanup(client.close)
        self.assertTrue(client.put("pets", "a", {"x": "x" * (7 << 20)}, timeout=5).created)


class Cancelling(unittest.IsolatedAsyncioTestCase):
    """What only the asyncio client has."""

    async def test_a_cancelled_call_leaves_the_connection_in_order(self):
        def script(connection):
            connection.greet()
            first, _ = connection.expect(_frames.GET)
            asked.set()
            second, _ = connection.expect(_frames.GET)
            connection.send(answer(_frames.GET, first, [1, 1, 1, {"id": "late"}]))
            connection.send(answer(_frames.GET, second, [1, 1, 1, {"id": "b"}]))
            connection.drain()

        import asyncio
        asked = threading.Event()
        server = support.ScriptedServer(script)
        self.addCleanup(server.close)
        async with await freshet.aio.connect(server.url) as client:
            task = asyncio.create_task(client.get("pets", "a"))
            await asyncio.to_thread(asked.wait, 10)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            self.assertEqual(await client.get("pets", "b"), {"id": "b"})
            self.assertEqual(client._core._requests, {})

    async def test_hundreds_at_a_time(self):
        def script(connection):
            connection.greet()
            while True:
                id, body = connection.expect(_frames.GET)
                connection.send(answer(_frames.GET, id, [1, 1, 1, {"id": _codec.unpack(body)[1]}]))

        import asyncio
        server = support.ScriptedServer(script)
        self.addCleanup(server.close)
        async with await freshet.aio.connect(server.url) as client:
            found = await asyncio.gather(*(client.get("pets", str(n)) for n in range(500)))
            self.assertEqual([record["id"] for record in found], [str(n) for n in range(500)])


if __name__ == "__main__":
    unittest.main()
