"""Custom networks: from Python files, torchvision and timm."""

import copy
import re
import sys
import types
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import models
from models import CheckpointError, UnknownModel, shapes_of
from tuner.config.workload import resolve
from tuner.data import open_dataset
from tuner.teacher_cache.store import describe_entry, entry_key
from tuner.training.teachers import kept_teacher
from tuner.training.workload_data import open_data, views_of

NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes, width=8):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.bn = nn.BatchNorm2d(width)
        self.fc = nn.Linear(width, num_classes)

    def forward(self, images):
        x = self.bn(self.conv2(self.conv1(images).relu())).relu()
        return self.fc(x.mean(dim=(2, 3)))

def build(num_classes):
    return Net(num_classes)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder, with a network in net.py."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET)
    return tmp_path


@pytest.fixture
def write(folder):
    """Writes forward's or the file's code and returns the network's name."""

    def write(code, file="net.py"):
        (folder / file).write_text(code)
        return f"{folder}/{file}:build"

    return write


def forward(body):
    """The code of a network that has these layers and returns what `body` says."""
    return NET.replace("return self.fc(x.mean(dim=(2, 3)))", body)


def refusal(call, *arguments):
    """The one sentence with which it is refused."""
    with pytest.raises(UnknownModel) as error:
        call(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def refused_run(name, image_size=(8, 8)):
    return refusal(shapes_of, models.build(name, 10), image_size, name)


# Names


@pytest.mark.parametrize("written", ["net.py:build", "./net.py:build", "net:build", "net:build#"])
def test_a_file_and_a_module_of_the_folder_are_the_same_absolute_path(folder, written):
    canonical = models.canonical_name(written)
    assert canonical == f"{folder}/net.py:build"
    assert models.canonical_name(canonical) == canonical


def test_a_package_of_the_folder_is_a_path_too(folder):
    (folder / "mine" / "deep").mkdir(parents=True)
    (folder / "mine" / "deep" / "__init__.py").write_text(NET)
    (folder / "mine" / "net.py").write_text(NET)
    assert models.canonical_name("mine.net:build") == f"{folder}/mine/net.py:build"
    assert models.canonical_name("mine.deep:build") == f"{folder}/mine/deep/__init__.py:build"


@pytest.mark.parametrize(
    "name",
    ["torchvision:resnet18", "torchvision:resnet18#layer1,layer2", "some.package:build#a.b"],
)
def test_other_names_stay_as_they_are(folder, name):
    assert models.canonical_name(name) == name


def test_layers_are_a_part_of_the_name(folder):
    assert models.canonical_name("net.py:build# conv1, bn ,") == f"{folder}/net.py:build#conv1,bn"
    assert models.canonical_name("torchvision:ResNet18") == "torchvision:resnet18"


def test_the_users_folder_is_understood(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    assert models.canonical_name("~/net.py:build") == f"{folder}/net.py:build"


def test_a_path_may_contain_any_other_character(folder):
    (folder / "a b#c:d").mkdir()
    (folder / "a b#c:d" / "net.py").write_text(NET)
    name = models.canonical_name("a b#c:d/net.py:build#bn")
    assert name == f"{folder}/a b#c:d/net.py:build#bn"
    assert list(models.build(name, 3)(torch.zeros(1, 3, 8, 8)).feature_maps) == ["stage1"]


def test_a_workload_separates_network_layers_and_checkpoint(folder):
    given = {"data": "digits", "data_dir": "data", "seed": 0}
    workload = resolve(given | {"teacher": "./net.py:build#conv1,bn@a.pt", "student": "net:build"})
    assert workload.teacher == f"{folder}/net.py:build#conv1,bn"
    assert workload.teacher_checkpoint == f"{folder}/a.pt"
    assert workload.student == f"{folder}/net.py:build"
    again = resolve(given | {"teacher": f"{workload.teacher}@{workload.teacher_checkpoint}"})
    assert (again.teacher, again.teacher_checkpoint) == (
        workload.teacher,
        workload.teacher_checkpoint,
    )


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("resnet8x4", "resnet8x4"),
        ("/a/b.c/net.py:build#x", "net-build"),
        ("package.net:build", "package-net-build"),
        ("timm:resnet50.a1_in1k", "timm-resnet50-a1_in1k"),
    ],
)
def test_a_short_name_is_fit_for_a_file(name, short):
    assert models.short_name(name) == short


