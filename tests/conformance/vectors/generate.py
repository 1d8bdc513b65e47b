#!/usr/bin/python3
"""Writes the vectors: frames as bytes, and what they say. Independent of server and bindings: Debian's python3-msgpack and
python3-protobuf, zlib, and protoc over protocol/freshet.proto.

    vectors/generate.py           writes vectors/*.json
    vectors/generate.py --check   exit status 1 when a file is not what would be written

A vector:

    name      a sentence
    from      "client" or "server": who sends such a frame
    hex       the whole frame
    length, opcode, flags, code, id, check      what the header says; opcode by the name of PROTOCOL.md, ERROR being an answer to nothing
    json      the body as JSON text, when it is MessagePack: extension type 1 as the number it is
    message, fields      the kind and the fields (JSON of protobuf, names as in the .proto), when it is protobuf
    raw       the body in hex, when it is neither

refused.json has frames that a server refuses instead: `status` of the ERROR, `closes`, whether the connection ends then,
and `first`: true when it is sent instead of HELLO. `cut`: the frame is only a beginning; no more is needed to refuse it.
hostile.json has frames of a server that a client refuses: the connection is closed with an error of the client's own;
`request` is what the client had sent, with the id that the frame names.
"""

import importlib
import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import zlib

import msgpack
from google.protobuf import json_format

FOLDER = pathlib.Path(__file__).resolve().parent
PROTOCOL = FOLDER.parents[2] / "protocol"

OPCODES = {
    "GET": 0x01, "MGET": 0x02, "PUT": 0x03, "PATCH": 0x04, "DELETE": 0x05, "CREATE": 0x06, "LIST": 0x07, "BATCH": 0x08,
    "CHANGES": 0x20, "INVALIDATE": 0x21,
    "HELLO": 0x40, "SUBSCRIBE": 0x41, "CREDIT": 0x42, "ACK": 0x43, "CONSUMER": 0x44, "STATS": 0x45, "UNSUBSCRIBE": 0x46,
    "PING": 0x47, "GOAWAY": 0x48, "ERROR": 0xFF,
}  # fmt: skip
ANSWER = 0x80
JSON, CHECKED = 1, 2
REQUEST_BYTES_MAX, ANSWER_BYTES_MAX = 8 << 20, 16 << 20
UINT64_MAX = (1 << 64) - 1
# A position is opaque; these stand for one.
POSITION = "AAAAAAAAAAAAAAAAAAAAAAEB"
NEXT = "AAAAAAAAAAAAAAAAAAAAAAEC"


def load_messages():
    """protoc's module for freshet.proto."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["protoc", f"--proto_path={PROTOCOL}", f"--python_out={folder}", "freshet.proto"]
        subprocess.run(command, check=True)
        sys.path.insert(0, folder)
        try:
            return importlib.import_module("freshet_pb2")
        finally:
            sys.path.remove(folder)


MESSAGES = load_messages()


def number(text):
    """A number that neither an integer nor a double gives back."""
    return msgpack.ExtType(1, text.encode())


def pack(value):
    return msgpack.packb(value, use_bin_type=True)


def shown(value):
    """MessagePack as JSON text, digit for digit."""
    if isinstance(value, msgpack.ExtType):
        return value.data.decode()
    if isinstance(value, dict):
        members = (f"{json.dumps(name, ensure_ascii=False)}:{shown(member)}" for name, member in value.items())
        return "{" + ",".join(members) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(shown, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def header(opcode, length, flags=0, code=0, request=1, check=0):
    return struct.pack(">IBBHII", length, opcode, flags, code, request, check)


def frame(opcode, body, flags=0, code=0, request=1):
    check = zlib.crc32(body) if flags & CHECKED else 0
    return header(opcode, len(body), flags, code, request, check) + body


def vector(name, sender, opcode, body, flags=0, code=0, request=1, **more):
    """opcode: a name of PROTOCOL.md; of the server's answers that of the request."""
    unasked = opcode in ("CHANGES", "INVALIDATE", "GOAWAY", "ERROR")
    byte = OPCODES[opcode] | (ANSWER if sender == "server" and not unasked else 0)
    data = frame(byte, body, flags, code, request)
    length, _, _, _, _, check = struct.unpack(">IBBHII", data[:16])
    return {
        "name": name, "from": sender, "hex": data.hex(),
        "length": length, "opcode": byte, "opcode_name": opcode, "flags": flags, "code": code, "id": request, "check": check,
        **more,
    }  # fmt: skip


