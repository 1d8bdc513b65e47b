"""Numbers keep their digits through MessagePack and JSON text, and what is no JSON is refused."""

import copy
import pickle
import unittest
from decimal import Decimal

import support  # noqa: F401  puts the package on the path

import freshet
from freshet import _codec

KEPT = """
0 -0 1 -1 10 1.0 1.50 29.99 0.1 0.10 0.30000000000000004 1E2 1e2 1e+2 1e-2 1E-02 -0.0 -0e0 0e5 100000000000000000000
9007199254740993 9223372036854775807 9223372036854775808 18446744073709551615 18446744073709551616
-9223372036854775808 -9223372036854775809 12345678901234567890123456789012345678
0.12345678901234567890123456789012345678 1e16 1e22 1.5e-7 0.0001 0.00001 1e-5 123456789012345.6
1.7976931348623157e308 2.2250738585072014e-308 5e-324 1e308 123.4500 3.141592653589793
0.00000000000000000000000000000000000000000001 10000000000000000000000000000000000000
""".split()


def through(value):
    return _codec.unpack(_codec.pack([value]))[0]


class Numbers(unittest.TestCase):
    def test_their_text_survives_both_ways(self):
        for text in KEPT:
            value = freshet.loads(text)
            self.assertEqual(freshet.dumps(value), text)
            self.assertEqual(freshet.dumps(through(value)), text)
            self.assertEqual(through(value), value)
            self.assertEqual(Decimal(str(value)), Decimal(text))

    def test_each_has_the_simplest_type_that_keeps_it(self):
        types = {"1": int, "1.5": float, "1.0": float, "1.50": Decimal, "1e2": Decimal, "1e16": float,
                 "18446744073709551616": int, "-0": Decimal, "-0.0": float}
        for text, kind in types.items():
            self.assertIsInstance(freshet.loads(text), kind)
            self.assertIsInstance(through(freshet.loads(text)), kind)

    def test_a_decimal_that_a_number_of_messagepack_gives_back_is_sent_as_that(self):
        self.assertEqual(_codec.pack(Decimal("29.99")), _codec.pack(29.99))
        self.assertEqual(_codec.pack(Decimal(7)), _codec.pack(7))
        self.assertEqual(_codec.pack(Decimal("1.50")), b"\xd6\x011.50")
        self.assertEqual(_codec.pack(1 << 64), b"\xc7\x14\x01" + str(1 << 64).encode())
        self.assertEqual(_codec.pack((1 << 64) - 1), b"\xcf" + b"\xff" * 8)
        self.assertEqual(_codec.pack(-(1 << 63) - 1)[:2], b"\xc7\x14")

    def test_a_text_survives_copying(self):
        value = freshet.loads("1E2")
        for one in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
            self.assertEqual((one, freshet.dumps(one)), (Decimal(100), "1E2"))
        self.assertEqual(freshet.dumps(value + 1), "101")

    def test_what_is_no_number_is_refused_when_it_comes(self):
        for data in (b"", b"x", b"01", b"1.", b"NaN", b"Infinity", b"1e", b" 1", b"1\n", b"\xff", b"9" * 2000,
                     b"1e99999999999999999999", "١".encode()):
            with self.assertRaises(freshet.ProtocolError):
                _codec.unpack(b"\xc8" + len(data).to_bytes(2, "big") + b"\x01" + data)
        with self.assertRaises(freshet.ProtocolError):
            _codec.unpack(b"\xd4\x02x")


class Documents(unittest.TestCase):
    def test_what_is_json_goes_through_and_keeps_the_order_of_members(self):
        document = {"z": None, "a": [True, False, {"ü": "\u0000😀"}], "m": {"": ""}, "n": -5}
        _codec.check_document(document)
        self.assertEqual(list(through(document)), ["z", "a", "m", "n"])
        self.assertEqual(freshet.loads(freshet.dumps(document)), document)
        self.assertEqual(through((1, 2)), [1, 2])

    def test_what_is_not_is_refused(self):
        for value in (float("nan"), float("inf"), Decimal("NaN"), Decimal("-Infinity"), b"x", {1}, object(), 1j):
            for document in ({"x": value}, {"x": [value]}, {"x": {"y": value}}):
                with self.assertRaises(freshet.Invalid):
                    _codec.check_document(document)
            with self.assertRaises(freshet.Invalid):
                freshet.dumps({"x": value})
        for document in ([], "x", None, 1, {1: 1}, {None: 1}, {"x": {2: 3}}):
            with self.assertRaises(freshet.Invalid):
                _codec.check_document(document)

    def test_depth_is_bounded(self):
        def nested(depth):
            value = 1
            for _ in range(depth):
                value = {"x": value}
            return value

        _codec.check_document(nested(_codec.DEPTH_MAX))
        with self.assertRaises(freshet.Invalid):
            _codec.check_document(nested(_codec.DEPTH_MAX + 1))
        endless = {}
        endless["x"] = endless
        with self.assertRaises(freshet.Invalid):
            _codec.check_document(endless)


if __name__ == "__main__":
    unittest.main()
