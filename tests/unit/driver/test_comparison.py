"""Comparisons of several methods: which methods take part, their pins, and what is refused."""

import pytest

from search_spaces import SpaceError
from tuner.config.command_line import read_request
from tuner.config.options import SearchRequest
from tuner.driver.comparison import without_unfit
from tuner.planning.comparison import plan_comparison
from tuner.text.errors import RequestError


def test_all_leaves_out_what_does_not_fit(data_dir: str, capsys) -> None:
    request = SearchRequest(space="all", teacher="resnet8x4", student="resnet8", data_dir=data_dir)
    found = without_unfit(plan_comparison(request))
    left_out = capsys.readouterr().err
    assert "left out: fsp: " in left_out
    assert "fsp" not in found.request.space.split(",")
    assert "kd" in found.request.space.split(",")


def test_pbt_refuses_what_changes_the_shapes_of_weights(data_dir: str) -> None:
    options = {"scheduler": "pbt", "trials": 4, "data_dir": data_dir}
    with pytest.raises(RequestError, match=r"rate changes their shapes in ft; pin it, as with"):
        without_unfit(plan_comparison(SearchRequest(space="kd,ft", **options)))
    without_unfit(plan_comparison(SearchRequest(space="kd,ft", set={"ft.rate": "0.5"}, **options)))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"space": "kd,sp", "seeds": 0}, "compared by their final trainings; give --seeds 1"),
        ({"space": "kd,kd"}, "space has kd twice; name each method once"),
        ({"space": "kd,itdr"}, "unknown space 'itdr'; did you mean 'itrd'?"),
        ({"space": "kd,sp", "set": {"wieght": "1"}}, "no method has a hyperparameter 'wieght'"),
    ],
)
def test_bad_comparisons_are_refused(options: dict, sentence: str) -> None:
    with pytest.raises((RequestError, SpaceError)) as refusal:
        plan_comparison(SearchRequest(**options))
    assert sentence in str(refusal.value)


def test_a_pin_goes_to_the_methods_that_have_it() -> None:
    request = read_request(SearchRequest, {"space": "kd,sp", "set": {"weight": "7"}})
    kd, sp = plan_comparison(request).searches
    assert kd.request.set == {}
    assert sp.published["weight"] == 3000.0
    assert sp.first["weight"] == 7.0


def test_a_pin_may_be_for_one_method() -> None:
    pins = {"weight": "7", "at.weight": "8"}
    at, sp = plan_comparison(SearchRequest(space="at,sp", set=pins)).searches
    assert (at.first["weight"], sp.first["weight"]) == (8.0, 7.0)
    with pytest.raises(SpaceError, match="at has no hyperparameter 'wieght'"):
        plan_comparison(SearchRequest(space="at,sp", set={"at.wieght": "8"}))


def test_grids_need_a_number_of_trials() -> None:
    with pytest.raises(RequestError, match="give --trials for equal budgets"):
        plan_comparison(SearchRequest(space="kd,sp", algo="grid"))


def test_pbt_on_all_methods_leaves_out_those_without_hyperparameters_to_vary() -> None:
    comparison = plan_comparison(SearchRequest(space="all", scheduler="pbt"))
    methods = [search.space.method for search in comparison.searches]
    assert "fsp" not in methods
    assert "kd" in methods
