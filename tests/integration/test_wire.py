"""The binary protocol: sessions, frames, and every operation on records with its errors."""

import decimal
import json
import socket
import struct
import threading
import time
import unittest
import zlib

import frames
import support
import wire_case
from frames import CHECKED, ERROR, HEADER, HELLO, JSON, PING, decode, encode, pack, unpack

GET, MGET, PUT, PATCH, DELETE, CREATE, LIST, BATCH = range(1, 9)
REQUEST_BYTES_MAX = 8 << 20


class WireTest(wire_case.WireTest):
    """With requests for data, and connections that say nothing."""

    def bare(self):
        """A connection without HELLO."""
        host, _, port = self.server.ready["wire"].rpartition(":")
        connection = socket.create_connection((host, int(port)), support.REQUEST_TIMEOUT_S)
        self.addCleanup(connection.close)
        return connection

    def do(self, opcode, *elements, wire=None, flags=0):
        """(code, answer) of a request that succeeds."""
        frame = (wire or self.wire).call(opcode, pack(list(elements)), flags=flags)
        self.assertNotEqual(frame.opcode, ERROR, frame.opcode == ERROR and decode("Error", frame.body))
        self.assertEqual(frame.opcode, opcode | 0x80)
        answer, end = unpack(frame.body)
        self.assertEqual(end, len(frame.body))
        return frame.code, answer

    def refused(self, status, words, opcode, *elements, flags=0, body=None):
        frame = self.wire.call(opcode, pack(list(elements)) if body is None else body, flags=flags)
        return self.error(frame, status, words)

    def etag(self, epoch, sequence):
        return f'"0-{epoch:x}-{sequence:x}"'


