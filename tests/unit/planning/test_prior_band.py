"""PriorBand's mixture: near the prior first, near the best trial where that explains more."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import kstest

from search_spaces import SPACES, Space, SpaceError
from tests.support.by_hand import METRIC, NUMBERS, SPACE, begin, new_record, run
from tuner.config.options import SearchRequest
from tuner.planning.prior_band import SPREAD, Prior, PriorBand, _around, _density
from tuner.planning.search import plan_search
from tuner.results.record import Record
from tuner.results.trial import FAILED, STOPPED
from tuner.text.errors import RequestError


@pytest.fixture
def record(tmp_path) -> Record:
    return new_record(tmp_path)


def make(space: Space = NUMBERS, prior: Prior | None = None, **options) -> PriorBand:
    values = {"seed": 0, "metric": METRIC, "first": None} | options
    return PriorBand(space, prior=prior or Prior(space.published()), **values)


def alphas(proposer: PriorBand, number: int = 400) -> np.ndarray:
    """Alpha, from 0 to 2, of so many proposals; the published value is 1."""
    return np.array([proposer.propose(str(place))["alpha"] for place in range(number)])


def test_without_a_prior_and_without_results_proposals_are_even():
    assert kstest(alphas(make(prior=Prior(None))) / 2, "uniform").pvalue > 0.01


def test_the_stronger_the_prior_the_nearer_are_the_proposals():
    spreads = [alphas(make(prior=Prior(NUMBERS.published(), s))).std() for s in (0.5, 1.0, 4.0)]
    assert spreads == sorted(spreads, reverse=True)
    assert spreads[2] < 0.75 * spreads[1]


def test_the_first_setting_is_the_given_one_whatever_the_seed():
    first = SPACE.published()
    assert [make(SPACE, first=first, seed=seed).propose("0") for seed in (0, 1)] == [first] * 2


def test_every_proposal_fits_its_space():
    for space in SPACES.values():
        proposer = make(space)
        for number in range(20):
            setting = proposer.propose(str(number))
            active = {name: value for name, value in setting.items() if value is not None}
            assert space.complete(active) == setting
            # NumPy's numbers would be refused in checkpoints.
            assert {type(value) for value in active.values()} <= {float, int, bool, str}


def learn(record: Record, proposer: PriorBand, alpha: float, accuracy: float, epochs: int) -> None:
    name = f"{len(record.trials):04d}"
    begin(record, name, setting={"weight": 1.0, "alpha": alpha})
    for epoch in range(1, epochs + 1):
        record.epoch(name, {"epoch": float(epoch), METRIC: accuracy})
    proposer.learn(record.end(name, STOPPED))


def test_a_wrong_prior_loses_its_share_to_the_best_trials(record):
    proposer = make(prior=Prior({"weight": 1.0, "alpha": 0.0}))
    before = proposer._shares()
    for alpha, accuracy in (
        (0.1, 20.0),
        (0.2, 25.0),
        (1.9, 80.0),
        (2.0, 81.0),
        (1.8, 79.0),
        (1.0, 50.0),
    ):
        learn(record, proposer, alpha, accuracy, epochs=3)
    everywhere, prior, best = proposer._shares()
    assert before[1] == 0.75
    assert prior < 0.05 * best
    assert everywhere + prior + best == pytest.approx(1.0)
    assert np.median(alphas(proposer)) > 1.3


def test_trials_that_went_further_are_better(record):
    proposer = make()
    learn(record, proposer, 0.5, 90.0, epochs=1)
    learn(record, proposer, 1.5, 60.0, epochs=3)
    assert proposer._best_setting()["alpha"] == 1.5


def test_a_diverged_trial_is_the_worst_and_other_failures_teach_nothing(record):
    proposer = make()
    begin(record, "0000", setting={"weight": 1.0, "alpha": 2.0})
    proposer.learn(record.end("0000", FAILED, "diverged: the term 'ce' became nan"))
    begin(record, "0001", setting={"weight": 1.0, "alpha": 1.0})
    proposer.learn(record.end("0001", FAILED, "crashed 3 times in a row"))
    assert [trial.name for trial in proposer._ranked()] == ["0000"]
    begin(record, "0002", setting={"weight": 1.0, "alpha": 0.5})
    run(record, "0002", [10.0])
    proposer.learn(record.trials["0002"])
    assert [trial.name for trial in proposer._ranked()] == ["0002", "0000"]


@pytest.mark.parametrize("place", [0.0, 0.3, 1.0])
def test_densities_are_densities(place):
    assert quad(_around(place, SPREAD).pdf, 0, 1)[0] == pytest.approx(1.0)


def test_the_density_of_options_is_that_of_the_draws():
    space = SPACES["itrd"]
    center = space.published()
    other = space.complete({"kernel": "rbf", "h": 1.0})
    proposer = make(space)
    draws = [proposer.propose("0")["kernel"] for _ in range(1000)]
    # A quarter comes from everywhere, where both kernels are as likely.
    expected = 0.25 * 0.5 + 0.75 * 0.3
    assert draws.count("rbf") / 1000 == pytest.approx(expected, abs=0.05)
    assert _density(space, center, center, SPREAD) > _density(space, other, center, SPREAD)


def planned(tmp_path, prior: str, **options) -> Prior:
    request = {"space": "kd", "algo": "priorband", "prior": prior, "runs_dir": str(tmp_path)}
    return plan_search(SearchRequest(**request | options)).prior


def test_a_prior_is_published_none_or_another_searchs_best(tmp_path):
    published = SPACES["kd"].published()
    assert planned(tmp_path, "published") == Prior(published)
    assert planned(tmp_path, "none") == Prior(None)
    best = tmp_path / "best.yaml"
    best.write_text("data: digits\nmethod: kd\nset: {kd_weight: 2.0}\n")
    found = planned(tmp_path, str(best), prior_strength=2.0)
    assert found == Prior(published | {"kd_weight": 2.0}, 2.0)
    best.write_text("kd_weight: 1.5\n")
    assert planned(tmp_path, str(best)).setting["kd_weight"] == 1.5


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("method: crd\nset: {weight: 1.0}\n", "is a setting of crd, not of kd"),
        ("alpha: 1.5\n", "kd has no hyperparameter 'alpha'"),
        ("kd_weight: 1000\n", "kd_weight: 1000.0 is outside"),
    ],
)
def test_a_prior_of_another_space_is_refused(tmp_path, content, sentence):
    path = tmp_path / "prior.yaml"
    path.write_text(content)
    with pytest.raises((RequestError, SpaceError), match=sentence):
        planned(tmp_path, str(path))
