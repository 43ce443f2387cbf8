"""Promise P11: memory grows by a small part of what a document does."""

import json
import subprocess
import sys

import pytest

SMALL, LARGE = 5_000_000, 25_000_000  # bytes


def peaks(folder, size: int) -> dict[str, int]:
    command = [sys.executable, "-m", "tests.stages.document_memory", str(folder), str(size)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_a_longer_document_takes_little_more_memory(tmp_path):
    small, large = peaks(tmp_path / "small", SMALL), peaks(tmp_path / "large", LARGE)
    assert list(small) == ["ingestion", "tokenizer", "tokenization", "chunking", "mining"]
    # what a process holds at its peak differs by 25 MB from run to run, 1.25 of these; a stage that keeps a
    # document as bytes, as text and in a table costs more than 3
    grown = {name: round((large[name] - small[name]) / (LARGE - SMALL), 2) for name in small}
    assert max(grown.values()) < 3, grown