class TestSession(WireTest):
    def test_welcome_says_what_both_have(self):
        welcome = self.wire.welcome
        self.assertEqual(welcome["version"], 1)
        self.assertEqual(sorted(welcome["features"]), ["checked", "invalidate", "json"])
        self.assertRegex(welcome["server"], r"^freshet/\d")
        self.assertEqual(len(welcome["store"]), 16)
        self.assertEqual(welcome["frame_bytes_max"], REQUEST_BYTES_MAX)
        self.assertEqual(welcome["requests_max"], 1024)
        self.assertGreater(welcome["subscriptions_max"], 0)
        self.assertTrue(welcome["position"])
        other = self.open(features=["json", "telepathy"])
        self.assertEqual(other.welcome["features"], ["json"])

    def hello(self, connection, **fields):
        body = encode("Hello", **fields)
        connection.sendall(HEADER.pack(len(body), HELLO, 0, 0, 7, 0) + body)
        return self.received(connection)

    def received(self, connection):
        """(frames, closed)"""
        data, closed = support.read_until_closed(connection, 5)
        found = []
        while data:
            length, opcode, _, code, request, _ = HEADER.unpack_from(data)
            found.append(frames.Frame(opcode, 0, code, request, data[16 : 16 + length]))
            data = data[16 + length :]
        return found, closed

    def ends_with(self, connection, status, words, request=0):
        found, closed = self.received(connection)
        self.assertTrue(closed)
        self.assertEqual(found[-1].id, request)
        return self.error(found[-1], status, words)

    def test_no_common_version_ends_the_connection(self):
        found, closed = self.hello(self.bare(), versions=[2, 3])
        self.assertTrue(closed)
        self.error(found[0], 400, "version 1")

    def test_anything_but_hello_ends_the_connection(self):
        for data in (HEADER.pack(0, PING, 0, 0, 1, 0), b"GET /products HTTP/1.1\r\nHost: x\r\n\r\n"):
            connection = self.bare()
            connection.sendall(data)
            self.ends_with(connection, 400, "HELLO")

    def test_a_hello_that_cannot_be_read_ends_the_connection(self):
        connection = self.bare()
        connection.sendall(HEADER.pack(3, HELLO, 0, 0, 9, 0) + b"\xff\xff\xff")
        self.ends_with(connection, 400, "protobuf", request=9)

    def test_a_second_hello_is_refused(self):
        self.error(self.wire.call(HELLO, encode("Hello", versions=[1])), 400, "before")
        self.assertEqual(self.do(GET, "pets", "none")[0], 404)

    def test_a_frame_that_is_too_long_ends_the_connection(self):
        self.wire.socket.sendall(HEADER.pack(REQUEST_BYTES_MAX + 1, PUT, 0, 0, 5, 0))
        self.ends_with(self.wire.socket, 413, "8 MiB")

    def test_the_longest_frame_is_read(self):
        body = pack(["pets", "long", {"x": "a" * (REQUEST_BYTES_MAX - 64)}])
        body += b"\xc0" * (REQUEST_BYTES_MAX - len(body))
        self.assertEqual(len(body), REQUEST_BYTES_MAX)
        frame = self.wire.call(PUT, body)
        self.assertEqual(frame.opcode, ERROR)
        self.assertEqual(self.do(GET, "pets", "long")[0], 404)

    def test_checksums(self):
        body = pack(["pets", "checked"])
        self.wire.socket.sendall(HEADER.pack(len(body), GET, CHECKED, 0, 5, zlib.crc32(body)) + body)
        self.assertEqual(self.wire.find(5).code, 404)
        # Of what the server sends frames.Wire looks at every one; without the feature there is none.
        plain = self.open(features=[])
        plain.socket.sendall(HEADER.pack(len(body), GET, 0, 0, 5, 0) + body)
        length, opcode, flags, code, _, check = HEADER.unpack(plain.socket.recv(16, socket.MSG_WAITALL))
        self.assertEqual((opcode, flags, code, check), (GET | 0x80, 0, 404, 0))
        self.assertGreater(length, 0)
        self.wire.socket.sendall(HEADER.pack(len(body), GET, CHECKED, 0, 6, zlib.crc32(body) ^ 1) + body)
        self.ends_with(self.wire.socket, 400, "checksum")

    def test_unknown_opcodes_and_flags(self):
        for opcode in (0x00, 0x09, 0x20, 0x21, 0x3F, 0x48, 0x49, 0x81, 0xFE, 0xFF):
            request = self.wire.send(opcode, b"")
            self.error(self.wire.find(request), 501)
        for flags in (0x04, 0x80, 0xFC):
            self.refused(400, "flags", GET, "pets", "x", flags=flags)
        plain = self.open(features=["checked"])
        self.error(plain.call(GET, pack(["pets", "x"]), flags=JSON), 400, "feature json")
        self.error(self.wire.call(GET, pack(["pets", "x"]), request=0), 400, "id 0")
        self.assertEqual(self.do(GET, "pets", "none")[0], 404)

    def test_half_frames_at_every_byte(self):
        body = pack(["pets", "half"])
        one = HEADER.pack(len(body), GET, 0, 0, 77, 0) + body
        for at in range(1, len(one)):
            self.wire.socket.sendall(one[:at])
            time.sleep(0.001)  # pause between tries: so that the halves come apart
            self.wire.socket.sendall(one[at:])
            self.assertEqual(self.wire.find(77).code, 404)

    def test_a_client_that_shuts_its_side_gets_its_answers(self):
        body = pack(["pets", "shut", {"n": 1}])
        connection = self.open().socket
        for request in range(1, 101):
            connection.sendall(HEADER.pack(len(body), PUT, 0, 0, request, 0) + body)
        connection.shutdown(socket.SHUT_WR)
        found, closed = self.received(connection)
        self.assertTrue(closed)
        self.assertEqual(sorted(frame.id for frame in found), list(range(1, 101)))


