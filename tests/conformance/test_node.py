"""The cases, with the driver of this name."""

import unittest

import run

run.make(globals(), "node")

if __name__ == "__main__":
    unittest.main()
