"""The command line: precedence over environment, YAML and defaults; refusals; help."""

import re

import pytest

from tuner.config.command_line import ENVIRONMENT, parser_for, read_request
from tuner.config.options import (
    GROUPS,
    CacheRequest,
    DistillRequest,
    NamedRequest,
    PrecomputeRequest,
    PruneRequest,
    ReportRequest,
    ReproduceRequest,
    SearchRequest,
    TeachRequest,
)
from tuner.text.errors import RequestError


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    for variable in ENVIRONMENT.values():
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def yaml_file(tmp_path):
    def write(text: str | bytes) -> str:
        path = tmp_path / "options.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return write


def search(*arguments: str) -> SearchRequest:
    given = parser_for(SearchRequest, "tuner search", "").parse_args(
        ["--space", "itrd", *arguments]
    )
    return read_request(SearchRequest, vars(given))


def refusal(*arguments: str) -> str:
    with pytest.raises(RequestError) as error:
        search(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("option", ENVIRONMENT)
def test_a_flag_wins_over_the_environment_over_a_file_over_the_default(
    option, yaml_file, monkeypatch
):
    flag, config = f"--{option.replace('_', '-')}", yaml_file(f"{option}: file")
    assert getattr(search(), option) is None
    assert getattr(search("--config", config), option) == "file"
    monkeypatch.setenv(ENVIRONMENT[option], "environment")
    assert getattr(search("--config", config), option) == "environment"
    assert getattr(search("--config", config, flag, "flag"), option) == "flag"
    monkeypatch.setenv(ENVIRONMENT[option], "")
    assert getattr(search("--config", config), option) == "file"


def test_commands_without_an_option_ignore_its_environment_variable(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert not hasattr(read_request(TeachRequest, {}), "address")


def test_a_flag_wins_over_a_file_over_the_default(yaml_file):
    config = yaml_file("epochs: 30\ntrials: 5\nspace: mimkd\n")
    request = search("--config", config, "--epochs", "7")
    assert (request.space, request.epochs, request.trials, request.seeds) == ("itrd", 7, 5, 3)


def test_pins_of_file_and_command_line_are_merged_and_the_command_line_wins(yaml_file):
    config = yaml_file("set: {alpha: 2, log2: true, sigma: null, h: 1:3}")
    request = search("--config", config, "--set", "alpha=1.5", "--set", "beta-mi = 1:2")
    assert request.set == {
        "alpha": "1.5",
        "log2": "true",
        "sigma": "none",
        "h": "1:3",
        "beta_mi": "1:2",
    }


def test_a_pin_may_hold_an_equals_sign():
    assert search("--set", "kernel=a=b").set == {"kernel": "a=b"}


@pytest.mark.parametrize("pin", ["alpha", "=1", "alpha=", " =1"])
def test_half_a_pin_is_refused(pin):
    assert "write NAME=VALUE or NAME=LOW:HIGH" in refusal("--set", pin)


@pytest.mark.parametrize(
    ("text", "drops"), [("150,180,210", (150, 180, 210)), ("5,", (5,)), ("", ())]
)
def test_lists_are_separated_by_commas(text, drops):
    assert search("--lr-decay-epochs", text).lr_decay_epochs == drops


def test_a_list_in_a_file_is_a_list(yaml_file):
    assert search("--config", yaml_file("lr_decay_epochs: [3, 4]")).lr_decay_epochs == (3, 4)


def test_booleans_have_a_flag_for_both_values(yaml_file):
    assert search().flip is None
    assert search("--flip").flip is True
    assert search("--no-flip").flip is False
    config = yaml_file("flip: yes\ndeterministic: true")
    assert search("--config", config).flip is True
    assert search("--config", config, "--no-flip").flip is False
    assert search("--config", config, "--no-deterministic").deterministic is False


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("1.5m", 90), ("8h", 28800), ("2d", 172800)]
)
def test_a_time_may_have_a_unit(text, seconds):
    assert search("--time-budget", text).time_budget == seconds


def test_an_empty_file_holds_no_options(yaml_file):
    assert search("--config", yaml_file("# nothing yet\n")) == search()


