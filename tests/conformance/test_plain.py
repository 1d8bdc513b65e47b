"""The cases, with the driver of this name."""

import unittest

import run

run.make(globals(), "plain")

if __name__ == "__main__":
    unittest.main()
