"""Whatever a person types or hands over either runs or is refused in one sentence, with status 2.

Thousands of generated inputs, the same ones in every run. Everything up to the moment at
which Ray would start, or a training, is real: what is refused is refused before it.
"""

import functools
import pickle
import zipfile
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from bad_input import REFUSED, RUNS, nothing_trains, outcome
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import models
import tuner.cache
import tuner.distill
import tuner.report
import tuner.search
import tuner.teach
from tuner.request import (
    CacheRequest,
    DistillRequest,
    FillRequest,
    PruneRequest,
    SearchRequest,
    TeachRequest,
)

EXAMPLES = {
    "command lines": 800,
    "YAML values": 350,
    "YAML texts": 350,
    "space files": 250,
    "checkpoints": 200,
    "damaged checkpoints": 100,
    "Parquet folders": 150,
}
outcomes: dict[str, Counter[str]] = {}


def generated(kind: str) -> Any:
    """As many inputs as EXAMPLES says, always the same ones; `run` of the test counts outcomes."""
    return settings(
        max_examples=EXAMPLES[kind],
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module", autouse=True)
def _place(tmp_path_factory):
    """An empty working folder with data of its own; the digits are built once."""
    folder = tmp_path_factory.mktemp("bad-input")
    with nothing_trains(folder):
        for name in ("good.pt", "other.pt"):
            network = models.build("resnet8" if name == "good.pt" else "resnet20", 10)
            torch.save({"model": network.state_dict()}, name)
        yield


@pytest.fixture
def run(capfd, request):
    """Runs a command on data that are kept in this folder, and counts what came of it."""

    def run(command: Any, *arguments: str, kind: str) -> str:
        result = outcome(capfd, command, *arguments)
        outcomes.setdefault(kind, Counter())[result] += 1
        return result

    return run


# Command lines

COMMANDS: dict[str, tuple[Any, tuple[str, ...], type]] = {
    "search": (tuner.search, (), SearchRequest),
    "teach": (tuner.teach, (), TeachRequest),
    "distill": (tuner.distill, (), DistillRequest),
    "cache list": (tuner.cache, ("list",), CacheRequest),
    "cache check": (tuner.cache, ("check",), CacheRequest),
    "cache prune": (tuner.cache, ("prune",), PruneRequest),
    "cache fill": (tuner.cache, ("fill",), FillRequest),
}
NUMBERS = [
    *("0", "1", "2", "3", "4", "16", "-1", "0.5", "1e3", "1e-30", "1e400", "-1e400", "nan", "inf"),
    *("1" * 400, "9" * 5000, "0x10", "1_000", "１２", "1,2", "1:2", "2:1", "1e5", "2147483648"),
    *(str(2**63), str(2**64 + 1), "4294967296", "100000", "1e400GB", "20GB", "-3GB", "GB", "8h"),
    *("1e400h", "nanh", "h", "-1d", "true", "none", "null", "", " ", "٣"),
]
NAMES = [
    *("itrd", "kd", "kd,itrd", "kd,kd", "all", ",", "digits", "digits:", "parquet:", "parquet:.."),
    *("parquet:none", "imagefolder:.", "imagefolder:/", "resnet8", "resnet20@good.pt", "@", "a@"),
    *(
        "resnet8@good.pt",
        "resnet8@other.pt",
        "resnet8@none.pt",
        "resnet8@.",
        "wrn_99_1",
        "wrn_-1_1",
    ),
    *("wrn_16_0", "resnet8@", "./x.py:f", "x.py:f", "os:system", "torchvision:resnet0", "timm:x"),
    *("none.py", "../x/", "~", "~nobody-here/x", "parquet:~nobody-here", "resnet8@~nobody-here"),
    *("~nobody-here/x.py", "../../x", "/", ".", "..", "a/b", "a" * 300, "a/" * 3000, "con", "-x"),
    *(
        "x\ny",
        "x\ty",
        "\x1b[31mred\x1b[0m",
        "[red]x[/red]",
        "<script>",
        "{0}",
        "%s",
        "%(x)s",
        "$HOME",
    ),
    *(
        "\udcff",
        "\u202eabc",
        "é",
        "日本",
        "file:///",
        "ftp://x",
        "file://x/y",
        "://",
        "runs?x=1",
        "a b",
    ),
    *(
        "auto",
        "float32",
        "bfloat16",
        "asha",
        "pbt",
        "grid",
        "tpe",
        "val",
        "test",
        "plain",
        "good.pt",
    ),
    *(
        "alpha=1",
        "alpha=1:2",
        "alpha=2:1",
        "alpha=",
        "=1",
        "kernel=rbf",
        "alpha=nan",
        "alpha=1:",
        "x=1",
    ),
    *(
        "alpha=1e400",
        "kd_weight=" + "9" * 400,
        "kd.alpha=1",
        "kd_weight=inf",
        "degree=1.5",
        "log2=yes",
    ),
    *(
        "temperature=0",
        "temperature=-1:1",
        "sigma=1",
        "h=0",
        "kernel=[",
        "alpha=:",
        "degree=" + "9" * 5000,
    ),
]
# What is right for an option, or could be.
RIGHT = {
    "space": ["itrd", "kd", "kd,itrd", "fitnet", "crd"],
    "method": ["itrd", "kd", "plain", "at"],
    "data": ["digits"],
    "teacher": ["resnet8", "resnet20", "resnet8@good.pt"],
    "student": ["resnet8", "resnet20"],
    "set": ["alpha=1.5", "kernel=rbf", "kd_weight=1", "temperature=2:8", "beta_mi=0.1:2"],
    "precision": ["float32", "bfloat16", "auto"],
    "scheduler": ["asha", "none", "median", "pbt", "hyperband"],
    "algo": ["tpe", "random", "grid", "gp"],
    "name": ["mine", "a b", "é", "x" * 100],
    "runs_dir": ["runs", "a/b", "file:///tmp/none-such"],
    "select_on": ["test", "val"],
    "cache_precision": ["float16", "float32"],
    "time_budget": ["8h", "90s", "30"],
    "older_than": ["12h", "7d"],
    "keep": ["20GB", "0"],
    "cache_budget": ["20GB", "0"],
    "output": ["out.pt", "a/out.pt", "../out.pt"],
    "lr_decay_epochs": ["1,2", "2", "150,180,210"],
    "image_size": ["8", "16", "32"],
    "tracking_uri": ["sqlite:///x.db", "http://127.0.0.1:1"],
    "experiment": ["mine"],
    "address": ["auto"],
}
COUNTS = ["1", "2", "4", "16", "0.5", "0.1", "1000"]
EXTRA = ["--dry-run", "--json", "--quiet", "--help", "--version", "--resume", "--config", "--test"]
# What would use the network, or take a network of gigabytes to refuse, is not for a test.
texts = st.one_of(
    st.sampled_from(NUMBERS),
    st.sampled_from(NAMES),
    st.text(st.characters(exclude_characters="\0"), max_size=12),
)


@st.composite
def command_lines(draw: Any) -> tuple[str, list[str]]:
    """A command with options that it has, mostly, and values that somebody might type."""
    name = draw(st.sampled_from([*COMMANDS, "search", "search", "distill"]))
    model = COMMANDS[name][2]
    flags = [f"--{field.replace('_', '-')}" for field in model.model_fields if field != "data_dir"]
    arguments = []
    if "space" in model.model_fields and model is not DistillRequest and draw(st.integers(0, 9)):
        arguments += ["--space", draw(st.sampled_from(["itrd", "kd", "kd,itrd"]))]
    for _ in range(draw(st.integers(0, 4))):
        flag = draw(st.sampled_from(flags) if flags and draw(st.integers(0, 9)) else texts)
        right = RIGHT.get(flag.removeprefix("--").replace("-", "_"), COUNTS)
        text = draw(st.sampled_from(right) if draw(st.integers(0, 3)) else texts)
        arguments += draw(st.sampled_from([[f"{flag}={text}"], [f"{flag}={text}"], [flag, text]]))
    arguments += draw(st.lists(st.sampled_from(["--flip", "--no-flip", *EXTRA]), max_size=1))
    return name, arguments


@generated("command lines")
@given(command_lines())
def test_every_command_line_runs_or_is_refused(run, line):
    name, arguments = line
    command, words, _ = COMMANDS[name]
    run(command, *words, "--data-dir", "data", *arguments, kind="command lines")


# YAML

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 300),
    st.integers(),
    st.floats(),
    texts,
    st.binary(max_size=8),
    st.dates(),
    st.datetimes(),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(texts, st.integers(), st.none()), inner, max_size=3),
        st.sets(st.integers(), max_size=3),
    ),
    max_leaves=6,
)
options = st.sampled_from([name for name in SearchRequest.model_fields if name != "data_dir"])


