"""Functions of third-party libraries, decorated, against a plain Python loop."""
