"""The command line: each command against a real server, its exit codes, and what a terminal sees of it."""

import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import support
from cli import TIMEOUT_S, CliTest, Watch, environment, run, run_on_terminal
from receiver import Receiver

MAN_PAGE = support.ROOT / "bindings" / "cli" / "man" / "freshet.1"
ANSI = re.compile(r"\x1b\[[0-9;]*[mK]")


class TestRecords(CliTest):
    def test_a_record_goes_through_its_whole_life(self):
        put = self.cli("put", "pets", "rex", '{"kind":"dog","weight":1.50}')
        self.assertRegex(put.out, r"^pets/rex  created  version 1  etag 0-\w+-\w+\n$")
        self.assertEqual(put.err, "")
        self.assertEqual(self.cli("get", "pets", "rex").out, '{"id":"rex","kind":"dog","weight":1.50}\n')
        self.assertIn("unchanged", self.cli("put", "pets", "rex", '{"weight":1.50,"kind":"dog"}').out)
        self.assertIn("replaced  version 2", self.cli("put", "pets", "rex", '{"kind":"cat"}').out)
        self.assertIn("changed  version 3", self.cli("patch", "pets", "rex", '{"kind":null,"age":3}').out)
        self.assertEqual(self.cli("get", "pets", "rex").json, {"id": "rex", "age": 3})
        self.assertEqual(self.cli("delete", "pets", "rex").out, "pets/rex  deleted\n")
        self.assertEqual(self.cli("delete", "pets", "rex").out, "pets/rex  was not there\n")
        missing = self.cli("get", "pets", "rex", status=1)
        self.assertEqual(missing.out, "")
        self.assertRegex(missing.err, r"^freshet: get: pets/rex: ")

    def test_it_is_the_record_that_rest_has(self):
        self.cli("put", "pets", "both", '{"n":1}')
        self.assertEqual(self.request("GET", "/pets/both").json, {"id": "both", "n": 1})
        self.put("/pets/both", {"n": 2})
        self.assertEqual(self.cli("get", "pets", "both").json["n"], 2)

    def test_documents_come_from_files_and_stdin_too(self):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write('{"from": "file"}\n')
            file.flush()
            self.cli("put", "pets", "file", f"@{file.name}")
        self.cli("put", "pets", "dash", "-", stdin='{"from": "stdin"}')
        self.cli("put", "pets", "none", stdin='{"from": "stdin"}\n')
        self.assertEqual(self.cli("get", "pets", "file").json["from"], "file")
        self.assertEqual(self.cli("get", "pets", "dash").json["from"], "stdin")
        self.assertEqual(self.cli("get", "pets", "none").json["from"], "stdin")
        failed = self.cli("put", "pets", "absent", "@/nowhere/at-all.json", status=1)
        self.assertIn("/nowhere/at-all.json: No such file", failed.err)

    def test_several_records_come_in_the_order_asked_for(self):
        for name in ("a", "b", "c"):
            self.cli("put", "pets", f"many-{name}", json.dumps({"name": name}))
        got = self.cli("get", "pets", "many-c", "many-a", "many-b")
        self.assertEqual([record["name"] for record in got.lines], ["c", "a", "b"])
        got = self.cli("get", "pets", "many-c", "many-x", "many-b", status=1)
        self.assertEqual([record["name"] for record in got.lines], ["c", "b"])
        self.assertIn("pets/many-x", got.err)
        got = self.cli("get", "pets", "many-c", "many-x", "many-b", "--fresh", status=1)
        self.assertEqual([record["name"] for record in got.lines], ["c", "b"])

    def test_more_ids_than_one_message_takes(self):
        lines = "".join(json.dumps({"id": f"k{number:04}"}) + "\n" for number in range(1500))
        self.cli("put", "pets", "--lines", stdin=lines)
        ids = [f"k{number:04}" for number in range(1500)]
        self.assertEqual([record["id"] for record in self.cli("get", "pets", *ids).lines], ids)
        self.cli("delete", "pets", *ids, "--quiet")

    def test_a_read_waits_for_a_position(self):
        position = self.cli("put", "pets", "position", '{"n":1}', "--json").json["position"]
        self.assertEqual(self.cli("get", "pets", "position", "--min-position", position).json["n"], 1)
        self.assertIn("freshet: get: ", self.cli("get", "pets", "position", "--min-position", "x", status=1).err)

    def test_preconditions(self):
        etag = self.cli("put", "pets", "pre", '{"n":1}', "--json").json["etag"]
        self.assertIn("pets/pre", self.cli("put", "pets", "pre", '{"n":2}', "--if-absent", status=1).err)
        self.cli("put", "pets", "pre", '{"n":2}', "--if-match", etag)
        failed = self.cli("put", "pets", "pre", '{"n":3}', "--if-match", etag, status=1)
        self.assertIn("get the record, and decide again", failed.err)
        self.cli("patch", "pets", "pre", '{"m":1}', f"--if-match={etag}", status=1)
        self.cli("delete", "pets", "pre", "--if-match", etag.strip('"'), status=1)
        self.assertEqual(self.cli("get", "pets", "pre").json["n"], 2)
        self.cli("delete", "pets", "pre", "--if-match", "*")

    def test_create_prints_the_id_and_takes_a_key(self):
        first = self.cli("create", "products", '{"title":"Lamp"}', "--key", "order-17", "--json").json
        again = self.cli("create", "products", '{"title":"Lamp"}', "--key", "order-17", "--json").json
        self.assertEqual(first["id"], again["id"])
        self.assertEqual(self.cli("get", "products", first["id"]).json["title"], "Lamp")
        self.assertRegex(self.cli("create", "products", stdin="{}").out, r"^products/[0-9a-f-]{36}  created")

    def test_an_id_may_look_like_an_option(self):
        self.cli("put", "pets", "--", "--json", '{"n":1}')
        self.assertEqual(self.cli("get", "pets", "--", "--json").json, {"id": "--json", "n": 1})

    def test_json_and_quiet(self):
        written = self.cli("put", "pets", "machine", "{}", "--json").json
        self.assertEqual(written["id"], "machine")
        self.assertEqual(written["outcome"], "created")
        self.assertEqual(written["version"], 1)
        self.assertTrue(written["position"])
        self.assertEqual(self.cli("put", "pets", "machine", '{"n":1}', "--quiet").out, "")
        self.assertEqual(self.cli("delete", "pets", "machine", "--json").json["outcome"], "deleted")
        failed = self.cli("get", "pets", "machine", "--json", status=1)
        error = json.loads(failed.err)
        self.assertEqual((failed.out, error["status"], error["subject"]), ("", 404, "pets/machine"))

    def test_an_output_that_is_full_is_a_failure(self):
        self.cli("put", "pets", "full", "{}")
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [support.BINARY, "get", "pets", "full"],
                stdout=full,
                stderr=subprocess.PIPE,
                env=environment(self.server),
                timeout=TIMEOUT_S,
                check=False,
            )
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"stdout: No space left", done.stderr)

    def test_an_option_outranks_its_variable(self):
        elsewhere = {"FRESHET_URL": "freshet://127.0.0.1:1"}
        here = f"freshet://{self.server.ready['wire']}"
        self.cli("put", "pets", "where", "{}", "--server", here, variables=elsewhere)
        self.cli("put", "pets", "where", "{}", variables=elsewhere, status=1)

    def test_what_the_server_refuses_is_told_in_its_words(self):
        self.assertIn("freshet: put: pets/bad: ", self.cli("put", "pets", "bad", "{", status=1).err)
        self.assertIn("freshet: get: nowhere/1: ", self.cli("get", "nowhere", "1", status=1).err)
        error = json.loads(self.cli("put", "products", "p", '{"price":"dear"}', "--json", status=1).err)
        self.assertEqual(error["status"], 422)
        self.assertIn("price", error["detail"])


