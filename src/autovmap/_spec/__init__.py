"""What the function wants: ranks and options as data. No shapes, no JAX."""
