"""The core over scripted bytes: no sockets, no clock."""

import random
import struct
import unittest
import warnings

import support
from support import answer, change, changes, control, error, frame, invalidate, requests_in, welcome

from freshet import _core, _frames, _near, _shell, freshet_pb2 as pb
from freshet import _operations as ops
from freshet._errors import (
    Closed, Conflict, Disconnected, FreshetError, NotFound, OutcomeUnknown, PositionExpired,
    ProtocolError, Timeout, TooLarge)

WRITTEN = [1, 5, 1, "a", '"0-1-5"', "p5", True]


def new_feed(**arguments):
    settings = {"collection": None, "pattern": None, "start": "latest", "view": "both",
                "enter_leave": False, "consumer": None, "member": None, "progress": False,
                "window": None, **arguments}
    return _shell.new_feed(**settings)


class CoreTest(unittest.TestCase):
    def setUp(self):
        warnings.simplefilter("ignore", RuntimeWarning)  # protobuf's, of bodies that are none
        self.core = _core.Core()
        self.now = 100.0

    def sent(self):
        return requests_in(self.core.take_output())

    def receive(self, data):
        self.core.receive(data, self.now)

    def up(self, **fields):
        """A greeted connection; what was sent behind HELLO."""
        self.core.connected(self.now)
        [(opcode, id, _)] = self.sent()
        self.assertEqual(opcode, _frames.HELLO)
        self.receive(welcome(id, **fields))
        return self.sent()

    def submit(self, operation):
        request = _core.Request(operation)
        self.core.submit(request)
        return request

    def lose(self):
        self.core.lost(Disconnected("cut"))


