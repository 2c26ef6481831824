"""Checking what one example returns against a gufunc signature."""

from typing import Any

import jax.numpy as jnp
from jax.tree_util import keystr, tree_flatten_with_path

from autovmap._bind.kinds import kind_text
from autovmap._plan.core import check_output, kept
from autovmap._plan.plan import PlanData
from autovmap._run.batched import of_result
from autovmap._spec.gufunc import Gufunc
from autovmap.errors import SpecError


def check_result(result: Any, signature: Gufunc, plan: PlanData) -> None:
    """Check one example's result: as many outputs as the signature has, each of its core shape.

    With one output every array leaf of the result has that core; with several the result is a
    tuple or list with one entry each.

    Raises:
        SpecError: another number of outputs.
        CoreSizeError: an output of another shape.
    """
    outputs = signature.outputs
    assert outputs is not None, "looked at before"
    parts: list[tuple[str, Any]] = [("", result)]
    if len(outputs) > 1:
        if not isinstance(result, (tuple, list)) or len(result) != len(outputs):
            raise SpecError(_wrong_count(result, len(outputs), signature, plan.function))
        parts = [(f"[{i}]", part) for i, part in enumerate(result)]
    known = dict(plan.core.sizes)
    for (label, part), dims in zip(parts, outputs, strict=True):
        for (path, leaf), array in zip(
            tree_flatten_with_path(part)[0], of_result(part), strict=True
        ):
            if array:
                where = f"{plan.function}(): result{label}{keystr(path)}"
                shape = jnp.shape(leaf)
                check_output(kept(dims, plan.core.dropped), shape, known, where, signature)


def _wrong_count(result: Any, wanted: int, signature: Gufunc, function: str) -> str:
    if isinstance(result, (tuple, list)):
        return (
            f"{function}(): wrong number of output arguments: expected {wanted}, got "
            f"{len(result)}; return a tuple with one entry for each output of {signature}"
        )
    return (
        f"{function}(): output must be a tuple when multiple outputs are expected, got: "
        f"{kind_text(result)}; return a tuple with one entry for each output of {signature}"
    )
