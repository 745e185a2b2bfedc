"""`tuner reproduce`, as far as it trains nothing."""

from tuner import reproduce
from tuner.reproductions.catalogue import CATALOGUE


def test_the_list_names_every_reproduction(capsys) -> None:
    assert reproduce.main(["--list"]) == 0
    printed = capsys.readouterr().out
    assert [name for name in CATALOGUE if name not in printed] == []


def test_a_misspelt_name_is_refused_with_the_right_one(capsys) -> None:
    assert reproduce.main(["itrd-alhpa"]) == 2
    assert "did you mean 'itrd-alpha'?" in capsys.readouterr().err