class _Dumper(yaml.SafeDumper):
    """Surrogates as YAML's escapes, which a file can hold."""


@st.composite
def contents_of_yaml(draw: Any) -> dict[Any, Any]:
    """Options with values that are right or, for one of them at least, may be of any type."""
    names = draw(st.lists(options, unique=True, max_size=4))
    content = {name: draw(st.sampled_from(RIGHT.get(name, COUNTS)).map(yaml.safe_load))
               for name in names if name != "set"}  # fmt: skip
    content |= draw(st.dictionaries(st.one_of(options, options, texts), values, max_size=1))
    pins = draw(st.dictionaries(st.sampled_from(["alpha", "kernel", "x"]), scalars, max_size=1))
    return content | ({"set": pins} if pins else {})


@generated("YAML values")
@given(contents_of_yaml(), st.integers(0, 9))
def test_values_of_every_type_run_or_are_refused(run, content, space):
    base = {"space": "itrd"} if space else {}
    try:
        text = yaml.dump(base | content, Dumper=_Dumper, allow_unicode=False)
    except (UnicodeError, TypeError):  # what PyYAML cannot write
        text = "space: itrd"
    Path("config.yaml").write_text(text, encoding="utf-8", errors="replace")
    run(tuner.search, "--data-dir", "data", "--config", "config.yaml", kind="YAML values")


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9)
)
MERGE_BOMB = "a: &a {x: 1}\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} {{<<: [{', '.join([f'*{chr(97 + n)}'] * 9)}]}}\n"
    for n in range(9)
)
TEXTS = [
    *(
        BOMB,
        BOMB.replace("a: &a", "space: &a"),
        MERGE_BOMB,
        f"set:\n  alpha: {'[' * 500}{']' * 500}",
    ),
    *("[" * 5000, "{" * 5000, "- " * 3000, "space: " + "[" * 200, "? " * 2000, "&a [*a]", "*x"),
    *(
        "space: itrd\nspace: kd",
        "set: {alpha: 1, alpha: 2}",
        "epochs: " + "9" * 5000,
        "epochs: 1e400",
    ),
    *("seed: 9999-99-99", "seed: 2001-13-45 99:99:99", "seed: !!timestamp x", "seed: !!int x"),
    *("seed: !!int ''", "seed: !!float x", "seed: !!bool x", "seed: !!binary x", "seed: !!null x"),
    *(
        "seed: !!set {1, 2}",
        "seed: !!omap [a: 1]",
        "seed: !!pairs [a: 1]",
        "seed: !!merge x",
        "<<: 1",
    ),
    *("!!python/object/apply:os.system ['touch created']", "seed: !!python/name:os.system"),
    *(
        "%YAML 9.9\n---\na: 1",
        "--- 1\n--- 2",
        "\ufeffspace: itrd",
        "space: itrd\0",
        "\0",
        "a\tb: 1",
    ),
    *(
        "space: itrd\n\tepochs: 4",
        "? [a]\n: 1",
        "? {a: 1}\n: 1",
        "null: 1",
        "1: 2",
        "~: ~",
        "true: 1",
    ),
    *("space: itrd\nset:\n  alpha: &x [*x]", "space: &x [*x]", 'space: "\\ud800"', 'space: "\\0"'),
    *('name: "\\e[31m"', "name: [a]", "set: [1]", "set: 1", "set: {1: 2}", "set: {~: ~}", "'", '"'),
    *("space: !<tag:yaml.org,2002:str> itrd", "lr: .inf", "lr: -.nan", "lr_decay_epochs: []"),
    *(
        "lr_decay_epochs: [1, [2]]",
        "lr_decay_epochs: {a: 1}",
        "teacher: {a: 1}",
        "teacher: resnet8@",
    ),
]
yaml_bytes = st.one_of(
    st.sampled_from(TEXTS).map(str.encode),
    st.lists(st.sampled_from(TEXTS), max_size=3).map("\n".join).map(str.encode),
    st.binary(max_size=40),
    st.text(st.characters(codec="utf-8"), max_size=40).map(str.encode),
    st.text(st.sampled_from("{}[]:-?!&*|>'\"%@`#, \n\tab1~<="), max_size=40).map(str.encode),
    st.lists(
        st.tuples(options, st.text(st.sampled_from("{}[]:-!&*|>'\"%, ab1~<=.e"), max_size=10)),
        max_size=3,
    ).map(lambda lines: "\n".join(f"{name}: {text}" for name, text in lines).encode()),
    st.sampled_from(TEXTS).map(lambda text: text.encode("utf-16")),
)