def data(name, sender, opcode, value, flags=0, code=0, request=1, body=None):
    return vector(name, sender, opcode, body or pack(value), flags, code, request, json=shown(value))


def control(name, sender, opcode, kind, fields, flags=0, code=0, request=1, tail=b""):
    message = getattr(MESSAGES, kind)()
    json_format.ParseDict(fields, message)
    body = message.SerializeToString(deterministic=True) + tail
    if not fields and not tail:
        body = b""
    shown_fields = json_format.MessageToDict(message, preserving_proto_field_name=True, including_default_value_fields=True)
    return vector(name, sender, opcode, body, flags, code, request, message=kind, fields=shown_fields)


def raw(name, sender, opcode, body, flags=0, code=0, request=1):
    return vector(name, sender, opcode, body, flags, code, request, raw=body.hex())


# ---- what clients send ----

LAMP = {"title": "Lamp", "price": 29.99}
ODD = {"price": number("1.50"), "digits": number("12345678901234567890123456789012345678"), "small": -1, "half": 0.5}


def long_form(value):
    """The same in the longest form of everything, which is MessagePack as well."""
    if isinstance(value, str):
        return struct.pack(">BI", 0xDB, len(value.encode())) + value.encode()
    if isinstance(value, int):
        return struct.pack(">Bq", 0xD3, value)
    if isinstance(value, dict):
        items = [item for pair in value.items() for item in pair]
        return struct.pack(">BI", 0xDF, len(value)) + b"".join(map(long_form, items))
    return struct.pack(">BI", 0xDD, len(value)) + b"".join(map(long_form, value))


