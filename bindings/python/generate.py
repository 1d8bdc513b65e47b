#!/usr/bin/python3
"""Makes src/freshet/freshet_pb2.py and .pyi from protocol/freshet.proto; needs protoc 3.20.

tests/test_generated.py fails when they are not what this makes.
"""

import pathlib
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PROTO = HERE.parent.parent / "protocol" / "freshet.proto"
TARGET = HERE / "src" / "freshet"
NAMES = ("freshet_pb2.py", "freshet_pb2.pyi")
HEAD = "# Made by bindings/python/generate.py from protocol/freshet.proto: run it again.\n"


def generate() -> dict[str, str]:
    """The text of each file by its name."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["protoc", f"--proto_path={PROTO.parent}", f"--python_out={folder}",
             f"--pyi_out={folder}", PROTO.name],
            check=True,
        )
        return {name: HEAD + (pathlib.Path(folder) / name).read_text("utf-8") for name in NAMES}


if __name__ == "__main__":
    for file_name, text in generate().items():
        (TARGET / file_name).write_text(text, "utf-8")
