"""Generates damaged, odd and malicious checkpoints and Parquet files."""

import functools
import pickle
import struct
import zipfile
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from hypothesis import strategies as st
from PIL import Image

import models

# Checkpoints


class RunsCode:
    """Pickles to code that creates a file when it is run."""

    def __reduce__(self) -> Any:
        return open, ("created", "w")


class Nested:
    """A class of a training script, as `torch.save(model)` pickles it."""


@functools.cache
def good_weights() -> dict[str, torch.Tensor]:
    return models.build("resnet8", 10).state_dict()


def saved(content: Any, **how: Any) -> bytes:
    buffer = BytesIO()
    torch.save(content, buffer, **how)
    return buffer.getvalue()


def archive(files: dict[str, bytes]) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
    return buffer.getvalue()


TENSORS = [
    torch.zeros(3), torch.zeros(0), torch.tensor(1), torch.tensor(float("nan")), torch.ones(10, 64),
    *(torch.ones(10, 64, dtype=kind) for kind in (torch.float16, torch.int8, torch.bool)),
    *(torch.ones(10, 64, dtype=kind) for kind in (torch.complex64, torch.bfloat16, torch.float64)),
    torch.full((10, 64), torch.inf), torch.ones(64, 10).T, torch.ones(1).expand(10, 64),
    torch.ones(10, 64).to_sparse(), torch.ones(10, 64, device="meta"),
    torch.nn.Parameter(torch.ones(2)),
]  # fmt: skip
leaves = st.one_of(
    st.sampled_from(TENSORS), st.integers(), st.text(max_size=3), st.none(), st.just(np.float64(1))
)
contents = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(
            st.one_of(st.sampled_from(["model", "state_dict", "net", "fc.weight"]), st.integers()),
            inner,
            max_size=2,
        ),
    ),
    max_leaves=4,
)


@st.composite
def changed_weights(draw: Any) -> Any:
    """A valid state dict with one change, wrapped once or more."""
    weights: dict[Any, Any] = dict(good_weights())
    names = st.sampled_from(["fc.weight", "fc.bias", "conv1.weight", "bn1.num_batches_tracked"])
    for _ in range(draw(st.integers(0, 2))):
        change = draw(st.sampled_from(["drop", "put", "add", "prefix", "scale"]))
        name = draw(names)
        if change == "drop":
            weights.pop(name, None)
        elif change in ("put", "add"):
            value = draw(st.one_of(st.sampled_from(TENSORS), leaves))
            weights[
                name if change == "put" else draw(st.sampled_from(["x", "module.x", "", "é"]))
            ] = value
        elif change == "prefix":
            weights = {f"{draw(st.just('module.'))}{key}": value for key, value in weights.items()}
        elif isinstance(weights.get(name), torch.Tensor) and weights[name].is_floating_point():
            weights[name] = weights[name] * draw(st.sampled_from([1e38, 0.0, float("nan")]))
    for _ in range(draw(st.integers(0, 3))):
        weights = {draw(st.sampled_from(["model", "state_dict", "net", "model", "other"])): weights}
    return weights