class TestLists(CliTest):
    def test_a_list_in_the_order_of_ids(self):
        for number in range(5):
            category = "lamps" if number % 2 else "chairs"
            self.cli("put", "products", f"p{number}", json.dumps({"category": category}))
        self.assertEqual([r["id"] for r in self.cli("list", "products").lines], [f"p{n}" for n in range(5)])
        lamps = self.cli("list", "products", "--index", "category=lamps").lines
        self.assertEqual([record["id"] for record in lamps], ["p1", "p3"])
        self.assertEqual(len(self.cli("list", "products", "--limit", "2").lines), 2)
        self.assertEqual(self.cli("list", "products", "--index", "category=none").out, "")
        self.assertIn("category", self.cli("list", "products", "--index", "title=x", status=1).err)


class TestImport(CliTest):
    def test_ten_thousand_records_come_back_as_they_were_written(self):
        lines = [
            json.dumps({"id": f"{number:05}", "text": "x" * (number % 300), "price": number / 8, "deep": [{"n": number}]})
            for number in range(10001)
        ]
        put = self.cli("put", "pets", "--lines", stdin="\n".join(lines) + "\n", status=0)
        self.assertRegex(put.out, r"^10,001 created, 0 replaced, 0 unchanged, 0 refused in ")
        self.assertEqual(put.err, "", "no progress where there is no terminal")
        exported = self.cli("list", "pets")
        self.assertTrue(exported.lines == [json.loads(line) for line in lines], "they differ")
        again = self.cli("put", "pets", "--lines", "-", "--json", stdin=exported.out).json
        self.assertEqual((again["created"], again["replaced"], again["unchanged"]), (0, 0, 10001))


