"""Bad requests are refused in one sentence, with status 2, and nothing is written."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml

import models
import tuner.distill
import tuner.report
import tuner.search
import tuner.teach
from models import Shapes, shapes_of
from tests.support.bad_input import nothing_trains, refusal_of
from tests.support.by_hand import make_header
from tuner.config.options import SearchRequest
from tuner.config.run_folder import request_yaml
from tuner.planning import task
from tuner.planning.checks import check_teacher
from tuner.planning.sampler import space_hash
from tuner.planning.search import plan_search
from tuner.results.record import Record
from tuner.text.errors import RequestError
from tuner.training.workload_data import open_data

SPACE_FILE = """
from search_spaces import Choice, Fixed, Float, Int, Space
SPACE = Space("{method}", ({params}))
"""


@pytest.fixture(autouse=True)
def _here(tmp_path):
    """An empty working folder, in which nothing trains and Ray does not start."""
    with nothing_trains(tmp_path):
        yield


@pytest.fixture
def refused(capfd, data_dir):
    """The sentence with which a command refuses its arguments."""

    def run(command, *arguments: str) -> str:
        if command is not tuner.report:
            arguments = ("--data-dir", data_dir, *arguments)  # the last one wins
        sentence = refusal_of(capfd, command, *arguments)
        assert "Error" not in sentence
        return sentence

    return run


def save(path: str, network: str = "resnet20", num_classes: int = 10) -> str:
    torch.save({"model": models.build(network, num_classes).state_dict()}, path)
    return path


ITRD = ("--space", "itrd")
BAND = [*ITRD, "--algo", "priorband"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--space", "itdr"], "unknown space 'itdr'; did you mean 'itrd'? known: "),
        ([], "space is missing; give --space"),
        (["--space", "none.py"], "none.py: No such file or directory; check the path"),
        ([*ITRD, "--student", "resnet9"], "unknown model 'resnet9'; did you mean 'resnet8'?"),
        ([*ITRD, "--teacher", "resnet21"], "unknown model 'resnet21'; did you mean 'resnet"),
        ([*ITRD, "--teacher", "wrn_11_1"], "a WRN has a depth of 6n+4"),
        (
            [*ITRD, "--algo", "tpr"],
            "unknown algo 'tpr'; did you mean 'tpe'? known: tpe, priorband, ",
        ),
        ([*ITRD, "--scheduler", "ahsa"], "unknown scheduler 'ahsa'; did you mean 'asha'?"),
        ([*ITRD, "--data", "digit"], "unknown data 'digit'; did you mean 'digits'?"),
        ([*ITRD, "--data", "parquet"], "data 'parquet' names no folder; write parquet:DIR"),
        ([*ITRD, "--data", "parquet:none"], "none: no such folder; parquet:DIR needs a folder"),
        ([*ITRD, "--set", "lamda=1"], "itrd has no hyperparameter 'lamda'"),
        ([*ITRD, "--set", "alpa=1"], "did you mean 'alpha'?"),
        ([*ITRD, "--set", "alpha=3:2"], "the range 3.0:2.0 is reversed; give LOW:HIGH"),
        ([*ITRD, "--set", "alpha=2:2"], "the range 2.0:2.0 is empty; give LOW:HIGH"),
        ([*ITRD, "--set", "alpha=big"], "alpha: 'big' is not a number; give VALUE or LOW:HIGH"),
        ([*ITRD, "--set", "kernel=rfb"], "unknown option 'rfb'; did you mean 'rbf'?"),
        ([*ITRD, "--epochs", "0"], "epochs is '0'; it must be at least 1"),
        ([*ITRD, "--trials", "0"], "trials is '0'; it must be at least 1"),
        ([*ITRD, "--seeds", "-1"], "seeds is '-1'; it must be at least 0"),
        ([*ITRD, "--trials", "-3"], "trials is '-3'; it must be at least 1"),
        ([*ITRD, "--teacher-epochs", "0"], "teacher_epochs is '0'; it must be at least 1"),
        ([*ITRD, "--batch-size", "5000"], "batch_size is 5000 but there are 1150 training images"),
        ([*ITRD, "--limit", "100", "--batch-size", "101"], "lower it with --batch-size"),
        ([*ITRD, "--limit", "3"], "the limit is 3; "),
        ([*ITRD, "--crop-padding", "8"], "crop_padding is 8 but the images have 8 pixels"),
        (
            [*ITRD, "--cpus-per-trial", "1000"],
            "cpus_per_trial is 1000 but no machine has more",
        ),
        ([*ITRD, "--cpus-per-trial", "0"], "cpus_per_trial is '0'; it must be above 0"),
        ([*ITRD, "--gpus-per-trial", "99"], "gpus_per_trial is 99 but no machine has more"),
        ([*ITRD, "--gpus-per-trial", "1.5"], "give a fraction up to 1, or a whole number"),
        ([*ITRD, "--time-budget", "0s"], "time_budget is '0s'; it must be above 0"),
        ([*ITRD, "--runs-dir", "ftp://x"], "cannot open 'ftp://x'"),
        ([*ITRD, "--name", "a/b"], "'a/b' is not a valid folder name"),
        ([*ITRD, "--name", ".."], "'..' is not a valid folder name"),
        ([*ITRD, "--name", "ledger"], "'ledger' is reserved for the ledger"),
        ([*ITRD, "--deterministic"], "deterministic needs --scheduler none or --max-concurrent 1"),
        ([*ITRD, "--scheduler", "pbt", "--trials", "3"], "trials is 3 but pbt needs a population"),
        ([*ITRD, "--scheduler", "pbt", "--algo", "gp"], "--algo gp has no effect"),
        (
            [*ITRD, "--scheduler", "asha", "--algo", "gp"],
            "gp learns only from trials that ran to the end, and asha stops most of them; use",
        ),
        (
            [*ITRD, "--scheduler", "cooldown", "--algo", "cmaes"],
            "cmaes learns only from trials that ran to the end, and cooldown stops most of them",
        ),
        (
            [*ITRD, "--epoch-budget", "3"],
            "epoch_budget is 3 but one trial may train for 4 epochs; raise it",
        ),
        ([*ITRD, "--prior", "none"], "tpe knows no prior; leave out --prior and --prior-strength"),
        ([*BAND, "--prior", "missing.yaml"], "missing.yaml: cannot be read"),
        ([*ITRD, "--quiet", "--json"], "not allowed with argument --quiet"),
        ([*ITRD, "--config", "none.yaml"], "none.yaml: cannot be read"),
        ([*ITRD, "--resume", "none"], "there is no search named 'none' in "),
    ],
)
def test_a_search_that_cannot_be_carried_out_is_refused(refused, arguments, sentence):
    assert sentence in refused(tuner.search, *arguments)


@pytest.mark.parametrize(
    ("method", "params", "sentence"),
    [
        (
            "itrd",
            "Float('x', 0, 1, grid=(0,), published=0),",
            "itrd has no hyperparameter x; known: ",
        ),
        ("itrd", "", "itrd also needs alpha, beta_corr, beta_mi, ce_weight, degree"),
        ("itdr", "", "unknown method 'itdr'; did you mean 'itrd'? known: "),
        ("itrd", "Float('alpha', 2, 1, grid=(1,), published=1),", "the range 2.0:1.0 is reversed"),
        ("itrd", "Float('alpha', 1, 1, grid=(1,), published=1),", "the range 1.0:1.0 is empty"),
        ("itrd", "Choice('kernel', (), published=1),", "there are no options"),
        ("itrd", "Float('alpha', 1, 2),", "TypeError"),
        ("itrd", "Flaot('alpha'),", "name 'Flaot' is not defined"),
        ("itrd", "(", " line 3: "),
    ],
)
def test_an_invalid_space_file_is_refused(capfd, method, params, sentence):
    Path("mine.py").write_text(SPACE_FILE.format(method=method, params=params))
    assert tuner.search.main(["--space", "mine.py", "--dry-run"]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("tuner: mine.py")
    assert err.count("\n") == 1
    assert sentence in err
    assert [path.name for path in Path().iterdir()] == ["mine.py"]


def checkpoints() -> dict[str, tuple[str, str]]:
    """For each fault of a checkpoint: its file and the sentence."""
    Path("empty.pt").touch()
    Path("other.pt").write_text("PNG")
    Path("cut.pt").write_bytes(Path(save("whole.pt")).read_bytes()[:5000])
    torch.save(models.build("resnet20", 10), "pickled.pt")
    torch.save({"model": {"a.weight": torch.zeros(3)}}, "foreign.pt")
    save("resnet8.pt", "resnet8")
    save("classes.pt", num_classes=100)
    Path("folder").mkdir()
    return {
        "missing": ("none.pt", "no such file; check the path"),
        "empty": ("empty.pt", "empty or truncated"),
        "cut": ("cut.pt", "empty or truncated; copy or download it again"),
        "no checkpoint": ("other.pt", "not a PyTorch checkpoint"),
        "code": ("pickled.pt", "contains pickled code"),
        "foreign": ("foreign.pt", "does not fit resnet20"),
        "architecture": ("resnet8.pt", "it fits resnet8; pass --teacher resnet8@"),
        "classes": ("classes.pt", "has 100 classes, the data has 10"),
        "folder": ("folder", "this is a folder"),
    }


@pytest.mark.parametrize(
    ("command", "arguments"),
    [(tuner.search, ITRD), (tuner.distill, ()), (tuner.teach, ())],
    ids=["search", "distill", "teach"],
)
def test_a_checkpoint_that_does_not_hold_the_teacher_is_refused(refused, command, arguments):
    for file, sentence in checkpoints().values():
        message = refused(command, *arguments, "--teacher", f"resnet20@{file}")
        assert sentence in message
        assert message.startswith(str(Path(file).absolute()))


def write_parquet(folder: str, columns: dict[str, list]) -> str:
    Path(folder).mkdir()
    for split in ("train", "test"):
        pq.write_table(pa.table(columns), f"{folder}/{split}-0.parquet")
    return f"parquet:{folder}"


def test_data_that_cannot_be_read_are_refused(refused):
    Path("empty").mkdir()
    Path("broken").mkdir()
    for split in ("train", "test"):
        Path(f"broken/{split}-0.parquet").write_bytes(b"PAR1 and no more")
    image = {"bytes": b"no image", "path": None}
    for spec, sentence in (
        ("parquet:empty", "needs train-*.parquet and test-*.parquet"),
        ("imagefolder:empty", "empty"),
        ("parquet:broken", "not a readable Parquet file"),
        (write_parquet("a", {"label": [0, 1]}), "no image column; name it 'image' or 'img'"),
        (write_parquet("b", {"image": [image] * 2}), "no label column; name it 'label' or"),
        (write_parquet("c", {"image": [image], "label": [0]}), "row 0"),
    ):
        for command, arguments in ((tuner.search, ITRD), (tuner.teach, ())):
            assert sentence in refused(command, *arguments, "--data", spec)


def test_a_runs_folder_that_cannot_be_written_is_refused(refused):
    Path("file").write_text("kept")
    for runs in ("file", "file/runs"):
        message = refused(tuner.search, *ITRD, "--runs-dir", runs)
        assert message.startswith("cannot write to ")
        assert message.endswith("choose another with --runs-dir")


def test_a_data_folder_that_cannot_be_written_is_refused(refused):
    Path("file").write_text("kept")
    assert "choose another folder with --data-dir" in refused(
        tuner.search, *ITRD, "--data-dir", "file/data"
    )


@pytest.mark.parametrize(
    ("pin", "sentence"),
    [
        ("num_negatives=0", "mimkd: num_negatives is 0; give a number above 0"),
        ("kd_weight=-1", "kd_weight is -1.0; give 0 or more"),
        ("temperature=0", "temperature is 0.0; give a number above 0"),
    ],
)
def test_a_pin_that_the_method_cannot_use_is_refused(refused, pin, sentence):
    assert refused(tuner.search, "--space", "mimkd", "--set", pin) == sentence


def test_a_method_that_does_not_fit_the_networks_is_refused(refused, monkeypatch):
    """All built-in networks share the size of some map; a student with one small map does not."""
    shapes = Shapes((10,), (4,), {"stage1": (4, 3, 3)})
    monkeypatch.setattr(task, "shapes_of", lambda network, size, name: next(both))
    both = iter((shapes, shapes_of(models.build("resnet8", 10), (8, 8))))
    assert refused(tuner.search, "--space", "mimkd") == (
        "mimkd: no map of the student has the height and width of one of the teacher"
        " (student: stage1 4x3x3;"
        " teacher: stem 16x8x8, stage1 16x8x8, stage2 32x4x4, stage3 64x2x2);"
        " set lambda_f to 0 or choose other networks"
    )


# Searches that exist


@pytest.fixture
def search(data_dir) -> str:
    """A search that has started: its request and its journal."""
    request = SearchRequest(
        space="mimkd",
        teacher="wrn-16-1",
        trials=5,
        data_dir=data_dir,
        name="mine",
        set={"lambda_g": "0.1:0.5"},
    )
    search = plan_search(request)
    search.storage.write("search.yaml", request_yaml(search.request))
    dataset, _ = open_data(search.workload)
    record = Record(search.storage)
    record.open(make_header(task=space_hash(search.space), data=dataset.fingerprint))
    record.close()
    return "mine"


def test_a_name_that_exists_is_refused(refused, search):
    message = refused(tuner.search, *ITRD, "--name", search)
    assert message.startswith("a search named 'mine' exists in ")
    assert message.endswith("resume it with --resume mine or choose another --name")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--trials", "6"], "trials is 6 but mine began with 5; leave it out to resume"),
        (["--space", "itrd"], "space is 'itrd' but mine began with 'mimkd'"),
        (["--teacher", "wrn_16_2"], "teacher is 'wrn_16_2' but mine began with 'wrn_16_1'"),
        (["--set", "lambda_g=0.1:0.6"], "'lambda_g': '0.1:0.6'"),
        (["--set", "lambda_f=0.5"], "set is "),
        (["--flip"], "flip is True but mine began with False"),
        (["--name", "other"], "name is 'other' but mine began with 'mine'"),
        (["--lr", "0"], "lr is '0'; it must be above 0"),
        (["--config", "other.yaml"], "epochs is 9 but mine began with 4"),
        (["--config", "unknown.yaml"], "unknown.yaml: unknown option 'epoch'"),
        (["--runs-dir", "elsewhere"], "there is no search named 'mine' in "),
    ],
)
def test_resuming_with_other_settings_is_refused(refused, search, arguments, sentence):
    Path("other.yaml").write_text("epochs: 9")
    Path("unknown.yaml").write_text("epoch: 9")
    assert sentence in refused(tuner.search, "--resume", search, *arguments)


def test_a_folder_with_other_files_is_refused_and_left_alone(refused):
    path = Path("runs/mine/checkpoints/best.pt")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"precious")
    assert "already holds other files" in refused(tuner.search, *ITRD, "--name", "mine")
    assert path.read_bytes() == b"precious"


def test_resuming_with_a_space_that_has_changed_is_refused(refused, search):
    path = Path("runs/mine/search.yaml")
    content = yaml.safe_load(path.read_text())
    content["set"]["lambda_g"] = "0.1:0.9"
    path.write_text(yaml.safe_dump(content))
    assert "the space mimkd has changed since mine began" in refused(
        tuner.search, "--resume", search
    )


def test_the_same_settings_in_other_words_are_accepted(search, data_dir, capfd):
    """Nothing is refused; a dry run, so that nothing starts."""
    Path("same.yaml").write_text(Path("runs/mine/search.yaml").read_text())
    for arguments in (
        ["--config", "same.yaml"],
        ["--teacher", "WRN-16-1", "--runs-dir", "runs/", "--set", "lambda_g=0.1:0.5"],
        ["--max-concurrent", "1", "--time-budget", "3h", "--tracking-uri", "http://x"],
    ):
        assert tuner.search.main(["--resume", search, "--dry-run", *arguments]) == 0
        assert capfd.readouterr().err == ""


# The other commands


@pytest.mark.parametrize(
    ("command", "arguments", "sentence"),
    [
        (tuner.teach, ["--teacher", "resnet21"], "unknown model 'resnet21'"),
        (tuner.teach, ["--data", "digit"], "unknown data 'digit'"),
        (tuner.teach, ["--batch-size", "5000"], "lower it with --batch-size"),
        (tuner.teach, ["--teacher-epochs", "0"], "teacher_epochs is '0'; it must be at least 1"),
        (tuner.teach, ["--epochs", "1"], "unrecognized arguments: --epochs 1"),
        (tuner.teach, ["--output", "file/t.pt"], "cannot write to "),
        (tuner.teach, ["--output", "."], "give --output a file in a writable folder"),
        (tuner.distill, ["--method", "itdr"], "unknown method 'itdr'; did you mean 'itrd'?"),
        (tuner.distill, ["--method", "plain", "--set", "a=1"], "plain has no hyperparameters"),
        (tuner.distill, ["--set", "alpa=1"], "itrd has no hyperparameter 'alpa'"),
        (tuner.distill, ["--set", "alpha=big"], "alpha: 'big' is not a number"),
        (tuner.distill, ["--set", "alpha"], "write NAME=VALUE"),
        (tuner.distill, ["--student", "resnet9"], "unknown model 'resnet9'"),
        (tuner.distill, ["--output", "file/s.pt"], "cannot write to "),
        (tuner.distill, ["--config", "bad.yaml"], "bad.yaml: contains no options"),
        (tuner.report, ["none"], "there is no search named 'none' in "),
        (tuner.report, [], "names is missing; give it as an argument"),
        (tuner.report, ["a", "--runs-dir", "ftp://x"], "cannot open 'ftp://x'"),
        (tuner.report, ["a", "--what"], "unrecognized arguments: --what"),
    ],
)
def test_the_other_commands_refuse_in_one_sentence_too(refused, command, arguments, sentence):
    Path("file").touch()
    Path("bad.yaml").write_text("- 1")
    assert sentence in refused(command, *arguments)


def test_a_teacher_that_has_changed_or_is_lost_is_refused(search, data_dir):
    planned = plan_search(SearchRequest(space="kd", data_dir=data_dir, name=search))
    record = Record(planned.storage)
    record.open(make_header(teacher="1234"))
    check_teacher(planned, record, "1234")
    with pytest.raises(RequestError, match="the teacher has changed since mine began"):
        check_teacher(planned, record, "5678")
    with pytest.raises(RequestError, match="damaged, and there is no other copy; restore"):
        check_teacher(planned, record, None)
    record = Record(planned.storage.sub("other"))
    record.open(make_header(teacher=None))
    check_teacher(planned, record, None)  # it had none yet
