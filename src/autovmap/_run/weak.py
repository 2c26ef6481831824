"""Weak types, which updating an array in place loses."""

from typing import Any

from jax.extend.core import primitives


def weakened(array: Any) -> Any:
    """The same array with a weak type, as a Python number would give it to a result."""
    return primitives.convert_element_type_p.bind(
        array, new_dtype=array.dtype, weak_type=True, sharding=None
    )
