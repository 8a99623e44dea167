"""Weights as small whole numbers, and the command `golf pack`."""
