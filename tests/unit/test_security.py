"""What docs/security.md promises of files: they are data, nothing in them is run."""

import ast
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
    """The parts of a module that could run code from a data file or a shell's command line."""
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
def test_the_check_of_the_sources_finds_unsafe_parts(code):
    assert list(unsafe_parts(ast.parse(code))) != []
