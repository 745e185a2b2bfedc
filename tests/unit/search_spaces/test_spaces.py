import pytest

from search_spaces import SPACES, Choice, Epochs, Fixed, Float, Int, Space, SpaceError, load_space
from search_spaces.common import common
from search_spaces.plain import SPACE as PLAIN

ITRD = SPACES["itrd"]
MIMKD = SPACES["mimkd"]


def test_grids_have_the_sizes_of_the_papers():
    assert len(ITRD.grid()) == 7 * 7 * 7 * 3
    assert len(MIMKD.grid()) == 125
    assert ITRD.published() in ITRD.grid()
    assert {(setting["ce_weight"], setting["kd_weight"]) for setting in MIMKD.grid()} == {(1, 0)}


def test_the_published_settings():
    assert ITRD.published() == {
        "beta_corr": 2.0,
        "beta_mi": 1.0,
        "alpha": 1.01,
        "kernel": "polynomial",
        "degree": 1,
        "offset": 0.0,
        "sigma": None,
        "h": None,
        "normalise": True,
        "log2": False,
        "form": "stable",
        "ce_weight": 1.0,
        "kd_weight": 0.0,
        "temperature": 4.0,
    }
    published = MIMKD.published()
    assert [published[f"lambda_{letter}"] for letter in "glf"] == [0.2, 0.8, 0.8]
    assert (published["width"], published["shortcut"]) == (512, None)
    assert (published["ce_weight"], published["kd_weight"]) == (0.9, 0.1)
    assert SPACES["kd"].published() == {"ce_weight": 0.1, "kd_weight": 0.9, "temperature": 4.0}


def test_the_grid_is_in_order_and_follows_conditions():
    space = Space(
        method="m",
        params=(
            Choice("kernel", ("a", "b"), published="a"),
            Float("sigma", 0, 4, grid=(1, 2, 1), published=1, when={"kernel": "b"}),
            Fixed("log2", False, grid=(False, True)),
        ),
    )
    assert [tuple(setting.values()) for setting in space.grid()] == [
        ("a", None, False),
        ("a", None, True),
        ("b", 1.0, False),
        ("b", 1.0, True),
        ("b", 2.0, False),
        ("b", 2.0, True),
    ]


def test_an_empty_space_has_one_setting():
    assert PLAIN.grid() == [{}]
    assert PLAIN.published() == {}


class Script:
    """A trial that answers from a dict and remembers what it was asked."""

    def __init__(self, **answers: object) -> None:
        self.answers = answers
        self.asked: list[tuple[object, ...]] = []

    def suggest_float(self, name, low, high, *, log=False):
        self.asked.append((name, low, high, log))
        return self.answers[name]

    def suggest_int(self, name, low, high, *, log=False):
        self.asked.append((name, low, high, log))
        return self.answers[name]

    def suggest_categorical(self, name, choices):
        self.asked.append((name, choices))
        return self.answers[name]


def test_a_trial_is_asked_only_for_what_applies():
    trial = Script(beta_corr=1.0, beta_mi=0.5, alpha=2.0, kernel="rbf", h=3.0)
    setting = ITRD.suggest(trial)
    assert trial.asked == [
        ("beta_corr", 0.5, 4.0, False),
        ("beta_mi", 0.0, 3.0, False),
        ("alpha", 1.01, 10.0, True),
        ("kernel", ("polynomial", "rbf")),
        ("h", 0.25, 8.0, True),
    ]
    assert (setting["h"], setting["degree"], setting["offset"]) == (3.0, None, None)


def test_a_partial_setting_is_completed_with_published_values():
    setting = ITRD.complete({"kernel": "rbf", "beta_corr": 3})
    assert setting["beta_corr"] == 3.0
    assert isinstance(setting["beta_corr"], float)
    assert (setting["h"], setting["degree"], setting["alpha"]) == (1.0, None, 1.01)
    assert ITRD.complete({"kernel": "rbf", "sigma": 0.5})["h"] is None
    assert MIMKD.complete({"num_locations": 16.0})["num_locations"] == 16


