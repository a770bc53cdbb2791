"""The citation graphs Cora, Citeseer and Pubmed, from a local folder or downloaded once.

The files are those of the repository of Planetoid [1]_ (MIT license); the graphs were collected by
the LINQS group [2]_. Every file has its SHA-256 recorded here and is read only if it agrees, from
wherever it comes; `overparam.graphs.pickles` says how it is read then.
"""

import hashlib
import os
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from overparam._validation import reject
from overparam.graphs.graph import Graph, Split
from overparam.graphs.pickles import read_pickle

Name = Literal["cora", "citeseer", "pubmed"]

FOLDER_VARIABLE = "OVERPARAM_DATA"
"""Environment variable that names a folder with the files, or with a folder ``planetoid``."""

# A commit, and not a branch: its content cannot change.
_SOURCE = (
    "https://raw.githubusercontent.com/kimiyoung/planetoid/"
    "af6abf468a772cc055bec88c52e4d6f51b7c37e3/data/"
)
_VALIDATION, _TEST = 500, 1000

CHECKSUMS = {
    "ind.cora.x": "23cfa55d91c6f624233f5eb7b6e3f141f1bd2b2ae39608a63cf5d084bb27baab",
    "ind.cora.y": "94465c14eb53e04ca262198dcbb2521ee8af60fb3f3d546cd6ca24a511b0e7d1",
    "ind.cora.tx": "b9afbaa4a400df991f6f02ef677e1e44da55ffc04801fd02f9e673987829226a",
    "ind.cora.ty": "41f5ac76596a1699cc33f53084a2419e92961c42bb75f36fc38e616d348532ad",
    "ind.cora.allx": "9419ba2f26f5c35243db64aba110e0f35a04851609e0dc5433450676ca6b8543",
    "ind.cora.ally": "2b998f5cc7fedc86e7f97ca2498f47a1ffc1462c29e2d578b23bf3f62b6e7d71",
    "ind.cora.graph": "58f13302f39dde8852dad6fe6d15b89b077b6d7f837626bce671ef80344b383d",
    "ind.cora.test.index": "297ce89af2b51a6a194181c7dbe1796c6a1cf9cd9349a88383b1b1e227867875",
    "ind.citeseer.x": "d20de19150741e555de0ed037195630fc194114ebc7fd72ced62810148aa22f6",
    "ind.citeseer.y": "8ba87e515d8e3ee3cf52f6d2c5b86aa73f11ecad825a808455209ec26cd54924",
    "ind.citeseer.tx": "539a8906a2da97628d212f2fdd668c109a8b3f0d36574b59e5d3fd5b5303da21",
    "ind.citeseer.ty": "55e5bd1ba1e733a04598753ad1a8d57957f4b8f89e74519f41f4f4938767e4ce",
    "ind.citeseer.allx": "2ac30345d95c9ec933a817ee0bdd6a5f077f8c184a20e696910192d534414668",
    "ind.citeseer.ally": "f704b2d986dde6c2669934de1f3ae5696a6cf9455c0f6b2646a2d135ea0a1c95",
    "ind.citeseer.graph": "d79a4ef9d3e7169aee8946145f6b7306e35bc79bffad26346cfb94e10e9912a7",
    "ind.citeseer.test.index": "2af990671580b6b2df5d158d1038f8292e30c9cd821b5453f399659b25b723d4",
    "ind.pubmed.x": "fbe9cb5c47200d1b7769a26e579be3b7130b556831f9d850e77c4c74f2599b33",
    "ind.pubmed.y": "e6c807633307a07ed659249006536a147c7999c797f11a2560752990181b41b3",
    "ind.pubmed.tx": "4eb5f5d0f30f26497eb0ac6ac9719d09c67e284f1ed0385c93f3ef27a671da3d",
    "ind.pubmed.ty": "ee2e0d4819d9fbcc403689c3bf2e49face401b605932f093bc58ab6461130fdd",
    # The one file that was not at hand: its digest is that of the pointer by which another public
    # repository stores it, whose pointers to the other files agree with the digests here.
    "ind.pubmed.allx": "508e538e2abdccdd54c4d3e9f49d638b4af7107d85845f66ddea5a5152658b7e",
    "ind.pubmed.ally": "0c37bbe3b5014ec365e9d393cf4791925e5ed94fb194305d74f064a8d7b50f0e",
    "ind.pubmed.graph": "5b89f0036ca22909471f1e6558eb42fa06e0c730a577bde5b058b40638f81dc9",
    "ind.pubmed.test.index": "b101d421688bbaecbd82e8a18f1e282378d6830f3a37666f28ebc47f844341b5",
}


