"""`tuner search` as a command: a configuration file, JSON output, and the processes it leaves."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import tuner.search
from tests.support.searching import Driver, Searches, local_ray
from tuner.results.trial import DONE, SEARCH, STOPPED


@pytest.fixture(scope="module")
def searches(tmp_path_factory: pytest.TempPathFactory, data_dir: str) -> Iterator[Searches]:
    with local_ray():
        yield Searches(tmp_path_factory.mktemp("command"), data_dir)


def test_search_yaml_feeds_back_through_config(searches: Searches, tmp_path: Path) -> None:
    assert searches.run("once", "--quiet", trials=1, seeds=0, epochs=1) == 0
    config = searches.folder("once") / "search.yaml"
    arguments = ["--config", str(config), "--quiet", "--trials", "2"]
    assert tuner.search.main([*arguments, "--name", "again", "--runs-dir", str(tmp_path)]) == 0
    again = yaml.safe_load((tmp_path / "again" / "search.yaml").read_text())
    assert again == yaml.safe_load(config.read_text()) | {"trials": 2}


def test_the_command_prints_json_and_leaves_no_process(searches: Searches, tmp_path: Path) -> None:
    arguments = searches.arguments("json", "--json", trials=2, epochs=2)
    driver = Driver(arguments, tmp_path)
    try:
        assert driver.wait() == 0, driver.err
    finally:
        left = driver.reap()
    assert left == []
    *trials, result = [json.loads(line) for line in driver.out.splitlines()]
    assert [trial["trial"] for trial in trials if trial["kind"] == SEARCH] == ["0000", "0001"]
    assert all(trial["status"] in (DONE, STOPPED) for trial in trials)
    assert result["search"] == "json"
    assert result["best"]["trial"] in ("0000", "0001")
    assert {row["label"] for row in result["comparison"]} >= {"published", "plain"}
    assert Path(result["report"]).is_file()
    assert driver.err == ""
