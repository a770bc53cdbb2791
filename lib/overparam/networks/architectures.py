"""The networks of this book: dense nets, two small convolutional ones, a residual one."""

from collections.abc import Sequence
from typing import Literal

from overparam._validation import count, reject
from overparam.networks.network import INPUT, Network, Node


def dense_network(
    widths: Sequence[int], classes: int = 10, input_shape: tuple[int, int, int] = (28, 28, 1)
) -> Network:
    """Return a network of dense layers with rectifiers between them.

    Parameters
    ----------
    widths : sequence of int
        Units of the hidden layers; empty for a linear classifier.
    classes : int, default 10
        Outputs.
    input_shape : tuple of int, default (28, 28, 1)
        Height, width, channels of one image.

    Returns
    -------
    Network
        Its layers are ``"dense1"``, ``"dense2"``, ..., ``"output"``.

    Examples
    --------
    >>> dense_network([300, 100])
    Network(6 nodes, 266,610 parameters)
    """
    nodes = [Node("flat", "flatten", (INPUT,))]
    for number, width in enumerate(widths, start=1):
        units = count("widths", width)
        nodes.append(Node(f"dense{number}", "dense", (nodes[-1].name,), units))
        nodes.append(Node(f"relu{number}", "relu", (f"dense{number}",)))
    nodes.append(Node("output", "dense", (nodes[-1].name,), count("classes", classes)))
    return Network(tuple(nodes), input_shape)


def lenet_300_100() -> Network:
    """Return LeNet-300-100: two hidden dense layers on 28 by 28 images.

    Returns
    -------
    Network
        With 266,610 parameters.

    References
    ----------
    .. [1] Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to
       document recognition", Proceedings of the IEEE 86 (1998).

    Examples
    --------
    >>> lenet_300_100().parameter_count
    266610
    """
    return dense_network([300, 100])


def lenet_5(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    filters: tuple[int, int] = (6, 16),
    padding: Literal["SAME", "VALID"] = "SAME",
) -> Network:
    """Return a network like LeNet-5: two convolutions, dense layers of 120, 84 and 10 units.

    Rectifiers, maximum pooling and full connections replace what the original has in their place.

    Parameters
    ----------
    input_shape : tuple of int, default (28, 28, 1)
        Height, width, channels of one image, at least 12 by 12 (16 by 16 without padding).
    filters : tuple of int, default (6, 16)
        Of the two convolutions.
    padding : str, default "SAME"
        Of the first convolution; ``"VALID"`` is none. The second one has none.

    Returns
    -------
    Network
        Its layers are ``"conv1"``, ``"conv2"``, ``"dense1"``, ``"dense2"``, ``"output"``.

    Raises
    ------
    ValueError
        If the images are too small.

    Examples
    --------
    >>> lenet_5()
    Network(12 nodes, 61,706 parameters)
    >>> lenet_5(filters=(8, 24), padding="VALID")
    Network(12 nodes, 62,246 parameters)
    """
    least = 12 if padding == "SAME" else 16
    if min(input_shape[:2]) < least:
        raise reject(
            "input_shape",
            input_shape,
            f"must be at least {least} by {least}, or the second convolution has nothing to see",
            "Enlarge the images or use small_cnn.",
        )
    nodes = (
        Node("conv1", "convolution", (INPUT,), filters[0], kernel=5, padding=padding),
        Node("relu1", "relu", ("conv1",)),
        Node("pool1", "max_pool", ("relu1",)),
        Node("conv2", "convolution", ("pool1",), filters[1], kernel=5, padding="VALID"),
        Node("relu2", "relu", ("conv2",)),
        Node("pool2", "max_pool", ("relu2",)),
        Node("flat", "flatten", ("pool2",)),
        Node("dense1", "dense", ("flat",), 120),
        Node("relu3", "relu", ("dense1",)),
        Node("dense2", "dense", ("relu3",), 84),
        Node("relu4", "relu", ("dense2",)),
        Node("output", "dense", ("relu4",), 10),
    )
    return Network(nodes, input_shape)


