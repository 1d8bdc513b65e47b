"""A target of rules: an HTTP server on a free port that keeps what it is sent.

    with Receiver() as receiver:
        receiver.decide = lambda call: 500 if call.path == "/bad" else 200
        …
        calls = receiver.wait(3)
"""

import http.server
import json
import threading
import time

import support


class Call:
    """One request: method, path, headers (names in lower case), body, and when it came."""

    def __init__(self, method, path, headers, body):
        self.method = method
        self.path = path
        self.headers = {name.lower(): value for name, value in headers}
        self.body = body
        self.at = time.monotonic()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def event_id(self):
        return self.headers["webhook-id"]

    def __repr__(self):
        return f"{self.method} {self.path} {self.body[:120]!r}"


class Receiver:
    """decide(call) answers a status, or (status, headers); it runs on a thread of its own for each
    connection, so it may wait."""

    def __init__(self, port=0):
        self.calls = []
        self.changed = threading.Condition()
        self.decide = lambda call: 200
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                size = int(self.headers.get("Content-Length") or 0)
                call = Call(self.command, self.path, self.headers.items(), self.rfile.read(size))
                with receiver.changed:
                    receiver.calls.append(call)
                    receiver.changed.notify_all()
                decision = receiver.decide(call)
                status, headers = decision if isinstance(decision, tuple) else (decision, {})
                body = b"words of the target"
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if status != 204:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if status != 204 and self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

            def log_message(self, *words):
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass

        self.server = Quiet(("127.0.0.1", port), Handler)
        self.port = self.server.server_port
        self.thread = threading.Thread(
            target=self.server.serve_forever, args=(0.01,), daemon=True
        )
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *reason):
        self.close()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def url(self, path="/"):
        return f"http://127.0.0.1:{self.port}{path}"

    def wait(self, count, timeout_s=support.REQUEST_TIMEOUT_S, of=None):
        """The calls, when there are so many (of those for which `of` is true)."""
        deadline = time.monotonic() + timeout_s
        with self.changed:
            while True:
                calls = [call for call in self.calls if of is None or of(call)]
                if len(calls) >= count:
                    return calls
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"{len(calls)} of {count} calls came: {calls[-5:]}")
                self.changed.wait(left)
