"""What docs/security.md promises: files are data, nothing listens beyond loopback."""

import ast
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [
    path
    for package in ("tuner", "models", "losses", "search_spaces", "benchmarks")
    for path in sorted((ROOT / package).rglob("*.py"))
]
# Where something of the kind is right, and why.
ALLOWED = {
    ("models/checkpoint.py", "pickle"): "for the name of the error that torch.load raises",
    ("tuner/storage/checkpoint.py", "pickle"): "the same",
    ("search_spaces/space_file.py", "exec"): "a space that the user names as a Python file",
    ("search_spaces/space_file.py", "compile"): "the same",
    ("tuner/config/yaml_file.py", "yaml.load"): "with a loader derived from SafeLoader",
}
RUNS_CODE = ("pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve")
UNSAFE_CALLS = ("eval", "exec", "compile", "__import__", "os.system", "os.popen")


def unsafe_parts(tree: ast.AST) -> Iterator[str]:
    """What in a module could run code that is in a file of data, or in a shell's words."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            names = [module] if module else [alias.name for alias in node.names]
            yield from (name for name in names if name.partition(".")[0] in RUNS_CODE)
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if name in UNSAFE_CALLS:
            yield name
        if name == "torch.load" and given.get("weights_only") != "True":
            yield name
        if given.get("weights_only", "True") != "True" or given.get("shell", "False") != "False":
            yield f"{name} with {given}"
        if given.get("allow_pickle", "False") != "False":
            yield f"{name} with allow_pickle"
        if name in ("pd.read_pickle", "pandas.read_pickle", "torch.hub.load", "torch.jit.load"):
            yield name
        if name.startswith("yaml.") and "load" in name and name != "yaml.safe_load":
            yield name
        if name.startswith("mlflow.") and name.endswith("load_model"):
            yield name


def test_no_file_of_data_is_run_as_code():
    found = {
        (str(path.relative_to(ROOT)), part)
        for path in SOURCES
        for part in unsafe_parts(ast.parse(path.read_text()))
    }
    assert found == set(ALLOWED)  # and each of these is still there


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(file)",
        "torch.load(file, weights_only=False)",
        "torch.load(file, weights_only=safe)",
        "np.load(file, allow_pickle=True)",
        "yaml.load(text, Loader)",
        "yaml.unsafe_load(text)",
        "eval(text)",
        "exec(text)",
        "subprocess.run(line, shell=True)",
        "os.system(line)",
        "mlflow.pytorch.load_model(uri)",
    ],
)
def test_the_watch_over_the_sources_sees_what_it_is_for(code):
    assert list(unsafe_parts(ast.parse(code))) != []


# What a search's own Ray listens on, by the processes below the driver.
DRIVER = """
    import os
    from pathlib import Path

    from tuner.orchestration.cluster import ray_for
    from tuner.config.environment import set_library_defaults
    from tuner.planning.search import plan_search
    from tuner.config.options import SearchRequest

    set_library_defaults()
    import ray

    def below(pid):
        yield pid
        for folder in Path("/proc").iterdir():
            try:
                parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            except (OSError, IndexError):
                continue
            if folder.name.isdigit() and int(parent) == pid:
                yield from below(int(folder.name))

    def sockets(pid):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            try:
                yield os.readlink(link)
            except OSError:
                continue  # just closed

    with ray_for(plan_search(SearchRequest(space="kd"))):
        ray.get(ray.remote(lambda: 1).remote())  # a worker is there
        for pid in below(os.getpid()):
            own = set(sockets(pid))
            for file in ("tcp", "tcp6"):
                for line in Path(f"/proc/{pid}/net/{file}").read_text().splitlines()[1:]:
                    _, local, _, state, *_, = fields = line.split()
                    if state == "0A" and f"socket:[{fields[9]}]" in own:
                        name = Path(f"/proc/{pid}/comm").read_text().strip()
                        print("listens", local.partition(":")[0], name)
"""
LOOPBACK = (
    "0100007F",  # 127.0.0.1
    "0000000000000000FFFF00000100007F",  # the same, mapped to IPv6
    "00000000000000000000000001000000",  # ::1
)


@pytest.mark.slow
def test_a_searchs_own_ray_listens_on_the_loopback_address_only(tmp_path):
    if not Path("/proc/self/net/tcp").exists():
        pytest.skip("this system does not tell which sockets are listened on")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(DRIVER)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines() if "listens" in line]
    assert len(lines) >= 4, done.stderr  # the driver, the store of the cluster's state, ...
    assert {name for _, address, name in lines if address not in LOOPBACK} == set()
