"""Input that is wrong: the right status or the end of the connection, and nobody else is disturbed."""

import random
import socket
import struct
import threading
import time
import unittest

import support

POST = b"POST /pets HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nConnection: close\r\n"


def get(*lines, target=b"/healthz", version=b"HTTP/1.1"):
    head = [b"GET " + target + b" " + version, *lines]
    return b"\r\n".join(head) + b"\r\n\r\n"


class MalformedHttp(support.ServerTest):
    def refused(self, data, *statuses):
        """One answer of that status, or a connection that is closed without one; and the server is well."""
        answers, closed = self.raw(data)
        self.assertTrue(closed, data)
        self.assertLessEqual(len(answers), 1, f"{data}: {answers}")
        for answer in answers:
            self.assertIn(answer.status, statuses, f"{data}: {answer}")
            self.assertEqual(answer.headers["connection"], "close")
            self.problem(answer, answer.status)
        self.assertEqual(self.request("GET", "/healthz").status, 200)
        return answers

    def test_bodies_that_two_readers_could_frame_differently(self):
        smuggled = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
        for lines, body in (
            (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + smuggled),
            (b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n" + smuggled),
            (b"Content-Length: 2\r\nContent-Length: 3\r\n", b"{}" + smuggled),
            (b"Content-Length: 2\r\nContent-Length: 2\r\n", b"{}" + smuggled),
            (b"Content-Length: 2, 2\r\n", b"{}" + smuggled),
            (b"Content-Length: +2\r\n", b"{}"),
            (b"Content-Length: -2\r\n", b"{}"),
            (b"Content-Length: 0x2\r\n", b"{}"),
            (b"Content-Length: 2 2\r\n", b"{}"),
            (b"Content-Length: \r\n", b"{}"),
            (b"Content-Length: 2a\r\n", b"{}"),
            (b"Content-Length: 99999999999999999999999\r\n", b"{}"),
            (b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n" + smuggled),
            (b"Transfer-Encoding: chunked, gzip\r\n", b"0\r\n\r\n" + smuggled),
            (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + smuggled),
            (b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n" + smuggled),
            (b"Transfer-Encoding:\x0bchunked\r\n", b"0\r\n\r\n" + smuggled),
            (b"Transfer-Encoding: \r\n", b"0\r\n\r\n" + smuggled),
            (b"Content-Length : 2\r\n", b"{}" + smuggled),
            (b"Content-Length: 2\r\n Transfer-Encoding: chunked\r\n", b"{}" + smuggled),
        ):
            data = b"POST /pets HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" + lines + b"\r\n" + body
            self.refused(data, 400, 413, 501)

    def test_bad_chunks(self):
        for body in (
            b"g\r\n{}\r\n0\r\n\r\n",
            b"-2\r\n{}\r\n0\r\n\r\n",
            b"2\n{}\n0\n\n",
            b"2\r\n{}0\r\n\r\n",
            b"3\r\n{}\r\n0\r\n\r\n",
            b"0x2\r\n{}\r\n0\r\n\r\n",
            b"2 \x00\r\n{}\r\n0\r\n\r\n",
            b"\r\n{}\r\n0\r\n\r\n",
            b"ffffffffffffffff2\r\n{}\r\n0\r\n\r\n",
        ):
            self.refused(POST + b"Transfer-Encoding: chunked\r\n\r\n" + body, 400, 413)

    def test_heads_that_are_none(self):
        for data in (
            b"\x00\r\n\r\n",
            b"GET\r\n\r\n",
            b"GET /healthz\r\n\r\n",
            b"GET  /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /healthz HTTP/1.1 \r\nHost: a\r\n\r\n",
            b" GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /heal thz HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET healthz HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /healthz HTTP/1.1\nHost: a\n\n",
            b"GET /healthz HTTP/1.1\r\nHost: a\n\r\n",
            b"GET /healthz HTTP/1.1\rHost: a\r\r",
            b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: b\x00c\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: b\x01c\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: a\r\nX Y: b\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n",
            b"GET /healthz HTTP/9.9\r\nHost: a\r\n\r\n",
            b"GET /healthz HTTP/2.0\r\nHost: a\r\n\r\n",
            b"GET /healthz HTTP/1.1x\r\nHost: a\r\n\r\n",
            b"GET /healthz FTP/1.1\r\nHost: a\r\n\r\n",
            b"G\x80T /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n",
            b"GET /pets/\x80 HTTP/1.1\r\nHost: a\r\n\r\n",
            b"BREW /pets HTTP/1.1\r\nHost: a\r\n\r\n",
            b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
        ):
            self.refused(data, 400, 501, 505)

    def test_an_http_1_0_request_with_a_transfer_encoding_is_refused(self):
        data = b"POST /pets HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        self.refused(data, 400)

    def test_heads_over_their_limits(self):
        self.refused(get(b"Host: a", target=b"/" + b"x" * 9000), 414)
        self.refused(get(b"Host: a", b"X: " + b"y" * 17000), 431)
        self.refused(get(b"Host: a", *[b"X: y"] * 101), 431)

    def test_an_unknown_expectation_is_417(self):
        self.refused(POST + b"Content-Length: 2\r\nExpect: 200-maybe\r\n\r\n{}", 417)

    def test_random_bytes_do_no_harm(self):
        seed = 7
        print(f"seed {seed}")
        choices = random.Random(seed)
        valid = get(b"Host: a", b"Connection: close")
        for _ in range(200):
            data = bytearray(valid)
            for _ in range(choices.randrange(1, 6)):
                data[choices.randrange(len(data))] = choices.randrange(256)
            with self.server.connect() as connection:
                try:
                    connection.sendall(bytes(data))
                    connection.shutdown(socket.SHUT_WR)
                except OSError:
                    pass  # refused and closed already
                support.read_until_closed(connection)
        self.assertEqual(self.request("GET", "/healthz").status, 200)

    def test_others_are_answered_while_some_send_rubbish(self):
        stop = threading.Event()

        def rubbish():
            while not stop.is_set():
                try:
                    self.raw(b"\x00\xff rubbish\r\n\r\n", 2)
                except OSError:
                    pass

        threads = [threading.Thread(target=rubbish) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for number in range(100):
                self.assertEqual(self.put("/pets/well", {"n": number}).json["n"], number)
        finally:
            stop.set()
            for thread in threads:
                thread.join()


class GoodHttp(support.ServerTest):
    """What must not be refused with the rest."""

    def one(self, data):
        answers, closed = self.raw(data)
        self.assertEqual(len(answers), 1, answers)
        self.assertTrue(closed)
        return answers[0]

    def test_chunked_bodies(self):
        for body in (
            b"2\r\n{}\r\n0\r\n\r\n",
            b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
            b"00002\r\n{}\r\n000\r\n\r\n",
            b"9\r\n{\"a\":\"bc\"\r\n1\r\n}\r\n0\r\n\r\n",
        ):
            self.assertEqual(self.one(POST + b"Transfer-Encoding: chunked\r\n\r\n" + body).status, 201)

    def test_the_absolute_form_and_lower_case_and_space_around_values(self):
        self.put("/pets/1", {"a": 1})
        data = b"GET http://a/pets/1 HTTP/1.1\r\nhOST: \t a \t\r\nconnection:close\r\n\r\n"
        self.assertEqual(self.one(data).json["a"], 1)

    def test_http_1_0(self):
        answer = self.one(b"GET /healthz HTTP/1.0\r\n\r\n")
        self.assertEqual(answer.status, 200)

    def test_a_request_in_single_bytes(self):
        self.put("/pets/slow", {"a": 1})
        data = b"GET /pets/slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        with self.server.connect() as connection:
            for at in range(len(data)):
                connection.sendall(data[at : at + 1])
            received, _ = support.read_until_closed(connection)
        self.assertEqual(support.read_answers(received)[0][0].json["a"], 1)

    def test_pipelined_requests_are_answered_in_order(self):
        requests = []
        for number in range(40):
            body = b'{"n":%d}' % number
            requests.append(
                b"PUT /pets/p%d HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                % (number % 5, len(body), body)
            )
            requests.append(b"GET /pets/p%d HTTP/1.1\r\nHost: a\r\n\r\n" % (number % 5))
        requests.append(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answers, closed = self.raw(b"".join(requests))
        self.assertTrue(closed)
        self.assertEqual(len(answers), 81)
        for number in range(40):
            self.assertEqual(answers[2 * number].json["n"], number)

    def test_expect_100_continue(self):
        with self.server.connect() as connection:
            connection.sendall(POST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
            self.assertEqual(connection.recv(1000), b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.sendall(b"{}")
            received, _ = support.read_until_closed(connection)
        self.assertEqual(support.read_answers(received)[0][0].status, 201)


class ClientsThatGo(support.ServerTest):
    def leave(self, data):
        """Sends and resets the connection at once."""
        with self.server.connect() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(data)

    def read_when_there_is_memory(self, path):
        def attempt():
            answer = self.request("GET", path)
            self.assertIn(answer.status, (200, 503), answer.body)
            return answer if answer.status == 200 else None

        return support.eventually(attempt)

    def memory_of_http(self):
        """Bytes, of all threads; a thread notes its own when it turns, which this request makes one of them do."""
        text = self.request("GET", "/metrics").body.decode()
        lines = [line for line in text.splitlines() if line.startswith("freshet_http_memory_bytes")]
        self.assertTrue(lines, text)
        return sum(float(line.split()[-1]) for line in lines)

    def test_answers_to_nobody_are_thrown_away(self):
        self.put("/pets/big", {"a": "x" * 500_000})
        # A reset may come before the server has read anything, so that no PUT below needs to have happened.
        self.put("/pets/left", {"a": "y" * 50_000})
        body = b'{"a":"%s"}' % (b"y" * 50_000)
        put = b"PUT /pets/left HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        put += b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        reads = get(b"Host: a", target=b"/pets/big") * 5
        misses = get(b"Host: a", b"Cache-Control: no-cache", target=b"/pets/big") * 5
        lists = get(b"Host: a", target=b"/pets") * 3
        for _ in range(60):
            for data in (put, reads, misses, lists, put + reads + lists, put[:-5], reads[:-5]):
                self.leave(data)
        # What was asked for is some hundred MiB: until the last of it is thrown away, a read may get its 503.
        for path, text in (("/pets/left", "y" * 50_000), ("/pets/big", "x" * 500_000)):
            self.assertEqual(self.read_when_there_is_memory(path).json["a"], text)
        support.eventually(lambda: self.memory_of_http() < 8 << 20)


class SlowReaders(support.ServerTest):
    """On a server of its own: what the clients above leave behind takes memory until it is thrown away."""

    def test_large_pipelined_answers_wait_for_a_slow_reader(self):
        for number in range(4):
            self.put(f"/pets/slow-{number}", {"n": number, "a": "x" * 300_000})
        targets = [b"/pets/slow-%d" % (number % 4) for number in range(60)]
        data = b"".join(get(b"Host: a", target=target) for target in targets[:-1])
        data += get(b"Host: a", b"Connection: close", target=targets[-1])
        with self.server.connect() as connection:
            connection.sendall(data)
            # Meanwhile the records change; each answer is still one whole state.
            for number in range(4):
                self.put(f"/pets/slow-{number}", {"n": number, "a": "y" * 300_000})
            received, closed = support.read_until_closed(connection)
        answers, left = support.read_answers(received)
        self.assertTrue(closed)
        self.assertEqual((len(answers), left), (60, b""))
        for number, answer in enumerate(answers):
            record = answer.json
            self.assertEqual(record["n"], number % 4)
            self.assertIn(record["a"], ("x" * 300_000, "y" * 300_000))


class BadBodies(support.ServerTest):
    def post(self, body, content_type="application/json", **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", "/pets", body, headers, content_type)

    def test_json_that_rfc_8259_calls_invalid_is_400(self):
        for text in (
            b"{", b"}", b"{]", b"[}", b'{"a"}', b'{"a":}', b'{"a":1,}', b'{,"a":1}', b'{"a":1 "b":2}', b"{a:1}",
            b"{'a':1}", b'{"a":1}}', b'{"a":1}x', b'{"a":tru}', b'{"a":TRUE}', b'{"a":nul}', b'{"a":"b}',
            b'{"a":"\n"}', b'{"a":"\t"}', b'{"a":"\x00"}', b'{"a":"\\x41"}', b'{"a":"\\u12"}', b'{"a":"\\u12G4"}',
            b'{"a":"\\"}', b'{"a":"\\uD800"}', b'{"a":"\\uDC00"}', b'{"a":"\\uD800\\u0041"}', b'{"a":"\xff"}',
            b'{"a":"\xc3"}', b'{"a":"\xc0\xaf"}', b'{"a":"\xed\xa0\x80"}', b'{"a":"\xf4\x90\x80\x80"}',
            b'\xef\xbb\xbf{"a":1}', b'{"a":1}\x00', b'\x00{"a":1}', b'{"a":1} {"b":2}', b'{"a":1,,"b":2}',
            b'{"a":[1,]}', b'{"a":[,1]}', b'{"a":[1 2]}', b'{"a":1}//', b'/**/{"a":1}', b'{"\\u0061":1,"a":2}',
            b'{"a":1,"a":1}', b'{"b":{"a":1,"a":1}}', b'{"a":1;"b":2}', b'{1:1}', b'{null:1}', b" ", b"\x0b{}",
            '{"a":1}'.encode("utf-16"), b'{"a":' + b"[" * 128 + b"]" * 128 + b"}", b"[" * 100_000,
        ):
            problem = self.problem(self.post(text), 400)
            self.assertIn("line ", problem["detail"], text)
            self.assertIn("column ", problem["detail"], text)

    def test_the_place_is_that_of_the_error(self):
        problem = self.problem(self.post('{\n "a": 1,\n "b": x\n}'), 400)
        self.assertIn("line 3, column 7", problem["detail"])

    def test_depth_128_is_accepted(self):
        body = '{"a":' + "[" * 127 + "]" * 127 + "}"
        answer = self.request("PUT", "/pets/deep", body)
        self.assertEqual(answer.status, 201)
        self.assertEqual(self.request("GET", "/pets/deep").text, '{"id":"deep",' + body[1:])

    def test_what_is_valid_but_no_object_is_400(self):
        for text in ("[]", "1", '"text"', "true", "null", "[{}]"):
            self.problem(self.post(text), 400, "object")
            self.problem(self.request("PATCH", "/pets/1", text), 400, "object")

    def test_no_body_is_400(self):
        self.problem(self.request("POST", "/pets"), 400)
        self.problem(self.request("PUT", "/pets/1", b""), 400)

    def test_other_media_types_are_415(self):
        for content_type in (None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp",
                             "application/merge-patch+json", "multipart/form-data; boundary=x", "json", ""):
            self.problem(self.post("{}", content_type), 415)
        for content_type in ("application/json", "application/json; charset=utf-8", "Application/JSON;x=\"y;z\""):
            self.assertEqual(self.post("{}", content_type).status, 201)
        self.problem(self.post("{}", Content_Encoding="gzip"), 415)
        self.problem(self.request("PATCH", "/pets/1", "[]", content_type="application/json-patch+json"), 415)

    def test_a_body_over_a_mebibyte_is_413(self):
        fitting = '{"a":"' + "x" * ((1 << 20) - 8) + '"}'
        self.assertEqual(self.post(fitting).status, 201)
        answers, closed = self.raw(
            POST + b"Content-Length: %d\r\n\r\n" % ((1 << 20) + 1) + fitting.encode() + b" "
        )
        self.problem(answers[0], 413)
        self.assertTrue(closed)
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        answers, closed = self.raw(POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 17 + b"0\r\n\r\n")
        self.problem(answers[0], 413)
        self.assertTrue(closed)


class BadIds(support.ServerTest):
    def test_every_byte_as_an_id_is_either_one_or_400(self):
        for byte in range(256):
            encoded = f"%{byte:02x}"
            valid = 0x20 <= byte < 0x7F
            answer = self.request("PUT", f"/pets/{encoded}", {"n": byte})
            if valid:
                self.assertEqual(answer.status, 201, encoded)
                self.assertEqual(answer.json["id"], chr(byte))
                self.assertEqual(self.request("GET", f"/pets/{encoded}").json["n"], byte)
            else:
                self.problem(answer, 400)
                self.problem(self.request("GET", f"/pets/{encoded}"), 400)
                self.problem(self.request("DELETE", f"/pets/{encoded}"), 400)

    def test_what_is_no_utf8_or_has_controls_is_400(self):
        for encoded in (
            "%C3", "%C3%28", "%80", "%C0%AF", "%E2%82", "%ED%A0%80", "%F4%90%80%80", "%F0%9F%90", "%FE", "%FF",
            "a%00", "%C2%80", "%C2%9F", "%0d%0aX:%20y", "%", "%1", "%zz", "a%", "%%41",
        ):
            for method in ("GET", "PUT", "PATCH", "DELETE"):
                body = {} if method in ("PUT", "PATCH") else None
                self.problem(self.request(method, f"/pets/{encoded}", body), 400)

    def test_an_id_has_512_bytes_at_most(self):
        self.assertEqual(self.request("PUT", "/pets/" + "x" * 512, {}).status, 201)
        self.problem(self.request("PUT", "/pets/" + "x" * 513, {}), 400)
        self.assertEqual(self.request("PUT", "/pets/" + "%41" * 512, {}).status, 201)
        self.problem(self.request("PUT", "/pets/" + "%41" * 513, {}), 400)
        self.problem(self.request("PUT", "/pets/" + "%C3%A9" * 257, {}), 400)

    def test_a_line_break_in_an_id_never_reaches_a_header(self):
        answer = self.request("PUT", "/pets/%E2%80%A8%22%3E", {})
        self.assertEqual(answer.status, 201)
        self.assertEqual(answer.headers["location"], "/pets/%E2%80%A8%22%3E")


class TooSlow(support.ServerTest):
    arguments = ("--head-timeout", "500ms", "--body-timeout", "500ms", "--idle-timeout", "2s")

    def slow(self, first, status):
        with self.server.connect() as connection:
            started = time.monotonic()
            connection.sendall(first)
            received, closed = support.read_until_closed(connection, 8)
            elapsed = time.monotonic() - started
        self.assertTrue(closed)
        self.assertLess(elapsed, 5)
        answers, _ = support.read_answers(received)
        self.assertEqual([answer.status for answer in answers], [status] if status else [])
        if status:
            self.problem(answers[0], status)
            self.assertEqual(answers[0].headers["connection"], "close")

    def test_half_a_head_is_408(self):
        self.slow(b"GET /pets HTTP/1.1\r\nHost: a\r\n", 408)

    def test_half_a_body_is_408(self):
        self.slow(POST + b"Content-Length: 10\r\n\r\n{", 408)

    def test_half_a_chunk_is_408(self):
        self.slow(POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{", 408)

    def test_a_connection_without_a_request_is_closed(self):
        self.slow(b"", None)

    def test_a_byte_now_and_then_does_not_hold_a_head_open(self):
        with self.server.connect() as connection:
            started = time.monotonic()
            connection.sendall(b"GET /pets HTTP/1.1\r\n")
            closed = False
            while not closed and time.monotonic() - started < 8:
                time.sleep(0.2)  # pause between tries
                try:
                    connection.sendall(b"X")
                except OSError:
                    closed = True
            self.assertTrue(closed)

    def test_a_kept_alive_connection_works_within_its_time(self):
        for _ in range(3):
            self.assertEqual(self.request("GET", "/healthz").status, 200)
            time.sleep(0.3)  # pause between tries


if __name__ == "__main__":
    unittest.main()
