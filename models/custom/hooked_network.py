"""Adapts any network to return `Outputs`: hooks on its layers capture what it does not return."""

import math
from collections.abc import Iterator, MutableMapping
from functools import partial
from typing import Any

from torch import Tensor, nn

from models.errors import UnknownModel
from models.network import Continuation, Network
from models.outputs import Outputs, run_on_black
from search_spaces.wording import suggestion

PREFIX = "network."  # of parameter names, but not in the state dict


class CustomNetwork(Network):
    """Wraps a network from the user's own file or another library.

    The network returns logits [B, num_classes], an object with such `.logits`, or `Outputs`,
    which are passed on unchanged. The feature maps "stage1", "stage2", ... are the outputs of
    `layers`. By default they are chosen among all outputs [B, C, H, W] that have the image's
    aspect ratio and more than one pixel: for each size the outermost layer (the last one of
    several), as long as the sizes shrink. If a layer runs several times its last output
    counts. The embedding is the input of the last linear layer with `num_classes` outputs, or
    without one the mean of the last map. There are no pre-activation maps. The state dict is
    that of the wrapped network.
    """

    def __init__(
        self, name: str, network: nn.Module, num_classes: int, layers: tuple[str, ...] = ()
    ) -> None:
        """`name` is used in errors. Raises UnknownModel for a layer that does not exist."""
        super().__init__()
        self.network = network
        self._name, self._num_classes, self._layers = name, num_classes, layers
        self._captured = _Captured()
        modules = dict(network.named_modules(remove_duplicate=False))
        for layer in layers:
            if layer not in modules:
                parts = ", ".join(key for key, _ in network.named_children())
                raise UnknownModel(
                    f"{name}: no layer {layer!r}{suggestion(layer, modules)} "
                    f"known: {parts}, and their submodules"
                )
            modules[layer].register_forward_hook(partial(self._captured.output_of, layer))
        for key, module in network.named_modules():
            if key and not layers:
                module.register_forward_hook(partial(self._captured.outermost_of_its_size, key))
            if isinstance(module, nn.Linear) and module.out_features == num_classes:
                module.register_forward_hook(self._captured.input_of_classifier)
        self.register_state_dict_post_hook(_without_prefix)
        self.register_load_state_dict_pre_hook(_with_prefix)

    def forward(self, images: Tensor) -> Outputs:
        """Takes normalised images [B, 3, H, W]. Raises UnknownModel if the outputs are unusable."""
        self._captured.begin(tuple(images.shape))
        output = self.network(images)
        if isinstance(output, Outputs) and self._layers:
            raise UnknownModel(
                f"{self._name}: the network returns Outputs, which contain its maps; "
                f"omit #{','.join(self._layers)}"
            )
        outputs = output if isinstance(output, Outputs) else self._outputs(output)
        # Not len(images), which would become a constant when the network is exported.
        self._check(outputs, images.shape[0])
        self._captured.end()
        return outputs

    def map_layers(self, image_size: tuple[int, int]) -> dict[str, str]:
        """The layer of each feature map, for images of (height, width).

        Raises UnknownModel if the network fails on such images.
        """
        self._captured.begin((1, 3, *image_size))
        run_on_black(self.network, image_size, self._name)
        layers = {stage: layer for stage, layer, _ in self._feature_maps()}
        self._captured.end()
        return layers

    def continuation(self) -> Continuation:
        """Raises UnknownModel: the stages of a custom network are not known."""
        raise UnknownModel(f"{self._name}: only built-in networks can be continued")

    def _outputs(self, output: object) -> Outputs:
        logits = output if isinstance(output, Tensor) else getattr(output, "logits", None)
        if not isinstance(logits, Tensor):
            raise UnknownModel(
                f"{self._name}: forward returns a {type(output).__name__}; "
                f"it must return logits [B, {self._num_classes}] or models.Outputs"
            )
        maps = {stage: feature_map for stage, _, feature_map in self._feature_maps()}
        embedding = self._captured.embedding
        if embedding is None:
            if not maps:
                raise UnknownModel(
                    f"{self._name}: found no embedding, neither the input of a last linear layer "
                    "nor a map [B, C, H, W] to average; return models.Outputs from forward"
                )
            embedding = list(maps.values())[-1].mean(dim=(2, 3))
        return Outputs(logits, embedding, maps, {}, classifier=self._captured.classifier)

    def _feature_maps(self) -> Iterator[tuple[str, str, Tensor]]:
        """Name, layer and map [B, C, H, W], shallow to deep."""
        captured = self._captured
        named = [(layer, captured.named.get(layer)) for layer in self._layers]
        chosen = named or captured.shrinking()
        for number, (layer, output) in enumerate(chosen, start=1):
            if not isinstance(output, Tensor) or output.dim() != 4:
                raise UnknownModel(
                    f"{self._name}: the output of {layer!r} is {_described(output)}, not a map "
                    "[B, C, H, W]; choose another layer"
                )
            yield f"stage{number}", layer, output

    def _check(self, outputs: Outputs, batch_size: int) -> None:
        """Raises UnknownModel unless the outputs have the shapes of every network's."""
        expected = (batch_size, self._num_classes)
        if outputs.logits.shape != expected:
            raise UnknownModel(
                f"{self._name}: the logits are {_described(outputs.logits)}, not "
                f"{list(expected)}; the network must have num_classes outputs"
            )
        if outputs.embedding.dim() != 2:
            raise UnknownModel(
                f"{self._name}: the embedding is {_described(outputs.embedding)}, not [B, D]; "
                "pool or flatten it"
            )
        for maps in (outputs.feature_maps, outputs.pre_activation_maps):
            if not isinstance(maps, dict) or any(x.dim() != 4 for x in maps.values()):
                raise UnknownModel(
                    f"{self._name}: the maps are not dicts of maps [B, C, H, W] by name; return "
                    'them as {"stage1": map, ...}'
                )