class Requests(CoreTest):
    def test_a_get_is_written_as_the_page_says_and_its_answer_is_a_record(self):
        self.up()
        request = self.submit(ops.Get("pets", "a"))
        output = self.core.take_output()
        self.assertEqual(output, bytes.fromhex("00000008 01 00 0000 00000002 00000000 92 a4 70657473 a1 61"))
        self.receive(answer(_frames.GET, 2, [1, 5, 3, {"id": "a", "n": 1}]))
        self.assertEqual(self.core.take_ready(), [request])
        self.assertEqual(request.value.value, {"id": "a", "n": 1})
        self.assertEqual((request.value.etag, request.value.version), ('"0-1-5"', 3))

    def test_frames_may_be_cut_anywhere(self):
        script = (answer(_frames.GET, 2, [1, 5, 3, {"id": "a"}]) + error(3, 404, detail="no such collection")
                  + answer(_frames.PUT, 4, WRITTEN, 201))
        for cut in range(1, len(script)):
            self.setUp()
            self.up()
            requests = [self.submit(each) for each in (ops.Get("pets", "a"), ops.Get("none", "a"),
                                                       ops.Put("pets", "a", {}))]
            for piece in (script[:cut], script[cut:]):
                self.receive(piece)
            self.assertTrue(all(request.done for request in requests), cut)
            self.assertEqual(requests[0].value.value, {"id": "a"})
            self.assertIsInstance(requests[1].error, NotFound)
            self.assertTrue(requests[2].value.created)
        self.setUp()
        self.up()
        request = self.submit(ops.Get("pets", "a"))
        for byte in answer(_frames.GET, 2, [1, 5, 3, {"id": "a"}]):
            self.assertFalse(request.done)
            self.receive(bytes([byte]))
        self.assertTrue(request.done)

    def test_answers_may_come_in_any_order(self):
        self.up()
        requests = [self.submit(ops.Get("pets", str(n))) for n in range(100)]
        order = [(id, body) for _, id, body in self.sent()]
        random.Random(1).shuffle(order)
        for id, body in order:
            key = _core._codec.unpack(body)[1]
            self.receive(answer(_frames.GET, id, [1, 1, 1, {"id": key}]))
        self.assertEqual([request.value.value["id"] for request in requests], [str(n) for n in range(100)])

    def test_ids_go_round_and_pass_what_is_taken(self):
        self.up()
        first = self.submit(ops.Get("pets", "a"))
        self.core._last_id = _core.ID_MAX - 1
        ids = []
        for _ in range(3):
            self.submit(ops.Get("pets", "b"))
        ids = [id for _, id, _ in self.sent()]
        self.assertEqual(ids, [first.id, _core.ID_MAX, 1, 3])

    def test_requests_wait_for_the_connection(self):
        request = self.submit(ops.Get("pets", "a"))
        write = self.submit(ops.Put("pets", "a", {}))
        self.assertEqual(self.sent(), [])
        self.assertEqual([opcode for opcode, _, _ in self.up()], [_frames.GET, _frames.PUT])
        self.assertEqual((request.sends, write.sends), (1, 1))

    def test_when_the_connection_is_lost_reads_are_sent_again_and_writes_are_not(self):
        self.up()
        read, write, later = (self.submit(each) for each in (
            ops.Get("pets", "a"), ops.Put("pets", "a", {}), ops.GetMany("pets", ["b"])))
        self.lose()
        self.assertEqual(self.core.take_ready(), [write])
        self.assertIsInstance(write.error, OutcomeUnknown)
        self.assertEqual(write.error.type, "outcome-unknown")
        self.assertEqual([opcode for opcode, _, _ in self.up()], [_frames.GET, _frames.MGET])
        self.receive(answer(_frames.GET, read.id, [1, 5, 3, {"id": "a"}]))
        self.assertTrue(read.done)
        self.assertFalse(later.done)

    def test_a_read_that_ends_every_connection_is_given_up(self):
        request = self.submit(ops.Get("pets", "a"))
        for _ in range(_core.SENDS_MAX):
            self.assertFalse(request.done)
            self.up()
            self.lose()
        self.assertIsInstance(request.error, Disconnected)
        self.assertEqual(self.up(), [])

    def test_a_batch_of_reads_is_sent_again_and_one_with_a_write_is_not(self):
        self.up()
        reads = self.submit(ops.Batch([ops.Get("pets", "a")]))
        mixed = self.submit(ops.Batch([ops.Get("pets", "a"), ops.Delete("pets", "a")]))
        self.lose()
        self.assertFalse(reads.done)
        self.assertIsInstance(mixed.error, OutcomeUnknown)

    def test_an_abandoned_request_leaves_its_answer_unread(self):
        self.up()
        read, write = self.submit(ops.Get("pets", "a")), self.submit(ops.Put("pets", "a", {}))
        self.assertIsInstance(self.core.abandon(read), Timeout)
        self.assertIsInstance(self.core.abandon(write), OutcomeUnknown)
        self.receive(answer(_frames.GET, read.id, [1, 5, 3, None], 404))
        self.receive(answer(_frames.PUT, write.id, WRITTEN))
        self.assertEqual(self.core.take_ready(), [])
        self.lose()
        waiting = self.submit(ops.Get("pets", "a"))
        self.assertIsInstance(self.core.abandon(waiting), Disconnected)
        self.assertEqual(self.up(), [])

    def test_what_is_too_large_is_not_sent(self):
        self.up(frame_bytes_max=100)
        with self.assertRaises(TooLarge):
            self.submit(ops.Put("pets", "a", {"x": "x" * 100}))
        self.assertEqual(self.sent(), [])

    def test_the_answers_of_a_batch_stand_for_themselves(self):
        self.up()
        request = self.submit(ops.Batch([
            ops.Get("pets", "a"), ops.Get("pets", "b"), ops.Put("pets", "a", {}, if_match='"x"'),
            ops.Delete("pets", "a"), ops.Create("pets", {}), ops.Get("pets", "c", if_none_match='"y"')]))
        self.receive(answer(_frames.BATCH, 2, [
            [200, [1, 1, 1, {"id": "a"}]], [404, [1, 9, 0, None]], [412, ["", "another etag", 0]],
            [200, [1, 2, 0, "a", None, "p", False]], [201, [1, 3, 1, "new", '"0-1-3"', "q", True]],
            [304, [1, 1, 1, None]]]))
        record, missing, failed, deleted, created, same = request.value
        self.assertEqual((record, missing, deleted), ({"id": "a"}, None, False))
        self.assertEqual((failed.code, failed.detail), (412, "another etag"))
        self.assertEqual((created.id, created.created), ("new", True))
        self.assertEqual(same.code, 304)