@pytest.mark.parametrize("name", ["./net.py", "a/b", "net.py:", "resnet20#layer1", "net.py:f:g"])
def test_half_a_name_is_refused_with_the_forms(folder, name):
    assert refusal(models.canonical_name, name).startswith(
        f"{name!r} is not a network; write FILE.py:FUNCTION, package.module:FUNCTION, "
    )


def test_a_missing_file_is_refused(folder):
    message = refusal(models.canonical_name, "nte.py:build")
    assert message.startswith(f"{folder}/nte.py: no such file; check the path")


def test_a_path_that_looks_like_a_checkpoint_is_refused(folder):
    (folder / "a@b").mkdir()
    (folder / "a@b" / "net.py").write_text(NET)
    assert "the path contains an @" in refusal(models.canonical_name, "a@b/net.py:build")


# The file


def test_a_function_that_is_not_there_is_refused_with_the_nearest(folder):
    assert refusal(models.build, "net.py:buidl", 10) == (
        f"{folder}/net.py: 'buidl' is not defined; did you mean 'build'? "
        "give a function that takes num_classes and returns the network"
    )


def test_a_builder_that_is_no_function_is_refused(write):
    name = write("build = 3")
    assert "'build' is not a function; give a function" in refusal(models.build, name, 10)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("\nimport nothing_like_it", "line 2: ModuleNotFoundError: No module named 'nothing_l"),
        ("def build(:", "line 1: invalid syntax; fix it and run again"),
        ("def build(n):\n    return 1 / 0", "line 2: ZeroDivisionError: division by zero; fix"),
        ("def build():\n    return 1", "TypeError: build() takes 0 positional arguments but 1 was"),
        ("raise SystemExit(3)", "line 1: SystemExit: 3; fix it and run again"),
    ],
)
def test_an_error_in_the_file_is_refused_with_its_line(write, code, sentence):
    name = write(code)
    assert sentence in refusal(models.build, name, 10)


def test_a_result_that_is_no_network_is_refused(write):
    for value, problem in [
        ("3", "returned a int; it must return an nn.Module"),
        ("nn.Flatten()", "has no parameters"),
        ("nn.Sequential(nn.Flatten(), nn.LazyLinear(n))", "has lazy layers"),
    ]:
        name = write(f"from torch import nn\ndef build(n):\n    return {value}")
        assert problem in refusal(models.build, name, 10)


def test_a_missing_module_is_refused(folder):
    assert refusal(models.build, "nowhere.net:build", 10) == (
        "nowhere.net:build: no module 'nowhere.net' in this folder or installed; "
        "check the name, or give the path of its file"
    )


def test_an_installed_module_is_imported(folder, tmp_path_factory, monkeypatch):
    site = tmp_path_factory.mktemp("site")
    (site / "installed_net.py").write_text(NET)
    monkeypatch.syspath_prepend(site)
    assert models.canonical_name("installed_net:build") == "installed_net:build"
    network = models.build("installed_net:build", 10)
    assert type(network.network).__module__ == "installed_net"
    assert models.identity("installed_net:build").startswith("installed_net.py:build (")


def test_a_file_imports_what_is_beside_it(folder, write):
    (folder / "parts_of_it.py").write_text("WIDTH = 12")
    name = write("import parts_of_it\n" + NET.replace("width=8", "width=parts_of_it.WIDTH"))
    before = list(sys.path)
    assert models.build(name, 10).network.fc.in_features == 12
    assert sys.path == before


@pytest.mark.parametrize("package", ["mine", "models"])
def test_a_file_in_a_package_imports_relatively_whatever_the_package_is_called(folder, package):
    deep = folder / package / "nets"
    deep.mkdir(parents=True)
    (folder / package / "__init__.py").write_text("WIDTH = 6")
    (deep / "__init__.py").write_text("")
    (deep / "net.py").write_text("from .. import WIDTH\n" + NET.replace("width=8", "width=WIDTH"))
    network = models.build(f"{package}.nets.net:build", 10)
    assert network.network.fc.in_features == 6
    assert sys.modules["models"] is models


@pytest.mark.parametrize("package", ["mine", "models"])
def test_a_file_in_a_package_imports_the_package_by_its_name(folder, package):
    (folder / package).mkdir()
    (folder / package / "__init__.py").write_text("WIDTH = 6")
    (folder / package / "widths.py").write_text("from . import WIDTH")
    code = NET.replace("width=8", "width=WIDTH").replace(
        "    return Net(",
        f"    import {package}.widths\n    assert {package}.WIDTH\n    return Net(",
    )
    (folder / package / "net.py").write_text(f"from {package}.widths import WIDTH\n{code}")
    for _ in range(2):
        network = models.build(f"./{package}/net.py:build", 10)
        assert network.network.fc.in_features == 6
        assert sys.modules["models"] is models
        assert sys.modules["models.registry"].build is models.build
        assert f"{package}.widths" not in sys.modules


