#!/usr/bin/python3
"""The rules of this repository that a script can check. `./dev lint` runs it; each finding is 'file:line: rule: what to do'.

    tests/tidy/tidy.py [--root DIR] [--no-compile] [FILE…]

Without files all sources are checked. Every rule is a function that yields findings; tests/tidy/test_tidy.py shows each
one firing. A rule without an exception is a better rule; those that stand are in the tables below, with their reason.
"""

import argparse
import concurrent.futures
import dataclasses
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 800
LINE_COLUMNS_MAX = 100
FOLDERS = ("protocol", "engine", "net", "bindings", "bench", "tests")
LAYERED = ("protocol", "engine", "net")
C_SUFFIXES = (".c", ".h", ".cc")
CACHE = pathlib.Path("build/tidy-cache.json")

# layer -> the layers it may include. bindings link protocol alone; bench and tests may use anything.
MAY_INCLUDE = {
    "protocol": {"protocol"},
    "engine": {"engine", "protocol"},
    "net": {"net", "engine", "protocol"},
    "bindings": {"bindings", "protocol"},
}

# file -> what it may include from above all the same: the program is where both sides meet.
MAY_INCLUDE_TOO = {"net/server/main.c": {"bindings/cli/cli.h"}}

# What CMake makes of protocol/freshet.proto: protocol's, though no file of the tree.
GENERATED = {"freshet.pb-c.h"}

# header -> (the only places that may include it, what to do instead)
CONFINED = [
    (r"liburing(\.h|/.*)", ("net/ring/", "bench/", "tests/"), "use net/ring/ring.h"),
    (r"rocksdb/.*", ("engine/store/", "tests/"), "use engine/store/store.h"),
    (r"rapidjson/.*", ("protocol/document/json_parse.cc",), "use protocol/document"),
    (r"(llhttp/)?llhttp\.h", ("net/http/", "tests/"), "use net/http"),
    (r"cyaml/.*", ("net/server/", "tests/"), "use net/server's configuration"),
]

# What makes a layer depend on threads or on the time of day.
PURE_LAYERS = ("protocol", "engine")
# In the engine a short lock may guard what shard and store threads share; nothing there waits for an event.
LOCKS = re.compile(r"pthread\.h|pthread_mutex_(?!timed)\w+")
# file -> calls it may make all the same.
IMPURE_ALLOWED = {
    # A flush job, on a store thread, waits for RocksDB, whose C API can neither wait for a flush nor report its end.
    "engine/store/store_rocksdb.c": {"nanosleep"},
}
IMPURE_HEADERS = re.compile(r"pthread\.h|threads\.h|sys/time\.h|sys/socket\.h|netinet/.*|sys/epoll\.h|poll\.h")
IMPURE_CALLS = re.compile(
    r"\b(pthread_\w+|thrd_\w+|mtx_\w+|cnd_\w+|clock_gettime|clock|time|gettimeofday|timespec_get|nanosleep|usleep|sleep)\s*\("
)

BANNED_CALLS = {
    "strcpy": "copy with a length (memcpy, or a writer of protocol/base/bytes.h)",
    "strcat": "use a writer of protocol/base/bytes.h",
    "strncpy": "copy with a length (memcpy)",
    "strncat": "use a writer of protocol/base/bytes.h",
    "sprintf": "use snprintf, or a writer of protocol/base/bytes.h",
    "vsprintf": "use vsnprintf",
    "strtok": "use a reader of protocol/base/bytes.h",
    "gets": "use fgets",
    "atoi": "parse with checks (it cannot report an error)",
    "atol": "parse with checks (it cannot report an error)",
    "atoll": "parse with checks (it cannot report an error)",
    "atof": "parse with checks (it cannot report an error)",
    "alloca": "take memory from the request's arena",
    "rand": "use a seeded generator, and print the seed",
    "srand": "use a seeded generator, and print the seed",
    "system": "start the program without a shell",
    "assert": "use ASSERT of protocol/base/assert.h; it stays on in release",
}
BANNED_PATTERN = re.compile(r"(?<![\w.>])(" + "|".join(BANNED_CALLS) + r")\s*\(")

