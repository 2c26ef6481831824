"""What a call will do: spec and shapes become a plan. Pure arithmetic, no JAX.

Dims may be symbolic (`jax.export.symbolic_shape`), so they are only ever compared by `==`, `!=`.
"""
