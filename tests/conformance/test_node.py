"""The cases, with the driver of this name."""

import pathlib
import subprocess
import unittest

import run

BUILD = pathlib.Path(__file__).resolve().parents[2] / "bindings" / "node" / "build.sh"


def setUpModule():
    subprocess.run([BUILD], check=True)


run.make(globals(), "node")

if __name__ == "__main__":
    unittest.main()
