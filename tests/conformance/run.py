"""Runs cases/*.yaml against a real server, through the proxy, with one driver (DRIVER.md says what that is).

    python3 tests/conformance/run.py c|python|node|plain [WORD…]     cases whose file or name has one of the words; all without

tests/run.py runs the same through test_c.py, test_python.py, test_node.py and test_plain.py. A file of cases:

    server: { arguments: […], config: "…" }        what the server is started with; one server for each file and driver
    cases:
      - name: a sentence
        core: true                                  plain_client.py passes it as well
        skip: { node: why }                         what a language cannot do, and its page says so
        steps:
          - put: { collection: pets, id: rex, document: '{"age":3}' }       an operation of DRIVER.md and its members
            expect: { created: true }               members of the answer that must be so; texts that are JSON are compared as
                                                    JSON with numbers digit for digit; `any` is anything but null
            save: { E: etag }                       later texts may say ${E}
          - get: { collection: pets, id: none }
            error: { code: 404, type: "", detail: part of it }      code: [0, 400] is one of them: 0 when the client finds it itself
          - rest: { method: PUT, path: /pets/a, body: '{}' }        expect: { status, json }
          - server: stop | kill | start | restart | terminate       terminate: SIGTERM, while it goes on
          - proxy: { delay: to_client, seconds: 0.1 } | { hold: … } | { resume: … } | { cut: now } | { cut_after: …, bytes: N } | { refuse: true }
          - subscribe_refused: { … }                    a subscribe that fails, or whose first `next` does
          - get_other: { …, than: text }                 a get that may fail, but shows anything but this
          - maybe_put: { … }                            a put that may fail because the connection does
          - rising: '${CHANGES}'                        saved changes, whose sequences must rise; expect: { sequences: how many }
          - distinct: ['${A}', '${B}']                  records of a snapshot in saved changes, each once; expect: { ids: how many }
          - foreign_position: {}                        save: { P: position }, of another store
          - disk: fail | damage | mend                  the server's writes fail, or records on it are damaged; until mend or, of writes, a restart
          - metric: name{labels}                        expect: { value }, of /metrics
          - sleep: seconds
          - repeat: 20
            steps: […]                              ${i} counts from 0
            until: true                             the steps are tried until one turn passes, at most `repeat` times

`connect` gets the url of the proxy. There are ${KILOBYTE} and ${MEGABYTE} of text, ${LONG_ID} of 513 bytes, and ${NOW}, another at each use.
"""

import contextlib
import json
import os
import pathlib
import queue
import re
import signal
import subprocess
import sys
import threading
import time
import unittest

import yaml

import damage
import proxy as proxies

FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
sys.path.insert(0, str(FOLDER.parent / "integration"))
import support  # noqa: E402  the server of the integration tests

BUILD = pathlib.Path(os.environ.get("FRESHET_BUILD", ROOT / "build" / "release"))
DRIVERS = {
    "c": [str(BUILD / "tests" / "conformance" / "conformance_driver")],
    "python": [sys.executable, str(FOLDER / "drivers" / "driver.py")],
    "node": ["node", str(FOLDER / "drivers" / "driver.mjs")],
    "plain": [sys.executable, str(FOLDER / "drivers" / "plain.py")],
}
ANSWER_TIMEOUT_S = 60
PAUSE_S = 0.05


class Unsupported(Exception):
    """The binding has nothing for it."""


def build_node():
    """bindings/node is built when it is used; this is quick when nothing has changed."""
    subprocess.run([ROOT / "bindings" / "node" / "build.sh"], stdout=sys.stderr, check=True)