@generated("YAML texts")
@given(yaml_bytes, st.sampled_from([tuner.search, tuner.distill, tuner.teach]))
def test_every_yaml_text_runs_or_is_refused(run, content, command):
    Path("config.yaml").write_bytes(content)
    run(command, "--data-dir", "data", "--config", "config.yaml", kind="YAML texts")


# Search spaces

SPACE_FILE = """
{before}
from search_spaces import Choice, Epochs, Fixed, Float, Int, Space
from search_spaces.common import common
from losses import KD
{middle}
SPACE = {space}
{after}
"""
PARTS = [
    *(
        "0.5",
        "1",
        "-1",
        "0",
        "2.0",
        "1e400",
        "float('nan')",
        "None",
        "True",
        "'x'",
        "'alpha'",
        "()",
    ),
    *(
        "[]",
        "(1,)",
        "(1, 2)",
        "(2.0, 1.0)",
        "{}",
        "object()",
        "10**400",
        "1j",
        "b'x'",
        "'kd_weight'",
    ),
    *("('a', 'b')", "{'alpha': 1}", "{'kind': float}", "float", "int", "dict", "lambda: 1", "[[]]"),
    *("'\\x1b[31m'", "'<b>'", "'a\\nb'", "'weight'", "'temperature'", "''", "('\\x1b',)", "{1: 2}"),
]
BROKEN = [
    *("", "", "", "", "", "(", "raise ValueError('no\\nway')", "import sys; sys.exit(3)", "1 / 0"),
    *(
        "raise SystemExit",
        "raise KeyError",
        "import none_such",
        "x = [",
        "\tx",
        "def f(: pass",
        "é = 1",
    ),
    *(
        "def f(): f()\nf()",
        "class E(BaseException): pass\nraise E('x')",
        "raise Exception('\\x1b[31m')",
    ),
    *("assert False", "raise ExceptionGroup('x', [ValueError()])", "raise GeneratorExit", "\x00"),
    *("import warnings; warnings.simplefilter('error'); warnings.warn('x')", "open('/none/such')"),
    *(
        "LOSS = 1",
        "LOSS = int",
        "LOSS = None",
        "LOSS = KD",
        "SPACE = 1",
        "del SPACE",
        "SPACE = None",
    ),
    *("class LOSS: pass", "SPACE = Space", "SPACE = (SPACE,)", "from losses import *", "exit()"),
    *(
        "class E(Exception):\n    def __str__(self): raise ValueError\nraise E",
        "raise StopIteration",
    ),
]


