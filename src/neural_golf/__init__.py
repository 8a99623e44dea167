"""Neural golf: reach an accuracy with the fewest non-zero parameters."""

__all__ = ["__version__"]

__version__ = "0.1.0"