def test_a_file_beside_a_package_of_its_name_is_the_file(folder):
    (folder / "net").mkdir()
    (folder / "net" / "__init__.py").write_text(NET.replace("width=8", "width=5"))
    assert models.build("./net.py:build", 10).network.fc.in_features == 8
    assert models.build("net/__init__.py:build", 10).network.fc.in_features == 5


def test_an_edited_file_is_run_again(write):
    assert models.build(write(NET), 10).network.fc.in_features == 8
    assert models.build(write(NET.replace("width=8", "width=9")), 10).network.fc.in_features == 9


def test_two_files_of_one_name_are_two_networks(folder):
    for width in (4, 5):
        (folder / str(width)).mkdir()
        (folder / str(width) / "net.py").write_text(NET.replace("width=8", f"width={width}"))
    widths = [models.build(f"{w}/net.py:build", 10).network.fc.in_features for w in (4, 5, 4)]
    assert widths == [4, 5, 4]


# What is kept of it


def test_the_identity_depends_on_the_code_and_not_on_its_place(folder, write):
    name = models.canonical_name("net:build")
    first = models.identity(name)
    assert re.fullmatch(r"net\.py:build \([0-9a-f]{16}\)", first)
    write("# a comment\n" + NET.replace("        return", "\n        return"))
    assert models.identity(name) == first
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "net.py").write_text(NET)
    assert models.identity(f"{folder}/elsewhere/net.py:build") == first
    assert models.identity(f"{name}#bn") != first
    write(NET.replace("stride=2", "stride=1"))
    assert models.identity(name) != first
    assert models.identity("resnet8") == "resnet8"
    assert models.identity("torchvision:resnet18") == "torchvision:resnet18"


@pytest.mark.parametrize(
    "statement",
    ["import part", "from part import X", "from mine.part import X", "import mine.part"],
)
def test_the_identity_includes_what_the_file_imports(folder, write, statement):
    (folder / "mine").mkdir()
    for file in ("part.py", "mine/part.py", "other.py"):
        (folder / file).write_text("X = 1")
    name = write(f"def build(n):\n    {statement}\n")
    before = models.identity(name)
    (folder / "other.py").write_text("X = 2")
    assert models.identity(name) == before
    (folder / ("mine/part.py" if "mine" in statement else "part.py")).write_text("X = 2")
    assert models.identity(name) != before


def test_the_identity_includes_the_package(folder):
    (folder / "mine").mkdir()
    for file, code in [
        ("__init__.py", ""),
        ("net.py", "from .a import X"),
        ("a.py", "from . import b"),
        ("b.py", "from .net import *"),
    ]:
        (folder / "mine" / file).write_text(code)
    for file in ("__init__.py", "a.py", "b.py"):
        before = models.identity(f"{folder}/mine/net.py:build")
        with (folder / "mine" / file).open("a") as opened:
            opened.write("\nX = 3")
        assert models.identity(f"{folder}/mine/net.py:build") != before


def test_a_kept_teacher_depends_on_the_code_but_not_on_the_layers(folder, write, data_dir):
    def kept(teacher):
        workload = resolve({"data": "digits", "data_dir": data_dir, "seed": 0, "teacher": teacher})
        return kept_teacher(workload, dataset)

    dataset = open_dataset("digits", Path(data_dir))
    path = kept("net.py:build")
    assert re.fullmatch(r"net-build-digits-[0-9a-f]{12}\.pt", path.name)
    assert kept("net.py:build#bn") == path
    write(NET.replace("stride=2", "stride=1"))
    assert kept("net.py:build") != path
    assert kept("resnet8").name.startswith("resnet8-digits-")


def test_a_changed_forward_has_other_cached_outputs(folder, write, data_dir):
    def key(teacher):
        return entry_key(describe_entry(models.canonical_name(teacher), "weights", views))

    workload = resolve({"data": "digits", "data_dir": data_dir, "seed": 0})
    views = views_of(workload, *open_data(workload), seed=0)
    before = key("net:build")
    assert key("net:build#bn") != before
    write(NET.replace(".relu()", ".tanh()"))
    assert key("net:build") != before


# Outputs


