"""The README's programs print what the README says, in each language; its commands for a shell work."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))

import support  # noqa: E402  tests/integration/support.py

ADDRESS = "freshet://127.0.0.1:7400"
BUILD = pathlib.Path(os.environ.get("FRESHET_BUILD", ROOT / "build" / "release"))


def section():
    text = (ROOT / "README.md").read_text("utf-8")
    return text.partition("## From a program")[2].partition("\n## ")[0]


class Programs(support.ServerTest):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def program(self, language, mark):
        """The block in that language with this server's address, and what it says that it prints."""
        blocks = re.findall(rf"```{language}\n(.*?)```", section(), re.DOTALL)
        self.assertEqual(len(blocks), 1)
        self.assertIn(ADDRESS, blocks[0])
        # An import and an #include are followed by how to install what they name.
        lines = [line for line in blocks[0].splitlines() if not re.match(r"#include|import ", line)]
        expected = [line.partition(mark)[2].strip() for line in lines if mark in line]
        return blocks[0].replace(ADDRESS, f"freshet://{self.server.ready['wire']}"), expected

    def check(self, command, expected, **environment):
        ended = subprocess.run([str(word) for word in command], cwd=self.folder, capture_output=True, text=True, timeout=60,
                               env={**os.environ, **environment})
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        self.assertGreater(len(expected), 0)
        self.assertEqual(ended.stdout.splitlines(), expected)

    def test_python(self):
        program, expected = self.program("python", "  # ")
        (self.folder / "lamp.py").write_text(program, "utf-8")
        self.check(["/usr/bin/python3", "lamp.py"], expected, PYTHONPATH=str(ROOT / "bindings" / "python" / "src"))

    def test_node(self):
        subprocess.run([ROOT / "bindings" / "node" / "build.sh"], check=True, timeout=600)
        program, expected = self.program("js", "  // ")
        (self.folder / "node_modules").mkdir()
        (self.folder / "node_modules" / "freshet").symlink_to(ROOT / "bindings" / "node")
        (self.folder / "lamp.mjs").write_text(program, "utf-8")
        self.check(["node", "lamp.mjs"], expected)

    def test_c(self):
        program, expected = self.program("c", "  // ")
        (self.folder / "rex.c").write_text(program, "utf-8")
        subprocess.run(["cmake", "--install", BUILD, "--component", "client", "--prefix", self.folder / "usr"], check=True,
                       stdout=subprocess.DEVNULL, timeout=60)
        found = list((self.folder / "usr").rglob("freshet.pc"))
        self.assertEqual(len(found), 1)
        library = found[0].parent.parent
        subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", "-I", self.folder / "usr" / "include", "rex.c", "-o", "rex", "-L", library,
                        "-lfreshet", f"-Wl,-rpath,{library}"], cwd=self.folder, check=True, timeout=60)
        self.check([self.folder / "rex"], expected)

    def test_shell(self):
        (block,) = re.findall(r"```sh\n(.*?)```", section(), re.DOTALL)
        commands = [line for line in block.splitlines() if line.startswith("freshet ")]
        self.assertEqual(len(commands), 3)
        script = "\n".join(re.sub(r"^freshet", str(BUILD / "freshet"), command) for command in commands)
        # The last one follows changes until it is told to stop; here after the snapshot's record.
        ended = subprocess.run(["bash", "-c", f"set -e\n{script} --count 1"], capture_output=True, text=True, timeout=60,
                               env={**os.environ, "FRESHET_URL": f"freshet://{self.server.ready['wire']}"})
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertIn('"title":"Lamp"', ended.stdout.replace(" ", ""))


if __name__ == "__main__":
    unittest.main()
