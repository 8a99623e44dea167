"""Anybody's networks, each verified again every time."""
