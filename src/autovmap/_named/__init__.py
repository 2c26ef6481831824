"""The bracket notation: `named_vmap`, from its text to its results."""
