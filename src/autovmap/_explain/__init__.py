"""Saying it: plans become words. Runs nothing."""