# file -> names of the mutable file statics or globals that it may have.
MUTABLE_STATICS_ALLOWED = {
    # A signal handler has no argument of ours.
    "net/server/signals.c": {"signals_descriptor"},
}
# Bench and test programs are single-instance by nature, except that what they share with the product is not.
STATICS_CHECKED = ("protocol/", "engine/", "net/", "bindings/")

# Waiting is for an event, with a deadline; a sleep is either too short or too long. A poll between two tries may pause.
SLEEP_CALLS = re.compile(r"(?<![\w])(?:time\.)?(sleep|usleep|nanosleep)\s*\(")
SLEEP_MARK = "pause between tries"

# Spelled in pieces, so that this file does not find itself.
UNFINISHED = re.compile(r"\b(" + "TO" + "DO|FIX" + "ME|X" + r"XX)\b")
WORKPLACE = re.compile(r"(?<![\w.])/(work|home|root|Users)/[\w.]")
HEAD_LINES = 12


@dataclasses.dataclass(frozen=True)
class Finding:
    path: str
    line: int
    rule: str
    advice: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.rule}: {self.advice}"


@dataclasses.dataclass
class Source:
    """One file: its text, and for C the code with comments and literals blanked, line for line."""

    path: str
    text: str

    def __post_init__(self):
        self.lines = self.text.split("\n")
        self.is_c = self.path.endswith(C_SUFFIXES)
        self.code = blank(self.text) if self.is_c else self.text
        self.code_lines = self.code.split("\n")
        self.layer = self.path.split("/")[0]
        self.folder = "/".join(self.path.split("/")[:-1])


TOKEN = re.compile(
    r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL
)


def blank(text):
    """Comments become spaces, literals keep their quotes; lines and columns stay. Include lines keep their paths."""

    def replace(match):
        token = match.group()
        if token[0] == '"' and re.search(r"#\s*include\s*$", text[max(0, match.start() - 40) : match.start()]):
            return token
        inside = re.sub(r"[^\n]", " ", token)
        return inside if token[0] == "/" else token[0] + inside[1:-1] + token[0]

    return TOKEN.sub(replace, text)


def includes(source):
    """(line number, header, is quoted) of each include."""
    for number, line in enumerate(source.code_lines, 1):
        match = re.match(r"\s*#\s*include\s*([<\"])([^>\"]+)[>\"]", line)
        if match:
            yield number, match.group(2), match.group(1) == '"'


# ---- rules about includes ----


def rule_layers(source):
    """net -> engine -> protocol -> protocol/base; siblings through public headers."""
    for number, header, quoted in includes(source):
        if not quoted or (header in GENERATED and source.layer not in ("protocol", "engine")):
            continue
        parts = header.split("/")
        if len(parts) < 3 and source.layer in LAYERED or parts[0] == "..":
            yield Finding(source.path, number, "include-root", f'write the path from the root, not "{header}"')
            continue
        allowed = MAY_INCLUDE.get(source.layer)
        too = MAY_INCLUDE_TOO.get(source.path, set())
        if allowed is not None and parts[0] not in allowed and header not in too:
            yield Finding(
                source.path, number, "layer", f"{source.layer} must not include {header}: let the upper layer fill an interface"
            )
        if source.folder == "protocol/base" and parts[0] == "protocol" and not header.startswith("protocol/base/"):
            yield Finding(source.path, number, "layer", f"protocol/base must not include {header}: it is below all")
        if header.endswith("_internal.h") and source.layer != "tests" and not header.startswith(source.folder + "/"):
            yield Finding(
                source.path, number, "internal-header", f"{header} is private to its folder: use its public header"
            )


def rule_confined_headers(source):
    for number, header, _ in includes(source):
        for pattern, places, advice in CONFINED:
            if re.fullmatch(pattern, header) and not source.path.startswith(places):
                yield Finding(source.path, number, "confined-header", f"{header} belongs to {places[0]}: {advice}")


