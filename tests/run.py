#!/usr/bin/python3
"""Builds, runs the tests, prints every runner's closing lines, and sums them: 'N passed, N failed, N skipped'.

    tests/run.py              everything, as ./dev test
    tests/run.py PART…        some parts: unit, integration, bindings, conformance, coherence, stream, crash, sim,
                              threads, fuzz, tidy, instructions;
                              asan, tsan or clang for all that runs there; asan:unit, tsan:threads, … for one

A part is whatever of these exists; a part without tests is not an error:
    ctest       the tests with the label PART in the part's build folder
    unittest    tests/PART/test_*.py, each file a process of its own, two at a time; they find the server in the
                environment variable FRESHET_BIN and the build folder in FRESHET_BUILD
    bindings    bindings/*/tests/test_*.py in the same way, and bindings/node/run-tests.sh
    check       (tidy only) the rules of tests/tidy/tidy.py, and clang-format
    counts      (instructions only) each count of bench/micro/instructions.py against bench/micro/instructions.json
"""

import concurrent.futures
import dataclasses
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOGS = ROOT / "build" / "logs"
PYTHON = "/usr/bin/python3"
PARALLEL = 2
TAIL_LINES = 60
FILE_TIMEOUT_S = 900
CTEST_OUTPUT_BYTES_MAX = 16 << 20

# (preset, part), in the order of a whole run: what fails soonest and cheapest comes first.
RELEASE_PARTS = [
    "unit", "instructions", "fuzz", "threads", "sim", "coherence", "stream", "integration", "bindings", "conformance",
    "crash",
]
PLAN = (
    [("tidy", "tidy")]
    + [("release", part) for part in RELEASE_PARTS]
    + [("asan", part) for part in ["unit", "fuzz", "sim", "integration"]]
    + [("tsan", part) for part in ["threads"]]
    + [("clang", "unit")]
)
# Parts whose tests load both cores by themselves.
SERIAL_PARTS = {"sim", "coherence", "stream", "crash"}

SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "strict_string_checks=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": f"halt_on_error=1:second_deadlock_stack=1:suppressions={ROOT}/tests/tsan.supp",
}


@dataclasses.dataclass
class Result:
    """What one runner counted; failures are (name, output) of what went wrong."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    closing: list = dataclasses.field(default_factory=list)
    failures: list = dataclasses.field(default_factory=list)

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.closing += other.closing
        self.failures += other.failures

    def fail(self, name, output):
        self.failed += 1
        self.failures.append((name, output))


def without_colours(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


# ---- what the runners say ----

SYNTHESIS = re.compile(
    r"\[====\] Synthesis: Tested: (\d+) \| Passing: (\d+) \| Failing: (\d+) \| Crashing: (\d+)"
)


def parse_criterion(name, output, succeeded):
    """One Criterion executable: its own count of tests, whatever ctest makes of it. None if it is no such thing."""
    found = SYNTHESIS.findall(without_colours(output))
    if not found:
        return None
    result = Result()
    tested, passing, failing, crashing = (int(number) for number in found[-1])
    result.passed = passing
    result.failed = failing + crashing
    result.skipped = max(0, tested - passing - failing - crashing)
    result.closing.append(
        f"{name}: [====] Synthesis: Tested: {tested} | Passing: {passing}"
        f" | Failing: {failing} | Crashing: {crashing}"
    )
    if not succeeded and result.failed == 0:
        result.failed = 1
    if result.failed > 0:
        result.failures.append((name, output))
    return result


def parse_junit(path, output):
    """All tests of one ctest run, from its JUnit file."""
    result = Result()
    for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
        name = case.get("name")
        text = case.findtext("system-out") or ""
        skipped = case.find("skipped")
        succeeded = case.get("status") == "run"
        criterion = parse_criterion(name, text, succeeded)
        if criterion is not None:
            result.add(criterion)
        elif succeeded:
            result.passed += 1
        elif skipped is not None and skipped.get("message", "").startswith(("SKIP_", "Disabled")):
            result.skipped += 1
        else:
            result.fail(name, text or output)
    result.closing += re.findall(r"^\d+% tests passed, .*$", output, re.MULTILINE)
    return result


def parse_unittest(name, output, succeeded):
    """One Python test file: the lines 'Ran N tests in …' and 'OK (…)' or 'FAILED (…)'."""
    result = Result()
    ran = re.findall(r"^Ran (\d+) tests? in .*$", output, re.MULTILINE)
    verdict = re.findall(r"^((?:OK|FAILED|NO TESTS RAN)(?: \(.*\))?)$", output, re.MULTILINE)
    if not ran or not verdict:
        result.fail(name, output)
        result.closing.append(f"{name}: did not finish")
        return result
    numbers = {key.strip(): int(value) for key, value in re.findall(r"([a-z ]+)=(\d+)", verdict[-1])}
    result.skipped = numbers.get("skipped", 0)
    result.failed = sum(numbers.get(key, 0) for key in ("failures", "errors", "unexpected successes"))
    result.passed = max(0, int(ran[-1]) - result.skipped - result.failed)
    if not succeeded and result.failed == 0:
        result.failed = 1
    if result.failed > 0:
        result.failures.append((name, output))
    summary = re.findall(r"^Ran \d+ tests? in .*$", output, re.MULTILINE)[-1]
    result.closing.append(f"{name}: {summary}: {verdict[-1]}")
    return result


def parse_node(name, output, succeeded):
    """node --test: the lines '# pass N' (TAP) or 'ℹ pass N' (spec)."""
    result = Result()
    counts = {key: int(value) for key, value in re.findall(r"^(?:#|ℹ) (\w+) (\d+)$", without_colours(output), re.MULTILINE)}
    if "pass" not in counts:
        result.fail(name, output)
        result.closing.append(f"{name}: did not finish")
        return result
    result.passed = counts["pass"]
    result.skipped = counts.get("skipped", 0) + counts.get("todo", 0)
    result.failed = counts.get("fail", 0) + counts.get("cancelled", 0)
    if not succeeded and result.failed == 0:
        result.failed = 1
    if result.failed > 0:
        result.failures.append((name, output))
    said = ("tests", "pass", "fail", "skipped")
    result.closing.append(f"{name}: " + ", ".join(f"{key} {counts.get(key, 0)}" for key in said))
    return result


# ---- running ----


def run(command, log, cwd=ROOT, environment=None, timeout_s=FILE_TIMEOUT_S):
    """(exit status, output). Whatever the command started and left behind ends with it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    late = ""
    # A file, not a pipe: a process that a test left behind must not keep the runner waiting for the pipe's end.
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            late = f"\n{command[0]}: stopped after {timeout_s} s\n"
        end_group(process.pid)
        process.wait()
    text = log.read_text("utf-8", "replace") + late
    return (1 if late else process.returncode), text


