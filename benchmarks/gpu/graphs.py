"""Whole steps as CUDA graphs, alone and side by side, and whether their bits stay."""

import gc
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

import models
from benchmarks.gpu.check import Check
from tuner.training.seeding import seeded

CASES = (
    ("wrn_16_2", "float32"),
    ("wrn_16_2", "bfloat16"),
    ("resnet8", "float32"),
    ("resnet8x4", "bfloat16"),
)
NUM_GRAPHS = (1, 2, 4, 8, 16)
STEPS = 40


def graph_seconds(step: Callable[[], None], number: int = 100) -> float:
    """Seconds of one replay of a step that was captured as a graph."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        step()
    graph.replay()
    torch.cuda.synchronize()
    begin = time.perf_counter()
    for _ in range(number):
        graph.replay()
    torch.cuda.synchronize()
    return (time.perf_counter() - begin) / number


class GraphTrial:
    """A whole step (student, KD, backward, SGD with tensor hyperparameters) as one graph."""

    def __init__(self, student: str, precision: str, seed: int, device: torch.device) -> None:
        self.stream = torch.cuda.Stream()
        network = seeded(seed, lambda: models.build(student, 100))
        self._network = network.to(memory_format=torch.channels_last).to(device).train()
        generator = torch.Generator().manual_seed(5)
        self._images = torch.randn(64, 3, 32, 32, generator=generator).to(device)
        self._labels = (torch.arange(64) % 100).to(device)
        self._teacher = torch.randn(64, 100, generator=generator).to(device)
        self._lr = torch.tensor(0.01, device=device)
        self._weight = torch.tensor(0.9, device=device)
        self._parameters = list(self._network.parameters())
        self._momenta = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._amp = precision == "bfloat16"
        self._initial = [value.detach().clone() for value in self._network.state_dict().values()]
        self.graph = torch.cuda.CUDAGraph()
        self.capture_seconds = 0.0
        self._capture()

    def step(self) -> None:
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=self._amp, cache_enabled=True):
            logits = self._network(self._images).logits
        logits = logits.float()
        student, teacher = (F.log_softmax(values / 4, 1) for values in (logits, self._teacher))
        kd = 16 * F.kl_div(student, teacher, reduction="batchmean", log_target=True)
        loss = F.cross_entropy(logits, self._labels) + self._weight * kd
        gradients = torch.autograd.grad(loss, self._parameters)
        with torch.no_grad():
            torch._fused_sgd_(
                self._parameters, list(gradients), self._momenta, weight_decay=5e-4,
                momentum=0.9, lr=self._lr, dampening=0.0, nesterov=False, maximize=False,
                is_first_step=False,
            )  # fmt: skip

    def reset(self) -> None:
        with torch.no_grad():
            for target, value in zip(
                self._network.state_dict().values(), self._initial, strict=True
            ):
                target.copy_(value)
            for momentum in self._momenta:
                momentum.zero_()

    def weights(self) -> Tensor:
        return torch.cat([parameter.detach().flatten() for parameter in self._parameters])

    def _capture(self) -> None:
        with torch.cuda.stream(self.stream):
            for _ in range(3):
                self.step()
        torch.cuda.synchronize()
        begin = time.perf_counter()
        with torch.cuda.graph(self.graph, stream=self.stream):
            self.step()
        self.capture_seconds = time.perf_counter() - begin
        self.reset()
        torch.cuda.synchronize()


def check_graphs(check: Check) -> None:
    """How far whole-step graphs reach, and several of them on streams of their own."""
    if not check.on_gpu:
        return
    _add_tensor_hyperparameters(check)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    for student, precision in CASES:
        if not check.has_time("graphs", student):
            break
        with check.guarded("graphs", f"{student} {precision}"):
            _add_graphs(check, student, precision)
            gc.collect()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
    torch.utils.deterministic.fill_uninitialized_memory = True


def _add_graphs(check: Check, student: str, precision: str) -> None:
    trials: list[GraphTrial] = []
    row, bits = [], None
    for number in NUM_GRAPHS:
        while len(trials) < number:
            trials.append(GraphTrial(student, precision, len(trials), check.device))
        row.append(f"{number}: {1e3 * _replay_seconds(trials):.3f}")
        if bits is None:
            bits = trials[0].weights().clone()
    alone = trials[0]
    assert bits is not None
    beside = torch.equal(bits, alone.weights())
    alone.reset()
    for _ in range(STEPS):  # without the graph: the same sequence of operations
        alone.step()
    torch.cuda.synchronize()
    eager = torch.equal(bits, alone.weights())
    check.add(
        "graphs",
        f"{student} {precision}: K graphs: ms a trial's step",
        "; ".join(row),
        f"bits: beside 15 others {'equal' if beside else 'DIFFER'}, eager "
        f"{'equal' if eager else 'DIFFER'}; capture {alone.capture_seconds:.2f} s; peak "
        f"{torch.cuda.max_memory_reserved() >> 20} MiB",
    )


def _replay_seconds(trials: list[GraphTrial]) -> float:
    for trial in trials:
        trial.reset()
    torch.cuda.synchronize()
    begin = time.perf_counter()
    for _ in range(STEPS):
        for trial in trials:
            with torch.cuda.stream(trial.stream):
                trial.graph.replay()
    torch.cuda.synchronize()
    return (time.perf_counter() - begin) / STEPS / len(trials)


def _add_tensor_hyperparameters(check: Check) -> None:
    """Whether weights as 0-dim tensors, which graphs need, give the bits of Python's numbers."""
    x = torch.randn(4096, device=check.device)
    for weight in (1 / 3, 2.17, 0.123456789):
        tensor = torch.tensor(weight, device=check.device)
        same = {
            "w * x": torch.equal(weight * x, tensor * x),
            "x / w": torch.equal(x / weight, x / tensor),
            "w * sum": torch.equal(weight * x.sum(), tensor * x.sum()),
            "|x| ** w": torch.equal(x.abs().pow(weight), x.abs().pow(tensor)),
            "add alpha": torch.equal(torch.add(x, x, alpha=weight), x + tensor * x),
        }
        note = "" if all(same.values()) else "NOTE"
        check.add("graphs", f"tensor {weight:.3g} = number: bits", same, note)


