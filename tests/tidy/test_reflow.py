#!/usr/bin/python3
"""reflow.py breaks what is too long, keeps what is not, and does nothing the second time."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import reflow  # noqa: E402  (the folder of this file has to be on the path first)

WORDS = "word " * 18 + "word"  # 94 columns


class ReflowTest(unittest.TestCase):
    def check(self, text, expected):
        self.assertEqual(reflow.reflow(text), expected)
        self.assertEqual(reflow.reflow(expected), expected)

    def test_a_comment_that_fits_stays_as_it_is(self):
        for text in [f"/* {WORDS} */\n", "/*\n *  drawn -> so   \n */\n", "int a; /* b */\n"]:
            self.check(text, text)

    def test_a_long_line_is_broken(self):
        self.check(f"/* {WORDS} and more */\n", f"/* {WORDS}\n * and more */\n")

    def test_the_overflow_joins_the_rest_of_its_paragraph(self):
        self.check(
            f"/*\n * {WORDS} and more\n * follows.\n *\n * Next.\n */\n",
            f"/*\n * {WORDS}\n * and more follows.\n *\n * Next.\n */\n",
        )

    def test_rows_keep_their_hanging_indent(self):
        self.check(
            f"/*\n * Owner:     {WORDS}\n * Memory:    none.\n */\n",
            "/*\n * Owner:     " + "word " * 16 + "word\n *            word word\n * Memory:    none.\n */\n",
        )

    def test_a_layout_stays_a_layout(self):
        self.check(
            f"/*\n *     0  u8 kind\n *    16  u32 {WORDS}\n *    28  id\n */\n",
            "/*\n *     0  u8 kind\n *    16  u32 " + "word " * 16 + "word\n *        word word\n *    28  id\n */\n",
        )

    def test_a_comment_behind_code_moves_above_it(self):
        self.check(f"    int a; /* {WORDS} */\n", f"    /* {WORDS[:-5]}\n     * word */\n    int a;\n")

    def test_a_declaration_broken_for_its_comment_becomes_one_line_again(self):
        self.check(f"    uint64_t\n        a; /* {WORDS} */\n", f"    /* {WORDS[:-5]}\n     * word */\n    uint64_t a;\n")

    def test_literals_that_look_like_comments_are_left_alone(self):
        text = f'const char *a = "/* {WORDS} and more */";\n'
        self.check(text, text)


if __name__ == "__main__":
    unittest.main()