@pytest.mark.parametrize(
    ("partial", "message"),
    [
        (
            {"beta_cor": 1.0},
            "itrd has no hyperparameter 'beta_cor'; did you mean 'beta_corr'? known: beta_corr,",
        ),
        (
            {"beta_corr": 9.0},
            "beta_corr: 9.0 is outside 0.5 to 4.0; give a value in this range, or set a wider",
        ),
        ({"beta_corr": "2"}, "beta_corr: '2' is not a number; give one"),
        ({"beta_corr": None}, "beta_corr: 'none' is not a number; give one"),
        ({"beta_corr": True}, "beta_corr: 'true' is not a number; give one"),
        ({"beta_corr": float("nan")}, "beta_corr: 'nan' is not a number; give one"),
        ({False: 1}, "itrd has no hyperparameter False; known: beta_corr,"),
        ({"beta_corr": 10**400}, "is not a number; give one"),
        ({"log2": 1}, "log2: '1' is not true or false; give one"),
        ({"kernel": "rfb"}, "kernel: unknown option 'rfb'; did you mean 'rbf'? options: poly"),
        ({"degree": 3}, "degree: unknown option '3'; options: 1, 2"),
        (
            {"h": 2.0},
            "itrd: h is 2.0 but applies only when kernel is rbf and sigma is none; omit it",
        ),
    ],
)
def test_complete_refuses(partial, message):
    with pytest.raises(SpaceError) as error:
        ITRD.complete(partial)
    assert message in str(error.value)


def test_whole_numbers_stay_whole():
    with pytest.raises(SpaceError, match=r"width: '2\.5' is not a whole number; give one"):
        MIMKD.complete({"width": 2.5})


def test_a_pin_is_the_only_value():
    space = ITRD.narrow({"beta_corr": "3", "kernel": "rbf", "log2": "true"})
    published = space.published()
    assert (published["beta_corr"], published["kernel"], published["log2"]) == (3.0, "rbf", True)
    assert (published["h"], published["degree"]) == (1.0, None)
    assert len(space.grid()) == 7 * 7 * 2
    assert {setting["beta_corr"] for setting in space.grid()} == {3.0}
    trial = Script(beta_mi=0.5, alpha=2.0, h=3.0)
    assert space.suggest(trial)["beta_corr"] == 3.0
    assert space.excludes_published() == ("beta_corr", "kernel", "log2")


def test_a_pin_to_the_published_value_excludes_nothing():
    space = ITRD.narrow({"beta_corr": "2", "sigma": "none", "h": "4"})
    # h does not apply in the published setting, so no value of it is excluded.
    assert space.excludes_published() == ()


def test_a_pin_may_leave_the_declared_range():
    space = ITRD.narrow({"beta_corr": "9"})
    assert space.published()["beta_corr"] == 9.0
    assert space.complete({"beta_corr": 9.0})["beta_corr"] == 9.0


def test_a_range_narrows_sampler_and_grid():
    space = ITRD.narrow({"beta_corr": "1.5:2.5", "alpha": "2:4"})
    beta_corr, _, alpha = space.params[:3]
    assert (beta_corr.low, beta_corr.high, beta_corr.grid) == (1.5, 2.5, (1.5, 2.0, 2.5))
    assert (alpha.log, alpha.grid) == (True, (2.0, 3.0, 4.0))
    assert space.excludes_published() == ("alpha",)
    # The end next to the published 1.01.
    assert space.published()["alpha"] == 2.0


def test_a_range_without_grid_values_has_its_ends_as_grid():
    space = ITRD.narrow({"beta_corr": "5:6"})
    assert space.params[0].grid == (5.0, 6.0)


