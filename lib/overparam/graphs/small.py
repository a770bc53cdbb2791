"""A small real graph that NetworkX ships: no file, no download."""

import numpy as np

from overparam.graphs.graph import Graph, Split


def load_karate_club() -> Graph:
    """Friendships in a karate club that split in two, with the side that each member took.

    The 34 nodes have no features of their own, so each has a feature to itself. Known at training
    are the labels of four members: the instructor and the president, around whom the club
    split (0 and 33), and the next most connected member of each side (1 and 32). Every third of the
    others is for validation, the rest for the test.

    Returns
    -------
    Graph
        78 edges, 2 classes, and one split, ``"public"``.

    References
    ----------
    .. [1] W. W. Zachary, "An information flow model for conflict and fission in small groups",
       Journal of Anthropological Research 33 (1977).

    Examples
    --------
    >>> load_karate_club()
    Graph(34 nodes, 78 edges, 34 features, 2 classes)
    """
    import networkx as nx

    club = nx.karate_club_graph()
    sides = [club.nodes[node]["club"] for node in range(34)]
    labels = np.array([0 if side == "Mr. Hi" else 1 for side in sides])
    train = np.array([0, 1, 32, 33])
    rest = np.setdiff1d(np.arange(34), train)
    third = np.arange(rest.size) % 3 == 0
    edges = np.array(club.edges(), dtype=np.int64)
    return Graph(np.eye(34), edges, labels, {"public": Split(train, rest[third], rest[~third])})
