"""The interfaces of other systems over autovmap's own, a module each."""

import importlib as _importlib
from typing import TYPE_CHECKING as _TYPE_CHECKING

if _TYPE_CHECKING:
    from autovmap.compat import functorch as functorch
    from autovmap.compat import jax as jax
else:  # so that `import autovmap` is enough for `autovmap.compat.jax.vmap`

    def __getattr__(name: str):
        """A module, when it is asked for."""
        if name not in ("functorch", "jax"):
            raise AttributeError(f"module 'autovmap.compat' has no attribute {name!r}")
        return _importlib.import_module(f"autovmap.compat.{name}")