@st.composite
def parameters(draw: Any) -> str:
    kind = draw(st.sampled_from(["Float", "Int", "Choice", "Fixed", "Epochs", "Float"]))
    name = draw(st.sampled_from(["'alpha'", "'kd_weight'", "'weight'", *PARTS]))
    part = st.sampled_from(PARTS)
    given = [name, *draw(st.lists(part, max_size=3))]
    keywords = ["grid", "published", "when", "options", "kind", "log", "of", "low"]
    chosen = draw(st.lists(st.sampled_from(keywords), unique=True, max_size=4))
    given += [f"{keyword}={draw(part)}" for keyword in chosen]
    return f"{kind}({', '.join(given)})"


@st.composite
def almost_right(draw: Any) -> str:
    """KD's own space with one thing about it changed."""
    weight = draw(
        st.sampled_from(
            [
                "Float('kd_weight', 1.0, 0.1, grid=(1.0,), published=1.0)",
                "Float('kd_weight', 0.1, 10.0, grid=(1.0,), published=99.0)",
                "Float('kd_weight', 0.1, 10.0, grid=(99.0,), published=1.0)",
                "Float('kd_weight', -1.0, 10.0, log=True, grid=(1.0,), published=1.0)",
                *["Float('kd_weight', 0.1, 10.0, grid=(1.0,), published=1.0)"] * 8,
                "Float('kd_weight', -5.0, 10.0, grid=(1.0,), published=1.0)",
                "Fixed('kd_weight', 0)",
                "Fixed('kd_weight', True)",
                "Fixed('kd_weight', 'x')",
                "Fixed('kd_weight', None)",
                "Choice('kd_weight', (0.1, 'x', None), published='x')",
                "Choice('kd_weight', (1.0, 1), published=1)",
                "Choice('kd_weight', ([1], [2]), published=[1])",
                "Fixed('kd_weight', 1.0, when={'temperature': 4.0})",
                "Int('kd_weight', 1, 10**30, grid=(1,), published=1)",
            ]
        )
    )
    method = draw(st.sampled_from([*["'kd'"] * 12, "'dk'", "'../x'", "1", "None", "['kd']"]))
    others = "Fixed('ce_weight', 1.0), Fixed('temperature', 4.0)"
    shape = draw(
        st.sampled_from(
            [*["({0}, {1})", "({1}, {0})", "[{1}, {0}]"] * 3]
            + ["({0}, *common())", "({0},)", "{0}", "()", "({1}, {0}, 1)", "None"]
        )
    )
    source = draw(
        st.sampled_from(["", "", "", ", source=1", ", source='\\x1b[31m[red]'", ", loss=KD"])
    )
    return f"Space(method={method}, params={shape.format(weight, others)}{source})"