def test_a_fixed_number_can_be_searched():
    space = MIMKD.narrow({"temperature": "2:8", "num_locations": "8:64", "ce_weight": "0.5:1"})
    params = {parameter.name: parameter for parameter in space.params}
    assert isinstance(params["temperature"], Float)
    assert params["temperature"].grid == (4.0,)
    assert isinstance(params["num_locations"], Int)
    assert params["num_locations"].grid == (8, 64)
    assert (params["ce_weight"].published, params["ce_weight"].grid) == (0.9, (1.0,))
    assert space.excludes_published() == ("num_locations",)
    weights = {"lambda_g": 0, "lambda_l": 0, "lambda_f": 0, "ce_weight": 1.0}
    trial = Script(**weights, temperature=2.0, num_locations=9)
    space.suggest(trial)
    assert trial.asked[-3:] == [
        ("num_locations", 8, 64, False),
        ("ce_weight", 0.5, 1.0, False),
        ("temperature", 2.0, 8.0, False),
    ]


def test_the_declared_space_stays_as_it_was():
    before = ITRD.table()
    ITRD.narrow({"beta_corr": "3"})
    assert ITRD.table() == before


WARMUP = Space(
    method="m",
    params=(
        Float("weight", 0, 1, grid=(0, 1), published=0.5),
        Epochs("initial_epochs", 30),
        Epochs("warmup_epochs", 20),
        Epochs("off_epochs", 10, of=250),
        Epochs("none_epochs", 0),
    ),
)


@pytest.mark.parametrize(
    ("num_epochs", "expected"),
    [
        (240, [30, 20, 10, 0]),
        (480, [60, 40, 19, 0]),
        (24, [3, 2, 1, 0]),
        (2, [1, 1, 1, 0]),  # never none of what there was
    ],
)
def test_epochs_follow_the_length_of_a_training(num_epochs, expected):
    params = WARMUP.for_epochs(num_epochs).params
    assert [parameter.published for parameter in params[1:]] == expected
    assert [parameter.name for parameter in params] == [p.name for p in WARMUP.params]
    assert params[0] == WARMUP.params[0]
    assert all(parameter.kind is int for parameter in params[1:])


def test_epochs_are_those_of_the_published_schedule_until_a_training_is_known():
    assert WARMUP.published()["initial_epochs"] == 30
    assert {setting["warmup_epochs"] for setting in WARMUP.grid()} == {20}
    assert WARMUP.table()[1]["range"] == "fixed: 30"


def test_a_space_for_a_shorter_training_excludes_nothing_published():
    space = SPACES["itrd"].for_epochs(24)
    assert space == SPACES["itrd"]
    assert WARMUP.for_epochs(24).excludes_published() == ()


def test_pinned_epochs_are_what_the_user_wrote():
    short = WARMUP.for_epochs(24)
    pinned = short.narrow({"initial_epochs": "7"})
    assert pinned.published()["initial_epochs"] == 7
    assert pinned.for_epochs(240).published()["initial_epochs"] == 7
    assert pinned.excludes_published() == ("initial_epochs",)
    (searched,) = [p for p in short.narrow({"off_epochs": "0:4"}).params if p.name == "off_epochs"]
    assert isinstance(searched, Int)
    assert (searched.low, searched.high, searched.published) == (0, 4, 1)


def test_common_hyperparameters_are_fixed_unless_the_user_searches_them():
    space = Space(method="m", params=common(ce_weight=0.5, kd_weight_grid=(0, 1)))
    assert space.published() == {"ce_weight": 0.5, "kd_weight": 0.0, "temperature": 4.0}
    assert [setting["kd_weight"] for setting in space.grid()] == [0.0, 1.0]
    trial = Script(kd_weight=1.5)
    assert space.narrow({"kd_weight": "0:2"}).suggest(trial)["kd_weight"] == 1.5
    assert trial.asked == [("kd_weight", 0.0, 2.0, False)]


def test_narrowing_twice_remembers_the_first_declaration():
    space = ITRD.narrow({"beta_corr": "3"}).narrow({"beta_mi": "2"})
    assert space.excludes_published() == ("beta_corr", "beta_mi")