class Errors(CoreTest):
    def test_each_code_has_its_class(self):
        import freshet
        classes = {400: freshet.Invalid, 401: freshet.Unauthorized, 403: freshet.Forbidden, 404: NotFound,
                   409: Conflict, 410: PositionExpired, 412: freshet.PreconditionFailed, 413: TooLarge,
                   422: freshet.Unprocessable, 429: freshet.Busy, 500: freshet.ServerError,
                   501: freshet.ServerError, 503: freshet.Busy}
        self.up()
        for code, kind in classes.items():
            request = self.submit(ops.Get("pets", "a"))
            self.receive(error(request.id, code, type="t", detail="words", retry_after_ms=1500,
                               oldest="o", newest="n"))
            self.assertIs(type(request.error), kind)
            self.assertEqual((request.error.code, request.error.type, request.error.detail), (code, "t", "words"))
            self.assertIs(type(request.error.again()), kind)
            self.assertEqual(vars(request.error.again()), vars(request.error))
            if kind is freshet.Busy:
                self.assertEqual(request.error.retry_after, 1.5)
        self.assertEqual((PositionExpired("d", oldest="o", newest="n").oldest), "o")

    def test_an_unknown_outcome_is_one_whatever_its_code(self):
        self.up()
        request = self.submit(ops.Put("pets", "a", {}))
        self.receive(error(request.id, 503, type="outcome-unknown", detail="the disk failed"))
        self.assertIsInstance(request.error, OutcomeUnknown)

    def test_a_malformed_answer_ends_its_request_alone(self):
        bodies = [b"", b"\xc1", b"\x90", b"\x94\x01\x02", b"\xc0", b"\x94\xa1a\x01\x01\xc0", b"\x94\x01\x01\x01\x01",
                  b"\x94\x01\x01\x01\xd5\x01xx", b"\x91" * 5000, b"\x94\x01\x01\x01\xc0\x00"]
        self.up()
        other = self.submit(ops.Get("pets", "other"))
        for body in bodies:
            with self.subTest(body=body[:20]):
                read = self.submit(ops.Get("pets", "a"))
                self.receive(frame(_frames.GET | 0x80, read.id, body))
                self.assertIsInstance(read.error, ProtocolError)
                write = self.submit(ops.Put("pets", "a", {}))
                self.receive(frame(_frames.PUT | 0x80, write.id, body))
                self.assertIsInstance(write.error, OutcomeUnknown)
        self.receive(answer(_frames.GET, other.id, [1, 1, 1, {"id": "other"}]))
        self.assertTrue(other.done)

    def hostile(self, data, words):
        with self.assertRaisesRegex(ProtocolError, words):
            self.receive(data)
        self.lose()
        self.up()

    def test_what_is_not_the_protocol_ends_the_connection(self):
        self.up()
        self.hostile(struct.pack(">IBBHII", (16 << 20) + 1, 0x81, 0, 200, 2, 0), "at most")
        self.hostile(frame(0x81, 2, b"\xc0", flags=4), "flags")
        self.hostile(welcome(), "second WELCOME")
        self.hostile(error(0, 413, detail="too long"), "too long")
        self.hostile(frame(_frames.ERROR, 5, b"\xff\xff"), "a body that is no")
        self.hostile(frame(_frames.GOAWAY, 0, b"\xff\xff"), "a body that is no")
        damaged = bytearray(frame(0x81, 2, b"\x94\x01\x01\x01\xc0", flags=2))
        damaged[-1] ^= 1
        self.hostile(bytes(damaged), "checksum")
        read = self.submit(ops.Get("pets", "a"))
        self.hostile(answer(_frames.PUT, read.id, WRITTEN), "as the answer to")
        self.assertFalse(read.done)

    def test_what_nobody_waits_for_or_is_of_a_later_version_is_passed_over(self):
        self.up()
        read = self.submit(ops.Get("pets", "a"))
        self.sent()
        for data in (frame(0x81, 77, b"\xc0"), frame(0x01, read.id), frame(0xB0, read.id), frame(0x30, 77), frame(0xC6, 77),
                     changes(77), invalidate(77, "p", True), control(0xC1, 77, pb.Subscribed()), error(77, 404),
                     frame(0xC7, 77)):
            self.receive(data)
        self.assertEqual((self.sent(), self.core.take_ready(), read.done), ([], [], False))

    def test_random_bytes_never_do_anything_but_end_the_connection(self):
        seed = support.seed()
        rng = random.Random(seed)
        opcodes = [0x81, 0x84, 0x20, 0x21, 0x48, 0xC0, 0xC1, 0xC6, 0xC7, 0xFF]
        for _ in range(2000):
            self.setUp()
            self.core = _core.Core(near=_near.NearCache(10000))
            self.up()
            self.core.subscribe(new_feed())
            self.submit(ops.Get("pets", "a"))
            body = rng.randbytes(rng.randrange(20))
            data = frame(rng.choice(opcodes), rng.randrange(6), body, rng.choice([0, 200, 404]), rng.randrange(4))
            try:
                self.receive(data)
            except FreshetError:
                self.lose()
            except Exception as failure:
                raise AssertionError(f"FRESHET_SEED={seed}: {data.hex()}") from failure


