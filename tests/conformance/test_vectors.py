"""The vectors are what their generator writes, PROTOCOL.md's examples are vectors, and a client written from the page reads them."""

import decimal
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
                    value, end = plain_client.unpack(body)
                    self.assertEqual(end, len(body))
                    self.assertEqual(value, json.loads(vector["json"], parse_float=number, parse_int=whole))
                    self.assertEqual(plain_client.unpack(plain_client.pack(value))[0], value)

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