class TestRecords(WireTest):
    def test_a_record_is_put_read_patched_and_deleted(self):
        code, made = self.do(PUT, "pets", "rex", {"name": "Rex", "age": 3})
        epoch, sequence, version, key, etag, position, changed = made
        self.assertEqual((code, version, key, changed), (201, 1, "rex", True))
        self.assertEqual(etag, self.etag(epoch, sequence))
        record = {"id": "rex", "name": "Rex", "age": 3}
        for _ in range(3):
            self.assertEqual(self.do(GET, "pets", "rex"), (200, [epoch, sequence, 1, record]))
        answer = self.request("GET", "/pets/rex")
        self.assertEqual((answer.json, answer.headers["etag"]), (record, etag))

        code, equal = self.do(PUT, "pets", "rex", {"age": 3, "name": "Rex"})
        self.assertEqual((code, equal), (200, [epoch, sequence, 1, "rex", etag, position, False]))

        code, patched = self.do(PATCH, "pets", "rex", {"age": None, "kind": "dog"})
        self.assertEqual((code, patched[2], patched[6]), (200, 2, True))
        self.assertGreater(patched[1], sequence)
        self.assertEqual(self.do(GET, "pets", "rex")[1][3], {"id": "rex", "name": "Rex", "kind": "dog"})

        code, gone = self.do(DELETE, "pets", "rex")
        self.assertEqual((code, gone[2:5], gone[6]), (200, [0, "rex", None], True))
        code, absent = self.do(GET, "pets", "rex")
        self.assertEqual((code, absent[2:]), (404, [0, None]))
        self.assertGreaterEqual((absent[0], absent[1]), (gone[0], gone[1]))

        code, again = self.do(DELETE, "pets", "rex")
        self.assertEqual((code, again[2:5], again[6]), (200, [0, "rex", None], False))
        self.assertGreaterEqual((again[0], again[1]), (gone[0], gone[1]))

    def test_an_absent_record_has_the_pair_of_a_moment(self):
        for round in range(3):
            _, written = self.do(PUT, "pets", f"moment-{round}", {"n": round})
            for _ in range(3):
                code, absent = self.do(GET, "pets", f"never-{round}")
                self.assertEqual(code, 404)
                self.assertEqual(absent[0], written[0])
                self.assertLessEqual(absent[1], written[1])
        _, made = self.do(PUT, "pets", "never-0", {})
        self.assertGreater((made[0], made[1]), (absent[0], absent[1]))

    def test_the_server_makes_an_id(self):
        code, made = self.do(CREATE, "products", {"title": "Lamp", "price": 29.99})
        self.assertEqual((code, made[2], made[6]), (201, 1, True))
        self.assertEqual(len(made[3]), 36)
        record = {"id": made[3], "title": "Lamp", "price": 29.99, "description": "", "category": ""}
        self.assertEqual(self.do(GET, "products", made[3])[1][3], record)
        self.refused(400, "Product id is not allowed", CREATE, "products", {"id": "x"})

    def test_an_idempotency_key(self):
        document = {"title": "Once"}
        first = self.do(CREATE, "products", document, {"key": "once-1"})
        self.assertEqual(self.do(CREATE, "products", document, {"key": "once-1"})[1][3], first[1][3])
        other = self.refused(422, "another body", CREATE, "products", {"title": "Twice"}, {"key": "once-1"})
        self.assertEqual(other["type"], "")
        # REST's keys are others, and so are those of another collection.
        rest = self.request("POST", "/products", document, {"Idempotency-Key": "once-1"})
        self.assertEqual(rest.status, 201)
        self.assertNotEqual(rest.json["id"], first[1][3])
        self.assertNotEqual(self.do(CREATE, "pets", document, {"key": "once-1"})[1][3], first[1][3])
        self.do(CREATE, "products", document, {"key": "k" * 255})
        self.refused(400, "255", CREATE, "products", document, {"key": "k" * 256})
        self.refused(400, "255", CREATE, "products", document, {"key": ""})

    def test_the_id_in_a_document(self):
        self.do(PUT, "products", "own", {"id": "own", "title": "x"})
        self.assertEqual(self.do(GET, "products", "own")[1][3]["title"], "x")
        self.refused(400, "Product id", PUT, "products", "own", {"id": "other"})
        self.refused(400, "Product id", PUT, "products", "own", {"id": 5})
        self.refused(400, "Product id", PATCH, "products", "own", {"id": None})
        self.do(PATCH, "products", "own", {"id": "own", "title": "y"})
        self.assertEqual(self.do(GET, "products", "own")[1][3]["title"], "y")

    def test_every_kind_of_value_comes_back(self):
        document = {
            "null": None, "yes": True, "no": False, "text": "Ü\0\n\"" + "x" * 300, "empty": "",
            "small": [0, 127, 128, -1, -32, -33, 2**31, 2**63, 2**64 - 1, -(2**63)],
            "decimals": [decimal.Decimal("1.50"), decimal.Decimal("1E2"), decimal.Decimal("0.1")],
            "deep": {"a": [{"b": [[]]}]}, "many": list(range(70000)),
        }  # fmt: skip
        huge = int("9" * 38)
        self.do(PUT, "pets", "kinds", {**document, "huge": huge})
        for _ in range(2):
            record = self.do(GET, "pets", "kinds")[1][3]
            self.assertEqual(record.pop("id"), "kinds")
            self.assertEqual([str(n) for n in record["decimals"]], ["1.50", "1E+2", "0.1"])
            self.assertEqual(int(record.pop("huge")), huge)
            self.assertEqual(json.dumps(record, default=float), json.dumps(document, default=float))
        self.do(PATCH, "pets", "kinds", {"many": None})
        self.assertIn('"decimals":[1.50,1E+2,0.1]', self.request("GET", "/pets/kinds").text)

    def test_json_goes_in_and_out(self):
        text = '{"title":"Lamp","price":1.50,"n":[1,2,{"a":null}]}'
        self.do(PUT, "pets", "json", text, flags=JSON)
        frame = self.wire.call(GET, pack(["pets", "json"]), flags=JSON)
        self.assertEqual((frame.code, frame.flags), (200, JSON))
        for _ in range(3):
            record = self.do(GET, "pets", "json", flags=JSON)[1][3]
            self.assertEqual(record, '{"id":"json",' + text[1:])
            self.assertEqual(self.do(GET, "pets", "json")[1][3]["price"], decimal.Decimal("1.50"))
        self.refused(400, "line 1, column 6", PUT, "pets", "json", '{"a":}', flags=JSON)
        self.refused(400, "column", PUT, "pets", "json", '{"a":1,"a":2}', flags=JSON)
        self.refused(422, "column", PUT, "pets", "json", '{"a":1e999}', flags=JSON)
        self.refused(400, "MessagePack string", PUT, "pets", "json", {"a": 1}, flags=JSON)
        self.refused(400, "object", PUT, "pets", "json", "[1]", flags=JSON)
        self.refused(413, "1 MiB", PUT, "pets", "json", '{"a":"' + "x" * (1 << 20) + '"}', flags=JSON)

    def test_documents_that_are_refused(self):
        head = b"\x93" + pack("pets") + pack("bad")
        for document, status in (
            (b"\xc4\x01x", 400),  # binary
            (b"\x81\xa1a\xc4\x01x", 400),
            (b"\x81\xa1a\xd6\xff\0\0\0\0", 400),  # a timestamp
            (b"\x81\xa1a\xc1", 400),
            (b"\x81\x01\x01", 400),  # a key that is no string
            (b"\x82\xa1a\x01\xa1a\x02", 400),  # a key twice
            (b"\x81\xa1a\xa1\xff", 400),  # not UTF-8
            (b"\x81\xa1a\xcb\x7f\xf0\0\0\0\0\0\0", 400),  # infinity
            (b"\x81\xa1a" + b"\x91" * 128 + b"\x01", 400),  # too deep
            (b"\x81\xa1a\xc7\x27\x01" + b"9" * 39, 422),
            (b"\x90", 400),
            (b"\xa1x", 400),
        ):
            frame = self.wire.call(PUT, head + document)
            self.assertEqual((frame.opcode, frame.code), (ERROR, status), document)
        self.refused(413, "1 MiB", PUT, "pets", "bad", {"a": "x" * (1 << 20)})
        self.refused(413, "1 MiB", PUT, "pets", "bad", {"a": "\1" * (1 << 18)})
        self.refused(422, '"price" must be a number', PUT, "products", "bad", {"price": "1"})
        self.assertEqual(self.do(GET, "pets", "bad")[0], 404)
        self.do(PUT, "pets", "bad", {"a": "x" * ((1 << 20) - 32)})
        self.refused(413, "1 MiB", PATCH, "pets", "bad", {"b": "x" * 100})

    def test_bodies_that_cannot_be_read(self):
        whole = pack(["pets", "x", {"a": 1}])
        for body in [b"", b"\xc0", b"\x90", b"\x91\xa4pets", b"\x92\x01\x02", b"\xdd\xff\xff\xff\xff"]:
            self.refused(400, "", PUT, body=body)
        for at in range(len(whole)):
            self.refused(400, "", PUT, body=whole[:at])
        self.refused(400, "", PUT, body=whole + b"\xc0")
        # Elements behind those that are known are left alone.
        self.assertEqual(self.do(GET, "pets", "none", {}, [1, {"a": 2}], None)[0], 404)

    def test_collections_and_ids(self):
        for name in ("nope", "_consumers", "Products"):
            self.refused(404, f"There is no collection '{name}'", GET, name, "x")
        for name in ("", "x" * 300):
            self.refused(404, "There is no collection", GET, name, "x")
        self.refused(404, "of that name", GET, body=b"\x92\xa1\xff\xa1x")
        self.refused(400, "", GET, 5, "x")
        self.refused(400, "at least one byte", GET, "pets", "")
        self.refused(400, "512", GET, "pets", "x" * 513)
        self.refused(400, "control", GET, "pets", "a\nb")
        self.refused(400, "UTF-8", GET, body=b"\x92\xa4pets\xa2\xff\xff")
        for key in ("x" * 512, "a/b ü#%", "😀"):
            self.do(PUT, "pets", key, {"k": key})
            self.assertEqual(self.do(GET, "pets", key)[1][3], {"id": key, "k": key})

    def test_conditions(self):
        first = self.do(PUT, "pets", "cond", {"n": 1}, {"if_none_match": "*"})[1]
        self.refused(412, "", PUT, "pets", "cond", {"n": 2}, {"if_none_match": "*"})
        second = self.do(PUT, "pets", "cond", {"n": 2}, {"if_match": first[4]})[1]
        self.refused(412, "", PUT, "pets", "cond", {"n": 3}, {"if_match": first[4]})
        self.refused(412, "", PATCH, "pets", "cond", {"n": 3}, {"if_match": first[4]})
        self.refused(412, "", DELETE, "pets", "cond", {"if_match": first[4]})
        self.refused(412, "", PUT, "pets", "cond-none", {"n": 3}, {"if_match": "*"})
        code, same = self.do(GET, "pets", "cond", {"if_none_match": second[4]})
        self.assertEqual((code, same), (304, [second[0], second[1], 2, None]))
        self.assertEqual(self.do(GET, "pets", "cond", {"if_none_match": first[4]})[0], 200)
        self.assertEqual(self.do(GET, "pets", "cond", {"if_none_match": second[4], "fresh": True})[0], 304)
        self.refused(400, "entity tags", GET, "pets", "cond", {"if_none_match": "0-1-2"})
        self.refused(400, "32", PUT, "pets", "cond", {}, {"if_match": ",".join(['"0-1-2"'] * 33)})
        self.do(PATCH, "pets", "cond", {"n": 4}, {"if_match": second[4]})
        self.do(DELETE, "pets", "cond", {"if_match": "*"})
        self.refused(404, "Pet not found", PATCH, "pets", "cond", {"n": 5})

    def test_options_that_are_refused(self):
        self.refused(400, "no option if_macth", PUT, "pets", "x", {}, {"if_macth": "*"})
        self.refused(400, "no option limit", GET, "pets", "x", {"limit": 5})
        self.refused(400, "another type", GET, "pets", "x", {"fresh": 1})
        self.refused(400, "another type", GET, "pets", "x", {"min": 1})
        self.refused(400, "map", GET, "pets", "x", ["fresh"])
        self.assertEqual(self.do(GET, "pets", "none", None)[0], 404)
        self.assertEqual(self.do(GET, "pets", "none", {"min": None, "fresh": False})[0], 404)

    def test_a_position_is_waited_for(self):
        written = self.do(PUT, "pets", "min", {"n": 1})[1]
        for options in ({"min": written[5]}, {"min": written[5], "fresh": True}):
            self.assertEqual(self.do(GET, "pets", "min", options)[1][1], written[1])
        self.do(LIST, "pets", {"min": written[5]})
        self.refused(400, "min is not a position", GET, "pets", "min", {"min": "x"})
        other = support.Server().start()
        self.addCleanup(other.remove)
        with frames.Wire(other) as wire:
            foreign = wire.welcome["position"]
        error = self.refused(400, "another store", GET, "pets", "min", {"min": foreign})
        self.assertEqual(error["type"], "position-expired")

    def test_writes_of_one_record_keep_their_order(self):
        sent = [self.wire.send(PUT, pack(["pets", "order", {"n": n}])) for n in range(500)]
        sent.append(self.wire.send(DELETE, pack(["pets", "order"])))
        sent += [self.wire.send(PUT, pack(["pets", "order", {"n": n}])) for n in range(500)]
        pairs = [tuple(unpack(self.wire.find(request).body)[0][:2]) for request in sent]
        self.assertEqual(pairs, sorted(set(pairs)))
        self.assertEqual(self.do(GET, "pets", "order")[1][3]["n"], 499)

    def test_more_requests_than_are_worked_on_at_a_time(self):
        for n in range(64):
            self.do(PUT, "pets", f"many-{n}", {"n": n})
        count = 5000
        expected = {}
        data = bytearray()
        for request in range(1, count + 1):
            write = request % 3 == 0
            body = pack(["pets", f"w-{request}", {"n": request}] if write else ["pets", f"many-{request % 64}"])
            data += HEADER.pack(len(body), PUT if write else GET, 0, 0, request, 0) + body
            expected[request] = 201 if write else 200
        wire = self.open(features=["checked"])
        sender = threading.Thread(target=wire.socket.sendall, args=(bytes(data),))
        sender.start()
        found = {}
        for _ in range(count):
            frame = wire.frame()
            found[frame.id] = frame.code
        sender.join()
        self.assertEqual(found, expected)

    def test_who_does_not_read_is_not_read(self):
        self.do(PUT, "pets", "large", {"x": "y" * 100000})
        wire = self.open(receive_bytes=4096)
        body = pack(["pets", "large"])
        one = HEADER.pack(len(body), GET, 0, 0, 1, 0) + body
        wire.socket.settimeout(1)
        sent = 0
        with self.assertRaises(TimeoutError):
            while sent < 256 << 20:
                sent += wire.socket.send(one * 1000)
        self.assertEqual(self.do(GET, "pets", "large")[0], 200)
        # It goes on where it was.
        wire.socket.settimeout(support.REQUEST_TIMEOUT_S)
        for _ in range(300):
            self.assertEqual(wire.frame().code, 200)