class Driver:
    """A child process that is told operations and answers them in their order."""

    def __init__(self, name, environment=None):
        self.name = name
        if name == "node":
            build_node()
        self.process = subprocess.Popen(
            DRIVERS[name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
        )
        self.answers = queue.Queue()
        self.asked = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        with contextlib.suppress(ValueError):  # closed while it is read
            for line in self.process.stdout:
                self.answers.put(line)
        self.answers.put(None)

    def tell(self, operation, **members):
        line = json.dumps({"op": operation, **{name: value for name, value in members.items() if value is not None}})
        self.asked.append(line)
        try:
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # the answer says so

    def answer(self, timeout_s=ANSWER_TIMEOUT_S):
        """The next answer, whole."""
        asked = self.asked.pop(0)
        try:
            line = self.answers.get(timeout=timeout_s)
        except queue.Empty:
            raise AssertionError(f"{self.name}: no answer within {timeout_s} s to {asked[:500]}") from None
        if line is None:
            raise AssertionError(f"{self.name}: the driver ended ({self.process.wait(10)}) at {asked[:500]}")
        answer = json.loads(line)
        if "unsupported" in answer:
            raise Unsupported(f"{self.name}: {answer['unsupported']}")
        return answer

    def ask(self, operation, timeout_s=ANSWER_TIMEOUT_S, **members):
        self.tell(operation, **members)
        return self.answer(timeout_s)

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            status = self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.process.stdout.close()
        return status


# ---- comparing ----


class Digits(str):
    """A number, as it is written."""

    __slots__ = ()

    def __repr__(self):
        return f"number {str(self)}"


def exact(text):
    """JSON with its numbers as they are written. ValueError when it is none."""

    def constant(word):
        raise ValueError(word)

    return json.loads(text, parse_float=Digits, parse_int=Digits, parse_constant=constant)


def is_json(text):
    return isinstance(text, str) and text[:1] in ("{", "[")


def difference(expected, found, path=""):
    """None when `found` is what is expected, else where it is not and why. Objects may have more members."""
    if expected == "any":
        return f"{path}: nothing" if found is None else None
    if isinstance(expected, dict) and isinstance(found, dict):
        pairs = [(f"{path}.{name}", member, found.get(name)) for name, member in expected.items()]
    elif isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            return f"{path}: {len(found)} instead of {len(expected)}: {shorten(found)}"
        pairs = [(f"{path}[{place}]", *pair) for place, pair in enumerate(zip(expected, found))]
    elif is_json(expected) and is_json(found):
        same = exact(expected) == exact(found)
        return None if same else f"{path}: {shorten(found)} instead of {shorten(expected)}"
    else:
        return None if expected == found else f"{path}: {shorten(found)} instead of {shorten(expected)}"
    return next((one for one in (difference(want, have, where) for where, want, have in pairs) if one), None)


def shorten(value):
    text = repr(value)
    return text if len(text) < 400 else f"{text[:400]}… ({len(text)} characters)"


def error_difference(expected, answer):
    if "error" not in answer:
        return f"no error but {shorten(answer)}"
    error = answer["error"]
    detail = expected.get("detail", "")
    if detail not in error.get("detail", ""):
        return f"detail {error.get('detail')!r} without {detail!r}"
    codes = expected.get("code", [])
    if isinstance(codes, list) and codes and error["code"] not in codes:
        return f"code {error['code']} is none of {codes}"
    done = ("detail", "code") if isinstance(codes, list) else ("detail",)
    return difference({name: value for name, value in expected.items() if name not in done}, error, "error")


def filled(value, saved):
    """${NAME} in texts, replaced; a text that is nothing but one takes the value as it is."""
    if isinstance(value, str):
        whole = re.fullmatch(r"\$\{(\w+)\}", value)
        if whole and whole[1] in saved:
            return saved[whole[1]]
        return re.sub(r"\$\{(\w+)\}", lambda found: str(saved[found[1]]), value)
    if isinstance(value, dict):
        return {name: filled(member, saved) for name, member in value.items()}
    if isinstance(value, list):
        return [filled(item, saved) for item in value]
    return value


# ---- running ----


class World:
    """A server, the proxy in front of it, and a driver."""

    def __init__(self, driver, options=None):
        options = options or {}
        self.server = support.Server(options.get("arguments", ()), options.get("config")).start()
        self.proxy = proxies.Proxy(self.wire_port).start()
        self.name = driver
        self.driver = Driver(driver)
        self.damage = None
        self.rest = self.server.client()

    @property
    def wire_port(self):
        return int(self.server.ready["wire"].rpartition(":")[2])

    @property
    def url(self):
        return f"freshet://127.0.0.1:{self.proxy.port}"

    def begin(self):
        """Before a case: all is as at the start but for the records."""
        self.proxy.clear()
        self.mend()
        if self.driver.process.poll() is not None or self.driver.asked:
            self.driver.close()
            self.driver = Driver(self.name)
        if self.server.process is None:
            self.start_server()

    def start_server(self):
        self.server.start()
        self.proxy.target = self.wire_port
        self.rest.close()
        self.rest = self.server.client()

    def mend(self):
        if self.damage is not None:
            self.damage.mend()
            self.damage = None
        if self.server.process is not None:
            self.server.mend_writes()

    def close(self):
        with contextlib.suppress(AssertionError):  # how a server ended is told below, when all is put away
            self.mend()
        status = self.driver.close()
        self.proxy.stop()
        self.rest.close()
        ended = self.server.stop()
        log = self.server.log()
        self.server.remove()
        if status != 0:
            raise AssertionError(f"{self.name}: the driver ended with {status}")
        if ended != 0:
            raise AssertionError(f"the server ended with {ended}:\n{log}")


class Case:
    """Carries out the steps of one case; raises AssertionError at the first that is not as expected."""

    WORDS = ("expect", "error", "save", "steps", "repeat", "until", "timeout_s")

    def __init__(self, world):
        self.world = world
        self.saved = {"KILOBYTE": "k" * 1000, "MEGABYTE": "m" * 1000000, "LONG_ID": "i" * 513}

    def run(self, steps):
        for step in steps:
            if "repeat" in step:
                self.repeat(step)
                continue
            names = [name for name in step if name not in self.WORDS]
            if len(names) != 1:
                raise ValueError(f"a step is one operation: {step}")
            self.saved["NOW"] = time.monotonic_ns()
            self.step(names[0], filled(step[names[0]], self.saved), step)

    def repeat(self, step):
        for turn in range(step["repeat"]):
            self.saved["i"] = turn
            try:
                self.run(step["steps"])
            except AssertionError:
                if not step.get("until") or turn == step["repeat"] - 1:
                    raise
                time.sleep(PAUSE_S)  # pause between tries
                continue
            if step.get("until"):
                return

    def step(self, name, members, step):
        special = getattr(self, f"do_{name}", None)
        if special is not None:
            answer = special(members)
        else:
            answer = self.world.driver.ask(name, **self.complete(name, members))
        if answer is None:
            return
        wrong = self.judge(answer, step)
        if wrong:
            raise AssertionError(f"{name} {shorten(members)}: {wrong}")
        for variable, member in step.get("save", {}).items():
            self.saved[variable] = answer["ok"][member]

    def judge(self, answer, step):
        if "error" in step:
            return error_difference(filled(step["error"], self.saved), answer)
        if "ok" not in answer:
            return shorten(answer)
        return difference(filled(step.get("expect", {}), self.saved), answer["ok"])

    def complete(self, name, members):
        return {"url": self.world.url, **members} if name == "connect" else members

    # ---- what is no operation of a driver ----

    def do_rest(self, members):
        body = members.get("body")
        answer = self.world.rest.request(members["method"], members["path"], body, members.get("headers"))
        text = answer.body.decode()
        shown = {"status": answer.status, "json": text, "etag": answer.headers.get("etag")}
        return {"ok": {**shown, "position": answer.headers.get("freshet-position")}}

    def do_subscribe_refused(self, members):
        answer = self.world.driver.ask("subscribe", **members)
        return answer if "error" in answer else self.world.driver.ask("next", name=members["name"], timeout_ms=10000)

    def do_get_other(self, members):
        than = members.pop("than")
        answer = self.world.driver.ask("get", **members)
        if "ok" in answer and answer["ok"]["record"] == than:
            raise AssertionError(f"still {than}: {answer}")
        return {"ok": {}}

    def do_maybe_put(self, members):
        answer = self.world.driver.ask("put", **members)
        if "ok" in answer or answer["error"]["code"] == 0 or answer["error"]["type"] == "outcome-unknown":
            return {"ok": {}}
        return answer

    @staticmethod
    def do_rising(changes):
        sequences = [int(change["sequence"]) for change in changes]
        if sequences != sorted(set(sequences)):
            raise AssertionError(f"sequences that do not rise: {sequences}")
        return {"ok": {"sequences": len(sequences)}}

    @staticmethod
    def do_distinct(lists):
        ids = [change["id"] for changes in lists for change in changes if change["event"] == "SNAPSHOT"]
        twice = [one for one in ids if ids.count(one) > 1]
        if twice:
            raise AssertionError(f"more than once in a snapshot: {twice}")
        return {"ok": {"ids": len(ids)}}

    @staticmethod
    def do_foreign_position(_):
        other = support.Server().start()
        try:
            return {"ok": {"position": other.ready["position"]}}
        finally:
            other.stop()
            other.remove()

    @staticmethod
    def do_sleep(seconds):
        time.sleep(seconds)  # pause between tries: the time itself is what the case is about

    def do_server(self, what):
        server = self.world.server
        if what in ("stop", "restart"):
            if server.stop() != 0:
                raise AssertionError(f"the server did not end well:\n{server.log()}")
        elif what == "kill":
            server.kill()
        elif what == "terminate":
            server.process.send_signal(signal.SIGTERM)
        elif what == "gone":
            server.process.wait(support.STOP_TIMEOUT_S)
            server.kill()
        if what in ("start", "restart"):
            self.world.start_server()

    def do_disk(self, what):
        if what == "fail":
            # Behind the header of the journal's first segment; the log, which is a file as well, is shorter.
            self.world.server.fail_writes(4096)
        elif what == "damage":
            self.world.damage = damage.Damage(self.world.server.data)
        else:
            self.world.mend()

    def do_metric(self, name):
        lines = self.world.rest.request("GET", "/metrics").text.splitlines()
        values = [line.rpartition(" ")[2] for line in lines if line.rpartition(" ")[0] == name]
        return {"ok": {"value": int(values[0]) if values else 0}}

    def do_proxy(self, command):
        ((name, value),) = [(name, value) for name, value in command.items() if name not in ("seconds", "bytes")]
        proxy = self.world.proxy
        arguments = {
            "delay": (value, command.get("seconds")),
            "cut_after": (value, command.get("bytes")),
            "resume": (None if value == "all" else value,),
            "cut": (),
        }
        getattr(proxy, name)(*arguments.get(name, (value,)))


def load(path):
    return yaml.safe_load(path.read_text("utf-8"))


def make_class(driver, path):
    """A TestCase with a method for each case of the file."""
    content = load(path)

    class Cases(unittest.TestCase):
        world = None

        @classmethod
        def setUpClass(cls):
            cls.world = World(driver, content.get("server"))

        @classmethod
        def tearDownClass(cls):
            cls.world.close()

        def setUp(self):
            self.world.begin()

        def carry_out(self, case):
            try:
                Case(self.world).run(case["steps"])
            except Unsupported as words:
                self.skipTest(str(words))

    for place, case in enumerate(content["cases"]):
        if (driver == "plain" and not case.get("core")) or driver in case.get("skip", {}):
            continue

        def method(self, case=case):
            self.carry_out(case)

        method.__doc__ = case["name"]
        words = re.sub(r"\W+", "_", case["name"])
        setattr(Cases, f"test_{place:02}_{words}", method)
    Cases.__name__ = Cases.__qualname__ = f"{driver}_{path.stem}"
    return Cases


def make(module, driver, words=()):
    """Puts the cases of all files into a module's names, for unittest to find."""
    for path in sorted((FOLDER / "cases").glob("*.yaml")):
        cases = make_class(driver, path)
        tests = [name for name in vars(cases) if name.startswith("test_")]
        for name in tests:
            if words and not any(word in path.stem or word in name for word in words):
                delattr(cases, name)
        if any(name.startswith("test_") for name in vars(cases)):
            module[cases.__name__] = cases


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in DRIVERS:
        sys.exit(__doc__)
    make(globals(), sys.argv[1], sys.argv[2:])
    unittest.main(argv=sys.argv[:1], verbosity=2)
