"""The README's tour, run as printed; what stands behind '# ' is compared, where '…' is whatever comes."""

import re
import subprocess
import unittest

import support

PORT = "http://127.0.0.1:8080"


def steps(text):
    """(commands, expected output) for each paragraph of the tour's blocks."""
    tour = text.partition("## A tour")[2].partition("\n## ")[0]
    for block in re.findall(r"```sh\n(.*?)```", tour, re.DOTALL):
        for paragraph in block.strip().split("\n\n"):
            lines = paragraph.split("\n")
            yield [line for line in lines if not line.startswith("# ")], [line[2:] for line in lines if line.startswith("# ")]


class Tour(support.ServerTest):
    def test_it_prints_what_it_says(self):
        text = (support.ROOT / "README.md").read_text("utf-8")
        self.assertIn(PORT, text)
        script = ["set -e"]
        expected = []
        for commands, output in steps(text):
            script += [command.replace(PORT, f"http://127.0.0.1:{self.server.port}") for command in commands]
            if output:
                # The answers of the API end without a line feed.
                script.append("echo; echo ==")
                expected.append(output)
        ended = subprocess.run(["bash", "-c", "\n".join(script)], capture_output=True, text=True, timeout=60)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        printed = [part.replace("\r", "").strip().split("\n") for part in ended.stdout.split("==\n")[:-1]]
        self.assertEqual(len(printed), len(expected))
        self.assertGreater(len(expected), 12)
        for lines, wanted in zip(printed, expected):
            self.assertEqual(len(lines), len(wanted), (lines, wanted))
            for line, pattern in zip(sorted(lines), sorted(wanted)):
                self.assertRegex(line, "^" + ".*".join(re.escape(part) for part in pattern.split("…")) + "$")


class Example(unittest.TestCase):
    def test_the_example_has_every_setting_with_its_default(self):
        text = (support.ROOT / "freshet.example.yaml").read_text("utf-8")
        server = support.Server(config=text)
        self.addCleanup(server.remove)
        server.start()
        self.assertEqual(server.stop(), 0)
        told = subprocess.run([support.BINARY, "serve", "--help"], capture_output=True, text=True, timeout=20).stdout
        settings = re.findall(r"default (\S+); FRESHET_\w+; (\S+) in the file", told)
        self.assertGreater(len(settings), 20)
        for default, name in settings:
            key = name.rpartition(".")[2]
            if name != "cache":
                self.assertRegex(text, rf'(?m)^ *{key}: "?{re.escape(default)}"?( |$)')


if __name__ == "__main__":
    unittest.main()
