"""What the README and the other files beside the code promise is true."""

import re
from pathlib import Path

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

import models
from losses import LOSSES
from search_spaces import SPACES, load_space
from tuner import search
from tuner.arguments import parser_for
from tuner.request import SearchRequest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_readme_space_of_ten_lines_is_searchable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    path = tmp_path / "my_space.py"
    path.write_text(code)
    assert load_space(str(path)).published() == SPACES["itrd"].published()
    assert search.main(["--space", str(path), "--dry-run"]) == 0
    assert "beta_corr" in capsys.readouterr().out


def test_every_option_that_the_documents_name_exists() -> None:
    parser = parser_for(SearchRequest, "x", "y")
    known = {option for action in parser._actions for option in action.option_strings}
    known |= {"--resume", "--dry-run", "--quiet", "--json", "--backend-store-uri"}
    known |= {"--output", "--test", "--keep", "--older-than", "--all"}  # of the other commands
    known |= {"--rounds", "--methods"}  # of the benchmarks
    for document in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", document.read_text()))
        assert named <= known, (document.name, named - known)


def test_every_method_and_model_has_its_place_in_the_documents() -> None:
    listed = (ROOT / "docs" / "models.md").read_text()
    assert [name for name in models.MODELS if f"`{name}`" not in listed] == []
    for method in set(LOSSES) - {"plain"}:
        page = (ROOT / "docs" / "methods" / f"{method}.md").read_text()
        assert [p.name for p in SPACES[method].params if f"`{p.name}`" not in page] == []


def test_every_link_of_the_documents_leads_somewhere() -> None:
    for document in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"(?<!\")\]\(([^)#]+)\)", document.read_text()):
            if not target.startswith("http"):
                assert (document.parent / target).exists(), (document.name, target)


def test_ray_accepts_the_cluster_file() -> None:
    config = prepare_config(yaml.safe_load((ROOT / "cluster.yaml").read_text()))
    validate_config(config)
    assert config["provider"]["type"] == "local"
    # Autoscaler v2 never starts workers of this provider.
    assert any("RAY_enable_autoscaler_v2=0" in c for c in config["head_start_ray_commands"])
