import numpy as np
import pytest

from tests.model.baselines.segments import SEGMENTS, STRIDES


@pytest.fixture(scope="module")
def x(small) -> np.ndarray:
    """[segments, B, L, D] of two rows."""
    return (
        np.random.default_rng(3)
        .normal(size=(SEGMENTS, 2, STRIDES * small.stride_tokens, small.width))
        .astype(np.float32)
    )
