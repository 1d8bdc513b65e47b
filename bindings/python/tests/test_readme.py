"""The README's examples, in its order, against a real server: they print what stands behind the lines."""

import os
import re
import subprocess
import sys
import unittest

import support

TEXT = (support.PYTHON / "README.md").read_text("utf-8")
ADDRESS = "freshet://127.0.0.1:7400"


def examples():
    """(code, the lines that it prints)"""
    for code in re.findall(r"```python\n(.*?)```\n", TEXT, re.DOTALL):
        yield code, re.findall(r"print\(.*\)  # (.*)$", code, re.MULTILINE)


class Readme(support.RealTest):
    def test_each_example_prints_what_it_says(self):
        count = 0
        for code, expected in examples():
            self.assertIn(ADDRESS, code)
            ended = subprocess.run(
                [sys.executable, "-c", code.replace(ADDRESS, self.url)], capture_output=True, text=True,
                timeout=60, env={**os.environ, "PYTHONPATH": str(support.PYTHON / "src")})
            self.assertEqual(ended.returncode, 0, f"{code}\n{ended.stderr}")
            self.assertEqual(ended.stdout.splitlines(), expected, code)
            count += len(expected)
        self.assertGreater(count, 20)

    def test_the_first_one_has_ten_lines(self):
        self.assertEqual(len(next(examples())[0].strip().splitlines()), 10)

    def test_every_error_is_in_the_table(self):
        for name in support.freshet.__all__:
            kind = getattr(support.freshet, name)
            if isinstance(kind, type) and issubclass(kind, Exception):
                self.assertIn(f"`{name}`", TEXT.replace("freshet.FreshetError", "FreshetError"))


if __name__ == "__main__":
    unittest.main()