def small_cnn(width: int = 8, input_shape: tuple[int, int, int] = (8, 8, 1)) -> Network:
    """Return two normalized convolutions, a global mean and a linear layer.

    Parameters
    ----------
    width : int, default 8
        Filters of the first convolution; the second has twice as many.
    input_shape : tuple of int, default (8, 8, 1)
        Height, width, channels of one image.

    Returns
    -------
    Network
        Its layers are ``"conv1"``, ``"conv2"``, ``"output"``.

    Examples
    --------
    >>> small_cnn()
    Network(8 nodes, 1,442 parameters)
    """
    nodes: list[Node] = []
    source = INPUT
    for number, units in enumerate((count("width", width), 2 * width), start=1):
        conv, norm, relu = f"conv{number}", f"norm{number}", f"relu{number}"
        nodes.append(Node(conv, "convolution", (source,), units, kernel=3, bias=False))
        nodes.append(Node(norm, "normalization", (conv,)))
        nodes.append(Node(relu, "relu", (norm,)))
        source = relu
    nodes.append(Node("mean", "mean", (source,)))
    nodes.append(Node("output", "dense", ("mean",), 10))
    return Network(tuple(nodes), input_shape)


def resnet_20(width: int = 16, input_shape: tuple[int, int, int] = (32, 32, 3)) -> Network:
    """Return ResNet-20 with stages of `width`, twice and four times as many filters.

    Three stages of three blocks of two normalized convolutions; the two shortcuts that change the
    shape are convolutions with kernels of side 1, without normalization.

    Parameters
    ----------
    width : int, default 16
        Filters in the first stage; 16 is the standard one.
    input_shape : tuple of int, default (32, 32, 3)
        Height, width, channels of one image.

    Returns
    -------
    Network
        Its layers are ``"stem.conv"``, ``"stage1.block1.first.conv"``,
        ``"stage1.block1.second.conv"``, ..., ``"stage2.block1.shortcut"``, ..., ``"output"``.

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", CVPR
       2016. The shortcuts are those of the code of Chang et al. (2021).

    Examples
    --------
    >>> resnet_20()
    Network(70 nodes, 272,378 parameters)
    """
    first = count("width", width)
    nodes = [*_convolve("stem", INPUT, first), Node("stem.relu", "relu", ("stem.norm",))]
    for stage in (1, 2, 3):
        for block in (1, 2, 3):
            stride = 2 if stage > 1 and block == 1 else 1
            nodes += _block(
                f"stage{stage}.block{block}", nodes[-1].name, first << stage - 1, stride
            )
    nodes.append(Node("mean", "mean", (nodes[-1].name,)))
    nodes.append(Node("output", "dense", ("mean",), 10))
    return Network(tuple(nodes), input_shape)


def _convolve(name: str, source: str, units: int, stride: int = 1) -> list[Node]:
    conv = f"{name}.conv"
    return [
        Node(conv, "convolution", (source,), units, kernel=3, stride=stride, bias=False),
        Node(f"{name}.norm", "normalization", (conv,)),
    ]


def _block(name: str, source: str, units: int, stride: int) -> list[Node]:
    """Return two convolutions and what goes around them."""
    first, second, relu = f"{name}.first", f"{name}.second", f"{name}.relu"
    nodes = [
        *_convolve(first, source, units, stride),
        Node(f"{first}.relu", "relu", (f"{first}.norm",)),
        *_convolve(second, f"{first}.relu", units),
    ]
    around = source
    if stride > 1:
        around = f"{name}.shortcut"
        shortcut = Node(around, "convolution", (source,), units, kernel=1, stride=stride)
        nodes.append(shortcut)
    nodes.append(Node(f"{name}.add", "add", (f"{second}.norm", around)))
    nodes.append(Node(relu, "relu", (f"{name}.add",)))
    return nodes
