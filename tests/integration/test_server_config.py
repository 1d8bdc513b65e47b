"""The command line, the environment and the configuration file: what wins, and what is refused with which words."""

import os
import pathlib
import subprocess
import tempfile
import unittest

import support

SETTINGS = (
    "data http wire s3 threads shards cache_bytes cache cache.unauthorized_invalidation block_cache_bytes "
    "memtable_bytes durability sync_interval segment_bytes retention retention_bytes journal_tail_max disk_reserve "
    "poll queued_bytes recent_bytes subscriptions_max consumer_lease webhook_allow connections_max "
    "head_bytes_max head_timeout body_timeout idle_timeout send_timeout shutdown_timeout "
    "cors_origin cache_control log_level access_log"
).split()


def run(*words, environment=None):
    return subprocess.run(
        [support.BINARY, *words], capture_output=True, text=True, timeout=20, env={**os.environ, **(environment or {})}
    )


class CommandLine(unittest.TestCase):
    def test_without_a_command_it_tells_how_it_is_used(self):
        ended = run()
        self.assertEqual(ended.returncode, 2)
        self.assertIn("usage: freshet COMMAND", ended.stderr)

    def test_an_unknown_command_is_usage(self):
        ended = run("wtach")
        self.assertEqual(ended.returncode, 2)
        self.assertIn("no command 'wtach'", ended.stderr)

    def test_version_and_help_are_clean(self):
        self.assertRegex(run("version").stdout, r"^freshet \d+\.\d+\.\d+\n$")
        self.assertEqual(run("help").returncode, 0)

    def test_help_has_every_setting_with_its_flag_its_variable_and_its_key(self):
        text = run("serve", "--help").stdout
        for name in SETTINGS:
            flag = "--" + name.replace("_", "-").replace(".", "-")
            variable = "FRESHET_" + name.upper().replace(".", "_")
            self.assertIn(f"  {flag} ", text)
            self.assertIn(f"{variable}; {name} in the file", text)
        self.assertEqual(text.count("; SIGHUP") + text.count("in the file\n"), len(SETTINGS) - 1)

    def test_bad_flags_are_usage_and_name_the_flag(self):
        for words, message in (
            (["--bogus", "1"], "--bogus: there is no such flag"),
            (["--threads"], "--threads: needs a value: N"),
            (["--threads", "many"], "--threads: 'many' is not a whole number"),
            (["--threads=65"], "--threads: '65' is not between 0 and 64"),
            (["--durability", "maybe"], "--durability: 'maybe' is not one of sync|interval|none"),
            (["--cache-bytes", "1XB"], "--cache-bytes: '1XB' is not a size like 256MiB, 64MB, or a number of bytes"),
            (["--cache-bytes", "-1"], "--cache-bytes: '-1' is not a size"),
            (["--cache-bytes", "99999999999999999999"], "--cache-bytes: '99999999999999999999' is not a size"),
            (["--idle-timeout", "10"], "--idle-timeout: '10' is not a time like 500ms, 10s, 30m or 1h"),
            (["--http", "example.org:80"], "--http: 'example.org:80' is not an address"),
            (["--config"], "--config: needs a file"),
            (["--config", "/nonexistent.yaml"], "/nonexistent.yaml: cannot be read: No such file"),
        ):
            with self.subTest(words=words):
                ended = run("serve", *words)
                self.assertEqual(ended.returncode, 2, ended.stderr)
                self.assertIn(message, ended.stderr)

    def test_a_bad_variable_is_named(self):
        ended = run("serve", environment={"FRESHET_THREADS": "x"})
        self.assertEqual(ended.returncode, 2)
        self.assertIn("FRESHET_THREADS: 'x' is not a whole number", ended.stderr)


