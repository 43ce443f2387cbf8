"""The histogram of lengths counts every document once."""

import numpy as np

from reports.metrics.lengths import LengthBin, as_markdown, histogram


def test_every_document_is_in_one_bin():
    tokens = np.array([1, 100, 177, 1000, 1001, 10_000, 50_000_000])
    bins = histogram(tokens)
    assert sum(bin_.documents for bin_ in bins) == len(tokens)
    assert np.isclose(sum(bin_.share for bin_ in bins), 1)
    assert [bin_.documents for bin_ in bins if bin_.start == 3.0] == [2]
    assert bins[0] == LengthBin(2.0, 2.25, 3, 3 / 7)
    assert bins[-1].end == 7.0
    assert len(as_markdown(bins).splitlines()) == len(bins) + 2


def test_no_documents_have_no_bins():
    assert histogram(np.array([], int)) == []
    assert as_markdown([]).startswith("| tokens")