class TestRefusals(CliTest):
    def test_a_line_that_is_refused_does_not_stop_the_others(self):
        lines = ['{"id":"good-1"}', "not json", '{"no":"id"}', "", '{"id":7}', '{"id":"good-2"}']
        with tempfile.NamedTemporaryFile("w", suffix=".ndjson") as file:
            file.write("\n".join(lines))
            file.flush()
            result = self.cli("put", "pets", "--lines", f"@{file.name}", status=1)
            self.assertIn("2 created, 0 replaced, 0 unchanged, 3 refused", result.out)
            errors = result.err.splitlines()
            self.assertEqual(len(errors), 3)
            for error, line, words in zip(errors, (2, 3, 5), ("not JSON", '"id"', '"id"')):
                self.assertIn(f"{file.name[:40]}:{line}: ", error)
                self.assertIn(words, error)
        refused = self.cli("put", "products", "--lines", stdin='{"id":"p","price":"dear"}\n', status=1)
        self.assertIn("stdin:1: ", refused.err)
        self.assertIn("price", refused.err)

    def test_many_refusals_are_counted_rather_than_told(self):
        result = self.cli("put", "pets", "--lines", stdin="x\n" * 5000, status=1)
        self.assertIn("5,000 refused", result.out)
        self.assertEqual(len(result.err.splitlines()), 11)

    def test_lines_only_where_there_is_nothing(self):
        self.cli("put", "pets", "absent-1", '{"n":1}')
        result = self.cli("put", "pets", "--lines", "--if-absent", status=1, stdin='{"id":"absent-1"}\n{"id":"absent-2"}\n')
        self.assertIn("1 created, 0 replaced, 0 unchanged, 1 refused", result.out)
        self.assertEqual(self.cli("get", "pets", "absent-1").json["n"], 1)