def requests():
    one = "client"
    lamp_text = '{"title":"Lamp","price":29.99}'
    long_put = ["products", "42", {"stock": 5, "title": "Lamp"}]
    batch = [
        [OPCODES["PUT"], 0, ["products", "42", LAMP]],
        [OPCODES["GET"], 0, ["products", "42"]],
        [OPCODES["PATCH"], 0, ["products", "42", {"price": 25}]],
        [OPCODES["DELETE"], 0, ["products", "42"]],
        [OPCODES["CREATE"], 0, ["products", LAMP]],
    ]
    return [
        data("GET", one, "GET", ["products", "42"]),
        data("GET with a checksum", one, "GET", ["products", "42"], CHECKED),
        data("GET with documents as JSON", one, "GET", ["products", "42"], JSON),
        data("GET with the largest request id", one, "GET", ["products", "42"], request=0xFFFFFFFF),
        data("GET past the cache", one, "GET", ["products", "42", {"fresh": True}]),
        data("GET unless it is still the same", one, "GET", ["products", "42", {"if_none_match": '"0-1-2a"'}]),
        data("GET with empty options", one, "GET", ["products", "42", {}]),
        data("GET of the longest id", one, "GET", ["products", "i" * 512]),
        data("GET of an id beyond ASCII", one, "GET", ["products", "Löwe-狮"]),
        data("GET with an element that a later version may add", one, "GET", ["products", "42", {}, "later"]),
        data("MGET", one, "MGET", ["products", ["42", "43", "44"]]),
        data("MGET of nothing", one, "MGET", ["products", []]),
        data("MGET of as many as may be", one, "MGET", ["products", [str(n) for n in range(1000)]]),
        data("PUT", one, "PUT", ["products", "42", LAMP]),
        data("PUT with the document as JSON", one, "PUT", ["products", "42", lamp_text], JSON),
        data("PUT of numbers that no double gives back", one, "PUT", ["products", "43", ODD]),
        data("PUT of an empty document", one, "PUT", ["pets", "empty", {}]),
        data("PUT of a document with its id", one, "PUT", ["pets", "rex", {"id": "rex", "age": 3}]),
        data("PUT only if there is none", one, "PUT", ["products", "42", LAMP, {"if_none_match": "*"}]),
        data("PUT only over a state", one, "PUT", ["products", "42", LAMP, {"if_match": '"0-1-2a"'}]),
        data("PUT of extremes", one, "PUT", ["pets", "wide", {"most": UINT64_MAX, "least": -(1 << 63), "n": [None, True, False]}]),
        data("PUT in the longest forms", one, "PUT", long_put, body=long_form(long_put)),
        data("PATCH", one, "PATCH", ["products", "42", {"price": 25, "category": None}]),
        data("DELETE", one, "DELETE", ["products", "42"]),
        data("DELETE of whatever is there", one, "DELETE", ["products", "42", {"if_match": "*"}]),
        data("CREATE", one, "CREATE", ["products", LAMP]),
        data("CREATE with the longest idempotency key", one, "CREATE", ["products", LAMP, {"key": "k" * 255}]),
        data("LIST", one, "LIST", ["products"]),
        data("LIST of an index", one, "LIST", ["products", {"index": "category", "value": "lamps", "limit": 10}]),
        data("LIST with documents as JSON", one, "LIST", ["products", {"limit": 1}], JSON),
        data("BATCH", one, "BATCH", batch),
        data("BATCH of nothing", one, "BATCH", []),
    ]


# ---- what servers answer ----


def answers():
    one = "server"
    record = {"id": "42", **LAMP}
    etag = '"0-1-2a"'
    text = '{"id":"42","title":"Lamp","price":29.99}'
    insert = {
        "eventID": "e1", "eventName": "INSERT", "eventSource": "freshet", "collection": "products", "keys": {"id": "42"},
        "sequence": 42, "version": 1, "time": "2026-01-01T00:00:00.000Z", "changed": [], "newImage": record,
    }  # fmt: skip
    batch = [[200, [1, 42, 1, record]], [412, ["", "the record is not in the state the request asks for", 0]]]
    return [
        data("GET: 200", one, "GET", [1, 42, 1, record], code=200),
        data("GET: 200 with a checksum", one, "GET", [1, 42, 1, record], CHECKED, 200),
        data("GET: 200 with the record as JSON", one, "GET", [1, 42, 1, text], JSON, 200),
        data("GET: 404", one, "GET", [1, 43, 0, None], code=404),
        data("GET: 304", one, "GET", [1, 42, 1, None], code=304),
        data("GET: 200 with the largest figures", one, "GET", [0xFFFFFFFF, UINT64_MAX, UINT64_MAX, record], code=200),
        data("GET: 200 with numbers that no double gives back", one, "GET", [1, 44, 1, {"id": "43", **ODD}], code=200),
        data("MGET: one is not there", one, "MGET", [[1, 42, 1, record], [1, 43, 0, None]], code=200),
        data("MGET of nothing: 200", one, "MGET", [], code=200),
        data("PUT: 201", one, "PUT", [1, 42, 1, "42", etag, NEXT, True], code=201),
        data("PUT: 200, an equal record", one, "PUT", [1, 42, 1, "42", etag, NEXT, False], code=200),
        data("PATCH: 200", one, "PATCH", [1, 43, 2, "42", '"0-1-2b"', NEXT, True], code=200),
        data("DELETE: 200", one, "DELETE", [1, 44, 0, "42", None, NEXT, True], code=200),
        data("DELETE of what was not there: 200", one, "DELETE", [1, 44, 0, "42", None, NEXT, False], code=200),
        data("CREATE: 201", one, "CREATE", [1, 45, 1, "0194-made", '"0-1-2d"', NEXT, True], code=201),
        data("LIST: the last page", one, "LIST", [None, [record]], code=200),
        data("LIST: a page before others", one, "LIST", ["after-42", [record]], code=200),
        data("LIST: JSON", one, "LIST", [None, f"[{text}]"], JSON, 200),
        data("LIST of nothing", one, "LIST", [None, []], code=200),
        data("BATCH: one of two has failed", one, "BATCH", batch, code=200),
        data("an answer with an element that a later version may add", one, "GET", [1, 42, 1, record, "later"], code=200),
        data("CHANGES: a change", one, "CHANGES", [[0, NEXT, insert]], request=7),
        data("CHANGES: a snapshot and its end", one, "CHANGES", [[1, POSITION, insert], [2, NEXT, None]], request=7),
        data("CHANGES: progress, caught up", one, "CHANGES", [[3, POSITION, None], [4, NEXT, None]], request=7),
        data("INVALIDATE", one, "INVALIDATE", [NEXT, True, [[1, 42, "products", "42"], [1, 43, "pets", "rex"]]], request=8),
        data("INVALIDATE without keys", one, "INVALIDATE", [NEXT, True, []], request=8),
        data("INVALIDATE while more is to come", one, "INVALIDATE", [POSITION, False, [[1, 42, "products", "42"]]], request=8),
        raw("UNSUBSCRIBED", one, "UNSUBSCRIBE", b"", code=200, request=7),
        raw("ACKED", one, "ACK", b"", code=200),
        raw("PONG", one, "PING", b"12345678", code=200),
        raw("PONG without a body", one, "PING", b"", code=200),
    ]


