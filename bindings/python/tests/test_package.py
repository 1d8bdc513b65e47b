"""The package: generated code, types, docstrings, and that pip can install it without a network."""

import importlib.util
import inspect
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import support

import freshet
import freshet.aio


class Generated(unittest.TestCase):
    def test_the_messages_are_what_protoc_makes_of_the_proto(self):
        spec = importlib.util.spec_from_file_location("generate", support.PYTHON / "generate.py")
        generate = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(generate)
        for name, text in generate.generate().items():
            committed = (generate.TARGET / name).read_text("utf-8")
            self.assertEqual(committed, text, f"run bindings/python/generate.py: {name} is old")


class Surface(unittest.TestCase):
    def public(self):
        for module in (freshet, freshet.aio):
            for name in module.__all__:
                yield name, getattr(module, name)

    def test_everything_public_has_a_docstring(self):
        for name, value in self.public():
            if not inspect.isclass(value) and not inspect.isfunction(value):
                continue
            self.assertTrue(value.__doc__, name)
            for member, method in vars(value).items() if inspect.isclass(value) else ():
                if not member.startswith("_") and (inspect.isfunction(method) or isinstance(method, property)):
                    self.assertTrue(method.__doc__ or inspect.getdoc(getattr(value, member)), f"{name}.{member}")

    def test_both_clients_have_the_same_calls_with_the_same_arguments(self):
        for kind in ("Client", "Subscription", "Consumers"):
            blocking, asynchronous = getattr(freshet, kind), getattr(freshet.aio, kind)
            names = {name for name in vars(blocking) if not name.startswith("_")}
            self.assertEqual(names, {name for name in vars(asynchronous) if not name.startswith("_")})
            for name in names:
                one, other = (vars(each)[name] for each in (blocking, asynchronous))
                if inspect.isfunction(one):
                    self.assertEqual(list(inspect.signature(one).parameters.values()),
                                     list(inspect.signature(other).parameters.values()), f"{kind}.{name}")
        self.assertEqual(list(inspect.signature(freshet.connect).parameters.values()),
                         list(inspect.signature(freshet.aio.connect).parameters.values()))

    def test_the_versions_agree(self):
        from freshet import _core
        text = (support.PYTHON / "pyproject.toml").read_text("utf-8")
        self.assertIn(f'version = "{freshet.__version__}"', text)
        self.assertEqual(_core.CLIENT, f"freshet-python/{freshet.__version__}")

    def test_nothing_but_a_client_knows_sockets_and_clocks(self):
        for name in ("_codec", "_core", "_errors", "_feed", "_frames", "_near", "_operations", "_types"):
            text = (support.PYTHON / "src" / "freshet" / f"{name}.py").read_text("utf-8")
            for word in ("import socket", "import time", "import threading", "import asyncio", "import select"):
                self.assertNotIn(word, text, name)

    @unittest.skipUnless(shutil.which("mypy"), "mypy is not installed")
    def test_the_types_are_right(self):
        with tempfile.TemporaryDirectory() as cache:
            ended = subprocess.run(["mypy", "--cache-dir", cache], cwd=support.PYTHON, capture_output=True, text=True)
        self.assertEqual(ended.returncode, 0, ended.stdout)


class Install(unittest.TestCase):
    @unittest.skipUnless(importlib.util.find_spec("pip") and importlib.util.find_spec("wheel"),
                         "pip or wheel is not installed")
    def test_pip_installs_it_without_a_network(self):
        self.install("--no-deps")

    @unittest.skipUnless(importlib.util.find_spec("pip") and importlib.util.find_spec("wheel"),
                         "pip or wheel is not installed")
    def test_pip_installs_it_without_an_environment_to_build_in(self):
        self.install("--no-build-isolation", "--no-deps")

    def install(self, *options):
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder) / "source"
            shutil.copytree(support.PYTHON, source, ignore=shutil.ignore_patterns("__pycache__", ".mypy_cache", "build"))
            target = pathlib.Path(folder) / "target"
            ended = subprocess.run(
                [sys.executable, "-m", "pip", "install", *options, "--no-index", "--quiet", "--target", str(target), str(source)],
                capture_output=True, text=True, timeout=120, env={**os.environ, "PIP_ROOT_USER_ACTION": "ignore"})
            self.assertEqual(ended.returncode, 0, ended.stderr)
            names = {path.name for path in (target / "freshet").iterdir()}
            self.assertLessEqual({"py.typed", "freshet_pb2.pyi", "aio.py", "_core.py"}, names)
            said = subprocess.run(
                [sys.executable, "-c", "import freshet, freshet.aio; print(freshet.__file__)"],
                capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(target)}, cwd=folder)
            self.assertEqual(said.stdout.strip(), str(target / "freshet" / "__init__.py"), said.stderr)


if __name__ == "__main__":
    unittest.main()
