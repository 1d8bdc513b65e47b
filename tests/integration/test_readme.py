"""The README's tour, run as printed; what stands behind '# ' is compared, where '…' is whatever comes."""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import support

PORT = "http://127.0.0.1:8080"


def tour_of(text):
    return text.partition("## A tour")[2].partition("\n## ")[0]


def steps(tour):
    """(commands, expected output) for each paragraph of the tour's blocks."""
    for block in re.findall(r"```sh\n(.*?)```", tour, re.DOTALL):
        for paragraph in block.strip().split("\n\n"):
            lines = paragraph.split("\n")
            yield [line for line in lines if not line.startswith("# ")], [line[2:] for line in lines if line.startswith("# ")]


class Tour(support.ServerTest):
    def script(self, text, state, nginx_config, nginx_folder, ports):
        """What the steps of a part of the tour print, and what they should."""
        lines = ["set -e", f"if [ -f {state} ]; then . {state}; fi"]
        expected = []
        for commands, output in steps(text):
            lines += commands
            if output:
                # The answers of the API end without a line feed.
                lines.append("echo; echo ==")
                expected.append(output)
        lines.append(f"declare -p J NEXT >{state} 2>/dev/null || true")
        script = "\n".join(lines).replace(PORT, f"http://127.0.0.1:{self.server.port}")
        script = script.replace(f"/tmp/{nginx_folder.name}", str(nginx_folder))
        script = script.replace('"$PWD/examples/nginx-cache/nginx.conf"', str(nginx_config))
        for shown, port in ports.items():
            script = script.replace(f"127.0.0.1:{shown}", f"127.0.0.1:{port}")
        return script, expected

    def run_part(self, script, expected):
        ended = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60,
                               env={**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin"})
        self.assertEqual(ended.returncode, 0, ended.stderr)
        printed = [part.replace("\r", "").strip().split("\n") for part in ended.stdout.split("==\n")[:-1]]
        self.assertEqual(len(printed), len(expected))
        for lines, wanted in zip(printed, expected):
            self.assertEqual(len(lines), len(wanted), (lines, wanted))
            for line, pattern in zip(sorted(lines), sorted(wanted)):
                self.assertRegex(line, "^" + ".*".join(re.escape(part) for part in pattern.split("…")) + "$")

    def test_it_prints_what_it_says(self):
        text = (support.ROOT / "README.md").read_text("utf-8")
        self.assertIn(PORT, text)
        before, restart, after = tour_of(text).partition("\nRestart the server:")
        self.assertTrue(restart)
        with tempfile.TemporaryDirectory() as folder:
            place = pathlib.Path(folder)
            os.chmod(place, 0o755)  # nginx's workers are somebody else when it is started by root
            nginx_folder = place / "freshet-nginx"
            nginx_config = place / "nginx.conf"
            ports = dict(zip(("8081", "8082"), support.free_ports(2)))
            total = 0
            for part in (before, after):
                if part is after:
                    self.server.kill()
                    self.server.start()
                ports["8080"] = self.server.port
                config = (support.ROOT / "examples" / "nginx-cache" / "nginx.conf").read_text("utf-8")
                for shown, port in ports.items():
                    config = config.replace(f"127.0.0.1:{shown}", f"127.0.0.1:{port}")
                nginx_config.write_text(config, "utf-8")
                script, expected = self.script(part, place / "state", nginx_config, nginx_folder, ports)
                if part is after:
                    script = f"U=http://127.0.0.1:{self.server.port}\n" + script
                self.run_part(script, expected)
                total += len(expected)
            self.assertGreater(total, 18)


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