# ---- control messages ----


def controls():
    consumer = {
        "name": "mirror", "collection": "products", "pattern": '{"changed":["price"]}', "group": True, "position": POSITION,
        "members": 2, "lag_events": "18446744073709551615", "lag_bytes": "4096", "lag_seconds": 1.5,
    }  # fmt: skip
    features = ["checked", "json", "invalidate"]
    welcome = {
        "version": 1, "features": features, "server": "freshet/0.1.0", "store": "AAECAwQFBgcICQoLDA0ODw==",
        "frame_bytes_max": REQUEST_BYTES_MAX, "requests_max": 1024, "subscriptions_max": 64, "position": POSITION,
    }  # fmt: skip
    expired = {"status": 410, "type": "position-expired", "detail": "the position is no longer there", "oldest": POSITION, "newest": NEXT}
    busy = {"status": 503, "type": "not-accepted", "detail": "nothing was changed", "retry_after_ms": 1000}
    later = b"\xfa\x3f\x05later"  # field 1023, a string
    return [
        control("HELLO", "client", "HELLO", "Hello", {"versions": [1], "features": features, "client": "plain/1"}),
        control("HELLO with credentials", "client", "HELLO", "Hello", {"versions": [1], "token": "secret"}),
        control("HELLO of a later client", "client", "HELLO", "Hello", {"versions": [1, 2], "features": ["later"]}, tail=later),
        control("SUBSCRIBE to all", "client", "SUBSCRIBE", "Subscribe", {"credit": 1000}, request=7),
        control("SUBSCRIBE with a pattern, from a position", "client", "SUBSCRIBE", "Subscribe",
                {"collection": "products", "pattern": '{"changed":["price"]}', "from": "POSITION", "position": POSITION,
                 "view": "VIEW_NEW", "enter_leave": True, "credit": 4294967295, "progress_ms": 50}, request=7),
        control("SUBSCRIBE from a time", "client", "SUBSCRIBE", "Subscribe",
                {"from": "TIME", "time_ms": "1767225600000", "credit": 1}, request=7),
        control("SUBSCRIBE to a snapshot", "client", "SUBSCRIBE", "Subscribe",
                {"collection": "pets", "from": "SNAPSHOT", "credit": 10}, request=7),
        control("SUBSCRIBE to invalidations", "client", "SUBSCRIBE", "Subscribe", {"invalidate": True, "progress_ms": 500}, request=8),
        control("SUBSCRIBE of a member", "client", "SUBSCRIBE", "Subscribe",
                {"consumer": "mirror", "member": "a", "credit": 100}, request=9),
        control("CREDIT", "client", "CREDIT", "Credit", {"changes": 500}, request=7),
        control("CREDIT of nothing", "client", "CREDIT", "Credit", {}, request=7),
        raw("UNSUBSCRIBE", "client", "UNSUBSCRIBE", b"", request=7),
        control("ACK", "client", "ACK", "Ack", {"consumer": "mirror", "position": POSITION}),
        control("ACK of a member", "client", "ACK", "Ack", {"consumer": "mirror", "position": POSITION, "member": "a"}),
        control("CONSUMER: get", "client", "CONSUMER", "Consumer", {"name": "mirror"}),
        control("CONSUMER: put", "client", "CONSUMER", "Consumer",
                {"action": "CONSUMER_PUT", "name": "mirror", "collection": "products", "from": "EARLIEST", "group": True}),
        control("CONSUMER: delete", "client", "CONSUMER", "Consumer", {"action": "CONSUMER_DELETE", "name": "mirror"}),
        control("CONSUMER: list", "client", "CONSUMER", "Consumer", {"action": "CONSUMER_LIST", "after": "mirror", "limit": 10}),
        raw("STATS", "client", "STATS", b""),
        raw("PING", "client", "PING", b"12345678"),
        raw("PING without a body", "client", "PING", b""),
        raw("PING with the longest body", "client", "PING", bytes(range(64))),
        control("WELCOME", "server", "HELLO", "Welcome", welcome, code=200),
        control("WELCOME to a client without features", "server", "HELLO", "Welcome", {**welcome, "features": []}, code=200),
        control("WELCOME with a field that a later version may add", "server", "HELLO", "Welcome", welcome, code=200, tail=later),
        control("SUBSCRIBED", "server", "SUBSCRIBE", "Subscribed", {"position": POSITION}, code=200, request=7),
        control("SUBSCRIBED, from where is still looked for", "server", "SUBSCRIBE", "Subscribed", {}, code=200, request=7),
        control("CONSUMERS", "server", "CONSUMER", "Consumers", {"consumers": [consumer], "more": True}, code=200),
        control("CONSUMERS: none", "server", "CONSUMER", "Consumers", {}, code=200),
        control("STATS: the answer", "server", "STATS", "Stats",
                {"metrics": [{"name": "freshet_wire_connections", "value": 1}, {"name": "x", "value": -0.5}]}, code=200),
        control("GOAWAY", "server", "GOAWAY", "Goaway",
                {"detail": "the server ends", "subscriptions": [{"id": 7, "position": POSITION}, {"id": 8, "position": NEXT}]}, request=0),
        control("ERROR 404", "server", "ERROR", "Error", {"status": 404, "detail": "Product not found"}, code=404),
        control("ERROR 410 ends a subscription", "server", "ERROR", "Error", expired, code=410, request=7),
        control("ERROR 503", "server", "ERROR", "Error", busy, code=503),
        control("ERROR of the connection", "server", "ERROR", "Error", {"status": 413, "detail": "too long"}, code=413, request=0),
    ]  # fmt: skip