def rule_pure(source):
    """protocol and engine start no thread, open no socket and read no clock."""
    if not source.path.startswith(tuple(layer + "/" for layer in PURE_LAYERS)) or not source.is_c:
        return
    allowed = IMPURE_ALLOWED.get(source.path, set())

    def is_impure(name):
        return name not in allowed and not (source.layer == "engine" and LOCKS.fullmatch(name))

    for number, header, _ in includes(source):
        if IMPURE_HEADERS.fullmatch(header) and is_impure(header):
            yield Finding(source.path, number, "pure-layer", f"{header}: threads, sockets and clocks belong to net/server")
    for number, line in enumerate(source.code_lines, 1):
        for match in IMPURE_CALLS.finditer(line):
            if is_impure(match.group(1)):
                yield Finding(
                    source.path, number, "pure-layer", f"{match.group(1)}: the caller passes now_ns, and owns the threads"
                )


# ---- rules about code ----


def rule_banned_calls(source):
    if not source.is_c:
        return
    for number, line in enumerate(source.code_lines, 1):
        for match in BANNED_PATTERN.finditer(line):
            name = match.group(1)
            yield Finding(source.path, number, "banned-call", f"{name}: {BANNED_CALLS[name]}")


# Braces that declarations stand in, rather than statements.
TRANSPARENT = re.compile(r"(extern\s*\"[^\"]*\"|namespace(\s+\w+)?)\s*$|(struct|class)\s+\w+[^()=;]*$")


class Items:
    """Splits code into what stands outside all braces: declarations and function definitions."""

    def __init__(self, source):
        self.is_cc = source.path.endswith(".cc")
        self.open = []  # for each open brace, whether it is transparent
        self.found = []  # (first line, last line, text before the body or the semicolon)
        self.start()

    def start(self):
        self.first, self.text = None, ""

    def end(self, line):
        if self.first is not None:
            self.found.append((self.first, line, self.text))
        self.start()

    def take(self, character, line):
        outside = all(self.open)
        if outside and self.first is None and not character.isspace() and character not in "};":
            self.first = line
        if character == "{":
            transparent = outside and self.is_cc and TRANSPARENT.search(self.text) is not None
            self.open.append(transparent)
            if transparent:
                self.start()
        elif character == "}" and self.open:
            if self.open.pop():
                self.start()
            elif all(self.open) and is_function(self.text):
                self.end(line)
        elif outside and character == ";":
            self.end(line)
        elif outside:
            self.text += character


def top_level_items(source):
    """(first line, last line, text without its body) of each declaration and function definition."""
    items = Items(source)
    continued = False
    for number, line in enumerate(source.code_lines, 1):
        directive = continued or line.lstrip().startswith("#")
        continued = directive and line.endswith("\\")
        if not directive:
            for character in line + "\n":
                items.take(character, number)
    return items.found


def is_function(text):
    """Whether the text before a body is the head of a function: a parameter list last, and no initializer."""
    head = re.sub(r"__attribute__\s*\(\(.*?\)\)", "", text).strip()
    head = re.sub(r"\)\s*(const|noexcept|override|\s)*$", ")", head)
    return head.endswith(")") and "=" not in head.split("(")[0]


def rule_function_length(source):
    if not source.is_c:
        return
    for first, last, text in top_level_items(source):
        lines = last - first + 1
        if is_function(text) and lines > FUNCTION_LINES_MAX:
            name = re.search(r"(\w+)\s*\(", text)
            yield Finding(
                source.path,
                first,
                "function-length",
                f"{name.group(1) if name else 'function'} has {lines} lines, at most {FUNCTION_LINES_MAX}: move a step into a helper",
            )