@st.composite
def space_files(draw: Any) -> str:
    broken = st.sampled_from(BROKEN)
    space = draw(
        st.one_of(
            *[almost_right()] * 4,
            st.builds("Space('kd', ({}, *common(),))".format, parameters()),
            st.builds("Space({}, {})".format, st.sampled_from(PARTS), st.sampled_from(PARTS)),
            st.sampled_from(PARTS),
        )
    )
    where = draw(st.integers(0, 11))  # something else is wrong in every fourth
    before, middle, after = (draw(broken) if where == place else "" for place in range(3))
    return SPACE_FILE.format(before=before, middle=middle, space=space, after=after)


@generated("space files")
@given(space_files(), st.sampled_from([tuner.search, tuner.search, tuner.distill]))
def test_every_space_file_runs_or_is_refused(run, source, command):
    Path("mine.py").write_text(source, encoding="utf-8")
    run(command, "--data-dir", "data", "--space", "mine.py", kind="space files")


# Checkpoints


class RunsCode:
    """Pickled, this is code that leaves a file behind when it is run."""

    def __reduce__(self) -> Any:
        return open, ("created", "w")


class Nested:
    """A class of a training script, as `torch.save(model)` pickles it."""


@functools.cache
def good_weights() -> dict[str, torch.Tensor]:
    return models.build("resnet8", 10).state_dict()


def saved(content: Any, **how: Any) -> bytes:
    buffer = BytesIO()
    torch.save(content, buffer, **how)
    return buffer.getvalue()


def archive(files: dict[str, bytes]) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
    return buffer.getvalue()


