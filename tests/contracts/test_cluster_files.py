"""Ray and KubeRay accept the files that start a cluster, and the files start what they say."""

import copy
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.support.kuberay_schema import KINDS
from tuner.config.command_line import parser_for
from tuner.config.options import SearchRequest

ROOT = Path(__file__).parents[2]
RAY_FILES = ("cluster.yaml", "deploy/aws.yaml")
KUBERAY_FILES = {
    "RayJob": "deploy/kuberay-rayjob.yaml",
    "RayCluster": "deploy/kuberay-raycluster.yaml",
}
Yaml = dict[str, Any]
every_ray_file = pytest.mark.parametrize("file", RAY_FILES)
every_kind = pytest.mark.parametrize("kind", KUBERAY_FILES)


def read(file: str) -> Yaml:
    content: Yaml = yaml.safe_load((ROOT / file).read_text())
    return content


def kuberay(kind: str) -> Yaml:
    return read(KUBERAY_FILES[kind])


@every_ray_file
def test_ray_accepts_the_file(file: str) -> None:
    validate_config(prepare_config(read(file)))


@every_ray_file
def test_ray_refuses_the_file_with_a_typo(file: str) -> None:
    with pytest.raises(jsonschema.ValidationError, match="setup_comands"):
        validate_config(prepare_config(read(file) | {"setup_comands": []}))


@every_ray_file
def test_the_cluster_cannot_be_used_without_the_token(file: str) -> None:
    config = read(file)
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert "chmod 600 ~/.ray/auth_token" in config["setup_commands"]
    for commands in ("head_start_ray_commands", "worker_start_ray_commands"):
        (start,) = [command for command in config[commands] if "ray start" in command]
        assert "RAY_AUTH_MODE=token " in start


def test_workers_on_the_users_own_machines_are_started() -> None:
    config = read("cluster.yaml")
    assert config["provider"]["type"] == "local"
    assert config["max_workers"] == len(config["provider"]["worker_ips"])
    # Autoscaler v2 never starts workers of this provider.
    assert any("RAY_enable_autoscaler_v2=0" in c for c in config["head_start_ray_commands"])


def test_on_aws_only_workers_are_spot_instances() -> None:
    types = read("deploy/aws.yaml")["available_node_types"]
    assert "InstanceMarketOptions" not in types["head"]["node_config"]
    assert types["worker"]["node_config"]["InstanceMarketOptions"]["MarketType"] == "spot"


@every_kind
def test_kuberay_accepts_the_file(kind: str) -> None:
    jsonschema.validate(kuberay(kind), KINDS[kind])


@every_kind
def test_kuberay_refuses_a_typo_of_any_field(kind: str) -> None:
    content = kuberay(kind)
    validator = jsonschema.Draft202012Validator(KINDS[kind])
    free = {"requests", "limits", "rayStartParams"}  # objects with arbitrary keys
    places = list(objects(content, free))
    assert len(places) > 15
    for path in places:
        wrong = copy.deepcopy(content)
        place = at(wrong, path)
        name = next(iter(place))
        place[f"{name}s"] = place.pop(name)
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(wrong)


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: spec.update(authOptions={"mode": "tokens"}),
        lambda spec: spec["workerGroupSpecs"][0].update(maxReplicas="4"),
        lambda spec: spec["workerGroupSpecs"][0].pop("template"),
        lambda spec: spec["headGroupSpec"].update(rayStartParams={"num-cpus": 0}),
        lambda spec: spec.pop("headGroupSpec"),
    ],
)
def test_kuberay_refuses_a_value_of_the_wrong_kind(change: Callable[[Yaml], Any]) -> None:
    content = kuberay("RayCluster")
    change(content["spec"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, KINDS["RayCluster"])


def test_both_kuberay_files_start_the_same_cluster() -> None:
    cluster = kuberay("RayCluster")["spec"]
    assert kuberay("RayJob")["spec"]["rayClusterSpec"] == cluster
    assert cluster["authOptions"]["mode"] == "token"
    (oldest,) = re.findall(r'"ray\[tune\]>=([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    assert cluster["rayVersion"].startswith(oldest)


@pytest.mark.parametrize(("status", "begun_with"), [(0, "--resume"), (2, "--name")])
def test_the_job_resumes_an_existing_search_or_starts_a_new_one(
    status: int, begun_with: str, tmp_path: Path
) -> None:
    for name, code in {"tuner": f"exit {status}", "python": 'echo "$@"', "ray": RAY}.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{code}\n")
        program.chmod(0o755)
    # As KubeRay submits it: inside a shell command, for a shell on the head.
    entrypoint = kuberay("RayJob")["spec"]["entrypoint"]
    (line,) = run(f"ray job submit --no-wait -- {entrypoint} ;", tmp_path)
    (begun,) = run(line, tmp_path)
    module, *arguments = shlex.split(begun.removeprefix("-m "))
    assert module == "tuner.search"
    assert arguments[:2] == [begun_with, "itrd"]
    known = {
        option
        for action in parser_for(SearchRequest, "x", "y")._actions
        for option in action.option_strings
    } | {"--resume"}
    assert {argument for argument in arguments if argument.startswith("--")} <= known


# Prints the command line that `ray job submit` makes of its arguments for the head.
RAY = f"""while [ "$1" != -- ]; do shift; done
exec {sys.executable} -c 'import subprocess, sys; print(subprocess.list2cmdline(sys.argv[2:]))' "$@"
"""


def run(command: str, programs: Path) -> list[str]:
    """The lines that a shell command prints, with these programs before all others."""
    environment = {"PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin"}
    ran = subprocess.run(
        command, shell=True, capture_output=True, text=True, check=True, env=environment
    )
    return ran.stdout.splitlines()


def objects(value: Any, free: set[str], path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all objects within one, except those with arbitrary keys."""
    if isinstance(value, dict) and value:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        if isinstance(inner, dict | list) and key not in free:
            yield from objects(inner, free, (*path, key))


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value