def rule_mutable_statics(source):
    """No state outside an owner: statics and globals are const, also inside functions."""
    if not source.path.endswith((".c", ".h")) or not source.path.startswith(STATICS_CHECKED):
        return
    allowed = MUTABLE_STATICS_ALLOWED.get(source.path, set())
    advice = "is mutable and shared by all: give it an owner and pass it"
    for first, _, text in top_level_items(source):
        name = mutable_name(text)
        if name is not None and name not in allowed:
            yield Finding(source.path, first, "mutable-static", f"{name} {advice}")
    for number, line in enumerate(source.code_lines, 1):
        match = re.match(r"\s+static\s+(?!inline\b)(?!.*\bconst\b)[^()]*?(\w+)\s*(\[[^]]*\])*\s*(=|;)", line)
        if match and match.group(1) not in allowed:
            yield Finding(source.path, number, "mutable-static", f"{match.group(1)} {advice}")


def mutable_name(text):
    """The name, if this top-level declaration defines a variable that can change."""
    declaration = re.sub(r"__attribute__\s*\(\(.*?\)\)", "", text.split("=")[0]).strip(" ;")
    words = declaration.split()
    if not words or words[0] in ("typedef", "extern", "_Static_assert") or "static_assert" in declaration:
        return None
    # A function, unless the first parenthesis opens `(*name)`: then it is a variable that points to one.
    pointer = re.match(r"[^(]*\(\s*\*\s*(?!const\b)(\w+)[^)]*\)", declaration)
    if "(" in declaration:
        return pointer.group(1) if pointer else None
    if words[0] in ("struct", "enum", "union") and len(words) <= 2:
        return None
    if re.fullmatch(r"[A-Z0-9_]+", declaration):
        return None
    # const must stand on the variable itself: `const char *name` can still be pointed elsewhere.
    tail = declaration.rsplit("*", 1)[-1]
    if "const" in tail.split() or re.search(r"\bconst\b", tail):
        return None
    name = re.search(r"(\w+)\s*(\[[^]]*\]\s*)*$", declaration)
    return name.group(1) if name and len(words) > 1 else None


def rule_no_sleep(source):
    if source.layer != "tests" or not source.path.endswith((".c", ".py")) or source.path.startswith("tests/tidy/"):
        return
    for number, line in enumerate(source.code_lines, 1):
        if SLEEP_CALLS.search(line.split("#")[0]) and SLEEP_MARK not in source.lines[number - 1]:
            yield Finding(
                source.path,
                number,
                "sleep",
                f"wait for the event with a deadline; a loop that polls says so on the line: '{SLEEP_MARK}'",
            )


# ---- rules about text ----


def rule_lengths(source):
    if source.is_c and len(source.lines) - 1 > FILE_LINES_MAX:
        yield Finding(source.path, FILE_LINES_MAX + 1, "file-length", f"{len(source.lines) - 1} lines: split the module")
    if not source.is_c:
        return
    for number, line in enumerate(source.lines, 1):
        if len(line) > LINE_COLUMNS_MAX:
            yield Finding(source.path, number, "line-length", f"{len(line)} columns, at most {LINE_COLUMNS_MAX}: break it")


def rule_head_comment(source):
    """Each header says in its head comment what it is for: '/*', then ' * name.h: …'."""
    if not source.path.endswith(".h"):
        return
    name = source.path.rsplit("/", 1)[-1]
    head = "\n".join(source.lines[:HEAD_LINES])
    if not re.match(rf"/\*\s*\n?\s*\*?\s*{re.escape(name)}: ", head):
        yield Finding(source.path, 1, "head-comment", f"begin with a comment: '{name}: what it is for', its owner, memory, time, tests")
    if not re.search(r"^#(ifndef \w+_H\b|pragma once)", source.text, re.MULTILINE):
        yield Finding(source.path, 1, "include-guard", "guard the header against a second inclusion")


def rule_unfinished(source):
    for number, line in enumerate(source.lines, 1):
        match = UNFINISHED.search(line)
        if match:
            yield Finding(source.path, number, "unfinished", f"{match.group(1)}: do it, or describe it in an issue")


def rule_workplace(source):
    for number, line in enumerate(source.lines, 1):
        match = WORKPLACE.search(line)
        if match:
            yield Finding(source.path, number, "workplace-path", f"'{match.group().strip()}…' is a path of one machine: derive it")


