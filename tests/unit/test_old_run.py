"""A folder of an earlier version, whose journal has no checksums but a copy, can still be used."""

import shutil
from pathlib import Path

import pytest

import tuner.report
import tuner.status
from tuner.results.heartbeat import read_driver
from tuner.results.journal import JOURNAL_FILE
from tuner.results.record import Record
from tuner.results.tables import epochs_table, read_tables, trials_table
from tuner.storage.folder import Storage

OLD_RUN = Path(__file__).parents[1] / "golden" / "old_run"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(OLD_RUN, tmp_path / "old_run"))


def test_its_journal_holds_what_its_tables_hold(folder: Path) -> None:
    storage = Storage(str(folder))
    record, tables = Record.load(storage), read_tables(storage)
    assert list(record.trials) == [
        *("teacher", "0000", "0001", "0002", "tuned-1", "published-1", "plain-1"),
    ]
    assert epochs_table(record).equals(epochs_table(tables))
    assert (
        trials_table(record)
        .drop_columns(["started", "ended"])
        .equals(trials_table(tables).drop_columns(["started", "ended"]))
    )


def test_it_is_continued_by_the_present_version(folder: Path) -> None:
    path = folder / JOURNAL_FILE
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:12]) + lines[12][:20])  # killed
    record = Record.load(Storage(str(folder)), lock=True)
    record.end("0001", "done")
    record.close()
    assert path.read_bytes().startswith(b"".join(lines[:12]))
    assert Record.load(Storage(str(folder))).events == record.events


def test_its_driver_is_understood(folder: Path) -> None:
    assert read_driver(Storage(str(folder))).outcome == "done"


def test_its_report_and_its_status_are_shown(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["old_run", "--runs-dir", str(folder.parent)]
    assert tuner.report.main(arguments) == 0
    assert "damaged" not in capsys.readouterr().err
    assert "published-1" in (folder / "report.html").read_text()
    assert tuner.status.main(arguments) == 0
    assert "old_run: done, " in capsys.readouterr().out


def test_its_report_is_built_from_the_tables_if_the_journal_is_damaged(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / JOURNAL_FILE
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:4], b"{broken\n", *lines[5:]]))
    tables = (folder / "trials.parquet").read_bytes()
    arguments = ["old_run", "--runs-dir", str(folder.parent)]
    assert tuner.report.main(arguments) == 0
    assert (
        f"tuner: {path} line 5 is damaged; the report is built from trials.parquet and "
        "epochs.parquet, which may lack the latest epochs\n"
    ) in capsys.readouterr().err
    assert "published-1" in (folder / "report.html").read_text()
    assert (folder / "trials.parquet").read_bytes() == tables
    assert tuner.status.main(arguments) == 2
    assert f"{path} line 5 is damaged; restore the file from a backup" in capsys.readouterr().err
