"""What pip calls to build this package: setuptools; that of the system where pip cannot fetch one.

pip builds in an environment of its own, which is empty, and so needs a network only to fetch the
setuptools that most machines have. This asks for it only where there is none.
"""

import importlib.util
import site
import sys

for folder in site.getsitepackages([sys.base_prefix]):
    if folder not in sys.path:
        sys.path.append(folder)


def _has(*names: str) -> bool:
    return all(importlib.util.find_spec(name) for name in names)


if _has("setuptools", "wheel"):
    from setuptools.build_meta import build_sdist, build_wheel  # noqa: F401
else:
    def get_requires_for_build_wheel(config_settings: object = None) -> list[str]:
        """What pip is to fetch before it asks again."""
        return ["setuptools>=66", "wheel"]

    get_requires_for_build_sdist = get_requires_for_build_wheel
