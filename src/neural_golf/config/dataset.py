"""The table of data sets in params.yaml."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from neural_golf.config.recipe import Count
from neural_golf.config.sections import Positive, Section

__all__ = ["Dataset"]

SOURCES = ("torchvision", "npz", "csv", "folder", "bundled")


class Dataset(Section):
    """One entry of the table of data sets: where it comes from (exactly one source) and what it is called."""

    torchvision: str | None = None  # a class of torchvision.datasets, from one of `places`
    npz: str | None = None  # a file with x_train, y_train and, if there is a test part, x_test, y_test
    csv: str | None = None  # a table of series: a line for each, or a line for each of its steps
    folder: str | None = None  # a folder with a folder of images per class, or with train and test of such
    bundled: Literal["digits"] | None = None  # what a package brings: scikit-learn's digits
    places: tuple[str, ...] = ()  # folders or addresses, tried in this order
    split: str = ""  # of torchvision's EMNIST: letters, balanced, digits and others
    kind: Literal["images", "series"] | None = None  # what arrays [n, a, b] of an npz file are, if it is told
    title: str = ""
    huggingface: str = ""  # its identifier there, for the model cards
    classes: tuple[str, ...] = ()  # their names; without them, the labels
    # Of an image, channels, height, width: where it is told, networks that do not fit are found at once.
    shape: tuple[Count, Count, Count] | None = None
    test: Count | None = None  # images split off for the test, where the source has no test part
    # Inputs are (pixel / 255 - mean) / std; without them, those of the training part.
    mean: float | None = None
    std: Positive | None = None

    @property
    def source(self) -> str:
        """The name of its source, one of SOURCES."""
        return next(name for name in SOURCES if getattr(self, name))

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        named = [name for name in SOURCES if getattr(self, name)]
        if len(named) != 1:
            told = " and ".join(named) or "none"
            known = ", ".join(SOURCES[:-1])
            raise ValueError(f"name one source, {known} or {SOURCES[-1]}; found: {told}")
        if (self.places or self.split) and named != ["torchvision"]:
            raise ValueError("only a data set of torchvision has places or a split")
        return self
