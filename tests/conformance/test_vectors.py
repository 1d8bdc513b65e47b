"""The vectors are what their generator writes, PROTOCOL.md's examples are vectors, and a client written from the page reads them."""

import decimal
import io
import json
import pathlib
import re
import subprocess
import sys
import unittest
import zlib

import plain_client
import run

FOLDER = pathlib.Path(__file__).resolve().parent
PAGE = FOLDER.parents[1] / "protocol" / "PROTOCOL.md"
# Every form of MessagePack that an answer may have.
FORMS = [
    (0, "00 cc00 cd0000 ce00000000 cf0000000000000000 d000 d10000 d200000000 d30000000000000000"),
    (127, "7f cc7f cd007f d07f"),
    (-1, "ff d0ff d1ffff d2ffffffff d3ffffffffffffffff"),
    (-32, "e0 d0e0"),
    (1.5, "ca3fc00000 cb3ff8000000000000"),
    ("a", "a161 d90161 da000161 db0000000161"),
    ([], "90 dc0000 dd00000000"),
    ([1, None], "9201c0 dc000201c0 dd0000000201c0"),
    ({"a": True}, "81a161c3 de0001a161c3 df00000001a161c3"),
    (decimal.Decimal("7"), "d40137 c7010137 c800010137 c9000000010137"),
    (decimal.Decimal("10"), "d5013130"),
    (decimal.Decimal("1.50"), "d601312e3530"),
    (decimal.Decimal("1.234560"), "d701312e323334353630"),
    (decimal.Decimal("1.23456789012340"), "d801312e3233343536373839303132333430"),
]
HEADER_FIELDS = ("length", "opcode", "flags", "code", "id", "check")


def load(name):
    return json.loads((FOLDER / "vectors" / f"{name}.json").read_text("utf-8"))


def frames():
    return [vector for name in ("requests", "answers", "control") for vector in load(name)]


def examples(page):
    """{name: bytes} of what stands under '## Examples': **name**, then lines of hex, and words two spaces behind it."""
    found = {}
    for name, block in re.findall(r"^\*\*(.+)\*\*\n\n((?:    .*\n)+)", page.partition("## Examples")[2], re.MULTILINE):
        pieces = [line.strip().split("  ")[0] for line in block.splitlines()]
        found[name] = bytes.fromhex("".join(pieces))
    return found


def number(text):
    """As plain_client reads it: a double where that is the number's text, else all digits."""
    return float(text) if repr(float(text)) == text else decimal.Decimal(text)


def whole(text):
    return int(text) if -(1 << 63) <= int(text) < 1 << 64 else decimal.Decimal(text)


class TestVectors(unittest.TestCase):
    def test_the_files_are_what_the_generator_writes(self):
        result = subprocess.run(
            [sys.executable, FOLDER / "vectors" / "generate.py", "--check"], stderr=subprocess.PIPE, check=False
        )
        self.assertEqual(result.returncode, 0, result.stderr.decode())

    def test_every_example_of_the_page_is_a_vector(self):
        vectors = {vector["name"]: vector["hex"] for vector in frames()}
        shown = examples(PAGE.read_text("utf-8"))
        self.assertGreater(len(shown), 40)
        for name, data in shown.items():
            with self.subTest(name):
                self.assertEqual(data.hex(), vectors[name])

    def test_every_opcode_of_the_page_has_an_example(self):
        page = PAGE.read_text("utf-8")
        shown = {data[4] for data in examples(page).values()}
        named = {int(code, 16) for code in re.findall(r"`0x([0-9A-F]{2})`", page.partition("## Examples")[0])}
        flags = {0x01, 0x02}
        self.assertEqual(named - flags - shown, set())
        self.assertEqual(flags - shown, set())

    def test_every_name_is_that_of_one_vector(self):
        for names in ([vector["name"] for vector in group] for group in (frames(), load("refused"), load("hostile"))):
            self.assertEqual(len(set(names)), len(names), [name for name in names if names.count(name) > 1])


class TestPlainClient(unittest.TestCase):
    def test_it_reads_what_the_headers_say(self):
        for vector in frames():
            with self.subTest(vector["name"]):
                data = bytes.fromhex(vector["hex"])
                fields = plain_client.struct.unpack(">IBBHII", data[:16])
                self.assertEqual(dict(zip(HEADER_FIELDS, fields)), {name: vector[name] for name in HEADER_FIELDS})
                self.assertEqual(len(data), 16 + vector["length"])
                if vector["flags"] & plain_client.CHECKED:
                    self.assertEqual(zlib.crc32(data[16:]), vector["check"])

    def test_it_reads_the_bodies_that_are_messagepack_and_writes_the_same(self):
        for vector in frames():
            if "json" in vector:
                with self.subTest(vector["name"]):
                    body = bytes.fromhex(vector["hex"])[16:]
                    stream = io.BytesIO(body)
                    value = plain_client.unpack(stream)
                    self.assertEqual(stream.tell(), len(body))
                    self.assertEqual(value, json.loads(vector["json"], parse_float=number, parse_int=whole))
                    self.assertEqual(plain_client.unpack(io.BytesIO(plain_client.pack(value))), value)

    def test_it_reads_every_form_of_messagepack(self):
        for value, forms in FORMS:
            for form in forms.split():
                with self.subTest(form):
                    stream = io.BytesIO(bytes.fromhex(form) + b"\xc0")
                    self.assertEqual(repr(plain_client.unpack(stream)), repr(value))
                    self.assertEqual(stream.read(), b"\xc0")

    def test_it_reads_the_bodies_that_are_protobuf(self):
        for vector in frames():
            if "message" in vector and vector["from"] == "server":
                with self.subTest(vector["name"]):
                    message = plain_client.decode(vector["message"], bytes.fromhex(vector["hex"])[16:])
                    self.assertEqual(plainly(message), plainly(vector["fields"]))


class TestNode(unittest.TestCase):
    def test_its_frames_and_documents_are_those_of_the_vectors(self):
        run.build_node()
        files = [FOLDER / "vectors" / f"{name}.json" for name in ("answers", "control")]
        result = subprocess.run(
            ["node", FOLDER / "drivers" / "vectors.mjs", *files], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        self.assertEqual(result.returncode, 0, result.stdout.decode())


def plainly(value):
    """Numbers as numbers, bytes as text: protobuf's JSON has 64-bit integers as strings and bytes in base 64."""
    if isinstance(value, dict):
        return {name: "…" if name == "store" else plainly(member) for name, member in value.items()}
    if isinstance(value, list):
        return [plainly(item) for item in value]
    if isinstance(value, str) and re.fullmatch(r"[0-9]+", value):
        return int(value)
    return value


if __name__ == "__main__":
    unittest.main()
