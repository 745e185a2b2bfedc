"""Passwords and tokens in URIs are redacted."""

import shlex

import pytest

from tuner.config.options import SearchRequest
from tuner.config.run_folder import resume_command
from tuner.storage.folder import Storage
from tuner.text.secrets import has_secret, shown, without_secrets


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql+psycopg2://u:pw@h:5432/db", "postgresql+psycopg2://u:***@h:5432/db"),
        ("https://u:p@s:s/w@h/path", "https://u:***@h/path"),
        ("https://ghp_token@h", "https://***@h"),
        ("https://tok/en@h/path", "https://***@h/path"),
        ("mysql://h/db?user=u&passwd=pw&pwd=qw", "mysql://h/db?user=u&passwd=***&pwd=***"),
        (
            "https://h/c?sv=1&sig=s&X-Amz-Signature=t",
            "https://h/c?sv=1&sig=***&X-Amz-Signature=***",
        ),
        ("http://h/?auth=pw", "http://h/?auth=***"),
        ("postgresql://u@h/db", "postgresql://u@h/db"),
        ("postgresql://h/db?user=u&password=pw&x=1", "postgresql://h/db?user=u&password=***&x=1"),
        ("a: https://u:pw@h\nb: mysql://v:qw@i\n", "a: https://u:***@h\nb: mysql://v:***@i\n"),
        ("API request to 'http://u:pw@h/api' failed", "API request to 'http://u:***@h/api' failed"),
        ("http://127.0.0.1:5000/#/experiments/1", "http://127.0.0.1:5000/#/experiments/1"),
        ("sqlite:////a/b@c/mlflow.db", "sqlite:////a/b@c/mlflow.db"),
        ("s3://bucket/runs?endpoint_override=h:1", "s3://bucket/runs?endpoint_override=h:1"),
        ("resnet20@./a.pth", "resnet20@./a.pth"),
    ],
)
def test_the_secrets_of_an_address_are_hidden(text: str, expected: str) -> None:
    assert without_secrets(text) == expected


@pytest.mark.parametrize("sign", ["'", '"', "<", " "])
def test_a_secret_of_a_whole_address_ends_at_no_quote_or_space(sign: str) -> None:
    assert shown(f"mysql://u:p{sign}w@h/db?password=p{sign}w") == "mysql://u:***@h/db?password=***"
    assert has_secret(f"mysql://u:p{sign}w@h/db")
    assert not has_secret(f"sqlite:////my{sign}runs/mlflow.db")
    assert shown(f"sqlite:////my{sign}runs/mlflow.db") == f"sqlite:////my{sign}runs/mlflow.db"


def test_the_command_that_resumes_shows_where_the_secret_belongs() -> None:
    def command(uri: str | None) -> list[str]:
        request = SearchRequest(space="kd", tracking_uri=uri)
        return shlex.split(resume_command(Storage("/runs/mine"), request))

    assert command("http://me:MARKER@h:5000")[-2:] == ["--tracking-uri", "http://me:***@h:5000"]
    assert command("http://h:5000")[-2:] == command(None)[-2:] == ["--runs-dir", "/runs"]