# ---- what is refused ----


def refused_frame(name, data_bytes, status, closes=False, first=False, cut=False):
    return {"name": name, "hex": data_bytes.hex(), "status": status, "closes": closes, "first": first, "cut": cut}


def refused():
    get, put, batch, mget = OPCODES["GET"], OPCODES["PUT"], OPCODES["BATCH"], OPCODES["MGET"]
    deep = b"\x92\xa4pets" + b"\x91" * 200 + b"\xc0"
    deep_put = b"\x93\xa4pets\xa1d\x81\xa1n" + b"\x91" * 200 + b"\xc0"
    wrong = bytearray(frame(get, pack(["pets", "rex"]), CHECKED))
    wrong[-1] ^= 1
    two = struct.pack(">B", 0x92)
    bodies = [
        ("an empty body", get, b""),
        ("a body that is no array", get, pack({"pets": "rex"})),
        ("an array without an id", get, pack(["pets"])),
        ("an id that is a number", get, pack(["pets", 42])),
        ("an empty id", get, pack(["pets", ""])),
        ("an id over 512 bytes", get, pack(["pets", "i" * 513])),
        ("an id with a control character", get, pack(["pets", "a\nb"])),
        ("an id that is no UTF-8", get, two + b"\xa4pets\xa2\xff\xfe"),
        ("options that are no map", get, pack(["pets", "rex", 1])),
        ("an option of the wrong type", get, pack(["pets", "rex", {"fresh": "yes"}])),
        ("a body that ends too soon", get, pack(["pets", "rex"])[:-1]),
        ("a body with bytes behind it", get, pack(["pets", "rex"]) + b"\x00"),
        ("a length of 4 GiB in it", get, two + b"\xa4pets\xdb\xff\xff\xff\xff"),
        ("an array of 4 G elements", mget, two + b"\xa4pets\xdd\xff\xff\xff\xff"),
        ("the byte that is no MessagePack", get, two + b"\xa4pets\xc1"),
        ("arrays 200 deep", get, deep),
        ("a document 200 deep", put, deep_put),
        ("a document that is no map", put, pack(["pets", "rex", [1]])),
        ("a document with binary data", put, pack(["pets", "rex", {"data": b"\x00\x01"}])),
        ("a document with a timestamp", put, b"\x93\xa4pets\xa3rex\x81\xa2at\xd6\xff\0\0\0\0"),
        ("a number that is none", put, pack(["pets", "rex", {"n": number("1.5x")}])),
        ("a document with a name twice", put, b"\x93\xa4pets\xa3rex\x82\xa1a\x01\xa1a\x02"),
        ("a document whose name is a number", put, b"\x93\xa4pets\xa3rex\x81\x01\x01"),
        ("a document with a text that is no UTF-8", put, b"\x93\xa4pets\xa3rex\x81\xa1a\xa1\xff"),
        ("a double that is no number", put, b"\x93\xa4pets\xa3rex\x81\xa1a\xcb\x7f\xf8\0\0\0\0\0\0"),
        ("an infinite double", put, b"\x93\xa4pets\xa3rex\x81\xa1a\xcb\x7f\xf0\0\0\0\0\0\0"),
        ("MGET of 1001 ids", mget, pack(["pets", [str(n) for n in range(1001)]])),
        ("BATCH of 1001", batch, pack([[get, 0, ["pets", "rex"]]] * 1001)),
        ("a SUBSCRIBE whose message ends too soon", OPCODES["SUBSCRIBE"], b"\x0a\x20pets"),
        ("a SUBSCRIBE with a pattern that is no UTF-8", OPCODES["SUBSCRIBE"], b"\x12\x01\xff"),
        ("a CONSUMER with wire type 7", OPCODES["CONSUMER"], b"\x0f\x01"),
        ("an ACK with a varint without end", OPCODES["ACK"], b"\x08" + b"\xff" * 11),
        ("a PING of 65 bytes", OPCODES["PING"], b"p" * 65),
    ]
    return [refused_frame(name, frame(opcode, body, request=5), 400) for name, opcode, body in bodies] + [
        refused_frame("JSON that is none", frame(put, pack(["pets", "rex", "{"]), JSON, request=5), 400),
        refused_frame("a flag that is not known", frame(get, pack(["pets", "rex"]), 4, request=5), 400),
        refused_frame("an unknown opcode", frame(0x09, b"", request=5), 501),
        refused_frame("an unknown opcode with a body", frame(0x3F, b"whatever", request=5), 501),
        refused_frame("an answer instead of a request", frame(get | ANSWER, pack([1, 1, 1, None]), request=5), 501),
        refused_frame("a body over the limit", header(put, REQUEST_BYTES_MAX + 1, request=5), 413, closes=True, cut=True),
        refused_frame("the longest length there is", header(put, 0xFFFFFFFF, request=5), 413, closes=True, cut=True),
        refused_frame("a wrong checksum", bytes(wrong), 400, closes=True),
        refused_frame("no HELLO", frame(get, pack(["pets", "rex"])), 400, closes=True, first=True),
        refused_frame("HTTP", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, closes=True, first=True, cut=True),
        refused_frame("HELLO without a version that both speak",
                      frame(OPCODES["HELLO"], MESSAGES.Hello(versions=[99]).SerializeToString()), 400, closes=True, first=True),
        refused_frame("HELLO without any version", frame(OPCODES["HELLO"], b""), 400, closes=True, first=True),
        refused_frame("HELLO that is no message", frame(OPCODES["HELLO"], b"\x0f\x01"), 400, closes=True, first=True),
    ]  # fmt: skip