def rule_white_space(source):
    for number, line in enumerate(source.lines, 1):
        if line.endswith((" ", "\t", "\r")):
            yield Finding(source.path, number, "white-space", "remove it from the end of the line")
    if source.text and not source.text.endswith("\n"):
        yield Finding(source.path, len(source.lines), "white-space", "end the file with a new line")


RULES = [
    rule_layers,
    rule_confined_headers,
    rule_pure,
    rule_banned_calls,
    rule_function_length,
    rule_mutable_statics,
    rule_no_sleep,
    rule_lengths,
    rule_head_comment,
    rule_unfinished,
    rule_workplace,
    rule_white_space,
]


def check_source(path, text):
    source = Source(path, text)
    return [finding for rule in RULES for finding in rule(source)]


# ---- headers compile alone ----


def pkg_config_flags():
    flags = []
    for package in ("liburing", "rocksdb", "libcyaml", "libxxhash"):
        found = subprocess.run(["pkg-config", "--cflags", package], capture_output=True, text=True, check=False)
        flags += found.stdout.split()
    return flags


def generated_flags(root):
    """Makes what CMake would make of the protocol's messages, next to the cache."""
    folder = root / CACHE.parent / "tidy-generated"
    proto = root / "protocol" / "freshet.proto"
    if not proto.exists():
        return []
    folder.mkdir(parents=True, exist_ok=True)
    command = ["protoc-c", f"--proto_path={proto.parent}", f"--c_out={folder}", str(proto)]
    subprocess.run(command, capture_output=True, check=False)
    return ["-isystem", str(folder)]


def compile_header(root, header, flags):
    command = ["gcc", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
    command += ["-fsyntax-only", "-x", "c", "-I", ".", "-I", "bindings/c/include", "-I", "/usr/share/include/llhttp"]
    command += [*flags, "-"]
    # Twice, so that the include guard is tried too.
    text = f'#include "{header}"\n' * 2
    done = subprocess.run(command, cwd=root, input=text, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    first = next((line for line in done.stderr.splitlines() if "error" in line), "gcc refuses it")
    return Finding(header, 1, "header-alone", f"must compile alone; {first}")


def headers_alone(root, headers):
    """A header is compiled again only when any header has changed: what it includes may be the reason it fails."""
    digest = hashlib.sha256()
    for header in sorted(headers):
        digest.update(header.encode() + b"\0" + (root / header).read_bytes())
    cache = root / CACHE
    if cache.exists() and json.loads(cache.read_text()).get("headers") == digest.hexdigest():
        return []
    flags = pkg_config_flags() + generated_flags(root)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        findings = [found for found in pool.map(lambda header: compile_header(root, header, flags), headers) if found]
    if not findings:
        cache.parent.mkdir(exist_ok=True)
        cache.write_text(json.dumps({"headers": digest.hexdigest()}))
    return findings


# ---- the whole ----


# What others made, or what is made of our sources.
NOT_OURS = {"node_modules", "__pycache__", "corpus", "build", "dist", "generated"}


def all_paths(root):
    """Sources of ours: what is in the layers, and the scripts and texts at the root."""
    names = [path.name for path in root.glob("*") if path.is_file() and path.name != "LICENSE"]
    for folder in FOLDERS:
        for path in (root / folder).rglob("*"):
            if NOT_OURS.intersection(path.parts):
                continue
            if path.is_file() and (path.suffix in (*C_SUFFIXES, ".py", ".md", ".txt", ".sh", ".js", ".mjs", ".ts", ".html", ".css")):
                names.append(path.relative_to(root).as_posix())
    return sorted(names)


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--no-compile", action="store_true", help="do not compile headers alone")
    parser.add_argument("files", nargs="*", metavar="FILE", help="paths from the root; default: all")
    options = parser.parse_args(arguments)
    paths = options.files or all_paths(options.root)
    findings = []
    for path in paths:
        text = (options.root / path).read_bytes().decode("utf-8", "replace")
        findings += check_source(path, text)
    headers = [path for path in paths if path.endswith(".h")]
    if not options.no_compile:
        findings += headers_alone(options.root, headers)
    for finding in findings:
        print(finding)
    print(f"{len(paths)} files, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