class Greeting(CoreTest):
    def test_hello_says_what_is_wanted(self):
        self.core = _core.Core(token="secret", near=_near.NearCache(1000), checked=True)
        self.core.connected(self.now)
        output = self.core.take_output()
        self.assertEqual(output[5], _frames.FLAG_CHECKED)
        hello = pb.Hello.FromString(requests_in(output)[0][2])
        self.assertEqual((list(hello.versions), hello.token, sorted(hello.features)),
                         ([1], "secret", ["checked", "invalidate"]))

    def test_a_refused_greeting_is_for_good_where_trying_again_is_of_no_use(self):
        for code, final in ((401, True), (403, True), (400, True), (503, False), (500, False)):
            self.setUp()
            request = self.submit(ops.Get("pets", "a"))
            self.core.connected(self.now)
            with self.assertRaises(FreshetError) as caught:
                self.receive(error(1, code, detail="no"))
            self.assertEqual(caught.exception.code, code)
            self.core.lost(caught.exception)
            self.assertEqual(request.done, final)
            if final:
                with self.assertRaises(type(caught.exception)):
                    self.submit(ops.Get("pets", "a"))

    def test_nothing_may_come_before_welcome_and_the_version_must_be_ours(self):
        self.core.connected(self.now)
        with self.assertRaises(ProtocolError):
            self.receive(frame(0x81, 1, b"\xc0"))
        self.setUp()
        self.core.connected(self.now)
        with self.assertRaisesRegex(ProtocolError, "version 2"):
            self.receive(welcome(1, version=2))

    def test_closing_ends_everything(self):
        self.up()
        feed = new_feed()
        self.core.subscribe(feed)
        read, write = self.submit(ops.Get("pets", "a")), self.submit(ops.Put("pets", "a", {}))
        self.core.fail(Closed("closed"))
        self.assertIsInstance(read.error, Closed)
        self.assertIsInstance(write.error, OutcomeUnknown)
        self.assertTrue(feed.ended)
        self.assertIsNone(feed.error)
        with self.assertRaises(Closed):
            self.submit(ops.Get("pets", "a"))


class Liveness(CoreTest):
    def test_a_silent_server_is_given_up_and_a_talking_one_is_not(self):
        self.up()
        for _ in range(10):
            self.now = self.core.tick(self.now)
            self.core.tick(self.now)
            [(opcode, id, body)] = self.sent()
            self.assertEqual(opcode, _frames.PING)
            self.receive(frame(0xC7, id, body))
        begun = self.now
        with self.assertRaises(Disconnected):
            while True:
                deadline = self.core.tick(self.now)
                self.assertGreater(deadline, self.now)
                self.now = deadline
        self.assertAlmostEqual(self.now - begun, _core.KEEPALIVE_S, delta=1)

    def test_backoff_grows_is_bounded_and_differs(self):
        rng = random.Random(3)
        for attempt, most in ((0, 0.05), (1, 0.1), (3, 0.4), (10, 2.0), (10000, 2.0)):
            delays = [_core.backoff(attempt, rng) for _ in range(200)]
            self.assertTrue(all(most / 2 <= delay <= most for delay in delays))
            self.assertGreater(len(set(delays)), 100)

    def test_after_goaway_requests_wait_for_the_next_connection(self):
        self.up()
        under_way = self.submit(ops.Get("pets", "a"))
        feed = new_feed()
        self.core.subscribe(feed)
        self.receive(control(0xC1, feed.id, pb.Subscribed(position="p1")))
        self.sent()
        goaway = pb.Goaway(detail="ends", subscriptions=[pb.Goaway.Subscription(id=feed.id, position="p9")])
        self.receive(control(_frames.GOAWAY, 0, goaway))
        later = self.submit(ops.Get("pets", "b"))
        self.assertEqual(self.sent(), [])
        self.receive(answer(_frames.GET, under_way.id, [1, 1, 1, None], 404))
        self.assertTrue(under_way.done)
        self.assertGreater(self.core.tick(self.now), self.now)
        self.lose()
        sent = self.up()
        self.assertEqual([opcode for opcode, _, _ in sent], [_frames.SUBSCRIBE, _frames.GET])
        self.assertEqual(pb.Subscribe.FromString(sent[0][2]).position, "p9")
        self.assertEqual(later.sends, 1)


