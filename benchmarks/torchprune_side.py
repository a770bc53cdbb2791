"""Prune a network by the code of SiPP's and PFP's authors; run by an interpreter with PyTorch.

    python benchmarks/torchprune_side.py REPOSITORY GIVEN.npz MADE.npz

REPOSITORY is a clone of github.com/lucaslie/torchprune. Its pruners are imported without the rest
of the package, which asks for libraries that no longer exist. Called by `public_code.py`.
"""

import contextlib
import importlib
import io
import sys
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

Arrays = dict[str, Any]


def load(repository: str) -> dict[str, Any]:
    """Import the pruners from a clone, by name."""
    vars(np)["Inf"] = np.inf  # the name that NumPy 2 took away
    root = Path(repository) / "src" / "torchprune" / "torchprune"
    for name in ("", "method", "util"):
        package = types.ModuleType("torchprune." + name if name else "torchprune")
        package.__path__ = [str(root / name)]
        sys.modules[package.__name__] = package
    found: dict[str, Any] = {"NetHandle": importlib.import_module("torchprune.util.net").NetHandle}
    for part in ("sipp", "pfp", "thres_weight", "thres_filter"):
        found |= vars(importlib.import_module(f"torchprune.method.{part}"))
    # The allocation is handed out as a view, and the hybrid variant flips signs in it. Without a
    # copy it loses all units that were to be sampled when a budget is asked for twice.
    allocator = found["sipp_allocator"].SiPPRandAllocator
    whole = allocator.get_num_samples
    allocator.get_num_samples = lambda self, layer: whole(self, layer).clone()
    return found


class Flatten(nn.Module):
    """Flatten all but the first axis."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the images as rows."""
        return x.flatten(1)


class Layers:
    """Layers of a chain, between our order of axes and that of PyTorch."""

    def __init__(self, arrays: Arrays) -> None:
        self.names = [str(name) for name in arrays["layers"]]
        self.shapes = {name: arrays[f"{name}.weight"].shape for name in self.names}
        flat = str(arrays["flat"])  # "linear" or "convolution": what reads the flattened features
        modules: list[nn.Module] = []
        self.grid: dict[str, tuple[int, int]] = {}  # of the layer that reads them: size, channels
        size, channels = int(arrays["input_shape"][0]), 0
        for name in self.names:
            weight = torch.tensor(arrays[f"{name}.weight"])
            if weight.ndim == 4:
                same = str(arrays[f"{name}.padding"]) == "SAME"
                kernel, channels = weight.shape[0], weight.shape[3]
                layer: nn.Module = nn.Conv2d(
                    weight.shape[2], channels, kernel, padding=kernel // 2 if same else 0
                )
                size = (size if same else size - kernel + 1) // 2
            elif channels and not self.grid:
                self.grid[name] = size, channels
                units = weight.shape[1]
                convolution = flat == "convolution"
                layer = (
                    nn.Conv2d(channels, units, size)
                    if convolution
                    else nn.Linear(weight.shape[0], units)
                )
                modules += [] if convolution else [Flatten()]
            else:
                modules += [] if modules else [Flatten()]
                layer = nn.Linear(*weight.shape)
            layer.weight.data = self.theirs(name, weight).reshape(layer.weight.shape).contiguous()
            layer.bias.data = torch.tensor(arrays[f"{name}.bias"])
            modules.append(layer)
            modules += [Flatten()] if isinstance(layer, nn.Conv2d) and weight.ndim == 2 else []
            modules += [nn.ReLU()] if name != self.names[-1] else []
            modules += [nn.MaxPool2d(2)] if weight.ndim == 4 else []
        self.network = nn.Sequential(*modules).eval()

    def theirs(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        """From our order of axes; flattened features are height, width, channel here."""
        if name in self.grid:
            size, channels = self.grid[name]
            return weight.reshape(size, size, channels, -1).permute(3, 2, 0, 1)
        return weight.permute(3, 2, 0, 1) if weight.ndim == 4 else weight.T

    def ours(self, name: str, weight: torch.Tensor) -> np.ndarray:
        """To our order of axes."""
        if name in self.grid:
            size, channels = self.grid[name]
            weight = weight.reshape(-1, channels, size, size)
        axes = (2, 3, 1, 0) if weight.ndim == 4 else (1, 0)
        return weight.permute(*axes).reshape(self.shapes[name]).contiguous().numpy()


def main(repository: str, given: str, made: str) -> None:
    """Prune by every method to every size."""
    torch.set_num_threads(1)
    found = load(repository)
    arrays: Arrays = dict(np.load(given))
    layers = Layers(arrays)
    handle = found["NetHandle"](layers.network, "network")
    inputs = torch.tensor(arrays["inputs"]).permute(0, 3, 1, 2).contiguous()
    labels = torch.tensor(arrays["labels"]).long()

    class Loader(list[tuple[torch.Tensor, torch.Tensor]]):
        batch_size = 32

    loader = Loader(zip(inputs.split(32), labels.split(32), strict=True))
    result: Arrays = {"version": torch.__version__}
    with torch.no_grad():
        result["logits"] = handle(inputs).numpy()
        for method in map(str, arrays["methods"]):
            torch.manual_seed(int(arrays["seed"]))
            pruner = found[method](handle, loader, nn.CrossEntropyLoss())
            for number, keep in enumerate(arrays["keep"]):
                start = time.process_time()
                with contextlib.redirect_stdout(io.StringIO()):
                    pruner.compress(float(keep), from_original=True, initialize=number == 0)
                key = f"{method}|{number}|"
                result[key + "seconds"] = time.process_time() - start
                for name, module in zip(
                    layers.names, pruner.compressed_net.compressible_layers, strict=True
                ):
                    result[f"{key}{name}.weight"] = layers.ours(name, module.weight.data)
                    result[f"{key}{name}.bias"] = module.bias.data.numpy()
    np.savez_compressed(made, **result)


if __name__ == "__main__":
    main(*sys.argv[1:])