@functools.cache
def crafted() -> tuple[bytes, ...]:
    """Files that are no checkpoints, or whose pickles would run code."""
    code = [RunsCode(), {"model": RunsCode()}, {"model": good_weights(), "x": RunsCode()}]
    code += [Nested(), {"model": Nested()}, {"args": functools.partial(print, "ran")}]
    good = saved({"model": good_weights()})
    with zipfile.ZipFile(BytesIO(good)) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    root = next(iter(parts)).partition("/")[0]
    huge = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n" + b"(" * 1000
    return (
        *(saved(one) for one in code),
        *(saved(one, _use_new_zipfile_serialization=False) for one in code),
        *(pickle.dumps(one, protocol) for one in code[:3] for protocol in (0, 2, 4)),
        *(archive({f"{root}/data.pkl": pickle.dumps(one, 2)}) for one in code[:3]),
        *(archive(parts | {f"{root}/data.pkl": junk}) for junk in (b"", huge, b"\x80\x02.", b"x")),
        *(archive({name: part for name, part in parts.items() if name != left}) for left in parts),
        archive({}),
        archive({"../created": b"x", "a": b""}),
        archive({"constants.pkl": b"", "code/x.py": b"open('created', 'w')"}),  # as TorchScript
        saved({"model": good_weights()}, _use_new_zipfile_serialization=False),
        saved({"model": {"fc.weight": torch.zeros(1).expand(10**9, 64)}}),  # a few bytes, huge
        good + b"behind",
        b"PK\x05\x06" + bytes(18),
        b"\x80\x02}q\x00.",
        b"\x80\x05\x95" + b"\xff" * 8,
        b"\x89HDF\r\n\x1a\n" + bytes(100),
        b"[1, 2]",
        bytes(1000),
    )


# Parquet folders


@functools.cache
def picture(width: int, height: int, mode: str = "RGB", form: str = "png") -> bytes:
    buffer = BytesIO()
    Image.new(mode, (width, height)).save(buffer, form)
    return buffer.getvalue()


def huge_png(side: int) -> bytes:
    """A header that promises `side` x `side` pixels."""
    good = picture(8, 8)
    header = b"IHDR" + struct.pack(">II", side, side) + good[24:29]
    return good[:12] + header + struct.pack(">I", zlib.crc32(header)) + good[33:]


PICTURES = [
    picture(8, 8), picture(8, 8), picture(8, 8), picture(8, 8, "L"), picture(8, 8, "RGBA"),
    picture(8, 8, form="jpeg"), picture(8, 8, form="gif"), picture(8, 8, form="tiff"),
    picture(9, 8), picture(1, 1), picture(8, 8, "I;16"), picture(8, 8, "F", "tiff"), b"",
    b"no image", picture(8, 8)[:40], picture(8, 8, form="jpeg")[:200],
    picture(8, 8, form="tiff")[:100], None, huge_png(20_000), huge_png(2**31 - 1), huge_png(0),
    b"<svg/>", b"%!PS-Adobe-3.0 EPSF-3.0\n",
]  # fmt: skip
IMAGE_KINDS = [
    pa.binary(),
    pa.large_binary(),
    pa.struct({"bytes": pa.binary(), "path": pa.string()}),
]
LABEL_KINDS = [
    pa.int64(), pa.int64(), pa.int8(), pa.uint64(), pa.float64(), pa.string(), pa.bool_(),
    pa.list_(pa.int64()), pa.dictionary(pa.int8(), pa.int64()), pa.decimal128(5), pa.date32(),
]  # fmt: skip
NAMES = [
    '["a", "b", "c"]', "3", '"abc"', "[1, 2, 3]", "[]", "null", '["a", null]', "[[1], [2]]",
    '["\\u001b[31m", "x", "y"]', '["a", "a", "a"]', '{"a": 1, "b": 2}',
]  # fmt: skip
FEATURES = [
    None, None, "not JSON", "{}", "[]", "1", '{"info": 1}', '{"info": {"features": 1}}',
    *(f'{{"info": {{"features": {{"label": {{"names": {names}}}}}}}}}' for names in NAMES),
]  # fmt: skip


COLUMNS = [
    ("img", "fine_label"), ("x", "label"), ("image", "y"), ("label", "image"), ("image", "image"),
    ("\x1b[31m", "[red]"),
]  # fmt: skip
WRONG = [
    "nothing",
    "nothing",
    "picture",
    "kind",
    "labels",
    "label",
    "names",
    "features",
    "bytes",
    "rows",
]


@st.composite
def parquet_files(draw: Any) -> bytes:
    """A table of images and labels with one or two faults."""
    wrong = draw(st.lists(st.sampled_from(WRONG), min_size=1, max_size=2))

    def pick(what: str, right: Any, others: list[Any]) -> Any:
        return draw(st.sampled_from(others)) if what in wrong else right

    num_rows = pick("rows", 40, [40, 12, 1, 0])
    images = [picture(8, 8)] * num_rows
    if images:
        images[num_rows // 2] = pick("picture", picture(8, 8), PICTURES)
    kind = draw(st.sampled_from(IMAGE_KINDS))
    column: Any = (
        [{"bytes": one, "path": "x"} for one in images] if kind in IMAGE_KINDS[2:] else images
    )
    low, high = pick("labels", (0, 2), [(-1, 2), (5, 6), (0, 2**40), (0, 40)])
    labels: list[Any] = [low + row % min(high - low + 1, 40) for row in range(num_rows)]
    labels = [*labels[1:], pick("label", low, [None, high + 1, -5, 10**18])][:num_rows]
    try:
        array = pa.array(labels, pa.int64()).cast(pick("kind", pa.int64(), LABEL_KINDS))
    except (pa.ArrowException, OverflowError):
        array = pa.array(labels)
    names = pick("names", ("image", "label"), COLUMNS)
    table = pa.Table.from_arrays([pa.array(column, kind), array], list(names))
    features = pick("features", None, FEATURES)
    if features is not None:
        table = table.replace_schema_metadata({"huggingface": features})
    buffer = BytesIO()
    pq.write_table(table, buffer)
    content = buffer.getvalue()
    if "bytes" in wrong:
        place = draw(st.integers(0, len(content) - 1))
        flipped = content[:place] + bytes([content[place] ^ 64]) + content[place + 1 :]
        content = draw(st.sampled_from([content[:place], flipped, flipped, b"PAR1junkPAR1"]))
    return content