TENSORS = [
    *(
        torch.zeros(3),
        torch.zeros(0),
        torch.tensor(1),
        torch.tensor(float("nan")),
        torch.ones(10, 64),
    ),
    *(torch.ones(10, 64, dtype=kind) for kind in (torch.float16, torch.int8, torch.bool)),
    *(torch.ones(10, 64, dtype=kind) for kind in (torch.complex64, torch.bfloat16, torch.float64)),
    *(torch.full((10, 64), torch.inf), torch.ones(64, 10).T, torch.ones(1).expand(10, 64)),
    *(
        torch.ones(10, 64).to_sparse(),
        torch.ones(10, 64, device="meta"),
        torch.nn.Parameter(torch.ones(2)),
    ),
    torch.quantize_per_tensor(torch.ones(10, 64), 0.1, 0, torch.qint8),
]
leaves = st.one_of(
    st.sampled_from(TENSORS), st.integers(), st.text(max_size=3), st.none(), st.just(np.float64(1))
)
contents = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(
            st.one_of(st.sampled_from(["model", "state_dict", "net", "fc.weight"]), st.integers()),
            inner,
            max_size=2,
        ),
    ),
    max_leaves=4,
)


@st.composite
def changed_weights(draw: Any) -> Any:
    """A good state dict with something about it changed, wrapped once or more."""
    weights: dict[Any, Any] = dict(good_weights())
    names = st.sampled_from(["fc.weight", "fc.bias", "conv1.weight", "bn1.num_batches_tracked"])
    for _ in range(draw(st.integers(0, 2))):
        change = draw(st.sampled_from(["drop", "put", "add", "prefix", "scale"]))
        name = draw(names)
        if change == "drop":
            weights.pop(name, None)
        elif change in ("put", "add"):
            value = draw(st.one_of(st.sampled_from(TENSORS), leaves))
            weights[
                name if change == "put" else draw(st.sampled_from(["x", "module.x", "", "é"]))
            ] = value
        elif change == "prefix":
            weights = {f"{draw(st.just('module.'))}{key}": value for key, value in weights.items()}
        elif isinstance(weights.get(name), torch.Tensor) and weights[name].is_floating_point():
            weights[name] = weights[name] * draw(st.sampled_from([1e38, 0.0, float("nan")]))
    for _ in range(draw(st.integers(0, 3))):
        weights = {draw(st.sampled_from(["model", "state_dict", "net", "model", "other"])): weights}
    return weights