class TestMany(WireTest):
    def test_mget(self):
        made = {n: self.do(PUT, "pets", f"m{n}", {"n": n})[1] for n in range(0, 20, 2)}
        ids = [f"m{n}" for n in range(20)]
        for _ in range(2):
            code, answer = self.do(MGET, "pets", ids)
            self.assertEqual((code, len(answer)), (200, 20))
            for n, (epoch, sequence, version, record) in enumerate(answer):
                if n % 2 == 0:
                    self.assertEqual([epoch, sequence, version], made[n][:3])
                    self.assertEqual(record, {"id": f"m{n}", "n": n})
                else:
                    self.assertEqual([version, record], [0, None])
        self.assertEqual(self.do(MGET, "pets", [])[1], [])
        self.assertEqual(len(self.do(MGET, "pets", ["m2"] * 1000)[1]), 1000)
        texts = self.do(MGET, "pets", ["m2", "m3"], flags=JSON)[1]
        self.assertEqual([text[3] for text in texts], ['{"id":"m2","n":2}', None])
        self.refused(400, "1000", MGET, "pets", ["m2"] * 1001)
        self.refused(400, "at least one byte", MGET, "pets", ["m2", ""])
        self.refused(400, "", MGET, "pets", "m2")
        self.refused(400, "", MGET, "pets", [1])
        self.refused(404, "collection", MGET, "nope", ["m2"])

    def test_a_large_mget_is_cut_and_goes_on(self):
        for n in range(12):
            self.do(PUT, "pets", f"big{n}", {"x": chr(97 + n) * 900000})
        left = [f"big{n}" for n in range(12)]
        rounds = 0
        while left:
            frame = self.wire.call(MGET, pack(["pets", left]))
            self.assertLessEqual(len(frame.body), 6 << 20)
            answer = unpack(frame.body)[0]
            self.assertGreater(len(answer), 0)
            self.assertEqual([state[3]["id"] for state in answer], left[: len(answer)])
            left = left[len(answer) :]
            rounds += 1
        self.assertEqual(rounds, 3)

    def test_batch(self):
        code, answer = self.do(
            BATCH,
            [PUT, 0, ["pets", "b1", {"n": 1}]],
            [PUT, 0, ["pets", "b1", {"n": 1}, {"if_none_match": "*"}]],
            [CREATE, 0, ["products", {"title": "Lamp"}]],
            [PATCH, 0, ["pets", "b1", {"m": 2}]],
            [PATCH, 0, ["pets", "b-none", {"m": 2}]],
            [DELETE, 0, ["pets", "b-none"]],
            [GET, 0, ["pets", "b-none"]],
            [GET, 0, ["nope", "x"]],
            [LIST, 0, ["pets"]],
            [GET, 1, ["pets", "b1"]],
            "what?",
            [PUT, 0, ["products", "p", {"price": "x"}]],
        )
        self.assertEqual(code, 200)
        self.assertEqual([one[0] for one in answer], [201, 412, 201, 200, 404, 200, 404, 404, 501, 400, 400, 422])
        self.assertEqual(answer[0][1][3], "b1")
        self.assertEqual(len(answer[2][1][3]), 36)
        self.assertEqual(answer[3][1][2], 2)
        self.assertEqual(answer[4][1], ["", "Pet not found", 0])
        self.assertEqual(answer[5][1][6], False)
        self.assertEqual(answer[6][1][2:], [0, None])
        self.assertEqual(answer[7][1][1], "There is no collection 'nope'")
        self.assertIn("price", answer[11][1][1])
        self.assertEqual(self.do(GET, "pets", "b1")[1][3], {"id": "b1", "n": 1, "m": 2})

    def test_the_longest_batch(self):
        writes = [[PUT, 0, ["pets", f"l{n % 300}", {"n": n}]] for n in range(1000)]
        answer = self.do(BATCH, *writes)[1]
        self.assertEqual(len(answer), 1000)
        pairs = [tuple(one[1][:2]) for one in answer]
        self.assertEqual(len(set(pairs)), 1000)
        reads = self.do(BATCH, *[[GET, 0, ["pets", f"l{n}"]] for n in range(300)])[1]
        self.assertEqual([one[1][3]["n"] for one in reads], [n + 900 if n < 100 else n + 600 for n in range(300)])
        texts = self.do(BATCH, [GET, 0, ["pets", "l5"]], [PUT, 0, ["pets", "l5", "{}"]], flags=JSON)[1]
        self.assertEqual((texts[0][1][3], texts[1][0]), ('{"id":"l5","n":905}', 200))
        self.refused(400, "1000", BATCH, *[[GET, 0, ["pets", "x"]]] * 1001)
        self.assertEqual(self.do(BATCH)[1], [])

    def test_a_batch_has_4_mib_of_answers(self):
        self.do(PUT, "pets", "huge", {"x": "y" * 900000})
        reads = [[GET, 0, ["pets", "huge"]]] * 6
        answer = self.do(BATCH, *reads, [PUT, 0, ["pets", "after", {}]])[1]
        self.assertEqual([one[0] for one in answer], [200] * 4 + [413] * 2 + [201])

    def test_list(self):
        for n in range(25):
            self.do(PUT, "products", f"list-{n:02}", {"title": f"t{n}", "category": "even" if n % 2 == 0 else "odd"})
        everything = [record["id"] for record in self.request("GET", "/products").json]
        for flags in (0, JSON):
            found, options = [], {"limit": 7}
            while True:
                cursor, records = self.do(LIST, "products", options, flags=flags)[1]
                records = json.loads(records) if flags == JSON else records
                self.assertLessEqual(len(records), 7)
                found += [record["id"] for record in records]
                if cursor is None:
                    break
                options["cursor"] = cursor
            self.assertEqual(found, everything)
        cursor, records = self.do(LIST, "products", {"index": "category", "value": "odd", "limit": 5})[1]
        self.assertEqual([record["title"] for record in records], ["t1", "t3", "t5", "t7", "t9"])
        self.refused(400, "cursor", LIST, "products", {"cursor": cursor})
        more = self.do(LIST, "products", {"index": "category", "value": "odd", "cursor": cursor})[1]
        self.assertEqual((more[0], len(more[1])), (None, 7))
        self.assertEqual(len(self.do(LIST, "products", {"index": "category", "value": ""})[1][1]), len(everything))
        self.assertEqual(self.do(LIST, "products", {"index": "category", "value": "none"})[1], [None, []])
        self.refused(400, "products has no index 'title', but category", LIST, "products", {"index": "title", "value": "x"})
        self.refused(400, "pets has no index 'title' and no other", LIST, "pets", {"index": "title", "value": "x"})
        twice = b"\x82\xa5limit\x01\xa5limit\xc0"
        self.refused(400, "limit is there twice", LIST, body=b"\x92\xa4pets" + twice)
        self.refused(400, "belong together", LIST, "products", {"index": "category"})
        self.refused(400, "512", LIST, "products", {"index": "category", "value": "x" * 513})
        for limit in (0, 1001, -1, "7", 1.5):
            self.refused(400, "1 to 1000", LIST, "products", {"limit": limit})
        self.refused(400, "cursor", LIST, "products", {"cursor": "nonsense"})
        self.refused(404, "collection", LIST, "nope")

    def test_a_large_list(self):
        for n in range(6):
            self.do(PUT, "pets", f"zz{n}", {"x": "y" * 1000000})
        found, options = [], {}
        while True:
            cursor, records = self.do(LIST, "pets", options)[1]
            found += [record["id"] for record in records]
            if cursor is None:
                break
            options["cursor"] = cursor
        self.assertEqual(found[-6:], [f"zz{n}" for n in range(6)])


