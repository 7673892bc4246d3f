"""tests/versions.sh puts another transformers before the installed one: here, and in all processes of the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import transformers

WHICH = (
    "import transformers, importlib.metadata as m; print(transformers.__version__, m.version('transformers'))"
)


def test_a_process_in_another_folder_sees_the_same_transformers(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WHICH], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [transformers.__version__] * 2
    assert version("transformers") == transformers.__version__


def test_it_is_the_one_that_was_asked_for() -> None:
    assert transformers.__version__ == os.environ.get("TRANSFORMERS_UNDER_TEST", transformers.__version__)