@functools.cache
def crafted() -> tuple[bytes, ...]:
    """Files that are no checkpoints, or whose pickles would run code."""
    code = [RunsCode(), {"model": RunsCode()}, {"model": good_weights(), "x": RunsCode()}]
    code += [Nested(), {"model": Nested()}, {"args": functools.partial(print, "ran")}]
    good = saved({"model": good_weights()})
    with zipfile.ZipFile(BytesIO(good)) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    root = next(iter(parts)).partition("/")[0]
    huge = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n" + b"(" * 1000
    return (
        *(saved(one) for one in code),
        *(saved(one, _use_new_zipfile_serialization=False) for one in code),
        *(pickle.dumps(one, protocol) for one in code[:3] for protocol in (0, 2, 4)),
        *(archive({f"{root}/data.pkl": pickle.dumps(one, 2)}) for one in code[:3]),
        *(archive(parts | {f"{root}/data.pkl": junk}) for junk in (b"", huge, b"\x80\x02.", b"x")),
        *(archive({name: part for name, part in parts.items() if name != left}) for left in parts),
        archive({}),
        archive({"../created": b"x", "a": b""}),
        archive({"constants.pkl": b"", "code/x.py": b"open('created', 'w')"}),  # as TorchScript
        saved({"model": good_weights()}, _use_new_zipfile_serialization=False),
        saved({"model": {"fc.weight": torch.zeros(1).expand(10**9, 64)}}),  # a few bytes, huge
        good + b"behind",
        b"PK\x05\x06" + bytes(18),
        b"\x80\x02}q\x00.",
        b"\x80\x05\x95" + b"\xff" * 8,
        b"\x89HDF\r\n\x1a\n" + bytes(100),
        b"[1, 2]",
        bytes(1000),
    )


@generated("checkpoints")
@given(
    st.one_of(
        changed_weights().map(saved),
        changed_weights().map(saved),
        contents.map(saved),
        st.integers(0, len(crafted()) - 1).map(lambda n: crafted()[n]),
        st.binary(max_size=60),
        st.binary(max_size=30).map(b"\x80\x02".__add__),
    ),
    st.sampled_from([tuner.teach, tuner.teach, tuner.search, tuner.distill]),
)
def test_every_checkpoint_is_loaded_or_refused(run, content, command):
    load(run, content, command, "checkpoints")


@generated("damaged checkpoints")
@given(
    st.booleans(),
    st.one_of(
        st.tuples(st.just("cut"), st.floats(0, 1), st.just(0)),
        st.tuples(st.just("flip"), st.floats(0, 1), st.integers(0, 7)),
        st.tuples(st.just("flip"), st.floats(0, 0.02), st.integers(0, 7)),
        st.tuples(st.just("flip"), st.floats(0.9, 1), st.integers(0, 7)),
        st.tuples(st.just("double"), st.floats(0, 1), st.just(0)),
    ),
)
def test_every_damage_to_a_checkpoint_is_refused_or_harmless(run, is_zip, damage):
    how, where, bit = damage
    good = saved({"model": good_weights()}, _use_new_zipfile_serialization=is_zip)
    place = min(int(where * len(good)), len(good) - 1)
    if how == "cut":
        content = good[:place]
    elif how == "flip":
        content = good[:place] + bytes([good[place] ^ 1 << bit]) + good[place + 1 :]
    else:
        content = good[:place] + good[max(0, place - 1000) :]
    load(run, content, tuner.teach, "damaged checkpoints")


def load(run: Any, content: bytes, command: Any, kind: str) -> None:
    Path("given.pt").write_bytes(content)
    space = ("--space", "kd") if command is tuner.search else ()
    run(command, "--data-dir", "data", "--teacher", "resnet8@given.pt", *space, kind=kind)
    assert not Path("created").exists()


# Parquet folders


@functools.cache
def picture(width: int, height: int, mode: str = "RGB", form: str = "png") -> bytes:
    buffer = BytesIO()
    Image.new(mode, (width, height)).save(buffer, form)
    return buffer.getvalue()


def huge_png(side: int) -> bytes:
    """A header that promises `side` x `side` pixels."""
    good = picture(8, 8)
    import struct
    import zlib

    header = b"IHDR" + struct.pack(">II", side, side) + good[24:29]
    return good[:12] + header + struct.pack(">I", zlib.crc32(header)) + good[33:]


PICTURES = [
    *(picture(8, 8), picture(8, 8), picture(8, 8), picture(8, 8, "L"), picture(8, 8, "RGBA")),
    *(picture(8, 8, form="jpeg"), picture(8, 8, form="gif"), picture(8, 8, form="tiff")),
    *(
        picture(9, 8),
        picture(1, 1),
        picture(8, 8, "I;16"),
        picture(8, 8, "F", "tiff"),
        b"",
        b"no image",
    ),
    *(picture(8, 8)[:40], picture(8, 8, form="jpeg")[:200], picture(8, 8, form="tiff")[:100], None),
    *(huge_png(20_000), huge_png(2**31 - 1), huge_png(0), b"<svg/>", b"%!PS-Adobe-3.0 EPSF-3.0\n"),
]
IMAGE_KINDS = [
    pa.binary(),
    pa.large_binary(),
    pa.struct({"bytes": pa.binary(), "path": pa.string()}),
]
LABEL_KINDS = [
    *(pa.int64(), pa.int64(), pa.int8(), pa.uint64(), pa.float64(), pa.string(), pa.bool_()),
    *(pa.list_(pa.int64()), pa.dictionary(pa.int8(), pa.int64()), pa.decimal128(5), pa.date32()),
]
FEATURES = [
    *(None, None, "not JSON", "{}", "[]", "1", '{"info": 1}', '{"info": {"features": {"label": 1}}}'),
    *('{"info": {"features": {"label": {"names": %s}}}}' % names for names in (
        '["a", "b", "c"]', "3", '"abc"', "[1, 2, 3]", "[]", "null", '["a", null]', '["\\u001b[31m", "x"]',
        '["a", "a", "a"]', '{"a": 1, "b": 2}', "[[1], [2], [3]]",
    )),
]  # fmt: skip


WRONG = [
    "nothing",
    "nothing",
    "picture",
    "kind",
    "labels",
    "label",
    "names",
    "features",
    "bytes",
    "rows",
]


@st.composite
def parquet_files(draw: Any) -> bytes:
    """A table of images with their labels in which one thing is wrong, or two."""
    wrong = draw(st.lists(st.sampled_from(WRONG), min_size=1, max_size=2))

    def pick(what: str, right: Any, others: list[Any]) -> Any:
        return draw(st.sampled_from(others)) if what in wrong else right

    num_rows = pick("rows", 40, [40, 12, 1, 0])
    images = [picture(8, 8)] * num_rows
    images[num_rows // 2 : num_rows // 2 + 1] = [pick("picture", picture(8, 8), PICTURES)]
    kind = draw(st.sampled_from(IMAGE_KINDS))
    column: Any = (
        [{"bytes": one, "path": "x"} for one in images] if kind in IMAGE_KINDS[2:] else images
    )
    low, high = pick("labels", (0, 2), [(-1, 2), (5, 6), (0, 2**40), (0, 40)])
    labels: list[Any] = [low + row % min(high - low + 1, 40) for row in range(num_rows)]
    labels = [*labels[1:], pick("label", low, [None, high + 1, -5, 10**18])][:num_rows]
    try:
        array = pa.array(labels, pa.int64()).cast(pick("kind", pa.int64(), LABEL_KINDS))
    except (pa.ArrowException, OverflowError):
        array = pa.array(labels)
    names = pick("names", ("image", "label"), [("img", "fine_label"), ("x", "label"), ("image", "y"),
        ("label", "image"), ("image", "image"), ("\x1b[31m", "[red]")])  # fmt: skip
    table = pa.Table.from_arrays([pa.array(column, kind), array], list(names))
    features = pick("features", None, FEATURES)
    if features is not None:
        table = table.replace_schema_metadata({"huggingface": features})
    buffer = BytesIO()
    pq.write_table(table, buffer)
    content = buffer.getvalue()
    if "bytes" in wrong:
        place = draw(st.integers(0, len(content) - 1))
        flipped = content[:place] + bytes([content[place] ^ 64]) + content[place + 1 :]
        content = draw(st.sampled_from([content[:place], flipped, flipped, b"PAR1junkPAR1"]))
    return content


@generated("Parquet folders")
@given(
    parquet_files(),
    st.one_of(st.just(b""), parquet_files()),
    st.sampled_from(
        ["images", "images", "im ages", "é", "-x", "[red]", "a@b", "a:b", "a,b", "%s{}"]
    ),
    st.sampled_from([None, None, None, "8", "8", "1", "100000"]),
)
def test_every_parquet_folder_is_read_or_refused(run, tmp_path_factory, train, test, name, size):
    folder = Path(name).absolute()
    folder.mkdir(exist_ok=True)
    (folder / "train-0.parquet").write_bytes(train)
    (folder / "test-0.parquet").write_bytes(test or train)
    options = [
        "--teacher",
        "resnet8",
        "--student",
        "resnet8",
        "--batch-size",
        "2",
        "--crop-padding",
        "1",
    ]
    options += ["--image-size", size] if size else []
    data = ["--data-dir", "data", "--data", f"parquet:{name}"]
    run(tuner.search, "--space", "kd", *data, *options, kind="Parquet folders")


def test_at_least_two_thousand_inputs_were_tried_and_both_outcomes_were_seen(request):
    """Runs last. Of every kind some run, or the generators would only make nonsense."""
    assert sum(EXAMPLES.values()) >= 2000
    if set(outcomes) != set(EXAMPLES):
        pytest.skip("some of the tests above were left out")
    for kind, counted in outcomes.items():
        print(f"{kind}: {counted[RUNS]} {RUNS}, {counted[REFUSED]} {REFUSED}")
        assert counted.total() >= EXAMPLES[kind] * 0.9, kind  # a finite set may be smaller
        assert min(counted[RUNS], counted[REFUSED]) > 0, kind