class TestLimits(WireTest):
    arguments = ("--connections-max", "4", "--head-timeout", "1s", "--send-timeout", "1s", "--threads", "1")

    def test_too_many_connections(self):
        others = [self.open() for _ in range(3)]
        data, closed = support.read_until_closed(self.bare(), 5)
        self.assertTrue(closed)
        length, opcode, _, code, request, _ = HEADER.unpack_from(data)
        self.assertEqual((opcode, code, request), (ERROR, 503, 0))
        self.assertIn("too many connections", decode("Error", data[16 : 16 + length])["detail"])
        # HTTP counts its own.
        self.assertEqual(self.request("GET", "/healthz").status, 200)
        others[0].close()
        support.eventually(lambda: self.is_welcome())

    def is_welcome(self):
        try:
            frames.Wire(self.server).close()
            return True
        except (AssertionError, OSError, KeyError, struct.error):
            return False

    def test_a_client_without_hello_is_closed(self):
        began = time.monotonic()
        data, closed = support.read_until_closed(self.bare(), 5)
        self.assertTrue(closed)
        self.assertEqual(HEADER.unpack_from(data)[3], 408)
        self.assertGreaterEqual(time.monotonic() - began, 1)

    def test_a_client_that_does_not_read_is_closed(self):
        self.do(PUT, "pets", "large", {"x": "y" * 1000000})
        wire = self.open(receive_bytes=4096)
        body = pack(["pets", "large"])
        wire.socket.sendall((HEADER.pack(len(body), GET, 0, 0, 1, 0) + body) * 30)
        reading = self.open()
        support.eventually(lambda: self.has_ended(wire.socket))
        self.assertEqual(self.do(GET, "pets", "none", wire=reading)[0], 404)

    @staticmethod
    def has_ended(connection):
        return connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0 or not is_established(connection)

    def test_an_idle_connection_is_kept(self):
        wire = self.open()
        time.sleep(1.5)  # pause between tries: longer than every timeout that could cut it
        self.assertEqual(self.do(GET, "pets", "none", wire=wire)[0], 404)


def is_established(connection):
    """TCP_INFO's state; 1 is ESTABLISHED."""
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 1


class TestEnd(unittest.TestCase):
    def test_what_is_in_flight_is_answered(self):
        server = support.Server(["--threads", "2"]).start()
        self.addCleanup(server.remove)
        wire = frames.Wire(server)
        self.addCleanup(wire.close)
        for n in range(1000):
            wire.send(PUT, pack(["pets", f"end-{n}", {"n": n}]))
        self.assertEqual(server.stop(), 0)
        codes, told = [], False
        frame = wire.frame()
        while frame is not None:
            told = told or frame.opcode == frames.GOAWAY
            codes += [frame.code] if frame.opcode == PUT | 0x80 else []
            frame = wire.frame()
        self.assertTrue(told)
        self.assertTrue(all(code == 201 for code in codes))
        again = support.Server(data=server.data).start()
        self.addCleanup(again.kill)
        with frames.Wire(again) as reader:
            for n in range(len(codes)):
                self.assertEqual(reader.call(GET, pack(["pets", f"end-{n}"])).code, 200)


if __name__ == "__main__":
    unittest.main()