@pytest.mark.parametrize(
    ("space", "assignments", "message"),
    [
        (
            ITRD,
            {"beta": "1"},
            "itrd has no hyperparameter 'beta'; did you mean 'beta_mi'? known: beta_corr,",
        ),
        (ITRD, {"kernel": "rfb"}, "kernel: unknown option 'rfb'; did you mean 'rbf'?"),
        (ITRD, {"degree": "1:2"}, "degree: unknown option '1:2'; options: 1, 2"),
        (ITRD, {"log2": "yes"}, "log2: unknown option 'yes'; options: true, false"),
        (
            ITRD,
            {"beta_corr": "4:0.5"},
            "beta_corr: the range 4.0:0.5 is reversed; give LOW:HIGH with LOW below HIGH",
        ),
        (ITRD, {"beta_corr": "2:2"}, "beta_corr: the range 2.0:2.0 is empty; give LOW:HIGH"),
        (ITRD, {"beta_corr": "two"}, "beta_corr: 'two' is not a number; give VALUE or LOW:HIGH"),
        (ITRD, {"beta_corr": "1:"}, "beta_corr: '' is not a number; give VALUE or LOW:HIGH"),
        (ITRD, {"beta_corr": "nan"}, "beta_corr: 'nan' is not a number"),
        (ITRD, {"beta_corr": "1:inf"}, "beta_corr: 'inf' is not a number"),
        (ITRD, {"beta_corr": "none"}, "beta_corr: 'none' is not a number"),
        (ITRD, {"alpha": "0:2"}, "alpha: a log scale cannot start at 0.0; give a low end above 0"),
        (MIMKD, {"width": "1.5"}, "width: '1.5' is not a whole number; give VALUE or LOW:HIGH"),
        (MIMKD, {"width": "none"}, "width: 'none' is not a whole number"),
        (
            MIMKD,
            {"shortcut": "linear"},
            "mimkd: setting shortcut has no effect, it applies only when critic is project_and_dot"
            " and critic is convolve; also set critic=project_and_dot, or omit shortcut",
        ),
        (ITRD, {"kernel": "rbf", "degree": "2"}, "itrd: setting degree has no effect"),
        (ITRD, {"sigma": "1", "h": "2"}, "itrd: setting h has no effect"),
    ],
)
def test_narrow_refuses(space, assignments, message):
    with pytest.raises(SpaceError) as error:
        space.narrow(assignments)
    assert message in str(error.value)


def test_a_pin_that_makes_another_one_apply_is_accepted():
    space = MIMKD.narrow({"critic": "project_and_dot", "shortcut": "linear"})
    assert space.published()["shortcut"] == "linear"


def test_the_table_describes_ranges_and_conditions_in_words():
    rows = {row["name"]: row for row in ITRD.table()}
    assert rows["h"] == {
        "name": "h",
        "range": "0.25 to 8.0",
        "scale": "log",
        "grid": "1.0, 5.0",
        "published": "1.0",
        "when": "kernel is rbf and sigma is none",
    }
    assert rows["kernel"]["range"] == "polynomial, rbf"
    assert rows["sigma"]["range"] == "fixed: none"
    assert rows["beta_corr"]["scale"] == "linear"


def weight(**changes: object) -> Float:
    return Float(**{"name": "w", "low": 0, "high": 1, "grid": (0, 1), "published": 0.5} | changes)


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: weight(low=2), "w: the range 2.0:1.0 is reversed"),
        (lambda: weight(low=1), "w: the range 1.0:1.0 is empty"),
        (lambda: weight(low="a"), "w: 'a' is not a number"),
        (lambda: weight(log=True), "w: a log scale cannot start at 0.0; give a low end above 0"),
        (lambda: weight(published=7), "w: 7.0 is outside 0.0 to 1.0"),
        (lambda: weight(grid=(0, 7)), "w: 7.0 is outside 0.0 to 1.0"),
        (lambda: weight(grid=()), "w: the grid is empty; give at least one value"),
        (lambda: Choice("c", (), published="a"), "c: there are no options"),
        (lambda: Choice("c", ("a",), published="b"), "c: unknown option 'b'"),
        (lambda: Fixed("f", None), "f: published is none, which has no type; add kind=float"),
        (lambda: Fixed("f", "x", options=("a", "b")), "f: unknown option 'x'; options: a, b"),
        (lambda: Int("i", 1, 2.5, grid=(1,), published=1), "i: '2.5' is not a whole number"),
        (lambda: Space("m", (weight(), weight())), "m: w is declared twice; remove one of them"),
        (
            lambda: Space("m", (weight(when={"k": 1}),)),
            "m: w depends on 'k', which is not declared before it; declare it earlier",
        ),
        (
            lambda: Space("m", (weight(when={"k": 1}), Fixed("k", 1))),
            "m: w depends on 'k', which is not declared before it",
        ),
        (
            lambda: Space("m", (Choice("k", ("a", "b"), published="a"), weight(when={"k": "c"}))),
            "k: unknown option 'c'; options: a, b",
        ),
    ],
)
def test_a_wrong_declaration_is_refused(declare, message):
    with pytest.raises(SpaceError) as error:
        declare()
    assert message in str(error.value)


