"""The canonical form of an image: recentred, its slant sheared out, its width and height scaled.

All comes from the image's own moments, so it has no learned number. Deskewing is as old as MNIST (LeCun et
al. 1998). A network that has a form sees every image in it: `engine.form` computes it, and `formed` writes it
in ONNX.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields

from neural_golf.base.errors import GolfError

__all__ = ["FAINT", "Form"]

# Ink that every pixel is given when the moments are taken. A blank image, a dot and a line have moments then.
FAINT = 1e-5


@dataclass(frozen=True)
class Form:
    """With coordinates from -1 to 1, where the ink's spread is v across (after the shear) and w down:

        [[(v / width)^width_exponent, a · (w / height)^height_exponent, mean x],
         [0,                          (w / height)^height_exponent,     mean y]]

    takes a place in the new image to a place in the old one. a is the slant: the covariance of x and y, over
    the variance of y. With an exponent of 1 all images get the same spread; towards 0 they keep their own.
    """

    width: float = 0.25
    height: float = 0.396
    width_exponent: float = 0.5
    height_exponent: float = 0.5

    @classmethod
    def read(cls, text: str) -> Form:
        """The form that a file tells in its metadata, as JSON. Raises GolfError where it is none."""
        names = [field.name for field in fields(cls)]
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        told = isinstance(found, dict) and found.keys() <= set(names)
        if not told or any(type(n) not in (int, float) or not 0 < n <= 1 for n in found.values()):
            raise GolfError(
                f"`form` in its metadata should be {', '.join(names)}, each above 0 and at most 1, as JSON"
            )
        return cls(**found)