class TestWatch(CliTest):
    def test_changes_as_they_happen(self):
        watch = self.watch("pets", "--from", "earliest", "--json")
        self.cli("put", "pets", "seen", '{"n":1}')
        self.cli("put", "pets", "seen", '{"n":2}')
        self.cli("put", "products", "unseen", '{"n":2}')
        self.cli("delete", "pets", "seen")

        def told():
            return [change for change in watch.changes if change["keys"]["id"] == "seen"]

        changes = support.eventually(lambda: len(told()) >= 3 and told(), TIMEOUT_S)
        self.assertEqual([change["eventName"] for change in changes], ["INSERT", "MODIFY", "REMOVE"])
        self.assertEqual(changes[1]["changed"], ["n"])
        self.assertEqual(changes[1]["newImage"], {"id": "seen", "n": 2})
        self.assertEqual(changes[1]["oldImage"], {"id": "seen", "n": 1})
        ended = watch.stop()
        self.assertEqual(ended.status, 0)
        self.assertTrue(json.loads(ended.err)["position"])

    def test_a_line_says_what_happened(self):
        watch = self.watch("pets", "--from", "earliest", "--pattern", '{"keys":{"id":["line"]}}')
        self.cli("put", "pets", "line", '{"n":1,"m":1}')
        self.cli("put", "pets", "line", '{"n":2,"m":2}')
        self.cli("delete", "pets", "line")
        lines = watch.wait(3)
        clock = r"^\d\d:\d\d:\d\d\.\d{3}  "
        self.assertRegex(lines[0], clock + r"INSERT  pets/line  v1$")
        self.assertRegex(lines[1], clock + r"MODIFY  pets/line  v2  m, n$")
        self.assertRegex(lines[2], clock + r"REMOVE  pets/line")
        self.assertNotIn("\x1b", "".join(lines))
        ended = watch.stop(signal.SIGTERM)
        self.assertEqual(ended.status, 0)
        self.assertRegex(ended.err, r"^freshet: watch: to go on from here: --from \S+\n$")

    def test_it_goes_on_from_the_position_it_printed(self):
        self.cli("put", "pets", "resume", '{"n":1}')
        pattern = ("--pattern", '{"keys":{"id":["resume"]}}', "--json")
        first = self.cli("watch", "pets", "--from", "earliest", "--count", "1", *pattern)
        position = json.loads(first.err)["position"]
        self.assertEqual(first.lines[0]["position"], position)
        self.cli("put", "pets", "resume", '{"n":2}')
        second = self.cli("watch", "pets", "--from", position, "--count", "1", *pattern)
        self.assertEqual(second.lines[0]["newImage"]["n"], 2)

    def test_a_snapshot_and_then_the_changes(self):
        self.cli("put", "products", "snap", '{"title":"old"}')
        watch = self.watch("products", "--from", "snapshot", "--json", "--view", "new")
        support.eventually(lambda: any(change.get("synced") for change in watch.changes))
        before = [change for change in watch.changes if change.get("snapshot")]
        self.assertIn("snap", [change["keys"]["id"] for change in before])
        count = len(watch.lines)
        self.cli("put", "products", "snap", '{"title":"new"}')
        watch.wait(count + 1)
        self.assertEqual(watch.changes[-1]["newImage"]["title"], "new")
        self.assertNotIn("oldImage", watch.changes[-1])

    def test_events_of_users_are_told_too(self):
        watch = self.watch("--from", "latest")
        watch_json = self.watch("--from", "latest", "--json")

        def seen():
            event = {"source": "shop", "detail-type": "OrderPlaced", "detail": {"total": 3}}
            self.assertEqual(self.request("POST", "/events", event).status // 100, 2)
            return watch.lines and watch_json.lines

        support.eventually(seen)
        self.assertRegex(watch.lines[0], r"^\d\d:\d\d:\d\d\.\d{3}  EVENT   shop  OrderPlaced$")
        self.assertEqual(watch_json.changes[0]["detail"], {"total": 3})

    def test_enter_and_leave(self):
        pattern = '{"newImage":{"state":["open"]},"keys":{"id":["door"]}}'
        watch = self.watch("pets", "--from", "earliest", "--enter-leave", "--pattern", pattern)
        self.cli("put", "pets", "door", '{"state":"open"}')
        self.cli("put", "pets", "door", '{"state":"shut"}')
        lines = watch.wait(2)
        self.assertTrue(lines[0].endswith("enter"), lines)
        self.assertTrue(lines[1].endswith("leave"), lines)

    def test_what_cannot_be_watched_is_told(self):
        self.assertIn("freshet: watch: ", self.cli("watch", "--pattern", "{", status=1).err)
        self.assertIn("freshet: watch: ", self.cli("watch", "pets", "--from", "yesterday", status=1).err)
        self.assertIn("nowhere", self.cli("watch", "nowhere", status=1).err)
        self.assertIn("freshet: watch: ", self.cli("watch", "--consumer", "nobody", status=1).err)


class TestRestart(unittest.TestCase):
    def test_ctrl_c_is_heard_while_the_server_is_away(self):
        server = support.Server(("--threads", "1"))
        self.addCleanup(server.remove)
        server.start()
        watch = Watch(server, "pets", "--from", "earliest", "--json")
        self.addCleanup(watch.close)
        run("put", "pets", "one", "{}", server=server)
        watch.wait(1)
        server.kill()
        ended = watch.stop()
        self.assertEqual(ended.status, 0)
        self.assertEqual(json.loads(ended.err)["position"], json.loads(ended.out)["position"])

    def test_a_watch_outlives_the_server(self):
        port = support.free_ports(1)[0]
        server = support.Server(("--threads", "1", "--wire", f"127.0.0.1:{port}"))
        self.addCleanup(server.remove)
        server.start()
        watch = Watch(server, "pets", "--from", "earliest", "--json")
        self.addCleanup(watch.close)
        for number in range(20):
            put = run("put", "pets", "survivor", json.dumps({"n": number}), server=server)
            self.assertEqual(put.status, 0, put)
            if number % 5 == 4:
                watch.wait(number - 2)
                server.kill()
                server.start()
        watch.wait(20)
        self.assertEqual([change["newImage"]["n"] for change in watch.changes], list(range(20)))
        self.assertEqual(watch.stop().status, 0)


class TestConsumers(CliTest):
    def test_a_consumer_goes_on_where_it_acknowledged(self):
        self.cli("put", "pets", "before", "{}")
        put = self.cli("consumers", "put", "mailer", "--collection", "pets", "--from", "latest")
        self.assertIn("name        mailer\n", put.out)
        self.cli("put", "pets", "one", '{"n":1}')
        self.cli("put", "pets", "two", '{"n":2}')
        consumer = self.cli("consumers", "get", "mailer", "--json").json
        self.assertEqual((consumer["name"], consumer["collection"], consumer["group"]), ("mailer", "pets", False))
        self.assertEqual(consumer["lag"]["events"], 2)
        first = self.cli("watch", "--consumer", "mailer", "--ack", "--count", "1", "--json").lines
        self.assertEqual(first[0]["keys"]["id"], "one")
        peek = self.cli("watch", "--consumer", "mailer", "--count", "1", "--json").lines
        self.assertEqual(peek[0]["keys"]["id"], "two", "what was acknowledged does not come again")
        second = self.cli("watch", "--consumer", "mailer", "--ack", "--count", "1", "--json").lines
        self.assertEqual(second[0]["keys"]["id"], "two", "what was not acknowledged comes again")
        listed = self.cli("consumers", "list")
        self.assertRegex(listed.out, r"NAME .*\nmailer +pets ")
        self.assertEqual([line["name"] for line in self.cli("consumers", "list", "--json").lines], ["mailer"])
        self.assertEqual(self.cli("consumers", "delete", "mailer").out, "mailer  deleted\n")
        self.assertIn("mailer", self.cli("consumers", "get", "mailer", status=1).err)
        self.assertIn("mailer", self.cli("consumers", "delete", "mailer", status=1).err)

    def test_a_group_and_its_member(self):
        self.cli("consumers", "put", "workers", "--group", "--from", "latest", "--quiet")
        self.cli("put", "pets", "job", "{}")
        got = self.cli("watch", "--consumer", "workers", "--member", "one", "--ack", "--count", "1", "--json").lines
        self.assertEqual(got[0]["keys"]["id"], "job")
        self.assertTrue(self.cli("consumers", "get", "workers", "--json").json["group"])
        self.cli("consumers", "delete", "workers")


class TestRules(CliTest):
    RULE = '{"collection":"pets","target":{"url":"http://127.0.0.1:1/hook"},"retry":{"max_attempts":1}}'

    def test_a_rule_and_its_dead_letters(self):
        self.assertEqual(self.cli("rules", "list").out, "")
        self.assertEqual(self.cli("rules", "put", "mail", self.RULE).out, "mail  put\n")
        self.assertEqual(self.cli("rules", "get", "mail").json["name"], "mail")
        self.cli("put", "pets", "letter", "{}")
        letters = support.eventually(lambda: self.cli("rules", "dead-letters", "mail", "--json").lines, TIMEOUT_S)
        self.assertEqual(letters[0]["change"]["keys"]["id"], "letter")
        self.assertIn(letters[0]["eventID"], self.cli("rules", "dead-letters", "mail").out)
        self.assertRegex(self.cli("rules", "list").out, r"NAME .*\nmail .* http://127.0.0.1:1/hook\n")
        event = letters[0]["eventID"]
        self.assertEqual(self.cli("rules", "redrive", "mail", event).out, "mail  1 redriven\n")
        support.eventually(lambda: self.cli("rules", "dead-letters", "mail").out)
        self.assertEqual(self.cli("rules", "redrive", "mail", "--json").json, {"redriven": 1})
        self.assertIn("dead letter", self.cli("rules", "redrive", "mail", "no-such-event", status=1).err)
        self.assertEqual(self.cli("rules", "delete", "mail", "--json").json, {"name": "mail", "outcome": "deleted"})
        self.assertIn("mail", self.cli("rules", "get", "mail", status=1).err)
        error = json.loads(self.cli("rules", "get", "mail", "--json", status=1).err)
        self.assertEqual((error["status"], error["subject"]), (404, "mail"))

    def test_rules_come_in_the_order_of_their_names(self):
        for number in range(3):
            self.cli("rules", "put", f"paged-{number}", '{"enabled":false,"target":{"url":"http://127.0.0.1:1/"}}')
        names = [rule["name"] for rule in self.cli("rules", "list", "--json").lines]
        self.assertEqual(names, ["paged-0", "paged-1", "paged-2"])
        for name in names:
            self.cli("rules", "delete", name)

    def test_a_list_of_several_pages(self):
        class Pages(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                page = int(self.path.partition("cursor=")[2] or 0)
                self.send_response(200)
                if page < 2:
                    self.send_header("Link", f'</rules?cursor={page + 1}>; rel="next"')
                self.end_headers()
                self.wfile.write(json.dumps([{"name": f"rule-{page}"}]).encode())

            def log_message(self, *_):
                pass

        with http.server.HTTPServer(("127.0.0.1", 0), Pages) as pages:
            thread = threading.Thread(target=pages.serve_forever)
            thread.start()
            try:
                rules = self.cli("rules", "list", "--json", "--http", f"http://127.0.0.1:{pages.server_port}").lines
            finally:
                pages.shutdown()
                thread.join()
        self.assertEqual([rule["name"] for rule in rules], ["rule-0", "rule-1", "rule-2"])

    def test_what_is_sent_over_http(self):
        receiver = Receiver()
        self.addCleanup(receiver.close)
        self.cli("rules", "delete", "a b/ä", "--http", receiver.url("/"), variables={"FRESHET_TOKEN": "secret"})
        call = receiver.wait(1)[0]
        self.assertEqual((call.method, call.path), ("DELETE", "/rules/a%20b%2F%C3%A4"))
        self.assertEqual(call.headers["authorization"], "Bearer secret")
        not_freshet = self.cli("rules", "list", "--http", receiver.url(""), status=1)
        self.assertIn("is this Freshet?", not_freshet.err)
        receiver.decide = lambda call: 500
        self.assertIn("the answer is 500", self.cli("rules", "list", "--http", receiver.url(""), status=1).err)

    def test_what_is_wrong_with_a_rule_is_told(self):
        self.assertIn("target", self.cli("rules", "put", "bad", "{}", status=1).err)
        self.assertIn("freshet: rules put: bad: ", self.cli("rules", "put", "bad", "{", status=1).err)


class TestTerminal(CliTest):
    def test_a_record_is_indented_and_coloured(self):
        self.cli("put", "pets", "pretty", '{"a":{"b":[1,"two",null],"e":{},"f":[]},"esc":"q\\"{[,:"}')
        status, seen = run_on_terminal("get", "pets", "pretty", server=self.server)
        self.assertEqual(status, 0)
        self.assertIn("\x1b[34m", seen)
        plain = ANSI.sub("", seen).replace("\r\n", "\n")
        record = {"id": "pretty", "a": {"b": [1, "two", None], "e": {}, "f": []}, "esc": 'q"{[,:'}
        self.assertEqual(plain, json.dumps(record, indent=2) + "\n")
        status, seen = run_on_terminal("get", "pets", "pretty", "--json", server=self.server)
        self.assertEqual(json.loads(seen), record)

    def test_a_record_cannot_write_to_the_screen_but_as_text(self):
        self.cli("put", "pets", "evil", json.dumps({"text": "\x1b[2J\x7f\x9b2J\u00e9"}, ensure_ascii=False).replace("\x1b", "\\u001b"))
        _, seen = run_on_terminal("get", "pets", "evil", server=self.server)
        self.assertEqual(json.loads(ANSI.sub("", seen))["text"], "\x1b[2J\x7f\x9b2J\u00e9")
        self.assertNotIn("\x7f", seen)
        self.assertNotIn("\x9b", seen)
        _, seen = run_on_terminal("list", "pets", "--limit", "1", server=self.server)
        self.assertNotIn("\x9b", seen)
        watch = self.watch("pets", "--from", "latest", "--pattern", '{"keys":{"id":["names"]}}')

        def seen_names():
            self.cli("put", "pets", "names", json.dumps({f"\x1b[2J\n{time.monotonic()}": 1}))
            return [line for line in watch.lines if "MODIFY" in line]

        line = support.eventually(seen_names)[0]
        self.assertIn("\\u001b[2J\\u000a", line)
        self.assertNotIn("\x1b", line)

    def test_lines_of_changes_are_coloured(self):
        self.cli("put", "pets", "colour", "{}")
        status, seen = run_on_terminal("watch", "pets", "--from", "earliest", "--count", "1", server=self.server)
        self.assertEqual(status, 0)
        self.assertIn("\x1b[32mINSERT", seen)

    def test_progress_is_for_terminals(self):
        with tempfile.NamedTemporaryFile("w", suffix=".ndjson") as file:
            for number in range(20000):
                file.write(json.dumps({"id": f"{number:06}", "text": "x" * 100}) + "\n")
            file.flush()
            status, seen = run_on_terminal("put", "pets", "--lines", f"@{file.name}", server=self.server)
            self.assertEqual(status, 0)
            self.assertRegex(seen, r"\rput  [█░]+ +\d+ %  [0-9,]+ records  [0-9,]+/s")
            self.assertIn("20,000 created", seen)
            _, seen = run_on_terminal("put", "pets", "--lines", stdin=file.name, server=self.server, stdout_too=False)
            self.assertIn(" % ", seen, "stdin has a size, too")
            for option in ("--quiet", "--json"):
                _, seen = run_on_terminal(
                    "put", "pets", "--lines", f"@{file.name}", option, server=self.server, stdout_too=False
                )
                self.assertEqual(seen, "")
        status, seen = run_on_terminal("bench", "get", "--seconds", "1", "--connections", "1", server=self.server)
        self.assertEqual(status, 0)
        self.assertRegex(seen, r"\rget  [█░]+ +\d+ % ")


class TestServerDown(unittest.TestCase):
    def test_the_message_says_what_to_do(self):
        port = support.free_ports(1)[0]
        for words in (
            ("get", "pets", "1"),
            ("put", "pets", "1", "{}"),
            ("list", "pets"),
            ("watch",),
            ("consumers", "list"),
            ("bench", "get"),
        ):
            result = run(*words, "--server", f"freshet://127.0.0.1:{port}")
            self.assertEqual(result.status, 1, result)
            self.assertEqual(result.out, "")
            self.assertIn(f"127.0.0.1:{port}", result.err)
            self.assertIn("freshet serve", result.err)
            self.assertIn("--server", result.err)
        result = run("rules", "list", "--http", f"http://127.0.0.1:{port}")
        self.assertEqual(result.status, 1, result)
        self.assertIn("freshet serve", result.err)
        self.assertIn("--http", result.err)

    def test_the_http_port_is_not_the_one(self):
        server = support.Server().start()
        self.addCleanup(server.remove)
        result = run("get", "pets", "1", "--server", f"freshet://{server.ready['http']}", "--timeout", "10s")
        self.assertEqual(result.status, 1, result)
        self.assertIn("freshet: get: ", result.err)


class TestUsage(unittest.TestCase):
    def refused(self, *words):
        result = run(*words)
        self.assertEqual(result.status, 2, (words, result))
        self.assertEqual(result.out, "")
        self.assertTrue(result.err)
        return result.err

    def test_wrong_words_are_usage(self):
        for words, says in (
            ((), "usage: freshet"),
            (("gte",), "'gte'"),
            (("get",), "COLLECTION ID..."),
            (("get", "pets"), "COLLECTION ID..."),
            (("get", "pets", "1", "--frsh"), "--frsh: there is no such option"),
            (("get", "pets", "1", "--limit", "1"), "--limit: there is no such option"),
            (("get", "pets", "1", "-x"), "-x: there is no such option"),
            (("get", "pets", "1", "--fresh=yes"), "it takes no value"),
            (("get", "pets", "1", "--timeout"), "a time"),
            (("get", "pets", "1", "--timeout", "1y"), "a time"),
            (("get", "pets", "1", "--timeout", "99999999999999999999s"), "a time"),
            (("get", "pets", "1", "--server"), "URL is needed"),
            (("list", "pets", "--limit", "0"), "a number from 1"),
            (("list", "pets", "--limit", "-1"), "a number from 1"),
            (("list", "pets", "--limit", "4294967296"), "a number from 1"),
            (("list", "pets", "more"), "more: that is one word too many"),
            (("put", "pets"), "--lines"),
            (("put", "pets", "1", "{}", "--if-absent", "--if-match", "*"), "contradict"),
            (("put", "pets", "--lines", "{}"), "@FILE"),
            (("put", "pets", "--lines", "@a", "@b"), "alone"),
            (("put", "pets", "--lines", "--if-match", "x"), "for one record"),
            (("list", "pets", "--index", "title"), "FIELD=VALUE"),
            (("watch", "--view", "all"), "both keys new old"),
            (("watch", "--ack"), "--consumer"),
            (("watch", "pets", "--consumer", "a"), "its own"),
            (("consumers",), "usage: freshet consumers"),
            (("consumers", "lsit"), "'lsit'"),
            (("rules", "get"), "NAME"),
            (("bench", "--frsh"), "'--frsh'"),
            (("bench", "get", "--connections", "1001"), "a number from 1 to 1000"),
            (("bench", "get", "--mix", "get=1"), "--mix: there is no such option"),
            (("bench", "run", "--mix", "get=0"), "--mix: shares such as get=50,put=50"),
            (("bench", "run", "--mix", "get=1,list=1"), "--mix: shares such as get=50,put=50"),
            (("bench", "run", "--mix", "get=1,"), "--mix: shares such as get=50,put=50"),
            (("bench", "put", "--distribution", "zipfian:1"), "zipfian[:THETA]"),
            (("bench", "put", "--distribution", "uniform:0.5"), "zipfian[:THETA]"),
            (("bench", "put", "--distribution", "zipf"), "zipfian[:THETA]"),
            (("bench", "run", "a.yaml", "b.yaml"), "b.yaml: that is one word too many"),
            (("completion", "fish"), "bash and zsh"),
        ):
            self.assertIn(says, self.refused(*words), words)

    def test_help_is_no_failure(self):
        for words in (("help",), ("--help",), ("-h",), ("help", "get"), ("get", "--help"), ("rules", "-h"), ("version",)):
            result = run(*words)
            self.assertEqual((result.status, result.err), (0, ""), words)
            self.assertTrue(result.out)


def table():
    """{command: its options} from `--help`, of all commands that talk to a server."""
    commands = {}
    for topic in re.findall(r"(?m)^  ([a-z]+)  ", run("help").out):
        if topic in ("serve", "check", "version", "help"):
            continue
        text = run(topic, "--help").out
        verbs = re.findall(r"(?m)^  ([a-z-]+)  ", text) if "COMMAND" in text else [""]
        for verb in verbs:
            if (topic, verb) != ("bench", "filter"):
                text = run(*filter(None, (topic, verb)), "--help").out
                commands[f"{topic} {verb}".strip()] = re.findall(r"(?m)^  --([a-z-]+)", text)
    return commands


class TestTable(unittest.TestCase):
    """Help, completion and man page tell of the same commands and options."""

    @classmethod
    def setUpClass(cls):
        cls.table = table()

    def test_help_is_aligned_and_fits_a_terminal(self):
        self.assertEqual(len(self.table), 22, self.table.keys())
        for command, options in self.table.items():
            text = run(*command.split(), "--help").out
            self.assertIn("Examples\n", text)
            self.assertIn("help", options)
            self.assertLessEqual(max(map(len, text.splitlines())), 90, command)
            columns = {len(row) for row in re.findall(r"(?m)^  --[a-z-]+(?: [A-Z=]+)? +", text)}
            self.assertEqual(len(columns), 1, command)

    def test_the_man_page_has_every_command_and_option(self):
        page = MAN_PAGE.read_text("utf-8")
        parts = re.split(r"(?m)^\.S[hs] ", page)
        common = next(part for part in parts if part.startswith("Common options"))
        bench = next(part for part in parts if part.startswith("freshet bench get"))
        known = set()
        for command, options in self.table.items():
            part = [part for part in parts if re.match(rf"freshet {command}\b(?!-)", part)]
            self.assertEqual(len(part), 1, f"{command} has no part of its own in freshet.1")
            text = part[0] + common + (bench if command.startswith("bench") else "")
            told = set(re.findall(r"(?m)^\.It Fl -([a-z-]+)", text))
            self.assertEqual(set(options) - told, set(), f"{command}: not in freshet.1")
            known |= set(options)
        self.assertEqual(set(re.findall(r"(?m)^\.It Fl -([a-z-]+)", page)) - known, set(), "freshet.1 has what is not")

    @unittest.skipIf(shutil.which("man") is None, "man is not installed")
    def test_the_man_page_is_well_formed(self):
        done = subprocess.run(
            ["man", "--warnings", "-l", str(MAN_PAGE)], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def complete(self, *words):
        """What bash offers for the last word, with the script as a user loads it."""
        script = f"""
            PATH={os.path.dirname(support.BINARY)}:$PATH
            source <({support.BINARY} completion bash)
            complete -p freshet >/dev/null || exit 1
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
            _freshet
            printf '%s\\n' "${{COMPREPLY[@]}}"
        """
        done = subprocess.run(
            ["bash", "--norc", "-c", script, "bash", "freshet", *words],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""), words)
        return done.stdout.split()

    def test_bash_completes_every_command_and_option(self):
        topics = re.findall(r"(?m)^  ([a-z]+)  ", run("help").out)
        self.assertEqual(self.complete(""), topics)
        for command, options in self.table.items():
            words = command.split()
            if words != ["completion"]:
                self.assertEqual(self.complete(*words, "--"), [f"--{name}" for name in options], command)
        self.assertEqual(self.complete("consumers", ""), ["list", "get", "put", "delete"])
        self.assertEqual(self.complete("bench", "f"), ["filter"])
        self.assertIn("scrambled", self.complete("bench", "run", "--distribution", ""))
        self.assertEqual(self.complete("bench", "filter", "--r"), ["--rules"])
        self.assertIn("--durability", self.complete("serve", "--du"))

    def test_bash_completes_values(self):
        self.assertEqual(self.complete("watch", "--from", ""), ["latest", "earliest", "snapshot"])
        self.assertEqual(self.complete("watch", "--from", "=", "e"), ["earliest"])
        self.assertEqual(self.complete("watch", "--from=e"), ["--from=earliest"])
        self.assertEqual(self.complete("watch", "--view", "="), ["both", "keys", "new", "old"])
        self.assertEqual(self.complete("get", "pets", "--token", ""), [])
        self.assertEqual(self.complete("completion", "z"), ["zsh"])
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "lamp.json")
            path.write_text("{}")
            self.assertEqual(self.complete("put", "pets", "1", "@", f"{folder}/la"), [str(path)])
            self.assertEqual(self.complete("put", "pets", "1", f"@{folder}/la"), [f"@{path}"])
            self.assertEqual(self.complete("bench", "run", f"{folder}/la"), [str(path)])


if __name__ == "__main__":
    unittest.main()