class File(unittest.TestCase):
    def refused(self, text):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "f.yaml")
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
            ended = run("serve", "--config", str(path), "--data", folder + "/data")
            self.assertEqual(ended.returncode, 2, ended.stderr)
            return ended.stderr.removeprefix(f"freshet: {folder}/").rstrip("\n")

    def test_what_is_wrong_is_told_with_line_and_key(self):
        for text, message in (
            ("threads: 1\nbogus: 3\n", "f.yaml:2: bogus: there is no such key"),
            ("# a\n\nthreads: x\n", "f.yaml:3: threads: 'x' is not a whole number"),
            ("cache: off\nthreads: x\n", "f.yaml:2: threads: 'x' is not a whole number"),
            ("http: [a]\n", "f.yaml:1: http: is not a single value"),
            ("http: 127.0.0.1:0\nhttp: 127.0.0.1:0\n", "f.yaml:2: http: is there twice"),
            ("- a\n", "f.yaml:1: the file is not a mapping of settings"),
            ("a: *b\n", "f.yaml:1: aliases (*name) are not known here"),
            ("threads: 1\n---\nthreads: 2\n", "f.yaml:2: there is a second document (---)"),
            ("a: b: c\n", "f.yaml:1: is not YAML: mapping values are not allowed in this context"),
            (b"data: \xff\n", "f.yaml:1: is not YAML: invalid leading UTF-8 octet"),
            ("collections: []\n", "f.yaml:1: collections: names none"),
            ("collections:\n", "f.yaml:1: collections: is not a list"),
            ("collections:\n  - cache: off\n", "f.yaml:2: collections[0]: needs a name"),
            ("collections:\n  - name: a\n  - name: a\n", "f.yaml:3: collections[1].name: 'a' is there twice"),
            ("collections:\n  - name: healthz\n", "f.yaml:2: collections[0].name: 'healthz' cannot be"),
            ("collections:\n  - name: a/b\n", "f.yaml:2: collections[0].name: 'a/b' cannot be"),
            ("collections:\n  - name: a\n    ttl: 1h\n", "f.yaml:3: collections[0].ttl: there is no such key"),
            (
                "collections:\n  - { name: a, cache: off }\n  - name: b\n    cache: { ttl: 5 }\n",
                "f.yaml:4: collections[1].cache.ttl: '5' is not a time",
            ),
            (
                "collections:\n  - name: a\n    cache: { ttl: 0 }\n",
                "f.yaml:3: collections[0].cache.ttl: '0' is not between 1ms and 366d",
            ),
            (
                "collections:\n  - name: a\n    cache: { popular_hits: 0 }\n",
                "f.yaml:3: collections[0].cache.popular_hits: '0' is not a whole number between",
            ),
            (
                "collections:\n  - name: a\n    indexes: [x, id]\n",
                "f.yaml:3: collections[0].indexes[1]: 'id' is the server's",
            ),
            (
                "collections:\n  - name: a\n    indexes: [limit]\n",
                "f.yaml:3: collections[0].indexes[0]: 'limit' is a parameter of every list",
            ),
            (
                "collections:\n  - name: a\n    fields:\n      - { name: n, type: int }\n",
                "f.yaml:4: collections[0].fields[0].type: 'int' is not any, string,",
            ),
            (
                "collections:\n  - name: a\n    fields:\n      - { name: n, type: number, default: x }\n",
                "f.yaml:4: collections[0].fields[0].default: 'x' is not of type number",
            ),
            (
                "collections:\n  - name: a\n    images: true\n    fields: [ { name: images } ]\n",
                "f.yaml:4: collections[0].fields[0].name: 'images' is kept by the server",
            ),
            (
                "cache: { unauthorized_invalidation: no }\n",
                "f.yaml:1: cache.unauthorized_invalidation: 'no' is not one of fail_with_403|",
            ),
            (
                "rules:\n  - name: a\n    rule: |\n      {\n        \"target\": }\n",
                "f.yaml:5: rules[0].rule: is not JSON: ",
            ),
            (
                "rules:\n  - name: a\n    rule: |\n      { \"target\": { \"url\": \"ftp://a\" } }\n",
                "f.yaml:3: rules[0].rule: target.url: begins with neither http:// nor https://",
            ),
        ):
            with self.subTest(text=text):
                self.assertTrue(self.refused(text).startswith(message), self.refused(text))

    def test_a_file_over_a_mebibyte_is_refused(self):
        self.assertIn("is over 1 MiB", self.refused("#" * ((1 << 20) + 1)))


class Order(unittest.TestCase):
    """File, environment, command line: the later wins."""

    def threads(self, config, environment, arguments):
        server = support.Server(arguments, config=config)
        self.addCleanup(server.remove)
        before = dict(os.environ)
        os.environ.update(environment)
        try:
            server.start()
        finally:
            os.environ.clear()
            os.environ.update(before)
        threads = server.ready["threads"]
        self.assertEqual(server.stop(), 0)
        return threads

    def test_the_later_wins(self):
        config = "threads: 3\n"
        self.assertEqual(self.threads(config, {}, []), 3)
        self.assertEqual(self.threads(config, {"FRESHET_THREADS": "2"}, []), 2)
        self.assertEqual(self.threads(config, {"FRESHET_THREADS": "2"}, ["--threads", "1"]), 1)

    def test_threads_are_one_a_core_by_default(self):
        self.assertEqual(self.threads(None, {}, []), len(os.sched_getaffinity(0)))


class Collections(support.ServerTest):
    config = """
collections:
  - name: things
    singular: Gizmo
    fields:
      - { name: text, type: string, default: "0" }
      - { name: number, type: number, default: 1.50 }
      - { name: flag, type: boolean, default: true }
      - { name: list, type: array, default: "[1,2]" }
      - { name: map, type: object, default: '{"a":1}' }
      - { name: free, default: hello }
  - name: categories
"""

    def test_defaults_have_the_type_of_their_field(self):
        answer = self.request("PUT", "/things/1", "{}")
        self.assertEqual(
            answer.text,
            '{"id":"1","text":"0","number":1.50,"flag":true,"list":[1,2],"map":{"a":1},"free":"hello"}',
        )

    def test_the_singular_is_given_or_made(self):
        self.assertEqual(self.request("GET", "/things/none").json["detail"], "Gizmo not found")
        self.assertEqual(self.request("GET", "/categories/none").json["detail"], "Category not found")

    def test_the_built_in_collections_are_not_there(self):
        self.assertEqual(self.request("GET", "/pets").status, 404)


if __name__ == "__main__":
    unittest.main()