def check_fused(check: Check) -> None:
    """One kernel for eight students, by grouped convolutions, against eight separate ones."""
    if not check.on_gpu:
        return
    for channels, size in ((32, 32), (64, 16), (128, 8)):
        for dtype in (torch.float32, torch.bfloat16):
            with check.guarded("fused", f"{channels}"):
                what = f"conv {channels}x{size}x{size} {str(dtype)[6:]}: ms a student"
                check.add("fused", what, _grouped_against_separate(check, channels, size, dtype))


def _grouped_against_separate(check: Check, channels: int, size: int, dtype: torch.dtype) -> str:
    def random(*shape: int) -> Tensor:
        values = torch.randn(*shape, device=check.device, dtype=dtype)
        return values.to(memory_format=torch.channels_last).requires_grad_()

    def joined(values: list[Tensor], dim: int) -> Tensor:
        whole = torch.cat([value.detach() for value in values], dim)
        return whole.to(memory_format=torch.channels_last).requires_grad_()

    row = []
    for number in (1, 8):
        weights = [random(channels, channels, 3, 3) for _ in range(number)]
        images = [random(64, channels, size, size) for _ in range(number)]

        def separate(images=images, weights=weights) -> None:
            for image, weight in zip(images, weights, strict=True):
                out = F.conv2d(image, weight, padding=1)
                torch.autograd.grad(out, (image, weight), out)

        row.append(f"{number} separate {1e3 * graph_seconds(separate, 30) / number:.3f}")
    all_weights, all_images = joined(weights, 0), joined(images, 1)

    def grouped() -> None:
        out = F.conv2d(all_images, all_weights, padding=1, groups=8)
        torch.autograd.grad(out, (all_images, all_weights), out)

    row.append(f"grouped by 8 {1e3 * graph_seconds(grouped, 30) / 8:.3f}")
    return "; ".join(row)
