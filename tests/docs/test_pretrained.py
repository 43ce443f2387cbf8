"""docs/guides/pretrained.md: its program reads a module with the packaged weights and prints what it says."""

import fractions
import re
from pathlib import Path

from tests.docs.pages import blocks


def test_the_program_prints_perplexities_and_what_was_retrieved(tmp_path, monkeypatch, capsys):
    text = Path(fractions.__file__).read_text()[:12_000]
    (tmp_path / "my_module.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    (block,) = blocks("docs/guides/pretrained.md", "python")
    exec(compile(block.text, "docs/guides/pretrained.md", "exec"), {})
    said = capsys.readouterr().out
    own, without = map(float, re.findall(r"perplexity ([\d.]+), without retrieval ([\d.]+)", said)[0])
    assert 1 < own < without
    assert len(re.findall(r"^chunk \d+ read chunks \(", said, re.MULTILINE)) == 3
    for shown in re.split(r"^chunk .*:\n|^--- .*:\n", said, flags=re.MULTILINE)[1:]:
        assert shown.strip()
        assert shown.removesuffix("\n").replace("<|endoftext|>", "") in text