def test_the_embedding_is_what_the_classifier_reads(folder):
    network = models.build("net:build", 10)
    outputs = network(torch.randn(3, 3, 8, 8))
    assert outputs.embedding.shape == (3, 8)
    assert outputs.classifier is network.network.fc.weight
    torch.testing.assert_close(
        F.linear(outputs.embedding, outputs.classifier, network.network.fc.bias), outputs.logits
    )
    assert outputs.pre_activation_maps == {}


def test_named_layers_are_the_maps_in_their_order(folder):
    network = models.build("net:build#bn,conv1", 10)
    outputs = network(torch.randn(3, 3, 8, 8))
    shapes = {name: tuple(x.shape) for name, x in outputs.feature_maps.items()}
    assert shapes == {"stage1": (3, 8, 4, 4), "stage2": (3, 8, 8, 8)}
    assert network.map_layers((8, 8)) == {"stage1": "bn", "stage2": "conv1"}


@pytest.mark.parametrize(
    ("name", "size", "layers"),
    [
        ("resnet18", 64, ["relu", "layer1", "layer2", "layer3", "layer4"]),
        ("resnet18", 32, ["relu", "layer1", "layer2", "layer3"]),
        ("mobilenet_v3_small", 32, ["features.0", "features.1", "features.3", "features.8"]),
        # Its last pooling makes 7x7 of whatever comes.
        ("vgg11", 32, [f"features.{number}" for number in (1, 4, 9, 14, 19)]),
        # Channels last from the second layer on.
        ("swin_t", 32, ["features.0.0"]),
    ],
)
def test_without_names_the_maps_are_of_the_outermost_layers(name, size, layers):
    with torch.device("meta"):  # shapes without numbers, at no cost
        network = models.build_untrained(f"torchvision:{name}", 10)
    assert list(network.map_layers((size, size)).values()) == layers
    maps = shapes_of(network, (size, size)).feature_maps
    assert list(maps) == [f"stage{number}" for number in range(1, len(layers) + 1)]


def test_images_need_not_be_square():
    with torch.device("meta"):
        network = models.build_untrained("torchvision:resnet18", 10)
    maps = shapes_of(network, (50, 90)).feature_maps
    assert [shape[1:] for shape in maps.values()] == [(25, 45), (13, 23), (7, 12), (4, 6), (2, 3)]


def test_a_network_without_a_linear_classifier_has_the_mean_of_its_last_map(write):
    code = forward("return self.fc(x).mean(dim=(2, 3))")
    name = write(code.replace("nn.Linear(width, num_classes)", "nn.Conv2d(width, num_classes, 1)"))
    outputs = models.build(f"{name}#conv1,bn", 5)(torch.randn(2, 3, 8, 8))
    torch.testing.assert_close(outputs.embedding, outputs.feature_maps["stage2"].mean(dim=(2, 3)))
    assert outputs.classifier is None


def test_a_map_changed_in_place_is_returned_as_it_is_afterwards(write):
    name = write(NET.replace(".relu()\n", ".relu_()\n"))
    outputs = models.build(f"{name}#bn", 10)(torch.randn(2, 3, 8, 8))
    assert (outputs.feature_maps["stage1"] >= 0).all()
    (outputs.feature_maps["stage1"].sum() + outputs.logits.sum()).backward()


@pytest.mark.filterwarnings("ignore:The default weight initialization of GoogleNet")
def test_logits_are_taken_from_a_structured_output(write):
    name = write(
        forward(
            "from types import SimpleNamespace\n"
            "        return SimpleNamespace(logits=self.fc(x.mean(dim=(2, 3))))"
        )
    )
    assert models.build(name, 5)(torch.randn(2, 3, 8, 8)).logits.shape == (2, 5)
    # GoogLeNet returns such a structure, but only in training.
    googlenet = models.build("torchvision:googlenet", 5)
    assert googlenet.train()(torch.randn(2, 3, 32, 32)).embedding.shape == (2, 1024)


def test_the_network_keeps_nothing_of_a_step(folder):
    network = models.build("net:build", 10)
    maps = network(torch.randn(3, 3, 8, 8)).feature_maps
    assert not network._captured.sized
    assert network._captured.embedding is None
    maps["stage1"].sum().backward()


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("return x", "the logits are [1, 8, 4, 4], not [1, 10]; the network must have num_classes"),
        ("return self.fc(x.mean(dim=(2, 3)))[:, :7]", "the logits are [1, 7], not [1, 10]"),
        ("return x, x", "forward returns a tuple; it must return logits [B, 10] or models.Out"),
        ("return self.fc(x)", "fails on an image of 8x8 pixels (RuntimeError: "),
    ],
)
def test_unusable_outputs_are_refused(write, body, sentence):
    name = write(forward(body))
    message = refused_run(name)
    assert message.startswith(name)
    assert sentence in message


