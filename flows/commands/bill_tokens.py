"""In whose tokens the bill counts: those of the reference LM, whose tokenizer may be another than the
corpus's.
"""

from __future__ import annotations

from data_contracts.contract import open_artifact
from data_contracts.places import resolved
from data_contracts.tokens import CHUNKS
from flows.workspace import ROOT
from model.decoder_config import DecoderConfig
from stages.engines.choice import make_engine
from stages.parameters import Configuration
from stages.scoring.ledger import Ledger
from stages.scoring.scoring import other_tokenizer, scorer_identity
from stages.tokens.scorer_lengths import estimated_length, measured_length


def tokens_a_chunk(
    corpus: str, fresh: set[str], configuration: Configuration, config: DecoderConfig
) -> float:
    """Tokens of the reference LM in a chunk: measured where there are chunks and the model, before that
    estimated.

    Raises:
        Failure: (exit code 3) if an artifact that counts as up to date cannot be read.
    """
    home, size = ROOT / "artifacts" / corpus, configuration.geometry.chunk_tokens
    if configuration.reference_lm.source == "train":
        return size
    if {f"chunking@{corpus}", f"reference_lm@{corpus}"} <= fresh:
        same = _other_tokenizer(corpus, configuration) is None
        return (
            size if same else measured_length(open_artifact(CHUNKS, home / "chunks"), home / "reference_lm")
        )
    if configuration.tokenization.tokenizer != "train":
        return size  # the model's own, as `./rpt use-lm` sets both
    return estimated_length(size, configuration.tokenization.vocabulary_size, config.vocab_size)


def ledger_of(corpus: str, configuration: Configuration) -> Ledger:
    """What the engine that would score the corpus has scored before."""
    engine = make_engine(
        configuration.scoring.engine,
        ROOT / "artifacts" / corpus / "reference_lm",
        configuration.scoring.dtype,
    )
    other = _other_tokenizer(corpus, configuration)
    scorer = scorer_identity(engine, configuration.geometry.chunk_tokens, other)
    return Ledger(resolved(configuration.runtime.ledger, ROOT), scorer)


def _other_tokenizer(corpus: str, configuration: Configuration) -> str | None:
    home = ROOT / "artifacts" / corpus
    return other_tokenizer(configuration.scoring, home / "tokenizer", home / "reference_lm")
