"""Generates command lines and YAML files, plausible ones and others."""

from typing import Any

import yaml
from hypothesis import strategies as st

import tuner.cache
import tuner.distill
import tuner.report
import tuner.search
import tuner.teach
from tuner.config.options import (
    CacheRequest,
    DistillRequest,
    PrecomputeRequest,
    PruneRequest,
    ReportRequest,
    SearchRequest,
    TeachRequest,
)

# Command lines


NO_FLAGS = ("data_dir", "names")  # the test gives these itself
COMMANDS: dict[str, tuple[Any, tuple[str, ...], type]] = {
    "search": (tuner.search, (), SearchRequest),
    "teach": (tuner.teach, (), TeachRequest),
    "distill": (tuner.distill, (), DistillRequest),
    "cache list": (tuner.cache, ("list",), CacheRequest),
    "cache check": (tuner.cache, ("check",), CacheRequest),
    "cache prune": (tuner.cache, ("prune",), PruneRequest),
    "cache precompute": (tuner.cache, ("precompute",), PrecomputeRequest),
    "report": (tuner.report, (), ReportRequest),
}
NUMBERS = [
    "0", "1", "2", "3", "4", "16", "-1", "0.5", "1e3", "1e-30", "1e400", "-1e400", "nan", "inf",
    "1" * 400, "9" * 5000, "0x10", "1_000", "１２", "1,2", "1:2", "2:1", "1e5", "2147483648",
    str(2**63), str(2**64 + 1), "4294967296", "100000", "1e400GB", "20GB", "-3GB", "GB", "8h",
    "1e400h", "nanh", "h", "-1d", "true", "none", "null", "", " ", "٣",
]  # fmt: skip
NAMES = [
    "itrd", "kd", "kd,itrd", "kd,kd", "all", ",", "digits", "digits:", "parquet:", "parquet:..",
    "parquet:none", "imagefolder:.", "imagefolder:/", "imagenet:.", "resnet8", "resnet20@good.pt",
    "@", "a@", "resnet8@good.pt", "resnet8@other.pt", "resnet8@none.pt", "resnet8@.", "wrn_99_1",
    "wrn_-1_1", "wrn_16_0", "resnet8@", "./x.py:f", "x.py:f", "os:system", "torchvision:resnet0",
    "timm:x", "none.py", "../x/", "~", "~nobody-here/x", "parquet:~nobody-here",
    "resnet8@~nobody-here", "~nobody-here/x.py", "../../x", "/", ".", "..", "a/b", "a" * 300,
    "a/" * 3000, "con", "-x", "x\ny", "x\ty", "\x1b[31mred\x1b[0m", "[red]x[/red]", "<script>",
    "{0}", "%s", "%(x)s", "$HOME", "\udcff", "\u202eabc", "é", "日本", "file:///", "ftp://x",
    "file://x/y", "://", "runs?x=1", "a b", "auto", "float32", "bfloat16", "asha", "pbt", "grid",
    "tpe", "val", "test", "plain", "good.pt", "alpha=1", "alpha=1:2", "alpha=2:1", "alpha=", "=1",
    "kernel=rbf", "alpha=nan", "alpha=1:", "x=1", "alpha=1e400", "kd_weight=" + "9" * 400,
    "kd.alpha=1", "kd_weight=inf", "degree=1.5", "log2=yes", "temperature=0", "temperature=-1:1",
    "sigma=1", "h=0", "kernel=[", "alpha=:", "degree=" + "9" * 5000,
]  # fmt: skip
# What is right for an option, or could be.
RIGHT = {
    "space": ["itrd", "kd", "kd,itrd", "fitnet", "crd"],
    "method": ["itrd", "kd", "plain", "at"],
    "data": ["digits"],
    "preset": ["digits", "crd-cifar100", "imagenet"],
    "teacher": ["resnet8", "resnet20", "resnet8@good.pt"],
    "student": ["resnet8", "resnet20"],
    "set": ["alpha=1.5", "kernel=rbf", "kd_weight=1", "temperature=2:8", "beta_mi=0.1:2"],
    "precision": ["float32", "bfloat16", "auto"],
    "scheduler": ["cooldown", "asha", "none", "median", "pbt", "hyperband"],
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
    """A command with options, most of which it has, and values that a user might type."""
    name = draw(st.sampled_from([*COMMANDS, "search", "search", "distill"]))
    model = COMMANDS[name][2]
    flags = [
        f"--{field.replace('_', '-')}" for field in model.model_fields if field not in NO_FLAGS
    ]
    arguments = []
    if "space" in model.model_fields and model is not DistillRequest and draw(st.integers(0, 9)):
        arguments += ["--space", draw(st.sampled_from(["itrd", "kd", "kd,itrd"]))]
    if model is ReportRequest:
        arguments.append(draw(texts))
    for _ in range(draw(st.integers(0, 4))):
        flag = draw(st.sampled_from(flags) if flags and draw(st.integers(0, 9)) else texts)
        right = RIGHT.get(flag.removeprefix("--").replace("-", "_"), COUNTS)
        text = draw(st.sampled_from(right) if draw(st.integers(0, 3)) else texts)
        arguments += draw(st.sampled_from([[f"{flag}={text}"], [f"{flag}={text}"], [flag, text]]))
    arguments += draw(st.lists(st.sampled_from(["--flip", "--no-flip", *EXTRA]), max_size=1))
    return name, arguments


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


@st.composite
def contents_of_yaml(draw: Any) -> dict[Any, Any]:
    """Options whose values are right, or of which at least one may be of any type."""
    names = draw(st.lists(options, unique=True, max_size=4))
    content = {name: draw(st.sampled_from(RIGHT.get(name, COUNTS)).map(yaml.safe_load))
               for name in names if name != "set"}  # fmt: skip
    content |= draw(st.dictionaries(st.one_of(options, options, texts), values, max_size=1))
    pins = draw(st.dictionaries(st.sampled_from(["alpha", "kernel", "x"]), scalars, max_size=1))
    return content | ({"set": pins} if pins else {})


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9)
)
MERGE_BOMB = "a: &a {x: 1}\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} {{<<: [{', '.join([f'*{chr(97 + n)}'] * 9)}]}}\n"
    for n in range(9)
)
TEXTS = [
    BOMB, BOMB.replace("a: &a", "space: &a"), MERGE_BOMB, f"set:\n  alpha: {'[' * 500}{']' * 500}",
    "[" * 2000, "{" * 2000, "- " * 2000, "space: " + "[" * 200, "? " * 2000, "&a [*a]", "*x",
    "space: itrd\nspace: kd", "set: {alpha: 1, alpha: 2}", "epochs: " + "9" * 5000, "epochs: 1e400",
    "seed: 9999-99-99", "seed: 2001-13-45 99:99:99", "seed: !!timestamp x", "seed: !!int x",
    "seed: !!int ''", "seed: !!float x", "seed: !!bool x", "seed: !!binary x", "seed: !!null x",
    "seed: !!set {1, 2}", "seed: !!omap [a: 1]", "seed: !!pairs [a: 1]", "seed: !!merge x", "<<: 1",
    "!!python/object/apply:os.system ['touch created']", "seed: !!python/name:os.system",
    "%YAML 9.9\n---\na: 1", "--- 1\n--- 2", "\ufeffspace: itrd", "space: itrd\0", "\0", "a\tb: 1",
    "space: itrd\n\tepochs: 4", "? [a]\n: 1", "? {a: 1}\n: 1", "null: 1", "1: 2", "~: ~", "true: 1",
    "space: itrd\nset:\n  alpha: &x [*x]", "space: &x [*x]", 'space: "\\ud800"', 'space: "\\0"',
    'name: "\\e[31m"', "name: [a]", "set: [1]", "set: 1", "set: {1: 2}", "set: {~: ~}", "'", '"',
    "space: !<tag:yaml.org,2002:str> itrd", "lr: .inf", "lr: -.nan", "lr_decay_epochs: []",
    "lr_decay_epochs: [1, [2]]", "lr_decay_epochs: {a: 1}", "teacher: {a: 1}", "teacher: resnet8@",
]  # fmt: skip
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
