"""`python -m benchmarks gpu`: on a CPU it shows that every section runs."""

import json
import subprocess
import sys
from pathlib import Path

SECTIONS = ("machine", "data", "speed", "losses", "models", "cache", "resume")
ROOT = Path(__file__).parents[2]
# Without what a GPU machine may lack: only the searches need it.
WITHOUT_RAY = """
import sys
for name in ("ray", "mlflow", "optuna", "pydantic", "rich"):
    sys.modules[name] = None
from benchmarks.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def test_the_check_runs_on_a_cpu_without_ray_and_mlflow(tmp_path: Path) -> None:
    arguments = ["gpu", "--device", "cpu", "--seconds", "500", "--out", str(tmp_path)]
    command = [sys.executable, "-c", WITHOUT_RAY, *arguments, "--sections", ",".join(SECTIONS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=550)
    rows = json.loads((tmp_path / "gpu.json").read_text())
    assert [row for row in rows if row["verdict"].startswith("FAIL")] == [], done.stdout
    assert done.returncode == 0, done.stderr
    assert {row["section"] for row in rows} == set(SECTIONS)
    assert f"{len(rows)} rows, 0 FAIL" in done.stdout
