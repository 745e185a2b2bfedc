"""Searches in a folder that has packages called `models`, `losses` and `search_spaces` itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.searching import LIBRARY_VARIABLES

ROOT = Path(__file__).parents[2]
TINY = (
    *("--space", "kd", "--limit", "200", "--epochs", "1", "--trials", "1", "--seeds", "1"),
    *("--teacher", "resnet8", "--teacher-epochs", "1", "--quiet"),
)
# The fork's own network, which names its own package in both ways, at import and at call.
NETWORK = """
from models.parts import pooled
from .blocks import block
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.block, self.head = block(), nn.Linear(8, num_classes)

    def forward(self, images):
        return self.head(pooled(self.block(images)))

def small(num_classes):
    import models
    assert models.MINE
    return Net(num_classes)
"""
# As the installed script, and as a module: Python puts another folder first on sys.path.
SCRIPT, MODULE = ("bin/tuner", "search"), ("-m", "tuner.search")


@pytest.fixture
def fork(tmp_path: Path) -> Path:
    """A working folder like that of a fork of RepDistiller."""
    for package in ("losses", "search_spaces"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise ImportError('not the fork\\'s')\n")
    models = tmp_path / "models"
    models.mkdir()
    (models / "__init__.py").write_text("MINE = True\n")
    (models / "parts.py").write_text("def pooled(maps):\n    return maps.mean(dim=(2, 3))\n")
    (models / "blocks.py").write_text(
        "from torch import nn\n\ndef block():\n    return nn.Conv2d(3, 8, 3, padding=1)\n"
    )
    (models / "net.py").write_text(NETWORK)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "tuner").write_text(
        "import sys\nfrom tuner.cli import main\nsys.exit(main())\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    ("command", "student"), [(SCRIPT, "resnet8"), (MODULE, "./models/net.py:small")]
)
def test_our_packages_are_found_before_those_of_the_working_folder(
    fork: Path, data_dir: str, command: tuple[str, ...], student: str
) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in LIBRARY_VARIABLES}
    done = subprocess.run(
        [sys.executable, *command, *TINY, "--student", student, "--data-dir", data_dir],
        cwd=fork,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (best,) = fork.glob("runs/*/best.yaml")
    assert yaml.safe_load(best.read_text())["student"] in (student, f"{fork}/models/net.py:small")
