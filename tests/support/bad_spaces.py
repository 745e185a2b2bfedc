"""Generates search spaces with the mistakes that users make."""

from typing import Any

from hypothesis import strategies as st

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
    "0.5", "1", "-1", "0", "2.0", "1e400", "float('nan')", "None", "True", "'x'", "'alpha'", "()",
    "[]", "(1,)", "(1, 2)", "(2.0, 1.0)", "{}", "object()", "10**400", "1j", "b'x'", "'kd_weight'",
    "('a', 'b')", "{'alpha': 1}", "{'kind': float}", "float", "int", "dict", "lambda: 1", "[[]]",
    "'\\x1b[31m'", "'<b>'", "'a\\nb'", "'weight'", "'temperature'", "''", "('\\x1b',)", "{1: 2}",
]  # fmt: skip
BROKEN = [
    "", "", "", "", "", "(", "raise ValueError('no\\nway')", "import sys; sys.exit(3)", "1 / 0",
    "raise SystemExit", "raise KeyError", "import none_such", "x = [", "\tx", "def f(: pass",
    "é = 1", "def f(): f()\nf()", "class E(BaseException): pass\nraise E('x')",
    "raise Exception('\\x1b[31m')", "assert False", "raise ExceptionGroup('x', [ValueError()])",
    "raise GeneratorExit", "\x00",
    "import warnings; warnings.simplefilter('error'); warnings.warn('x')", "open('/none/such')",
    "LOSS = 1", "LOSS = int", "LOSS = None", "LOSS = KD", "SPACE = 1", "del SPACE", "SPACE = None",
    "class LOSS: pass", "SPACE = Space", "SPACE = (SPACE,)", "from losses import *", "exit()",
    "class E(Exception):\n    def __str__(self): raise ValueError\nraise E", "raise StopIteration",
]  # fmt: skip


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
    """KD's space with one change."""
    weight = draw(
        st.sampled_from(
            [
                "Float('kd_weight', 1.0, 0.1, grid=(1.0,), published=1.0)",
                "Float('kd_weight', 0.1, 10.0, grid=(1.0,), published=99.0)",
                "Float('kd_weight', 0.1, 10.0, grid=(99.0,), published=1.0)",
                "Float('kd_weight', -1.0, 10.0, log=True, grid=(1.0,), published=1.0)",
                *["Float('kd_weight', 0.1, 10.0, grid=(1.0,), published=1.0)"] * 20,
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
    method = draw(st.sampled_from([*["'kd'"] * 40, "'dk'", "'../x'", "1", "None", "['kd']"]))
    others = "Fixed('ce_weight', 1.0), Fixed('temperature', 4.0)"
    shape = draw(
        st.sampled_from(
            [
                *["({0}, {1})", "({1}, {0})", "[{1}, {0}]"] * 8,
                *("({0}, *common())", "({0},)", "{0}", "()", "({1}, {0}, 1)", "None"),
            ]
        )
    )
    source = draw(
        st.sampled_from([*[""] * 10, ", source=1", ", source='\\x1b[31m[red]'", ", loss=KD"])
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