def test_a_network_without_map_and_classifier_is_refused(write):
    code = "import torch\nfrom torch import nn\n"
    code += "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    code += "        self.w = nn.Parameter(torch.zeros(3, 10))\n"
    code += "    def forward(self, x):\n        return x.mean(dim=(2, 3)) @ self.w\n"
    name = write(f"{code}\ndef build(n):\n    return Net()")
    assert "found no embedding" in refused_run(name)


def test_a_layer_that_is_not_there_is_refused_with_the_nearest(folder):
    assert refusal(models.build, "net:build#conv3", 10) == (
        f"{folder}/net.py:build#conv3: no layer 'conv3'; did you mean 'conv2'? "
        "known: conv1, conv2, bn, fc, and their submodules"
    )


def test_a_layer_without_a_map_is_refused(folder, write):
    assert "the output of 'fc' is [1, 10], not a map [B, C, H, W]" in refused_run("net:build#fc")
    name = write(NET.replace("self.fc =", "self.idle = nn.Identity()\n        self.fc ="))
    assert "the output of 'idle' is missing (forward does not run it)" in refused_run(
        f"{name}#idle"
    )


def test_a_network_that_returns_outputs_takes_no_layers(write):
    body = "return Outputs(self.fc(x.mean(dim=(2, 3))), x.mean(dim=(2, 3)), {'stem': x}, {})"
    name = write("from models import Outputs\n" + forward(body))
    assert list(models.build(name, 10)(torch.zeros(1, 3, 8, 8)).feature_maps) == ["stem"]
    assert "omit #conv1,bn" in refused_run(f"{name}#conv1,bn")
    name = write("from models import Outputs\n" + forward(body.replace("{'stem': x}", "[x]")))
    assert "not dicts of maps" in refused_run(name)


def test_only_networks_of_the_table_can_be_continued(folder):
    with pytest.raises(UnknownModel, match="only built-in networks"):
        models.build("net:build", 10).continuation()


# A network like any other


@pytest.fixture
def network(folder):
    torch.manual_seed(0)
    return models.build("net:build", 10)


def test_the_state_dict_is_the_networks_own(network):
    assert list(network.state_dict()) == list(network.network.state_dict())
    other = models.build("net:build", 10)
    assert not torch.equal(other.network.fc.weight, network.network.fc.weight)
    other.load_state_dict(network.network.state_dict())
    assert torch.equal(other.network.fc.weight, network.network.fc.weight)
    inside = nn.Sequential(other)
    assert "0.fc.weight" in inside.state_dict()
    inside.load_state_dict({f"0.{key}": value for key, value in network.state_dict().items()})


def test_a_part_called_network_keeps_its_name():
    from models.custom.hooked_network import CustomNetwork

    part = nn.Sequential(nn.Flatten(), nn.Linear(12, 5))
    both = nn.Sequential()
    both.add_module("network", nn.Sequential())
    both.network.add_module("network", part)
    both.network.add_module("x", nn.Identity())
    own = CustomNetwork("own", both, 5)
    assert list(own.state_dict()) == ["network.network.1.weight", "network.network.1.bias"]
    own.load_state_dict(own.state_dict())


def test_a_copy_is_independent(network):
    copied = copy.deepcopy(network.eval())
    images = torch.randn(2, 3, 8, 8)
    expected = network(images)
    nn.init.zeros_(copied.network.fc.weight)
    outputs = copied(images)
    assert outputs.classifier is copied.network.fc.weight
    assert not torch.equal(outputs.logits, expected.logits)
    torch.testing.assert_close(outputs.feature_maps, expected.feature_maps)
    torch.testing.assert_close(network(images).logits, expected.logits)


def test_memory_layout_and_autocast_work_as_for_any_network(network):
    images = torch.randn(2, 3, 8, 8)
    expected = network.eval()(images)
    last = network.to(memory_format=torch.channels_last)
    outputs = last(images.to(memory_format=torch.channels_last))
    torch.testing.assert_close(outputs.logits, expected.logits)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert network(images).feature_maps["stage1"].dtype == torch.bfloat16
    assert not network.network.training
    assert network.train().network.training