class Subscriptions(CoreTest):
    def open(self, position="p0", **arguments):
        feed = new_feed(**arguments)
        self.core.subscribe(feed)
        [(opcode, id, body)] = self.sent()
        self.assertEqual(opcode, _frames.SUBSCRIBE)
        self.receive(control(0xC1, id, pb.Subscribed(position=position)))
        return feed, pb.Subscribe.FromString(body)

    def taken(self, feed):
        found = []
        while (one := feed.take()) is not None:
            self.core.give_credit(feed)
            found.append(one)
        return found

    def again(self):
        """Loses the connection; the Subscribe of the next."""
        self.lose()
        [(opcode, _, body)] = self.up()
        self.assertEqual(opcode, _frames.SUBSCRIBE)
        return pb.Subscribe.FromString(body)

    def setUp(self):
        super().setUp()
        self.up()

    def test_arguments_become_the_message(self):
        import datetime
        _, message = self.open(collection="pets", pattern={"changed": ["n"]}, view="keys", enter_leave=True,
                               window=10, start=datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc))
        self.assertEqual((message.collection, message.pattern, message.view, message.enter_leave, message.credit),
                         ("pets", '{"changed":["n"]}', pb.VIEW_KEYS, True, 10))
        self.assertEqual((getattr(message, "from"), message.time_ms), (pb.TIME, 1767225600000))
        for start, value in (("latest", pb.LATEST), ("earliest", pb.EARLIEST), ("snapshot", pb.SNAPSHOT)):
            self.assertEqual(getattr(self.open(start=start)[1], "from"), value)
        self.assertEqual(self.open(start="tok")[1].position, "tok")
        for bad in ({"start": ""}, {"start": datetime.datetime(2026, 1, 1)}, {"view": "all"}, {"member": "m"},
                    {"consumer": "c", "collection": "pets"}, {"consumer": "c", "start": "earliest"},
                    {"window": 0}, {"window": (1 << 20) + 1}):
            with self.assertRaises(support.freshet.Invalid):
                new_feed(**bad)

    def test_changes_come_in_order_with_all_their_parts(self):
        feed, _ = self.open()
        self.receive(changes(feed.id, (0, "p1", change(1, name="INSERT")), (3, "p2", None),
                             (0, "p3", change(3, changed=["n"], transition="enter"))))
        first, second = self.taken(feed)
        self.assertEqual((first.event_name, first.collection, first.id, first.sequence, first.version, first.position),
                         ("INSERT", "pets", "a", 1, 1, "p1"))
        self.assertEqual((second.changed, second.transition, second.new_image, second.old_image, second.event_id),
                         (["n"], "enter", {"id": "a", "n": 3}, None, "e3"))
        self.assertEqual(second.time.isoformat(), "2026-01-01T00:00:00+00:00")
        self.assertEqual(feed.position, "p3")

    def test_credit_is_given_back_by_halves_and_never_more_than_the_window(self):
        feed, message = self.open(window=10)
        self.assertEqual(message.credit, 10)
        credit, sequence = 10, 0
        for _ in range(30):
            self.receive(changes(feed.id, *((0, f"p{n}", change(n)) for n in range(sequence, sequence + credit))))
            sequence += credit
            credit = 0
            self.taken(feed)
            for opcode, id, body in self.sent():
                self.assertEqual((opcode, id), (_frames.CREDIT, feed.id))
                credit += pb.Credit.FromString(body).changes
            self.assertTrue(5 <= credit <= 10)
        with self.assertRaisesRegex(ProtocolError, "credit"):
            self.receive(changes(feed.id, *((0, "p", change(n)) for n in range(11))))

    def test_large_changes_get_less_credit(self):
        feed, message = self.open(window=2048)
        granted, sequence = message.credit, 0
        while sequence < 1000:
            self.receive(changes(feed.id, (0, f"p{sequence}", change(sequence, n="x" * (1 << 20)))))
            sequence, granted = sequence + 1, granted - 1
            self.taken(feed)
            granted += sum(pb.Credit.FromString(body).changes for _, _, body in self.sent())
            if sequence > 500:
                self.assertLessEqual(granted, 17)  # 16 MiB
        self.assertGreater(granted, 0)

    def test_a_snapshot_is_synced_and_marks_are_shown_where_wanted(self):
        feed, _ = self.open(start="snapshot", progress=True, position="p0")
        self.receive(changes(feed.id, (1, "s1", change(1)), (1, "s2", change(2)), (2, "s3", None),
                             (3, "s4", None), (3, "s5", None), (4, "s6", None), (0, "s7", change(7))))
        self.assertEqual([(one.event_name, one.position) for one in self.taken(feed)], [
            ("SNAPSHOT", "s1"), ("SNAPSHOT", "s2"), ("SYNCED", "s3"), ("PROGRESS", "s5"), ("MODIFY", "s7")])

    def test_it_goes_on_behind_what_came_and_keeps_what_was_not_taken(self):
        feed, _ = self.open(window=10)
        self.receive(changes(feed.id, *((0, f"p{n}", change(n)) for n in range(1, 5))))
        self.assertEqual(feed.take().sequence, 1)
        message = self.again()
        self.assertEqual((getattr(message, "from"), message.position, message.credit), (pb.POSITION, "p4", 7))
        self.receive(control(0xC1, feed.id, pb.Subscribed(position="p4")))
        self.receive(changes(feed.id, (0, "p5", change(5))))
        self.assertEqual([one.sequence for one in self.taken(feed)], [2, 3, 4, 5])

    def test_before_anything_came_it_goes_on_from_where_it_began(self):
        self.open(position="p0")
        self.assertEqual(self.again().position, "p0")
        self.lose()

    def test_a_snapshot_that_had_not_begun_begins_anew_and_one_that_had_goes_on(self):
        feed, _ = self.open(start="snapshot")
        message = self.again()
        self.assertEqual((getattr(message, "from"), message.position), (pb.SNAPSHOT, ""))
        self.receive(control(0xC1, feed.id, pb.Subscribed(position="p0")))
        self.receive(changes(feed.id, (1, "s1", change(1))))
        self.assertEqual(self.again().position, "s1")

    def test_positions_of_marks_count_though_they_are_not_shown(self):
        feed, _ = self.open()
        self.receive(changes(feed.id, (3, "p8", None)))
        self.assertEqual(self.taken(feed), [])
        self.assertEqual(feed.position, "p8")
        self.assertEqual(self.again().position, "p8")

    def test_an_expired_position_ends_it_behind_what_had_come(self):
        feed, _ = self.open()
        self.receive(changes(feed.id, (0, "p1", change(1))))
        self.again()
        self.receive(error(feed.id, 410, type="position-expired", oldest="o", newest="n"))
        self.assertEqual([one.sequence for one in self.taken(feed)], [1])
        self.assertTrue(feed.ended)
        self.assertEqual((feed.error.oldest, feed.error.newest), ("o", "n"))
        self.lose()
        self.assertEqual(self.up(), [])

    def test_a_refused_subscription_ends(self):
        feed = new_feed()
        self.core.subscribe(feed)
        self.receive(error(feed.id, 400, detail="bad pattern"))
        self.assertTrue(feed.ended and not feed.opened)
        self.assertEqual(feed.error.detail, "bad pattern")

    def test_what_crosses_an_unsubscribe_is_left_alone(self):
        feed, _ = self.open()
        id = feed.id
        self.core.unsubscribe(feed)
        self.assertEqual(self.sent(), [(_frames.UNSUBSCRIBE, id, b"")])
        self.receive(changes(id, (0, "p1", change(1))))
        self.receive(error(id, 410))
        self.receive(frame(0xC6, id))
        other = new_feed()
        self.core.subscribe(other)
        self.core.unsubscribe(other)
        [(_, id, _), _] = self.sent()
        self.receive(control(0xC1, id, pb.Subscribed()))
        self.receive(frame(0xC6, id))
        self.assertEqual(self.core._closing, set())

    def test_one_that_nobody_holds_is_ended(self):
        feed, _ = self.open()
        feed.orphaned = True
        self.core.tick(self.now)
        self.assertEqual([opcode for opcode, _, _ in self.sent()], [_frames.UNSUBSCRIBE])

    def test_a_consumer_goes_on_without_what_was_taken_and_without_a_gap(self):
        feed, _ = self.open(consumer="c", window=8)
        self.receive(changes(feed.id, *((0, f"p{n}", change(n)) for n in range(1, 6))))
        self.assertEqual([feed.take().sequence for _ in range(3)], [1, 2, 3])
        self.core.acknowledged("c", "p1")
        message = self.again()
        self.assertEqual((message.consumer, message.position, message.credit), ("c", "", 8))
        self.receive(control(0xC1, feed.id, pb.Subscribed()))
        self.receive(changes(feed.id, *((0, f"p{n}", change(n)) for n in range(2, 7))))
        self.assertEqual([one.sequence for one in self.taken(feed)], [4, 5, 6])

    def test_a_member_whose_slots_moved_subscribes_again(self):
        feed, _ = self.open(consumer="c", member="m")
        self.receive(changes(feed.id, (0, "p1", change(1))))
        self.receive(error(feed.id, 409, detail="slots have moved"))
        [(opcode, id, _)] = self.sent()
        self.assertEqual((opcode, id), (_frames.SUBSCRIBE, feed.id))
        self.assertEqual(self.taken(feed), [])
        self.receive(error(feed.id, 404, detail="deleted"))
        self.assertIsInstance(feed.error, NotFound)

    def test_a_reader_that_is_not_let_in_again_ends(self):
        feed, _ = self.open(consumer="c")
        self.receive(error(feed.id, 409, detail="it reads other changes now"))
        [(opcode, id, _)] = self.sent()
        self.assertEqual(opcode, _frames.SUBSCRIBE)
        self.receive(error(id, 409, detail="this consumer is a group"))
        self.assertEqual(self.sent(), [])
        self.assertEqual(feed.error.code, 409)