class _Captured:
    """What the hooks capture in one run."""

    def __init__(self) -> None:
        self.end()

    def begin(self, images_shape: tuple[int, ...]) -> None:
        """Before a run on images [B, 3, H, W]."""
        self.end()
        self._batch_size, _, *self._image_size = images_shape

    def end(self) -> None:
        """Releases everything, or the graph of one step would live until the next."""
        self.named: dict[str, Any] = {}  # outputs
        self.sized: dict[tuple[int, int], tuple[str, Tensor]] = {}  # layer and output
        self.embedding: Tensor | None = None
        self.classifier: Tensor | None = None

    def output_of(self, layer: str, module: nn.Module, inputs: Any, output: Any) -> None:
        self.named[layer] = output

    def outermost_of_its_size(
        self, layer: str, module: nn.Module, inputs: Any, output: Any
    ) -> None:
        if not isinstance(output, Tensor) or output.dim() != 4:
            return
        batch_size, _, height, width = output.shape
        image_height, image_width = self._image_size
        # Rounding may move a side by one pixel; other shapes are channels last, or attention.
        skew = abs(height * image_width - width * image_height)
        if batch_size != self._batch_size or height * width < 2 or skew >= max(self._image_size):
            return
        earlier, _ = self.sized.get((height, width), (layer, None))
        if layer.count(".") <= earlier.count("."):
            self.sized.pop((height, width), None)  # moves it to the end
            self.sized[height, width] = layer, output

    def shrinking(self) -> list[tuple[str, Tensor]]:
        """The outputs by size that are smaller than all before; pooling may enlarge the last."""
        chosen, smallest = [], math.inf
        for (height, width), captured in self.sized.items():
            if height * width < smallest:
                smallest = height * width
                chosen.append(captured)
        return chosen

    def input_of_classifier(self, module: nn.Linear, inputs: Any, output: Any) -> None:
        if inputs and inputs[0].dim() == 2:
            self.embedding, self.classifier = inputs[0], module.weight


def _without_prefix(
    module: nn.Module, state_dict: MutableMapping[str, Any], prefix: str, metadata: Any
) -> None:
    _rename(state_dict, prefix + PREFIX, prefix)


def _with_prefix(
    module: nn.Module, state_dict: MutableMapping[str, Any], prefix: str, *_: Any
) -> None:
    _rename(state_dict, prefix, prefix + PREFIX)


def _rename(state_dict: MutableMapping[str, Any], old: str, new: str) -> None:
    """Replaces the prefix `old` of names by `new`."""
    names = [name for name in state_dict if name.startswith(old)]
    renamed = {new + name.removeprefix(old): state_dict.pop(name) for name in names}
    state_dict.update(renamed)


def _described(output: object) -> str:
    if output is None:
        return "missing (forward does not run it)"
    return str(list(output.shape)) if isinstance(output, Tensor) else f"a {type(output).__name__}"