def test_a_compiled_network_has_the_same_outputs(network):
    images = torch.randn(2, 3, 8, 8)
    expected = network.eval()(images)
    outputs = torch.compile(network, dynamic=False, backend="eager", fullgraph=True)(images)
    torch.testing.assert_close(outputs.logits, expected.logits)
    torch.testing.assert_close(outputs.embedding, expected.embedding)
    torch.testing.assert_close(outputs.feature_maps, expected.feature_maps)


def test_an_exported_network_takes_batches_of_any_size(network):
    class Logits(nn.Module):
        def __init__(self):
            super().__init__()
            self.student = network.eval()

        def forward(self, images):
            return self.student(images).logits

    # As MLflow exports the winner: what it loads later needs no file of the person's.
    sizes = ({0: torch.export.Dim.AUTO},)
    exported = torch.export.export(Logits(), (torch.randn(2, 3, 8, 8),), dynamic_shapes=sizes)
    images = torch.randn(5, 3, 8, 8)
    torch.testing.assert_close(exported.module()(images), network(images).logits)


def test_building_untrained_leaves_the_random_state_alone(folder):
    before = torch.get_rng_state()
    network = models.build_untrained("net:build", 10)
    assert torch.equal(torch.get_rng_state(), before)
    assert not network.training
    assert not any(value.requires_grad for value in network.parameters())


def test_constants_outside_the_state_dict_survive_a_checkpoint(write, tmp_path):
    constant = "self.register_buffer('scale', torch.full((1,), 3.0), persistent=False)"
    name = write("import torch\n" + NET.replace("self.fc =", f"{constant}\n        self.fc ="))
    network = models.build(name, 10)
    torch.save({"model": network.state_dict()}, tmp_path / "net.pt")
    before = torch.get_rng_state()
    loaded = models.load_checkpoint(tmp_path / "net.pt", name, 10)
    assert torch.equal(torch.get_rng_state(), before)
    assert loaded.network.scale == 3
    assert torch.equal(loaded.network.fc.weight, network.network.fc.weight)
    assert not loaded.training
    assert all(value.requires_grad for value in loaded.parameters())


@pytest.mark.parametrize("wrapping", ["model", "state_dict", None])
def test_a_checkpoint_of_the_network_itself_is_loaded(network, folder, wrapping):
    weights = network.network.state_dict()
    torch.save({wrapping: weights} if wrapping else weights, folder / "own.pt")
    loaded = models.load_checkpoint(folder / "own.pt", "net:build#bn", 10)
    assert torch.equal(loaded.network.fc.weight, network.network.fc.weight)


def test_a_checkpoint_for_other_data_is_refused(network, folder):
    torch.save(network.state_dict(), folder / "own.pt")
    with pytest.raises(CheckpointError, match=r"has 10 classes, the data has 7; give a /"):
        models.load_checkpoint("own.pt", "net:build", 7)
    torch.save(models.build("resnet8", 10).state_dict(), folder / "zoo.pt")
    with pytest.raises(CheckpointError, match=r"it fits resnet8; pass --teacher resnet8@zoo\.pt"):
        models.load_checkpoint("zoo.pt", "net:build", 10)


# Libraries


def test_a_name_that_torchvision_lacks_is_refused_with_the_nearest():
    assert refusal(models.canonical_name, "torchvision:resnt34") == (
        "torchvision has no image classifier 'resnt34'; did you mean 'resnet34'? "
        "see its documentation for the names"
    )
    assert "has no image classifier" in refusal(models.canonical_name, "torchvision:fcn_resnet50")


def test_without_timm_its_networks_are_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    assert refusal(models.build, "timm:resnet26t", 10) == (
        "timm:resnet26t needs timm, which is not installed; run `pip install timm`"
    )


def test_timm_is_asked_for_untrained_networks(monkeypatch):
    def create_model(name, *, pretrained, num_classes):
        assert (name, pretrained) == ("tiny.a1_in1k", False)
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 6 * 6, num_classes))

    timm = types.ModuleType("timm")
    timm.is_model = lambda name: name.startswith("tiny")
    timm.list_models = lambda: ["tiny"]
    timm.create_model = create_model
    monkeypatch.setitem(sys.modules, "timm", timm)
    outputs = models.build("timm:tiny.a1_in1k", 10)(torch.randn(2, 3, 8, 8))
    assert outputs.embedding.shape == (2, 144)
    assert "did you mean 'tiny'?" in refusal(models.canonical_name, "timm:tny")
