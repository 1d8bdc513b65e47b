"""The driver of bindings/python: DRIVER.md in terms of the blocking client."""

import pathlib
import sys
import time

import common

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "bindings" / "python" / "src"))
import freshet  # noqa: E402


def text_or_none(value):
    return None if value is None else freshet.dumps(value)


def written(result):
    return {
        "id": result.id,
        "version": result.version,
        "etag": result.etag,
        "position": result.position,
        "created": result.created,
        "changed": result.changed,
    }


def consumer_shown(info):
    return {
        "name": info.name,
        "collection": info.collection,
        "pattern": text_or_none(info.pattern),
        "position": info.position,
        "group": info.group,
        "lag_events": info.lag_events,
    }


def shown(change):
    return {
        "event": change.event_name,
        "collection": change.collection,
        "id": change.id,
        "sequence": change.sequence,
        "version": change.version,
        "position": change.position,
        "changed": change.changed,
        "new_image": text_or_none(change.new_image),
        "old_image": text_or_none(change.old_image),
    }


class Operations:
    """Every method takes `db`, the name of a handle."""

    def __init__(self):
        self.clients = {}
        self.subscriptions = {}

    def connect(self, url, db="main", lease_ms=2000, timeout_ms=30000, connect_timeout_ms=5000, no_reconnect=False, **more):
        if db in self.clients:
            self.clients.pop(db).close()
        times = {"lease": lease_ms / 1000, "timeout": timeout_ms / 1000, "connect_timeout": connect_timeout_ms / 1000}
        self.clients[db] = freshet.connect(url, reconnect=not no_reconnect, **times, **more)
        return {}

    def close(self, db="main"):
        self.clients.pop(db).close()
        return {}

    def create(self, collection, document, db="main", **more):
        return written(self.clients[db].create(collection, freshet.loads(document), **more))

    def put(self, collection, id, document, db="main", **more):
        return written(self.clients[db].put(collection, id, freshet.loads(document), **more))

    def patch(self, collection, id, patch, db="main", **more):
        return written(self.clients[db].patch(collection, id, freshet.loads(patch), **more))

    def delete(self, collection, id, db="main", **more):
        return {"existed": self.clients[db].delete(collection, id, **more)}

    def get(self, collection, id, db="main", fresh=False, minimum_position=None):
        client = self.clients[db]
        started = time.monotonic_ns()
        record = client.get_record(collection, id, fresh=fresh, min_position=minimum_position)
        if record is None:
            return {"record": None}
        ended = time.monotonic_ns()
        return {
            "record": freshet.dumps(record.value),
            "version": record.version,
            "near": record.near,
            "start_ns": started,
            "end_ns": ended,
        }

    def get_many(self, collection, ids, db="main"):
        return {"records": [text_or_none(record) for record in self.clients[db].get_many(collection, ids)]}

    def list(self, collection, db="main", index=None, value=None, page=None):
        found = self.clients[db].list(collection, page_size=page, **({index: value} if index else {}))
        return {"records": [freshet.dumps(record) for record in found]}

    def batch(self, operations, db="main"):
        results = self.clients[db].batch([self.operation(**operation) for operation in operations])
        return {"results": [self.result(*pair) for pair in zip(operations, results)]}

    @staticmethod
    def operation(kind, **members):
        classes = {
            "get": freshet.Get,
            "put": freshet.Put,
            "patch": freshet.Patch,
            "delete": freshet.Delete,
            "create": freshet.Create,
        }
        for name in ("document", "patch"):
            if name in members:
                members[name] = freshet.loads(members[name])
        return classes[kind](**members)

    @staticmethod
    def result(operation, result):
        if isinstance(result, freshet.FreshetError):
            return {"error": describe(result)}
        if operation["kind"] == "get":
            return {"ok": {"record": text_or_none(result)}}
        return {"ok": {"existed": result} if operation["kind"] == "delete" else written(result)}

    def subscribe(self, name, db="main", credit=None, **more):
        self.subscriptions[name] = self.clients[db].subscribe(window=credit, **more)
        return {}

    def next(self, name, count=1, timeout_ms=10000, db="main"):
        found = []
        subscription = self.subscriptions[name]
        while len(found) < count:
            try:
                change = subscription.next(timeout_ms / 1000)
            except freshet.FreshetError:
                if not found:
                    raise
                return {"changes": found, "end": True}
            if change is None:
                break
            found.append(shown(change))
        return {"changes": found, "end": False}

    def acknowledge(self, name, db="main"):
        self.subscriptions[name].ack()
        return {}

    def unsubscribe(self, name, db="main"):
        self.subscriptions.pop(name).close()
        return {}

    def consumer_put(self, consumer, db="main", **more):
        return consumer_shown(self.clients[db].consumers.put(consumer, **more))

    def consumer_get(self, consumer, db="main"):
        info = self.clients[db].consumers.get(consumer)
        return {"name": None} if info is None else consumer_shown(info)

    def consumer_delete(self, consumer, db="main"):
        return {"existed": self.clients[db].consumers.delete(consumer)}

    def consumer_list(self, db="main", after="", limit=1000):
        names = [consumer_shown(info) for info in self.clients[db].consumers.list() if info.name > after]
        return {"consumers": names[:limit]}

    def near_statistics(self, db="main"):
        statistics = self.clients[db].near_statistics()
        names = ("hits", "misses", "passed", "invalidations", "dropped_fills", "entries")
        return {name: getattr(statistics, name) for name in names}


def describe(error):
    if not isinstance(error, freshet.FreshetError):
        return None
    shown_error = {"code": error.code, "type": error.type, "detail": error.detail}
    for name in ("oldest", "newest"):
        if hasattr(error, name):
            shown_error[name] = getattr(error, name)
    return shown_error


if __name__ == "__main__":
    common.run(Operations(), describe)
