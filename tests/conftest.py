"""Images for tests that need no download: scikit-learn's 8x8 digits, blown up to 28x28."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

Digits = tuple[NDArray[np.uint8], NDArray[np.uint8]]


@pytest.fixture(scope="session")
def digits() -> Digits:
    """1,797 digits as uint8 images [n, 1, 28, 28] with labels [n]."""
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn brings the digits")
    found = datasets.load_digits()
    small = (found.images * 15.9375).astype(np.uint8)  # 0 to 16 becomes 0 to 255
    large = np.kron(small, np.ones((1, 3, 3), np.uint8))
    images = np.pad(large, ((0, 0), (2, 2), (2, 2)))[:, None]
    return images, found.target.astype(np.uint8)