def hostile_frame(name, request, data_bytes):
    return {"name": name, "request": request, "hex": data_bytes.hex()}


def hostile():
    get = OPCODES["GET"] | ANSWER
    record = pack([1, 42, 1, {"id": "42"}])
    wrong = bytearray(frame(get, record, CHECKED, 200))
    wrong[-1] ^= 1
    return [
        hostile_frame("a body over the limit", "GET", header(get, ANSWER_BYTES_MAX + 1, 0, 200)),
        hostile_frame("the longest length there is", "GET", header(get, 0xFFFFFFFF, 0, 200)),
        hostile_frame("a wrong checksum", "GET", bytes(wrong)),
        hostile_frame("an empty body", "GET", frame(get, b"", code=200)),
        hostile_frame("a body that ends too soon", "GET", frame(get, record[:-1], code=200)),
        hostile_frame("a body that is no array", "GET", frame(get, pack(42), code=200)),
        hostile_frame("an array that is too short", "GET", frame(get, pack([1, 42]), code=200)),
        hostile_frame("a sequence that is a text", "GET", frame(get, pack([1, "42", 1, None]), code=200)),
        hostile_frame("a length of 4 GiB in it", "GET", frame(get, b"\x94\x01\x01\x01\xdb\xff\xff\xff\xff", code=200)),
        hostile_frame("arrays 5000 deep", "GET", frame(get, b"\x94\x01\x01\x01" + b"\x91" * 5000 + b"\xc0", code=200)),
        hostile_frame("the answer to another kind of request", "GET", frame(OPCODES["PUT"] | ANSWER, record, code=200)),
        hostile_frame("an ERROR that is no message", "GET", frame(OPCODES["ERROR"], b"\x0f\x01", code=400)),
    ]


FILES = {
    "requests.json": requests,
    "answers.json": answers,
    "control.json": controls,
    "refused.json": refused,
    "hostile.json": hostile,
}


def text_of(make):
    vectors = ",\n".join(json.dumps(one, ensure_ascii=False) for one in make())
    return f"[\n{vectors}\n]\n"


def main(arguments):
    stale = []
    for name, make in FILES.items():
        path = FOLDER / name
        text = text_of(make)
        if arguments == ["--check"]:
            if not path.exists() or path.read_text("utf-8") != text:
                stale.append(name)
        else:
            path.write_text(text, "utf-8")
    if stale:
        print(f"not what generate.py writes: {', '.join(stale)}", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
