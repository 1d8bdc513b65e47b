"""The driver of plain_client.py: the operations of the core cases."""

import contextlib
import io
import pathlib
import sys
import time
import urllib.parse

import common

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import plain_client  # noqa: E402

START = {"latest": 0, "earliest": 1, "snapshot": 4}
VIEWS = {"both": 0, "keys": 1, "new": 2, "old": 3}
OPTIONS = {"if_absent": "if_none_match", "minimum_position": "min", "idempotency_key": "key", "page": "limit"}
WRITTEN = ("epoch", "sequence", "version", "id", "etag", "position", "changed")


def options(members):
    named = {OPTIONS.get(name, name): value for name, value in members.items()}
    if named.get("if_none_match") is True:
        named["if_none_match"] = "*"
    return named


def written(code, values):
    return {**dict(zip(WRITTEN, values)), "created": code == 201}


class Operations:
    def __init__(self):
        self.client = None
        self.subscriptions = {}
        self.items = {}

    def connect(self, url, **_):
        where = urllib.parse.urlsplit(url)
        self.client = plain_client.Client(where.hostname, where.port)
        return {}

    def close(self):
        self.client.socket.close()
        return {}

    def create(self, collection, document, **more):
        return written(*self.client.data(plain_client.CREATE, collection, common.parse(document), options(more)))

    def put(self, collection, id, document, **more):
        return written(*self.client.data(plain_client.PUT, collection, id, common.parse(document), options(more)))

    def patch(self, collection, id, patch, **more):
        return written(*self.client.data(plain_client.PATCH, collection, id, common.parse(patch), options(more)))

    def delete(self, collection, id, **more):
        return {"existed": self.client.data(plain_client.DELETE, collection, id, options(more))[1][6]}

    def get(self, collection, id, **more):
        found = self.client.data(plain_client.GET, collection, id, options(more))[1]
        return {"record": common.text_or_none(found[3]), "version": found[2]}

    def get_many(self, collection, ids):
        found = []
        while len(found) < len(ids):
            found += self.client.data(plain_client.MGET, collection, ids[len(found) :])[1]
        return {"records": [common.text_or_none(one[3]) for one in found]}

    def list(self, collection, **more):
        asked, found = options(more), []
        while True:
            asked["cursor"], records = self.client.data(plain_client.LIST, collection, asked)[1]
            found += map(common.dump, records)
            if asked["cursor"] is None:
                return {"records": found}

    def batch(self, operations):
        opcodes = {"get": 1, "put": 3, "patch": 4, "delete": 5, "create": 6}
        requests = []
        for operation in operations:
            kind, collection, key = operation.pop("kind"), operation.pop("collection"), operation.pop("id", None)
            text = operation.pop("document", None) or operation.pop("patch", None)
            parts = [collection, key, text and common.parse(text), options(operation)]
            requests.append([opcodes[kind], 0, [part for part in parts if part is not None]])
        answers = self.client.data(plain_client.BATCH, *requests)[1]
        return {"results": [self.result(*pair) for pair in zip(requests, answers)]}

    @staticmethod
    def result(request, answer):
        code, values = answer
        if code >= 400 and len(values) == 3:
            return {"error": {"code": code, "type": values[0], "detail": values[1]}}
        if request[0] == plain_client.GET:
            return {"ok": {"record": common.text_or_none(values[3])}}
        return {"ok": {"existed": values[6]} if request[0] == plain_client.DELETE else written(code, values)}

    def subscribe(self, name, start="latest", view="both", credit=1000, **more):
        fields = {"from": START.get(start, 2), "view": VIEWS[view], "credit": credit, **more}
        if start not in START:
            fields["position"] = start
        request = self.client.send(plain_client.SUBSCRIBE, plain_client.encode("Subscribe", **fields))
        self.client.wait(request, plain_client.SUBSCRIBE | 0x80, self.client.timeout_s)
        self.subscriptions[name], self.items[name] = request, []
        return {}

    def next(self, name, count=1, timeout_ms=10000):
        """changes and the marks that DRIVER.md wants."""
        found = []
        deadline = time.monotonic() + timeout_ms / 1000
        while len(found) < count:
            if not self.items[name]:
                try:
                    self.items[name] = self.more(self.subscriptions[name], deadline - time.monotonic())
                except TimeoutError:
                    break
                except plain_client.Refused:
                    if not found:
                        raise
                    return {"changes": found, "end": True}
            kind, position, change = self.items[name].pop(0)
            if kind <= 2:
                found.append(self.shown(kind, position, change or {}))
        return {"changes": found, "end": False}

    def more(self, subscription, timeout_s):
        """The items of the next CHANGES, whose credit is given back."""
        body = self.client.wait(subscription, plain_client.CHANGES, max(timeout_s, 0.001))[1]
        items = plain_client.unpack(io.BytesIO(body))
        taken = sum(kind in (0, 1) for kind, _, _ in items)
        if taken > 0:
            self.client.send(plain_client.CREDIT, plain_client.encode("Credit", changes=taken), subscription)
        return items

    @staticmethod
    def shown(kind, position, change):
        return {
            "event": {1: "SNAPSHOT", 2: "SYNCED"}.get(kind) or change.get("eventName", "EVENT"),
            "position": position,
            "collection": change.get("collection"),
            "id": change.get("keys", {}).get("id"),
            "sequence": change.get("sequence"),
            "version": change.get("version"),
            "changed": change.get("changed"),
            "new_image": common.text_or_none(change.get("newImage")),
            "old_image": common.text_or_none(change.get("oldImage")),
        }

    def unsubscribe(self, name):
        with contextlib.suppress(plain_client.Refused):  # it has just ended by itself
            self.client.call(plain_client.UNSUBSCRIBE, b"", self.subscriptions.pop(name))
        return {}


def describe(error):
    if isinstance(error, plain_client.Refused):
        message = error.args[0]
        shown = {name: message[name] for name in ("type", "detail", "oldest", "newest", "retry_after_ms")}
        return {"code": message["status"], **shown}
    if isinstance(error, TimeoutError):
        return {"code": 0, "type": "timeout", "detail": str(error)}
    if isinstance(error, OSError):
        return {"code": 0, "type": "disconnected", "detail": str(error)}
    return None


if __name__ == "__main__":
    common.run(Operations(), describe)
