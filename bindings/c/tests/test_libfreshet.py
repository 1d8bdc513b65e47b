"""libfreshet as a program meets it: installed, found by pkg-config, compiled against, and run as its README prints it."""

import os
import pathlib
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "tests" / "integration"))

import support  # noqa: E402  tests/integration/support.py

BUILD = pathlib.Path(os.environ.get("FRESHET_BUILD", support.ROOT / "build" / "release"))
README = (support.ROOT / "bindings" / "c" / "README.md").read_text("utf-8")
ADDRESS = "freshet://127.0.0.1:7400"
WAIT_S = 20


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class InstalledLibrary(support.ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.prefix = pathlib.Path(tempfile.mkdtemp(prefix="freshet-test-"))
        run("cmake", "--install", str(BUILD), "--component", "client", "--prefix", str(cls.prefix))
        libraries = next(cls.prefix.rglob("freshet.pc")).parent.parent
        cls.environment = {
            **os.environ,
            "PKG_CONFIG_PATH": str(libraries / "pkgconfig"),
            "LD_LIBRARY_PATH": str(libraries),
        }
        cls.libraries = libraries

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.prefix, ignore_errors=True)
        super().tearDownClass()

    def flags(self, *arguments):
        text = run("pkg-config", f"--define-variable=prefix={self.prefix}", *arguments, "freshet", env=self.environment)
        return text.split()

    def compile(self, source, *extra):
        program = self.prefix / "program"
        path = self.prefix / "program.c"
        path.write_text(source.replace(ADDRESS, f"freshet://{self.server.ready['wire']}"), "utf-8")
        run("cc", "-Wall", "-Wextra", "-Werror", "-std=c99", "-D_GNU_SOURCE", str(path), "-o", str(program), *extra)
        return program

    def ten_lines(self):
        return re.search(r"## Ten lines\n\n```c\n(.*?)```", README, re.DOTALL).group(1)

    def test_the_ten_lines_of_the_readme_run_as_printed(self):
        program = self.compile(self.ten_lines(), *self.flags("--cflags", "--libs"))
        self.assertIn('"title":"Lamp"', run(str(program), env=self.environment))

    def test_the_static_library_is_enough(self):
        static = str(self.libraries / "libfreshet.a")
        flags = [static if flag == "-lfreshet" else flag for flag in self.flags("--static", "--cflags", "--libs")]
        program = self.compile(self.ten_lines(), *flags)
        self.assertNotIn("libfreshet", run("ldd", str(program)))
        self.assertIn('"title":"Lamp"', run(str(program)))

    def test_nothing_but_the_interface_is_exported(self):
        for command in (["nm", "-D", "--defined-only", self.libraries / "libfreshet.so"],
                        ["nm", "-g", "--defined-only", self.libraries / "libfreshet.a"]):
            names = [line.split()[2].partition("@")[0] for line in run(*map(str, command)).splitlines() if len(line.split()) == 3]
            names = [name for name in names if name != "FRESHET_0"]
            declared = set(re.findall(r"FRESHET_API[^;(]*?(freshet_\w+)\(", "".join(
                path.read_text("utf-8") for path in (self.prefix / "include").iterdir())))
            self.assertEqual(set(names), declared)

    def test_the_headers_are_c99_c11_and_cpp(self):
        for compiler, language, standard in (("cc", "c", "c99"), ("cc", "c", "c11"), ("c++", "c++", "c++11"), ("c++", "c++", "c++17")):
            run(compiler, "-x", language, f"-std={standard}", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only",
                "-I", str(self.prefix / "include"), "-", input="#include <freshet_async.h>\n#include <freshet.h>\n")

    def test_the_example_of_an_event_loop_goes_on_after_a_restart(self):
        source = (support.ROOT / "examples" / "c" / "loop.c").read_text("utf-8")
        program = self.compile(source, *self.flags("--cflags", "--libs"))
        server = support.Server(["--wire", f"127.0.0.1:{support.free_ports(1)[0]}"])
        server.start()
        self.addCleanup(server.remove)
        loop = subprocess.Popen(
            [str(program), f"freshet://{server.ready['wire']}", "products"], stdout=subprocess.PIPE, env=self.environment
        )
        self.addCleanup(loop.stdout.close)
        self.addCleanup(loop.wait)
        self.addCleanup(loop.kill)
        for _ in range(3):
            self.assertIn("there is no such record", self.line(loop))
        self.put(server, "before")
        self.assertIn('"before"', self.line(loop))
        server.stop()
        server.start()
        self.put(server, "behind")
        self.assertIn('"behind"', self.line(loop))

    def put(self, server, title):
        client = server.client()
        client.request("PUT", "/products/1", {"title": title})
        client.close()

    def line(self, process):
        deadline = time.monotonic() + WAIT_S
        line = b""
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            self.assertTrue(left > 0 and select.select([process.stdout], [], [], left)[0], f"nothing came; so far {line!r}")
            byte = os.read(process.stdout.fileno(), 1)
            self.assertNotEqual(byte, b"", "the program has ended")
            line += byte
        return line.decode("utf-8")


if __name__ == "__main__":
    unittest.main()
