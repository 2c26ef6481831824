"""Saying it: plans become words, Python and pictures. Runs nothing."""
