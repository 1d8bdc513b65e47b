"""Rules of the configuration file: a start puts those that differ from what is stored, and no others."""

import json
import pathlib
import signal
import unittest

import receiver
import support


def config(rules):
    text = "collections: [ { name: pets } ]\nrules:\n"
    for name, rule in rules.items():
        text += f"  - name: {name}\n    rule: |\n      {json.dumps(rule)}\n"
    return text


class RulesOfTheFile(unittest.TestCase):
    def setUp(self):
        self.receiver = receiver.Receiver()
        self.addCleanup(self.receiver.close)
        self.data = None

    def start(self, rules):
        server = support.Server(config=config(rules), data=self.data)
        self.data = server.data
        self.addCleanup(server.remove)
        return server.start()

    def rule(self, template):
        return {"target": {"url": self.receiver.url("/hook"), "template": template}}

    def test_are_at_work_when_the_server_is_ready(self):
        for number in range(3):
            server = self.start({f"rule-{number}": self.rule('{"rule":%d,"id":<$.keys.id>}' % number)})
            client = server.client()
            self.assertEqual(client.request("PUT", f"/pets/{number}", {}).status, 201)
            # The rules of earlier files stay: each start has one more.
            expected = (number + 1) * (number + 2) // 2
            got = self.receiver.wait(expected)
            self.assertEqual(len([call for call in got if call.json["id"] == str(number)]), number + 1)
            client.close()
            self.assertEqual(server.stop(), 0)

    def test_that_are_stored_are_left_alone_and_others_are_put(self):
        rule = self.rule('{"n":1.50}')
        server = self.start({"a": rule})
        support.eventually(lambda: '"rule":"a","reason":"it was not there"' in server.log())
        self.assertEqual(server.stop(), 0)
        server = self.start({"a": rule})
        client = server.client()
        changed = dict(rule, enabled=False)
        self.assertEqual(client.request("PUT", "/rules/a", changed).status, 200)
        client.close()
        self.assertEqual(server.stop(), 0)
        self.assertEqual(server.log().count('"rule":"a"'), 0)
        server = self.start({"a": rule})
        support.eventually(lambda: '"rule":"a","reason":"it was another"' in server.log())
        client = server.client()
        self.assertNotIn("enabled", client.request("GET", "/rules/a").json)
        client.close()
        self.assertEqual(server.stop(), 0)

    def test_that_a_reload_finds_changed_are_named(self):
        rule = self.rule("{}")
        server = self.start({"same": rule, "other": rule, "gone": rule})
        path = pathlib.Path(server.folder, "freshet.yaml")
        path.write_text(config({"same": rule, "other": dict(rule, enabled=False), "new": rule}), "utf-8")
        server.process.send_signal(signal.SIGHUP)
        support.eventually(lambda: "configuration read again" in server.log())
        lines = map(json.loads, server.log().splitlines())
        named = [line["setting"] for line in lines if line.get("message") == "needs a restart"]
        self.assertEqual(named, ["rules.other", "rules.new"])
        self.assertEqual(server.stop(), 0)

    def test_may_be_many(self):
        rules = {f"rule-{number}": dict(self.rule("{}"), enabled=False) for number in range(200)}
        server = self.start(rules)
        client = server.client()
        self.assertEqual(len(client.request("GET", "/rules").json), 200)
        client.close()
        self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    unittest.main()
