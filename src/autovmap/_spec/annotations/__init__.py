"""Ranks that stand in annotations: read, and shown."""