class Near(CoreTest):
    """The core's side of the near cache; its rules are in test_near.py."""

    def setUp(self):
        super().setUp()
        self.near = _near.NearCache(100000, 2.0)
        self.core = _core.Core(near=self.near)
        [(opcode, self.feed, body)] = self.up()
        self.assertEqual(opcode, _frames.SUBSCRIBE)
        message = pb.Subscribe.FromString(body)
        self.assertTrue(message.invalidate)
        self.assertEqual(message.progress_ms, 500)

    def live(self, position="p1"):
        """SUBSCRIBED, caught up, and a PONG."""
        self.receive(control(0xC1, self.feed, pb.Subscribed(position="p0")))
        [(opcode, ping, body)] = self.sent()
        self.assertEqual(opcode, _frames.PING)
        self.receive(invalidate(self.feed, position, True))
        self.receive(frame(0xC7, ping, body))

    def get(self, sequence, value=1, id="a"):
        request = self.submit(ops.Get("pets", id))
        self.receive(answer(_frames.GET, request.id, [1, sequence, 1, {"id": id, "n": value}]))
        self.sent()

    def hit(self, id="a"):
        body = self.near.lookup(("pets", id), self.now)
        return None if body is None else _shell.cached_record(body).value["n"]

    def test_a_record_is_served_until_the_lease_of_the_ping_that_was_answered_ends(self):
        self.live()
        self.get(5)
        self.assertEqual(self.hit(), 1)
        self.now += 1.999
        self.assertEqual(self.hit(), 1)
        self.now += 0.001
        self.assertIsNone(self.hit())
        self.core.tick(self.now)
        [(_, ping, _)] = self.sent()
        self.now += 1.0
        self.receive(frame(0xC7, ping))
        self.now += 0.999
        self.assertEqual(self.hit(), 1)
        self.now += 0.001
        self.assertIsNone(self.hit())

    def test_pings_go_out_each_quarter_of_the_lease(self):
        self.live()
        at = self.core.tick(self.now)
        self.assertAlmostEqual(at - self.now, 0.5)
        self.core.tick(at)
        self.assertEqual([opcode for opcode, _, _ in self.sent()], [_frames.PING])
        for _ in range(100):  # a server that never answers gets no more than so many
            at = self.core.tick(at)
            if at - self.now > _core.KEEPALIVE_S - 1:
                break
        self.assertLess(len(self.sent()), _core.PINGS_MAX)

    def test_a_ping_that_was_refused_is_no_pong_and_another_follows(self):
        self.live()
        self.get(5)
        self.now += 1.999
        self.core.tick(self.now)
        [(_, ping, _)] = self.sent()
        self.receive(error(ping, 429))
        self.now += 0.001
        self.assertIsNone(self.hit())
        self.assertEqual(self.core._pings, {})

    def test_a_pong_of_before_the_subscription_is_none(self):
        self.now += _core.KEEPALIVE_S / 2
        self.core.tick(self.now)
        [(_, ping, _)] = self.sent()
        self.receive(control(0xC1, self.feed, pb.Subscribed(position="p0")))
        self.receive(invalidate(self.feed, "p1", True))
        self.get(5)
        self.receive(frame(0xC7, ping))
        self.assertIsNone(self.hit())

    def test_what_was_asked_before_the_subscription_does_not_fill(self):
        early = self.submit(ops.Get("pets", "a"))
        self.sent()
        self.live()
        self.receive(answer(_frames.GET, early.id, [1, 5, 1, {"id": "a", "n": 1}]))
        self.assertIsNone(self.hit())

    def test_invalidations_and_own_writes_are_heard(self):
        self.live()
        self.get(5)
        self.receive(invalidate(self.feed, "p2", True, (1, 6, "pets", "a")))
        self.assertIsNone(self.hit())
        self.get(6, 2)
        self.assertEqual(self.hit(), 2)
        request = self.submit(ops.Put("pets", "a", {"n": 3}))
        self.assertEqual(self.hit(), 2)
        self.receive(answer(_frames.PUT, request.id, [1, 7, 3, "a", '"0-1-7"', "p7", True]))
        self.assertIsNone(self.hit())
        self.get(7, 3)
        self.receive(invalidate(self.feed, "p3", True, (1, 7, "pets", "a")))
        self.assertEqual(self.hit(), 3, "its own write is no news")
        request = self.submit(ops.Delete("pets", "a"))
        self.lose()
        self.assertIsNone(self.hit())

    def test_a_change_that_was_told_is_never_followed_by_what_was_before_it(self):
        self.live()
        self.get(5)
        feed = new_feed(collection="pets")
        self.core.subscribe(feed)
        self.sent()
        self.receive(control(0xC1, feed.id, pb.Subscribed(position="p1")))
        slow = self.submit(ops.Get("pets", "a"))
        self.receive(changes(feed.id, (0, "p2", change(6)), (3, "p3", None)))
        self.assertIsNone(self.hit())
        self.receive(answer(_frames.GET, slow.id, [1, 5, 1, {"id": "a", "n": 1}]))
        self.assertIsNone(self.hit(), "asked before the change came")
        self.get(6, 2)
        self.assertEqual(self.hit(), 2)

    def test_a_record_of_a_list_is_never_followed_by_what_was_before_it(self):
        self.live()
        self.get(5)
        self.get(6, id="b")
        slow = self.submit(ops.Get("pets", "c"))
        page = self.submit(ops.ListPage("pets"))
        rows = [{"id": "a", "n": 1}, {"id": "b", "n": 1.0}, {"id": "c", "n": 2}]
        self.receive(answer(_frames.LIST, page.id, [None, rows]))
        self.assertEqual(self.hit(), 1, "the same")
        self.assertIsNone(self.hit("b"), "another text of the number")
        self.receive(answer(_frames.GET, slow.id, [1, 5, 1, {"id": "c", "n": 1}]))
        self.assertIsNone(self.hit("c"), "asked before the list came")

    def test_a_reconnect_keeps_what_is_valid(self):
        self.live()
        self.get(5)
        self.get(6, id="b")
        self.lose()
        self.assertIsNone(self.hit())
        [(opcode, self.feed, body)] = self.up()
        self.assertEqual(pb.Subscribe.FromString(body).position, "p1")
        self.receive(control(0xC1, self.feed, pb.Subscribed(position="p1")))
        [(_, ping, _)] = self.sent()
        self.assertIsNone(self.hit())
        self.receive(invalidate(self.feed, "p2", False, (1, 9, "pets", "b")))
        self.receive(invalidate(self.feed, "p3", True))
        self.assertIsNone(self.hit())
        self.receive(frame(0xC7, ping))
        self.assertEqual(self.hit(), 1)
        self.assertIsNone(self.hit("b"))

    def test_an_expired_position_or_another_store_clears_it(self):
        self.live()
        self.get(5)
        self.lose()
        [(_, id, _)] = self.up()
        self.receive(error(id, 410, type="position-expired"))
        [(opcode, self.feed, body)] = self.sent()
        message = pb.Subscribe.FromString(body)
        self.assertEqual((opcode, getattr(message, "from"), message.position), (_frames.SUBSCRIBE, pb.LATEST, ""))
        self.live()
        self.assertIsNone(self.hit())
        self.get(5)
        self.assertEqual(self.hit(), 1)
        self.lose()
        [(_, self.feed, body)] = self.up(store=b"t" * 16)
        self.assertEqual(pb.Subscribe.FromString(body).position, "")
        self.live()
        self.assertIsNone(self.hit())

    def test_a_server_that_refuses_invalidations_gets_all_reads(self):
        self.receive(error(self.feed, 410))
        self.assertEqual(self.sent(), [])
        self.get(5)
        self.assertIsNone(self.hit())
        self.core.tick(self.now)

    def test_malformed_invalidations_end_the_connection(self):
        self.live()
        for body in (b"\xc0", b"\x93\x01\xc3\x90", b"\x93\xa1p\xc3\x91\x93\x01\x02\xa1c", b"\x93\xa1p\xc3\x91\x94\xa1x\x02\xa1c\xa1i",
                     b"\x93\xa1p\xc3\x91\x94\x01\x02\x90\xa1i"):
            with self.assertRaises(ProtocolError):
                self.receive(frame(_frames.INVALIDATE, self.feed, body))


if __name__ == "__main__":
    unittest.main()
