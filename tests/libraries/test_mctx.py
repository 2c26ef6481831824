"""mctx's trees are batched by one axis: a vmap where the indices are an array, else none."""

import jax.numpy as jnp
import pytest

from autovmap import auto_vmap, like

from .by_hand import equal_and_beyond
from .loop import Normal, ranks_of

mctx = pytest.importorskip("mctx")

pytestmark = pytest.mark.libraries

NODES, ACTIONS = 4, 3


def tree(*batch: int):
    """A tree of some nodes, for each example of a batch; what is no value is all zeros."""
    nodes, edges = jnp.zeros((*batch, NODES), int), (*batch, NODES, ACTIONS)
    names = ("children_prior_logits", "children_rewards", "children_discounts", "children_values")
    return mctx.Tree(
        **{name: Normal(i)(*edges) for i, name in enumerate(names)},
        **dict.fromkeys(("node_visits", "parents", "action_from_parent"), nodes),
        **dict.fromkeys(("raw_values", "node_values"), nodes * 1.0),
        **dict.fromkeys(("children_index", "children_visits"), jnp.zeros(edges, int)),
        embeddings={"state": jnp.zeros((*batch, NODES, 2))},
        root_invalid_actions=jnp.zeros((*batch, ACTIONS)),
        extra_data=None,
    )


@auto_vmap(tree=like(tree()), index=0)
def qvalues(tree, index):
    """The values of a node's actions."""
    return tree.qvalues(index)


def test_several_nodes_of_each_tree():
    ranks = ranks_of(tree()), 0
    theirs = mctx.Tree.qvalues
    both, beyond = (tree(5), jnp.arange(5) % NODES), (tree(5), jnp.array([[0], [2]]))
    equal_and_beyond(qvalues, theirs, ranks, both=both, beyond=beyond)


def test_one_node_of_many_trees():
    """Here theirs is silently wrong or raises, as the index is not an array."""
    equal_and_beyond(
        qvalues.jit(),
        lambda tree, index: tree.qvalues(index),
        (ranks_of(tree()), 0),
        both=(tree(), 1),
        beyond=(tree(5), 1),
    )
