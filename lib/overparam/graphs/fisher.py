r"""Kronecker-factored Fisher matrices of the two layers, and steps preconditioned by them.

For a layer with propagated input rows :math:`a_u` (a one for the bias at the end) and gradients
:math:`g_u` of the loss with respect to its sums, the sum over all nodes, labelled or not, gives

.. math:: A = \frac1m\sum_u a_u a_u^\top,\qquad B = c\sum_u g_u g_u^\top,\qquad
    \nabla \mapsto (A + \sqrt\epsilon I)^{-1}\,\nabla\,(B + \sqrt\epsilon I)^{-1}.

Scalings differ in :math:`m`, :math:`c` and the labels behind :math:`g_u`; see `factors`.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import linalg

from overparam._validation import nonnegative_number
from overparam.graphs.convolution import Backward, Network, Parameters
from overparam.graphs.graph import Graph

Scaling = Literal["public", "input", "per-node"]


class Spectrum(NamedTuple):
    """Eigenvalues and eigenvectors of the constant sum of the first layer, before division by m.

    Attributes
    ----------
    values : jax.Array of shape (r,)
        In descending order.
    vectors : jax.Array of shape (d + 1, r)
        In columns.
    rows : jax.Array of shape (r, d + 1)
        The same in rows. A product that runs along the memory takes half of the time, and one with
        either factor is needed in every step.
    """

    values: jax.Array
    vectors: jax.Array
    rows: jax.Array


class Factors(NamedTuple):
    """What is left of the Fisher matrices between two refreshes.

    Attributes
    ----------
    divisor : jax.Array
        The number m.
    first_output : jax.Array of shape (hidden, hidden)
        Damped inverse of B of the first layer.
    second_input : jax.Array of shape (hidden + 1, hidden + 1)
        Damped inverse of A of the second layer.
    second_output : jax.Array of shape (classes, classes)
        Damped inverse of B of the second layer.
    """

    divisor: jax.Array
    first_output: jax.Array
    second_input: jax.Array
    second_output: jax.Array


def first_layer_spectrum(graph: Graph, floor: float = 0.0) -> Spectrum:
    r"""Diagonalize :math:`[PX, 1]^\top[PX, 1]`, once for all seeds, refreshes and dampings.

    Parameters
    ----------
    graph : Graph
        The graph.
    floor : float
        Eigenvalues below it are left out, and count as zero. Next to a damping of
        :math:`m\sqrt\epsilon` this changes a step by at most the ratio of the two.

    Returns
    -------
    Spectrum
        In JAX's current default precision.

    Raises
    ------
    ValueError
        If `floor` is negative.

    Examples
    --------
    >>> from overparam.graphs import load_karate_club
    >>> first_layer_spectrum(load_karate_club()).values.shape
    (35,)
    """
    lowest = nonnegative_number("floor", floor)
    inputs = graph.propagated
    square = (inputs.T @ inputs).toarray()
    # Overwritten: for Citeseer each copy would be 0.1 GB.
    bounds = {"subset_by_value": (lowest, np.inf)} if lowest else {}
    values, vectors = linalg.eigh(square, overwrite_a=True, check_finite=False, **bounds)
    return Spectrum(
        jnp.asarray(values[::-1].copy(), dtype=float),
        jnp.asarray(np.ascontiguousarray(vectors[:, ::-1]), dtype=float),
        jnp.asarray(np.ascontiguousarray(vectors[:, ::-1].T), dtype=float),
    )


def factors(
    network: Network,
    per_node: jax.Array | float,
    output: jax.Array | float,
    root_damping: jax.Array | float,
    pseudo_weight: jax.Array | float,
    hidden: jax.Array,
    backward: Backward,
) -> Factors:
    r"""Form the factors and invert all of them that change.

    Parameters
    ----------
    network : Network
        The graph.
    per_node : float
        Zero for the scaling of the published code, "public": :math:`m = n + \lambda(N - n)` for n
        training nodes among N and :math:`c = w^2/m` for a layer of w units, with the gradient of
        the loss itself. One for "per-node": m = N and c = 1, with a `backward` of labels drawn from
        the model, each node's loss weighted by the square root of its weight in the loss. Then the
        mean of the sum of :math:`g_u g_u^\top` is that of a per-node Fisher matrix of the loss.
    output : float
        What B is multiplied by: one, or zero to leave it out.
    root_damping : float
        :math:`\sqrt\epsilon`.
    pseudo_weight : float
        :math:`\lambda`.
    hidden : jax.Array of shape (N, hidden)
        Outputs of the hidden units.
    backward : Backward
        Gradients with respect to the sums of both layers.

    Returns
    -------
    Factors
        For `precondition`.
    """
    nodes = network.train.size
    count = jnp.sum(network.train)
    divisor = jnp.where(
        jnp.asarray(per_node) > 0, 1.0 * nodes, count + pseudo_weight * (nodes - count)
    )
    inputs = network.propagation.dot(hidden)
    inputs = jnp.hstack([inputs, jnp.ones((nodes, 1))])

    def inverse(sums: jax.Array) -> jax.Array:
        scale = jnp.where(jnp.asarray(per_node) > 0, 1.0, sums.shape[1] ** 2 / divisor)
        return _damped_inverse(output * scale * sums.T @ sums, root_damping)

    return Factors(
        divisor,
        inverse(backward.first_sums),
        _damped_inverse(inputs.T @ inputs / divisor, root_damping),
        inverse(backward.second_sums),
    )


def precondition(
    spectrum: Spectrum, factors: Factors, gradient: Parameters, root_damping: jax.Array | float
) -> Parameters:
    r"""Multiply a gradient by the inverses of the damped factors.

    Parameters
    ----------
    spectrum : Spectrum
        Of the first layer.
    factors : Factors
        Of the last refresh.
    gradient : Parameters
        The gradient.
    root_damping : float
        :math:`\sqrt\epsilon`.

    Returns
    -------
    weights : Parameters
        The preconditioned gradient.

    Notes
    -----
    With :math:`[PX, 1]^\top[PX, 1] = U\mathrm{diag}(l)U^\top` and :math:`t = \sqrt\epsilon`,
    :math:`(A + tI)^{-1} = t^{-1}\bigl(I - U\mathrm{diag}(l/(l + tm))U^\top\bigr)`: no inverse of
    the size of the features is ever formed.
    """
    share = spectrum.values / (spectrum.values + root_damping * factors.divisor)
    inside = spectrum.vectors @ (share[:, None] * (spectrum.rows @ gradient.first))
    first = (gradient.first - inside) / root_damping
    return Parameters(
        first @ factors.first_output,
        factors.second_input @ gradient.second @ factors.second_output,
    )


def _damped_inverse(factor: jax.Array, root_damping: jax.Array | float) -> jax.Array:
    return jnp.linalg.inv(factor + root_damping * jnp.eye(factor.shape[0]))
