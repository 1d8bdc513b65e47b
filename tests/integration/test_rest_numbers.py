"""Numbers come back digit for digit, and what cannot be kept so is refused."""

import unittest

import support

KEPT = """
0 -0 1 -1 10 1.0 1.50 29.99 0.1 0.10 0.30000000000000004 1E2 1e2 1e+2 1e-2 1E-02 -0.0 -0e0 0e5 100000000000000000000
9007199254740993 9223372036854775807 9223372036854775808 18446744073709551615 18446744073709551616
-9223372036854775808 -9223372036854775809 12345678901234567890123456789012345678
0.12345678901234567890123456789012345678
1.7976931348623157e308 2.2250738585072014e-308 5e-324 1e308 123.4500 3.141592653589793
0.00000000000000000000000000000000000000000001 10000000000000000000000000000000000000
""".split()

REFUSED_422 = """
1e309 -1e309 1e999999999 123456789012345678901234567890123456789 0.123456789012345678901234567890123456789
""".split()

REFUSED_400 = """
01 1. .5 +1 1e 1e+ 0x10 NaN Infinity -Infinity - -- 1_000 1,0 00 -01 1.e1 1d
""".split()


class Numbers(support.ServerTest):
    def test_they_come_back_as_they_were_written(self):
        for text in KEPT:
            written = self.request("PUT", "/pets/n", f'{{"n":{text}}}')
            self.assertIn(written.status, (200, 201), f"{text}: {written}")
            expected = f'{{"id":"n","n":{text}}}'
            self.assertEqual(written.text, expected)
            self.assertEqual(self.request("GET", "/pets/n").text, expected)
            self.assertEqual(self.request("GET", "/pets").text, f"[{expected}]")

    def test_they_outlive_a_restart_a_patch_and_the_cache(self):
        server = support.Server(["--cache-bytes", "0"]).start()
        self.addCleanup(server.remove)
        client = server.client()
        body = '{"n":[' + ",".join(KEPT) + "]}"
        client.request("PUT", "/pets/n", body)
        client.request("PATCH", "/pets/n", '{"m":1.10}')
        client.close()
        server.stop()
        server.start()
        client = server.client()
        self.addCleanup(client.close)
        self.assertEqual(client.request("GET", "/pets/n").text, f'{{"id":"n",{body[1:-1]},"m":1.10}}')

    def test_what_is_beyond_the_limits_is_422(self):
        for text in REFUSED_422:
            self.problem(self.request("PUT", "/pets/bad", f'{{"n":{text}}}'), 422)

    def test_what_is_no_number_is_400(self):
        for text in REFUSED_400:
            self.problem(self.request("PUT", "/pets/bad", f'{{"n":{text}}}'), 400)
        self.assertEqual(self.request("GET", "/pets/bad").status, 404)


if __name__ == "__main__":
    unittest.main()