def end_group(group):
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass


def sanitizer_prefix(preset):
    """gcc 12's TSan does not start where the kernel randomises addresses widely; without randomisation it does."""
    command = ["setarch", "-R"]
    if preset != "tsan" or shutil.which("setarch") is None:
        return []
    works = subprocess.run([*command, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0
    return command if works else []


def run_ctest(preset, part):
    build = ROOT / "build" / preset
    junit = LOGS / f"{preset}-{part}.xml"
    junit.unlink(missing_ok=True)
    jobs = 1 if part in SERIAL_PARTS else PARALLEL
    limit = str(CTEST_OUTPUT_BYTES_MAX)
    command = [*sanitizer_prefix(preset), "ctest", "--test-dir", str(build), "-L", f"^{part}$"]
    command += ["-j", str(jobs), "-V", "--no-tests=ignore", "--output-junit", str(junit)]
    command += ["--test-output-size-passed", limit, "--test-output-size-failed", limit]
    log = LOGS / f"{preset}-{part}.log"
    status, output = run(command, log, timeout_s=4 * FILE_TIMEOUT_S)
    if not junit.exists():
        result = Result()
        if status != 0:
            result.fail(f"ctest {part}", output)
        return result
    return parse_junit(junit, output)


def test_environment(preset):
    build = ROOT / "build" / preset
    return {
        **SANITIZER_OPTIONS,
        "FRESHET_BIN": str(build / "freshet"),
        "FRESHET_BUILD": str(build),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }


def run_python_file(preset, path):
    name = path.relative_to(ROOT).as_posix()
    log = LOGS / f"{preset}-{name.replace('/', '-')}.log"
    command = [PYTHON, "-m", "unittest", "-v", path.stem]
    status, output = run(command, log, cwd=path.parent, environment=test_environment(preset))
    return parse_unittest(name, output, status == 0)


def run_python(preset, part):
    result = Result()
    folder = ROOT if part == "bindings" else ROOT / "tests" / part
    files = sorted(folder.glob("bindings/*/tests/test_*.py" if part == "bindings" else "test_*.py"))
    workers = 1 if part in SERIAL_PARTS else PARALLEL
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        node = pool.submit(run_node, preset) if part == "bindings" else None
        for one in pool.map(lambda path: run_python_file(preset, path), files):
            result.add(one)
        if node is not None:
            result.add(node.result())
    return result


def run_node(preset):
    name = "bindings/node/run-tests.sh"
    status, output = run([str(ROOT / name)], LOGS / f"{preset}-node.log", environment=test_environment(preset))
    return parse_node(name, output, status == 0)


def run_check(name, command):
    """A checker that counts as one test."""
    result = Result()
    status, output = run(command, LOGS / f"{name}.log")
    if status == 0:
        result.passed = 1
        result.closing += [f"{name}: {line}" for line in output.splitlines()[-1:]]
    else:
        result.fail(name, output)
    return result


def run_tidy():
    result = run_check("tidy", [PYTHON, "-B", "tests/tidy/tidy.py"])
    folders = ["protocol", "engine", "net", "bindings", "bench", "tests"]
    sources = [
        str(path)
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in (".c", ".h", ".cc") and "node_modules" not in path.parts
    ]
    result.add(run_check("clang-format", ["clang-format", "--dry-run", "-Werror", *sources]))
    return result


COUNTED = re.compile(r"^(\d+) counted, (\d+) wrong.*$", re.MULTILINE)


def parse_instructions(name, output, succeeded):
    """The closing line of ./dev bench instructions; each count is a test."""
    result = Result()
    found = COUNTED.search(output)
    if found is None or succeeded != (found[2] == "0"):
        result.fail(name, output)
        return result
    result.failed = int(found[2])
    result.passed = int(found[1]) - result.failed
    result.closing.append(f"{name}: {found[0]}")
    if result.failed > 0:
        result.failures.append((name, output))
    return result


def run_instructions(preset):
    command = [PYTHON, "-B", "bench/run.py", "instructions", "--build", f"build/{preset}"]
    status, output = run(command, LOGS / f"{preset}-instructions.log")
    return parse_instructions("instructions", output, status == 0)


def run_part(preset, part):
    result = Result()
    if part == "tidy":
        result.add(run_tidy())
    elif part == "instructions":
        result.add(run_instructions(preset))
    else:
        result.add(run_ctest(preset, part))
    result.add(run_python(preset, part))
    return result


# ---- the whole ----


def say(text):
    print(text, flush=True)


def report(title, result, seconds):
    if result.passed + result.failed + result.skipped == 0:
        say(f"{title}: no tests")
        return
    for line in result.closing:
        say(f"  {line}")
    for name, output in result.failures:
        say(f"--- {title}: {name} failed; the end of its output:")
        say("\n".join(output.splitlines()[-TAIL_LINES:]))
        say("---")
    say(
        f"{title}: {result.passed} passed, {result.failed} failed, {result.skipped} skipped"
        f" in {seconds:.0f} s"
    )


def build(preset):
    """None when it built, else a result with one failure."""
    say(f"== build {preset}")
    status, output = run(
        [str(ROOT / "dev"), "build", preset], LOGS / f"build-{preset}.log", timeout_s=4 * FILE_TIMEOUT_S
    )
    if status == 0:
        return None
    result = Result()
    # What failed comes first; ninja goes on with what it had begun.
    first = output.find("FAILED:")
    end = "" if first < 0 else "\n".join(output[first:].splitlines()[: TAIL_LINES // 2]) + "\n"
    result.fail(f"build {preset}", end or output)
    return result


def choose(arguments):
    """The (preset, part) pairs that the arguments ask for; raises KeyError with one that means nothing."""
    if not arguments:
        return PLAN
    chosen = []
    for argument in arguments:
        preset, _, part = argument.rpartition(":")
        if part in ("asan", "tsan", "clang", "release") and not preset:
            chosen += [pair for pair in PLAN if pair[0] == part]
        elif part == "tidy":
            chosen.append(("tidy", "tidy"))
        elif part == "instructions" and preset not in ("", "release"):
            raise KeyError(argument)  # other builds have other counts
        elif part in RELEASE_PARTS and preset in ("", "release", "debug", "asan", "tsan", "clang"):
            chosen.append((preset or "release", part))
        else:
            raise KeyError(argument)
    return chosen


def main(arguments):
    try:
        plan = choose(arguments)
    except KeyError as error:
        print(f"tests/run.py: no such part: {error.args[0]}\n{__doc__}", file=sys.stderr)
        return 2
    total = Result()
    broken = set()
    built = {"tidy"}
    for preset, part in plan:
        title = part if preset == part else f"{preset}:{part}"
        started = time.monotonic()
        if preset not in built:
            built.add(preset)
            failure = build(preset)
            if failure is not None:
                broken.add(preset)
                report(f"build {preset}", failure, time.monotonic() - started)
                total.add(failure)
        if preset in broken:
            say(f"{title}: not run, because {preset} did not build")
            continue
        started = time.monotonic()
        say(f"== {title}")
        result = run_part(preset, part)
        report(title, result, time.monotonic() - started)
        total.add(result)
    say(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped")
    return 0 if total.failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
