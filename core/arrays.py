"""Types of arrays, by what they hold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
"""Token ids, and other whole numbers."""
FloatArray = NDArray[np.float32]
"""What engines compute: weights, log-probabilities, embeddings."""
DoubleArray = NDArray[np.float64]
"""What is measured: scores, costs, estimates."""