def load_planetoid(name: Name, folder: str | os.PathLike[str] | None = None) -> Graph:
    """Load a citation graph: papers, words that occur in them, and who cites whom.

    Parameters
    ----------
    name : {"cora", "citeseer", "pubmed"}
        The graph.
    folder : path-like, optional
        Where the eight files ``ind.<name>.*`` are; by default the folder that the environment
        variable ``OVERPARAM_DATA`` names, or its folder ``planetoid``. Without either the files
        are downloaded, once, into the cache of the user.

    Returns
    -------
    Graph
        With three splits. ``"public"``: 20 labels a class for training, 500 nodes for
        validation, 1000 for the test. ``"full"``: the same except that all other nodes train.
        ``"complete"``: the last 500 nodes for the test, the 500 before them for validation, all
        others train. Nodes without a label (15 in Citeseer, which have no features either) are
        left out of the last two.

    Raises
    ------
    ValueError
        If there is no such graph, a file is missing, or a file is not the one it should be.

    References
    ----------
    .. [1] Z. Yang, W. W. Cohen, R. Salakhutdinov, "Revisiting semi-supervised learning with graph
       embeddings", ICML 2016.
    .. [2] P. Sen, G. Namata, M. Bilgic, L. Getoor, B. Gallagher, T. Eliassi-Rad, "Collective
       classification in network data", AI Magazine 29 (2008).

    Examples
    --------
    >>> load_planetoid("coral")
    Traceback (most recent call last):
    ...
    ValueError: `name` must be 'cora', 'citeseer' or 'pubmed', but it is 'coral'. Pass one of these.
    """
    if name not in ("cora", "citeseer", "pubmed"):
        rule = "must be 'cora', 'citeseer' or 'pubmed'"
        raise reject("name", name, rule, "Pass one of these.")
    place = _folder(folder)
    files = {
        suffix: _content(f"ind.{name}.{suffix}", place)
        for suffix in ("tx", "ty", "allx", "ally", "graph", "y", "test.index")
    }
    parts = {
        suffix: read_pickle(content, f"ind.{name}.{suffix}")
        for suffix, content in files.items()
        if suffix != "test.index"
    }
    test = np.array(files["test.index"].split(), dtype=np.int64)
    return _assemble(parts, test)


def _assemble(parts: dict[str, object], test: NDArray[np.int64]) -> Graph:
    """Put the test nodes, which are stored apart and out of order, where they belong."""
    known, labelled = parts["allx"], np.asarray(parts["ally"])
    nodes = max(int(test.max()) + 1, len(parts["graph"]))  # type: ignore[arg-type]
    first = labelled.shape[0]
    # Some graphs lack ids among the test nodes: these have neither features nor a label.
    place = sparse.csr_matrix(
        (np.ones(test.size), (test, np.arange(test.size))), shape=(nodes, test.size)
    )
    start = sparse.eye(nodes, first, format="csr")
    features = start @ known + place @ parts["tx"]
    one_hot = start @ labelled + place @ np.asarray(parts["ty"])
    labels = np.where(one_hot.sum(axis=1) > 0, one_hot.argmax(axis=1), -1)
    neighbors: dict[int, list[int]] = parts["graph"]  # type: ignore[assignment]
    edges = [(node, other) for node, others in neighbors.items() for other in others]
    train = np.arange(np.asarray(parts["y"]).shape[0])
    return Graph(features, np.array(edges), labels, _splits(labels, train, test))


def _splits(
    labels: NDArray[np.int64], train: NDArray[np.int64], test: NDArray[np.int64]
) -> dict[str, Split]:
    count = labels.size
    labelled = np.flatnonzero(labels >= 0)
    validation = np.arange(train.size, train.size + _VALIDATION)
    others = np.setdiff1d(labelled, np.concatenate([validation, test]))
    middle, last = count - 2 * _VALIDATION, count - _VALIDATION
    return {
        "public": Split(train, validation, test),
        "full": Split(others, validation, test),
        "complete": Split(
            labelled[labelled < middle],
            labelled[(labelled >= middle) & (labelled < last)],
            labelled[labelled >= last],
        ),
    }


def _folder(folder: str | os.PathLike[str] | None) -> Path | None:
    if folder is None and not os.environ.get(FOLDER_VARIABLE):
        return None
    source = "folder" if folder is not None else FOLDER_VARIABLE
    place = Path(folder if folder is not None else os.environ[FOLDER_VARIABLE])
    if not place.is_dir():
        raise reject(source, str(place), "must be a folder", "Name the folder of the files.")
    inner = place / "planetoid"
    return inner if inner.is_dir() else place


def _content(file: str, place: Path | None) -> bytes:
    path = _downloaded(file) if place is None else place / file
    if not path.is_file():
        way_out = f"Put it there, or unset {FOLDER_VARIABLE} to download it."
        raise reject(file, str(path), "must exist", way_out)
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != CHECKSUMS[file]:
        way_out = "The file is damaged or another one: fetch it again from its source."
        raise reject(file, digest, f"must have the SHA-256 {CHECKSUMS[file]}", way_out)
    return content


def _downloaded(file: str) -> Path:
    import pooch

    path = pooch.retrieve(
        _SOURCE + file, f"sha256:{CHECKSUMS[file]}", file, pooch.os_cache("overparam")
    )
    return Path(path)
