"""The scripts of the gallery hold no doctests, and importing one runs it."""

collect_ignore_glob = ["*.py"]
