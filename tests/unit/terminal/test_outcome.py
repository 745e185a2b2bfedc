"""What others have named reaches a terminal as text: no markup of rich's, nothing to obey."""

from pathlib import Path

import pytest

import tuner.search
from tests.support.bad_input import nothing_trains
from tests.support.by_hand import begin, new_record
from tests.unit.terminal.test_live import shown, view_of
from tuner.results.trial import FAILED

NAME = "[red]x[bold]"


def test_a_dry_run_shows_names_as_they_are(tmp_path, capsys, data_dir):
    (tmp_path / f"{NAME}.py").write_text(
        "from search_spaces import Space, kd\n"
        f"SPACE = Space('kd', kd.SPACE.params, source={NAME!r})\n"
    )
    with nothing_trains(tmp_path):
        arguments = ["--space", f"{NAME}.py", "--data-dir", data_dir, "--dry-run"]
        assert tuner.search.main(arguments) == 0
    assert NAME in capsys.readouterr().out.splitlines()  # the source of the published values


@pytest.mark.parametrize("word", [NAME, "[/]", "[link=http://x]y[/link]", "\\[red]"])
def test_a_table_that_lives_shows_options_and_reasons_as_they_are(tmp_path, capsys, word):
    record = new_record(Path(tmp_path))
    view = view_of(record)
    begin(record, "0000", setting={"weight": 1.0, "kernel": word})
    record.end("0000", FAILED, word)
    assert f"kernel={word}" in shown(view)
    assert f"({word})" in capsys.readouterr().out