GOOD = """
from search_spaces.space import Float, Space
SPACE = Space("itrd", (Float("beta_corr", 0, 1, grid=(0, 1), published=0.5),), "mine")
"""


def test_a_space_loads_by_name_and_by_path(tmp_path):
    assert load_space("itrd") is ITRD
    path = tmp_path / "my_space.py"
    path.write_text(GOOD)
    assert load_space(str(path)).published() == {"beta_corr": 0.5}


def test_a_relative_path_needs_only_its_suffix(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_space.py").write_text(GOOD)
    assert load_space("my_space.py").source == "mine"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n\nSPACE = Space(\n", "my_space.py line 3: '(' was never closed; fix it and run"),
        ("x = = 1\n", "my_space.py line 1: invalid syntax; fix it and run again"),
        ("\nSPACE = Spcae()\n", "my_space.py line 2: NameError: name 'Spcae' is not defined"),
        ("import no_such_module_here\n", "my_space.py line 1: ModuleNotFoundError: No module"),
        (
            "from search_spaces.space import Float\nFloat('w', 2, 1, grid=(1,), published=1)\n",
            "my_space.py line 2: w: the range 2.0:1.0 is reversed; give LOW:HIGH with LOW below"
            " HIGH; fix it and run again",
        ),
        ("x = 1\n", "my_space.py defines no SPACE; add SPACE = Space(method=..., params=(...)"),
        ("SPACE = {}\n", "my_space.py has a SPACE of type dict; add SPACE = Space("),
        (
            f"{GOOD}LOSS = Space('x', ())\n",
            "my_space.py has a LOSS of type Space; give the class itself, LOSS = MyLoss without",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(text, message, tmp_path):
    path = tmp_path / "my_space.py"
    path.write_text(text)
    with pytest.raises(SpaceError) as error:
        load_space(str(path))
    assert message in str(error.value)


def test_a_syntax_error_in_an_imported_file_names_that_file(tmp_path, monkeypatch):
    (tmp_path / "my_ranges.py").write_text("x = 1\ny = = 1\n")
    (tmp_path / "my_space.py").write_text("import my_ranges\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SpaceError) as error:
        load_space(str(tmp_path / "my_space.py"))
    assert str(error.value).startswith(f"{tmp_path}/my_ranges.py line 2: invalid syntax")


def test_a_file_may_bring_the_loss_of_its_method(tmp_path):
    path = tmp_path / "my_space.py"
    path.write_text(f"{GOOD}class Mine:\n    pass\nLOSS = Mine\n")
    space = load_space(str(path))
    assert space.loss is not None
    assert space.loss.__name__ == "Mine"
    # However the user narrows it; what is searched does not depend on the class.
    assert space.narrow({"beta_corr": "0.5"}).loss is space.loss
    assert space.for_epochs(3).loss is space.loss
    path.write_text(GOOD)
    assert load_space(str(path)).loss is None
    assert load_space(str(path)) == space


def test_an_unknown_space_is_refused():
    with pytest.raises(SpaceError) as error:
        load_space("itdr")
    assert str(error.value) == (
        f"unknown space 'itdr'; did you mean 'itrd'? known: {', '.join(SPACES)};"
        " or give the path of a .py file"
    )


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(
        SpaceError, match=r"my_space\.py: No such file or directory; check the path"
    ):
        load_space(str(tmp_path / "my_space.py"))
