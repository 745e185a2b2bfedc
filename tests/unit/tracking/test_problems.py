"""One sentence for everything that MLflow can do wrong."""

import pytest
from mlflow.exceptions import MlflowException

from tests.support.mirrors import mirror_of
from tuner.results.record import Record
from tuner.tracking.problems import reason_of
from tuner.tracking.store import Store

URI = "http://me:M<R@h/x"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (KeyError("x"), "cannot be used: KeyError: 'x'"),
        (
            ModuleNotFoundError("No module named 'psycopg2'", name="psycopg2"),
            "cannot be used: install its driver with pip install psycopg2-binary",
        ),
        (MlflowException("the experiment is deleted"), "refuses: the experiment is deleted"),
        (TimeoutError("no answer"), "does not answer: no answer"),
        (
            MlflowException("API request failed with error code 503 != 200"),
            "does not answer: check that it runs and can be reached",
        ),
        (
            ValueError(f"no such place: {URI}"),
            "cannot be used: ValueError: no such place: http://me:***@h/x",
        ),
    ],
)
def test_the_reason_says_who_refuses_and_hides_passwords(error: Exception, reason: str) -> None:
    assert reason_of(error, URI) == reason


def test_a_mirror_says_where_mlflow_is_without_the_password(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "connect", lambda self: 1 / 0)
    with mirror_of(record, URI) as mirror:
        pass
    expected = "cannot be used: ZeroDivisionError: division by zero"
    assert mirror.problem == f"MLflow at http://me:***@h/x {expected}"
    assert mirror.store.uri == URI
