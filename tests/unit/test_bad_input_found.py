"""Bad inputs that the generated ones of test_bad_input.py have found; each is refused now."""

import io
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import models
import tuner.distill
import tuner.report
import tuner.search
import tuner.teach
from tests.support.bad_input import RUNS, nothing_trains, outcome, refusal_of
from tests.support.by_hand import begin
from tuner.data.sources import decoding
from tuner.results.record import Record
from tuner.results.tables import write_tables
from tuner.storage.folder import Storage
from tuner.text.errors import RequestError, printable


def parquet_of(columns: dict[str, list]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def _here(tmp_path):
    with nothing_trains(tmp_path):
        yield


@pytest.fixture
def refusal(capfd, data_dir):
    """The sentence with which a command refuses its arguments."""

    def run(command, *arguments: str) -> str:
        given = () if command is tuner.report else ("--data-dir", data_dir)
        return refusal_of(capfd, command, *given, *arguments)

    return run


def config(text: str | bytes) -> tuple[str, ...]:
    Path("config.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
    return "--space", "kd", "--config", "config.yaml"


# Command lines and YAML


@pytest.mark.parametrize("name", ["../../x", "..", "a/b", "x\ny", "\x1b[31m", "\u2028", "\udcff"])
def test_a_name_outside_its_folder_or_with_control_characters_is_refused(refusal, name):
    refusal(tuner.search, "--space", "kd", "--name", name)
    refusal(tuner.search, *config("name: " + repr(name).replace("'", '"')))


@pytest.mark.parametrize(
    "arguments",
    [
        (tuner.search, "--space", "kd", "--runs-dir", "~nobody-here/x"),
        (tuner.search, "--resume", "x", "--runs-dir", "~nobody-here/x"),
        (tuner.search, "--space", "~nobody-here/x.py"),
        (tuner.search, "--space", "kd", "--data", "parquet:~nobody-here"),
        (tuner.search, "--space", "kd", "--teacher=resnet8@~nobody-here/x.pt"),
        (tuner.search, "--config", "~nobody-here/x.yaml"),
        (tuner.distill, "--output", "~nobody-here/x.pt"),
        (tuner.report, "x", "--runs-dir", "~nobody-here/x"),
    ],
)
def test_the_home_folder_of_an_unknown_user_is_refused(refusal, arguments):
    assert "names the home folder ~nobody-here" in refusal(*arguments)


def test_a_path_that_no_disk_could_hold_is_refused_as_a_mistake(refusal):
    assert "File name too long" in refusal(tuner.teach, "--data", "parquet:" + "a" * 300)


@pytest.mark.parametrize("text", ["1" * 400, "9" * 5000, "2147483648", "1e400", "nan"])
@pytest.mark.parametrize("option", ["--epochs", "--trials", "--image-size", "--batch-size"])
def test_numbers_out_of_all_range_are_refused(refusal, option, text):
    assert refusal(tuner.search, "--space", "kd", option, text).startswith(option[2:5])


def test_an_image_size_that_no_memory_could_hold_is_refused_before_an_image_is_made(refusal):
    assert "give a smaller --image-size" in refusal(tuner.teach, "--image-size", "100000")


@pytest.mark.parametrize(
    "text",
    [
        "seed: 9999-99-99",  # looks like a date
        "seed: !!timestamp x",
        "seed: !!bool x",
        "seed: !!int ''",
        "epochs: " + "9" * 5000,
        "[" * 1500,
        "a: &a [*a, {? *a : 1}]",
    ],
)
def test_yaml_that_its_parser_cannot_handle_is_refused(refusal, text):
    assert "not valid YAML" in refusal(tuner.search, *config(text))


def test_a_duplicate_option_is_refused(refusal):
    sentence = refusal(tuner.search, *config("epochs: 3\nepochs: 4"))
    assert sentence.startswith("config.yaml line 1: not valid YAML ('epochs' is given twice)")


def test_a_few_lines_that_expand_to_gigabytes_are_refused_at_once(refusal):
    lines = ["data: &a [x, x, x, x, x, x, x, x, x]"]
    for name, before in zip(("epochs", "lr", "seed", "name", "teacher"), "abcde", strict=True):
        lines.append(f"{name}: &{chr(ord(before) + 1)} [{', '.join([f'*{before}'] * 9)}]")
    assert len(refusal(tuner.search, *config("\n".join(lines)))) < 500
    assert len(refusal(tuner.search, *config("\n".join([*lines, "set: {alpha: *f}"])))) < 500


def test_merges_are_refused(refusal):
    assert "merge keys are not supported" in refusal(tuner.search, *config("set: {<<: {alpha: 1}}"))


@pytest.mark.parametrize("value", ["[1]", "{a: 1}", '"\\0"', "!!binary aGVsbG8="])
def test_a_pin_that_is_not_a_value_is_refused(refusal, value):
    refusal(tuner.search, *config(f"set: {{temperature: {value}}}"))


def test_a_refusal_is_one_printable_line_of_bounded_length():
    assert printable("a\nb\x1b[31m\udcff\u2028c") == "a b\\x1b[31m\\udcff c"
    assert len(printable("x" * 10**6)) < 2100


# Search spaces

SPACE = """
from search_spaces import Choice, Epochs, Fixed, Float, Int, Space
SPACE = Space({})
"""
OTHERS = "Fixed('ce_weight', 1.0), Fixed('temperature', 4.0)"


@pytest.mark.parametrize(
    ("space", "sentence"),
    [
        ("['kd'], ()", "the method is ['kd']; give a name"),
        ("'../x', ()", "the method is '../x'; give a name"),
        ("'[red]', ()", "the method is '[red]'; give a name"),
        ("'kd', (1,)", "kd: 1 is not a hyperparameter; give Float, Int, Choice, Fixed or Epochs"),
        ("'kd', (), source=1", "kd: the source is 1; give a text"),
        ("'kd', (Fixed(1, 1),)", "1 is not a hyperparameter's name"),
        ("'kd', (Fixed('a b', 1),)", "'a b' is not a hyperparameter's name"),
        ("'kd', (Choice('x', ('\\x1b[31m',), published='\\x1b[31m'),)", "is not an option; give"),
        ("'kd', (Choice('x', ([1],), published=[1]),)", "[1] is not an option; give"),
        ("'kd', (Fixed('x', 1, kind=dict),)", "its kind is <class 'dict'>; give float, int"),
        ("'kd', (Epochs('x', 1.5),)", "1.5 of 240 epochs; give whole numbers"),
        ("'kd', (Epochs('x', 1, of=0),)", "1 of 0 epochs; give whole numbers"),
        ("'kd', (Int('x', 1, 10**30, grid=(1,), published=1),)", "is not a whole number"),
        (f"'kd', (Fixed('kd_weight', 'x'), {OTHERS})", "KD cannot be built with kd_weight 'x'"),
    ],
)
def test_a_space_with_parts_of_a_wrong_type_is_refused(refusal, space, sentence):
    Path("mine.py").write_text(SPACE.format(space))
    assert sentence in refusal(tuner.search, "--space", "mine.py")


@pytest.mark.parametrize(
    "code",
    [
        "class E(BaseException): pass\nraise E",
        "class E(Exception):\n    def __str__(self): raise ValueError\nraise E",
        "raise GeneratorExit",
    ],
)
def test_whatever_a_users_file_raises_is_reported(refusal, code):
    Path("mine.py").write_text(code)
    assert "mine.py line " in refusal(tuner.search, "--space", "mine.py")
    assert "mine.py line " in refusal(tuner.search, "--space", "kd", "--student", "mine.py:net")


# Checkpoints


def test_a_checkpoint_is_read_or_refused_without_a_warning(refusal):
    """For an old pickle torch warns about its protocol."""
    torch.save({"model": 1}, "old.pt", pickle_protocol=4, _use_new_zipfile_serialization=False)
    refusal(tuner.teach, "--teacher", "resnet8@old.pt")


@pytest.mark.parametrize(
    "weight",
    [
        torch.ones(10, 64, device="meta"),  # its numbers are nowhere
        torch.ones(10, 64).to_sparse(),
        torch.ones(10, 64, dtype=torch.complex64),
    ],
    ids=["meta", "sparse", "complex"],
)
def test_weights_that_are_not_plain_tensors_are_refused(refusal, weight):
    weights = models.build("resnet8", 10).state_dict() | {"fc.weight": weight}
    torch.save(weights, "odd.pt")
    assert "not plain tensors" in refusal(tuner.teach, "--teacher", "resnet8@odd.pt")


# Parquet


def parquet(image: bytes, labels: list[int], metadata: str = "") -> str:
    Path("images").mkdir(exist_ok=True)
    table = pa.table({"image": pa.array([image] * len(labels), pa.binary()), "label": labels})
    if metadata:
        table = table.replace_schema_metadata({"huggingface": metadata})
    for split in ("train", "test"):
        pq.write_table(table, f"images/{split}-0.parquet")
    return "parquet:images"


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "png")
    return buffer.getvalue()


def test_labels_that_number_something_else_are_refused(refusal):
    data = parquet(png(), [0, 2**40])
    assert "labels range from 0 to 1099511627776" in refusal(tuner.teach, "--data", data)


@pytest.mark.parametrize("names", ["3", '"ab"', "[1, 2]", "[]", '["a", null]', "[[1], [2]]"])
def test_unusable_class_names_are_replaced_by_numbers(capfd, names):
    metadata = f'{{"info": {{"features": {{"label": {{"names": {names}}}}}}}}}'
    data = parquet(png(), [0, 1] * 20, metadata)
    arguments = ("--data-dir", "data", "--data", data, "--batch-size", "4")
    assert outcome(capfd, tuner.teach, *arguments, "--teacher", "resnet8") == RUNS


def test_an_image_never_starts_another_program(refusal):
    """Pillow hands what calls itself EPS to Ghostscript."""
    data = parquet(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n", [0, 1] * 20)
    assert "unknown format" in refusal(tuner.teach, "--data", data)


def test_images_that_no_memory_could_hold_are_refused():
    with pytest.raises(RequestError, match=re.escape("images of 100000x100000 pixels take")):
        decoding._empty_images(1000, 100_000, 100_000)


def test_a_good_checkpoint_and_a_good_table_still_run(capfd, data_dir):
    torch.save({"model": models.build("resnet8", 10).state_dict()}, "good.pt")
    arguments = ("--data-dir", data_dir, "--space", "kd", "--teacher", "resnet8@good.pt")
    assert outcome(capfd, tuner.search, *arguments) == RUNS


# The files of a search


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("search.yaml", b"\xff\xfe"),
        ("search.yaml", b"- a"),
        ("search.yaml", b"epochs: 1\nepochs: 2"),
        ("trials.parquet", b"PAR1"),
        ("epochs.parquet", b""),
        ("trials.parquet", parquet_of({"x": [1]})),
        ("epochs.parquet", parquet_of({"trial": ["0000"], "epoch": ["x"]})),
    ],
)
def test_the_report_of_a_damaged_folder_is_refused(refusal, file, content):
    folder = Path("runs/mine")
    folder.mkdir(parents=True)
    (folder / "search.yaml").write_text("space: kd")
    record = Record(Storage(str(folder)))
    begin(record, "0000")
    record.epoch("0000", {"epoch": 1.0, "val_accuracy": 50.0})
    record.close()
    write_tables(Storage(str(folder)), record)
    (folder / "journal.jsonl").unlink()
    (folder / file).write_bytes(content)
    assert file.partition(".")[0] in refusal(tuner.report, "mine")


def test_a_method_refuses_its_setting_before_the_teacher_is_trained(refusal):
    sentence = refusal(tuner.distill, "--method", "kd", "--set", "temperature=0")
    assert sentence == "temperature is 0.0; give a number above 0"