def test_numbers_that_yaml_reads_as_text_are_numbers(yaml_file):
    assert search("--config", yaml_file("lr: 1e-3")).lr == 1e-3


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("epoch: 3", "unknown option 'epoch'; did you mean 'epochs'? known: data, "),
        ("zzz: 3", "unknown option 'zzz'; known: data, "),
        ("1: 3", "unknown option 1; known: data, "),
        ("config: other.yaml", "unknown option 'config'"),
        ("epochs: [", " line 1: not valid YAML (expected the node content, but found"),
        ("a: 1\n\tb: 2", " line 2: not valid YAML"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
        ("- epochs", "contains no options; write lines such as `epochs: 30`"),
        ("epochs", "contains no options"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_the_refusal_of_a_file_names_it(yaml_file, text, sentence):
    path = yaml_file(text)
    message = refusal("--config", path)
    assert message.startswith(path)
    assert sentence in message


def test_a_missing_file_is_named(tmp_path):
    path = str(tmp_path / "none.yaml")
    assert refusal("--config", path) == (
        f"{path}: cannot be read (No such file or directory); check the path"
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("epochs: many", "epochs is 'many'; give a whole number"),
        ("epochs: 1.5", "epochs is 1.5; give a whole number"),
        ("lr: fast", "lr is 'fast'; give a number"),
        ("lr: .inf", "lr is inf; give a finite number"),
        ("weight_decay: .nan", "weight_decay is nan; "),
        ("lr: -1", "lr is -1; it must be above 0"),
        ("momentum: 1", "momentum is 1; it must be below 1"),
        ("lr_decay_rate: 2", "lr_decay_rate is 2; it must be at most 1"),
        ("batch_size: 1", "batch_size is 1; it must be at least 2"),
        ("seed: 3000000000", "seed is 3000000000; it must be below 2147483648"),
        ("flip: perhaps", "flip is 'perhaps'; give true or false"),
        ("student: 3", "student is 3; give text"),
        ("data: null", "data is None; give text"),
        ("set: alpha", "set is 'alpha'; write NAME: VALUE lines"),
        ("set: [alpha]", "set is ['alpha']; write NAME: VALUE lines"),
        ("lr_decay_epochs: 3,x", "lr_decay_epochs is 'x'; give a whole number"),
        ("time_budget: soon", "time_budget is 'soon'; give a number"),
        ("time_budget: xs", "time_budget is 'xs'; give a number, or a time such as 90s"),
        ("epochs: true", "epochs is True; give a number"),
        ("algo: tpr", "unknown algo 'tpr'; did you mean 'tpe'? known: tpe, priorband, "),
        (
            "scheduler: zzz",
            "unknown scheduler 'zzz'; known: cooldown, asha, hyperband, median, pbt, none",
        ),
    ],
)
def test_a_wrong_value_is_refused_in_one_sentence(yaml_file, text, sentence):
    assert sentence in refusal("--config", yaml_file(text))


def test_a_wrong_value_in_a_file_is_not_hidden_by_a_pin(yaml_file):
    assert "write NAME: VALUE lines" in refusal("--config", yaml_file("set: x"), "--set", "alpha=2")


def test_a_missing_option_is_named():
    with pytest.raises(RequestError, match=r"^space is missing; give --space$"):
        read_request(SearchRequest, {})


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--epoch", "3"], "unrecognized arguments: --epoch 3; see tuner search --help"),
        (["--epochs"], "argument --epochs: expected one argument; see tuner search --help"),
        (["itrd"], "unrecognized arguments: itrd"),
    ],
)
def test_a_wrong_flag_is_refused_in_one_sentence(arguments, sentence):
    assert sentence in refusal(*arguments)


def test_a_name_is_given_without_a_flag_or_in_a_file(yaml_file):
    def named(*arguments: str) -> ReportRequest:
        given = parser_for(ReportRequest, "tuner report", "").parse_args(list(arguments))
        return read_request(ReportRequest, vars(given))

    assert named("a", "b,c", "--name", "d").names == ("a", "b,c")
    assert named("a", "--config", yaml_file("names: b")).names == ("a",)
    assert named("--config", yaml_file("names: [b, c]")).names == ("b", "c")
    with pytest.raises(RequestError, match=r"^names is missing; give it as an argument$"):
        named()


# Help

MODELS = [
    SearchRequest,
    PrecomputeRequest,
    ReproduceRequest,
    TeachRequest,
    DistillRequest,
    NamedRequest,
    ReportRequest,
    CacheRequest,
    PruneRequest,
]


@pytest.mark.parametrize("model", MODELS)
def test_every_option_is_described_in_one_group_of_the_help(model):
    text = parser_for(model, "tuner", "").format_help()
    for name, field in model.model_fields.items():
        assert field.description
        if field.json_schema_extra.get("is_positional"):
            assert text.startswith("usage: tuner NAME ")
        else:
            assert field.json_schema_extra["group"] in GROUPS
            assert len(re.findall(rf"^  --{name.replace('_', '-')}[ ,]", text, re.MULTILINE)) == 1
    assert "PydanticUndefined" not in text


def test_the_help_of_a_search_is_in_groups_and_begins_with_its_space():
    text = parser_for(SearchRequest, "tuner search", "About.").format_help()
    headings = re.findall(r"^(\w+):$", text, re.MULTILINE)
    assert headings == [*GROUPS, "general"]
    assert re.findall(r"^  (--[\w-]+)", text, re.MULTILINE)[:2] == ["--space", "--set"]
    assert text.startswith("usage: tuner search --space SPACE [options]\n\nAbout.")


def test_only_defaults_that_are_values_are_shown():
    text = " ".join(parser_for(SearchRequest, "tuner search", "").format_help().split())
    assert "sampler: how settings are proposed (default: tpe)" in text
    assert "(default: {})" not in text
    assert "(default: None)" not in text
