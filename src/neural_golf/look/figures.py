"""Figures are written by `base.figures`, which rooms below draw with too."""

from neural_golf.base.figures import save_figure

__all__ = ["save_figure"]
