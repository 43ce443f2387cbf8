"""A reference LM with another tokenizer: its scores against prompts computed one by one, the ledger, shapes,
and refusals.
"""

import hashlib
from functools import lru_cache, partial
from pathlib import Path

import jax
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from tokenizers import Tokenizer, models

from data_contracts.candidates import LABELS
from data_contracts.failure import Exit, Failure
from model import decoders, gpt2, gpt_neox, gpt_neox_files, llama
from model.gpt2_config import GPT2Config
from model.llama_config import LlamaConfig
from stages.engines import jax_pieces
from stages.engines.jax_engine import JaxScoringLM
from stages.engines.scoring_lm import Pieces
from stages.mining.mining import mine
from stages.parameters import Geometry, Mining, Scoring
from stages.scoring import scoring
from stages.scoring.text_gains import TextGains
from stages.tokens.chunk_texts import bytes_of_tokens, texts_of_chunks
from stages.tokens.chunking import chunk
from stages.tokens.tokenization import encode
from stages.tokens.tokenizer import load_tokenizer, train_tokenizer
from tests.tiny import tiny_gpt_neox

GEOMETRY = Geometry(chunk_tokens=8, sequence_chunks=64, stride_chunks=2)
PARAMETERS = Scoring(candidates=3, evaluation_candidates=3)
WORDS = [
    "Zwölf",
    " Boxkämpfer",
    " jagen",
    " Viktor",
    " quer",
    "\n",
    " 漢字",
    " über",
    " 🙂🙂",
    " den",
    " Sylter",
    " Deich",
    "  x",
    " наука",
]
VOCABULARY = 400


def random_gpt_neox(directory: Path, seed: int) -> None:
    config = tiny_gpt_neox(vocab_size=VOCABULARY, num_hidden_layers=2, max_position_embeddings=256)
    rng = np.random.default_rng(seed)
    gpt_neox_files.save(
        directory,
        config,
        jax.tree.map(lambda leaf: noisy(rng, leaf.shape, leaf), gpt_neox.init(config, seed)),
    )


def noisy(rng: np.random.Generator, shape: tuple[int, ...], leaf: np.ndarray | float = 0.0) -> np.ndarray:
    return (np.asarray(leaf) + 0.2 * rng.normal(size=shape)).astype(np.float32)


def chunks_of(tokenizer: Path, documents: dict[str, str]) -> pa.Table:
    """CHUNKS of {split: text} by the stages themselves."""
    rows = zip(documents.items(), encode(documents.values(), load_tokenizer(tokenizer)), strict=True)
    columns = [(hashlib.sha256(text.encode()).hexdigest()[:16], split, ids) for (split, text), ids in rows]
    names = ("doc_id", "split", "token_ids")
    tokens = pa.table(dict(zip(names, zip(*sorted(columns), strict=True), strict=True)))
    return pa.concat_tables(list(chunk(tokens, GEOMETRY, tokenizer)))


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Two corpora's tokenizers, and a reference LM with one of its own."""
    place = tmp_path_factory.mktemp("place")
    tokenizers = {
        "tokenizer": train_tokenizer(iter(["".join(WORDS[:5])] * 9), 290),
        "another": train_tokenizer(iter(["".join(WORDS[8:])] * 9), 290),
        "reference_lm": train_tokenizer(iter(["".join(WORDS)] * 9), VOCABULARY),
    }
    for name, tokenizer in tokenizers.items():
        (place / name).mkdir()
        tokenizer.save(str(place / name / "tokenizer.json"))
    random_gpt_neox(place / "reference_lm", 0)
    return place


@pytest.fixture(scope="module")
def documents() -> dict[str, str]:
    rng = np.random.default_rng(3)
    return {split: "".join(rng.choice(WORDS, 90)) for split in ("train", "test")}


@pytest.fixture(scope="module")
def chunks(place, documents) -> pa.Table:
    return chunks_of(place / "tokenizer", documents)


@pytest.fixture(scope="module")
def candidates(chunks) -> pa.Table:
    return pa.concat_tables(mine(chunks, GEOMETRY, Mining(max_candidates=3)))


@pytest.fixture(scope="module")
def labels(place, chunks, candidates) -> pa.Table:
    return scoring.score(
        chunks,
        candidates,
        GEOMETRY,
        PARAMETERS,
        place / "tokenizer",
        place / "reference_lm",
        place / "ledger",
    )


def logprobs_of(directory: Path, context: list[int], target: list[int]) -> np.ndarray:
    """log P of each target token, from one forward pass over one whole prompt; what is put behind it,
    causality hides.
    """
    config, params = loaded(directory)
    prompt = np.array([*context, *target])
    rows = np.asarray(whole_logprobs(params, config, np.pad(prompt, (0, 256 - len(prompt)))[None])[0])
    return rows[np.arange(len(context) - 1, len(prompt) - 1), target]


loaded = lru_cache(gpt_neox_files.load)


@partial(jax.jit, static_argnums=1)
def whole_logprobs(params, config, tokens):
    return jax.nn.log_softmax(decoders.logits(params, config, tokens), axis=-1)


def test_labels_are_differences_of_whole_prompts_of_text(place, documents, chunks, labels):
    LABELS.validate(labels, "labels")
    theirs = Tokenizer.from_file(str(place / "reference_lm" / "tokenizer.json"))
    bytes_of = bytes_of_tokens(load_tokenizer(place / "tokenizer"))
    pieces, cut = dict[tuple[str, int], list[int]](), 0
    for (doc_id,), rows in pl.DataFrame(pl.from_arrow(chunks)).group_by("doc_id", maintain_order=True):
        texts = texts_of_chunks(bytes_of, [np.array(ids) for ids in rows["token_ids"]])
        assert "".join(texts) in documents.values()
        pieces |= {(str(doc_id), number): theirs.encode(text).ids for number, text in enumerate(texts)}
        cut += rows["text"].str.contains("\ufffd").sum()
    assert cut > 5, "characters are cut at borders of chunks"
    assert labels.num_rows > 100

    rng = np.random.default_rng(0)
    for row in labels.take(rng.permutation(labels.num_rows)[:25]).to_pylist():
        doc_id, i = row["doc_id"], row["query_chunk"]
        target = pieces[doc_id, i + 1]

        def halves(j: int, doc_id: str = doc_id, i: int = i, target: list[int] = target) -> list[float]:
            found = logprobs_of(
                place / "reference_lm", pieces[doc_id, j] + pieces[doc_id, j + 1] + pieces[doc_id, i], target
            )
            return [found[: len(target) // 2].sum(), found[len(target) // 2 :].sum()]

        np.testing.assert_allclose(row["candidate_halves"], halves(row["candidate_chunk"]), atol=1e-4)
        np.testing.assert_allclose(row["local_halves"], halves(i - 2), atol=1e-4)
        assert row["target_score"] == pytest.approx(
            sum(halves(row["candidate_chunk"])) - sum(halves(i - 2)), abs=1e-4
        )


def test_gains_of_tokens_add_up_to_the_label_and_their_texts_to_the_target(place, documents, chunks, labels):
    lm = TextGains(place / "reference_lm", place / "tokenizer")
    rows = pl.DataFrame(pl.from_arrow(labels))
    asked = rows.filter(pl.col("query_chunk").is_in([9, 30, 51]))
    assert len(asked) >= 12
    for (doc_id, query), found in asked.group_by("doc_id", "query_chunk", maintain_order=True):
        of_document = [
            np.array(ids)
            for ids in pl.DataFrame(pl.from_arrow(chunks)).filter(pl.col("doc_id") == doc_id)["token_ids"]
        ]
        gains = lm.gains(of_document, query, found["candidate_chunk"].to_list())
        np.testing.assert_allclose(gains.sum(axis=1), found["target_score"], atol=1e-3)
        pieces = lm.pieces(of_document, query + 1)
        assert len(pieces) == gains.shape[1]
        assert "".join(pieces) in documents[found["split"][0]]
        assert "\ufffd" not in "".join(pieces)


def test_the_same_tokenizer_keeps_its_path(place, chunks, candidates, labels, tmp_path, monkeypatch):
    """Text would give other scores, and another place in the ledger."""
    same = tmp_path / "reference_lm"
    same.mkdir()
    random_gpt_neox(same, 0)
    (same / "tokenizer.json").write_bytes((place / "tokenizer" / "tokenizer.json").read_bytes())
    monkeypatch.setattr(scoring, "TextPrompts", lambda *_: pytest.fail("text of the same tokens"))
    scored = scoring.score(
        chunks, candidates, GEOMETRY, PARAMETERS, place / "tokenizer", same, tmp_path / "ledger"
    )
    scorer = scoring.scorer_of(PARAMETERS, place / "tokenizer", same, 8).identity
    assert scorer["layout"] == "c_j c_j+1 c_q c_t, sums over halves of c_t"
    assert "chunk_tokenizer" not in scorer
    assert scored.num_rows == labels.num_rows


def test_targets_have_the_same_tokens_in_both_terms(place, chunks, candidates, monkeypatch):
    """And so has each chunk wherever it stands: a prompt is its four chunks, each tokenised by itself."""
    seen = list[Pieces]()

    class Watching:
        def score_pieces(self, pieces, progress=None):
            seen.append(pieces)
            return np.zeros((len(pieces.pairs_n2), 2), np.float32)

    scorer = scoring.scorer_of(PARAMETERS, place / "tokenizer", place / "reference_lm", 8)
    doc_id, query = candidates.column("doc_id")[0].as_py(), 20
    pairs = pl.DataFrame(
        {"doc_id": [doc_id] * 3, "query_chunk": [query] * 3, "candidate_chunk": [1, 2, query - 2]}
    )
    scorer.prompts(chunks).score(Watching(), pairs)
    (pieces,) = seen
    assert len(pieces.queries) == len(pieces.targets) == 1
    assert [prefix for prefix, _ in pieces.pairs_n2] == [0, 1, 2]
    shared = [
        set(map(tuple, np.lib.stride_tricks.sliding_window_view(pieces.prefixes[number], 4)))
        for number in (0, 1)
    ]
    assert shared[0] & shared[1], "c_2 follows c_1 and begins the next prefix"


def test_scores_of_another_pairing_are_never_read(place, documents, labels, tmp_path):
    """Chunk numbers of a document mean other text under another tokenizer, though the engine and the length
    of a chunk are the same.
    """
    other = chunks_of(place / "another", documents)
    mined = pa.concat_tables(mine(other, GEOMETRY, Mining(max_candidates=3)))
    assert set(other.column("doc_id").to_pylist()) == set(labels.column("doc_id").to_pylist())

    def score(ledger: Path) -> pa.Table:
        return scoring.score(
            other, mined, GEOMETRY, PARAMETERS, place / "another", place / "reference_lm", ledger
        )

    assert score(place / "ledger").equals(score(tmp_path / "fresh"))
    assert len(list((place / "ledger").iterdir())) == 2


def test_what_is_in_the_ledger_is_not_scored_again(place, chunks, candidates, labels, monkeypatch):
    monkeypatch.setattr(
        "stages.scoring.pairs.ShardPrompts.score", lambda *_: pytest.fail("a pair was scored again")
    )
    again = scoring.score(
        chunks,
        candidates,
        GEOMETRY,
        PARAMETERS,
        place / "tokenizer",
        place / "reference_lm",
        place / "ledger",
    )
    assert again.equals(labels)


def test_text_that_the_reference_lm_cannot_give_back_is_refused(place, chunks, candidates, tmp_path):
    random_gpt_neox(tmp_path, 0)
    Tokenizer(models.WordLevel({"[UNK]": 0, "Zwölf": 1}, unk_token="[UNK]")).save(
        str(tmp_path / "tokenizer.json")
    )
    with pytest.raises(Failure, match="cannot read the corpus") as failure:
        scoring.score(
            chunks, candidates, GEOMETRY, PARAMETERS, place / "tokenizer", tmp_path, tmp_path / "ledger"
        )
    assert failure.value.code == Exit.CONTRACT
    assert not (tmp_path / "ledger").exists()


def test_a_corpus_without_the_bytes_of_its_chunks_is_refused(place, chunks, candidates, tmp_path):
    Tokenizer(models.WordLevel({"<|endoftext|>": 0, "[UNK]": 1}, unk_token="[UNK]")).save(
        str(tmp_path / "tokenizer.json")
    )
    with pytest.raises(Failure, match="no byte-level BPE") as failure:
        scoring.score(
            chunks, candidates, GEOMETRY, PARAMETERS, tmp_path, place / "reference_lm", tmp_path / "ledger"
        )
    assert failure.value.code == Exit.CONTRACT
    assert not (tmp_path / "ledger").exists()


@pytest.fixture(scope="module")
def pieces() -> Pieces:
    """Lengths from 1 on to both sides of 64 and 128, an empty target among them, and every pair."""
    rng = np.random.default_rng(5)

    def rows(*sizes: int) -> list[np.ndarray]:
        return [rng.integers(0, VOCABULARY, size).astype(np.int32) for size in sizes]

    pairs = np.stack(np.meshgrid(np.arange(7), np.arange(6)), axis=-1).reshape(-1, 2)
    return Pieces(
        rows(2, 17, 64, 63, 65, 100, 101),
        rows(1, 9, 64, 30, 65, 12),
        rows(5, 64, 7, 1, 20, 0),
        rng.permutation(pairs),
    )


def test_every_length_scores_as_alone_and_in_any_company(place, pieces):
    engine = JaxScoringLM(place / "reference_lm", batch_pairs=4, window_prefixes=3)
    scores = engine.score_pieces(pieces)
    for (prefix, suffix), found in zip(pieces.pairs_n2, scores, strict=True):
        context = [*pieces.prefixes[prefix], *pieces.queries[suffix]]
        target = pieces.targets[suffix]
        logprobs = logprobs_of(place / "reference_lm", context, target.tolist())
        np.testing.assert_allclose(
            found, [logprobs[: len(target) // 2].sum(), logprobs[len(target) // 2 :].sum()], atol=2e-4
        )
    for count in (1, 5, 19):
        chosen = np.random.default_rng(count).permutation(len(scores))[:count]
        assert np.array_equal(
            engine.score_pieces(pieces._replace(pairs_n2=pieces.pairs_n2[chosen])), scores[chosen]
        )


@pytest.mark.parametrize(
    ("family", "config"),
    [
        (llama, LlamaConfig(VOCABULARY, 16, 2, 2, 1, 24, 8, 256, 1e-5)),
        # fewer positions than the 192 columns of a padded prompt, and as many as the longest real one
        (gpt2, GPT2Config(VOCABULARY, 16, 2, 2, 24, 192 - 1)),
    ],
    ids=["llama", "gpt2"],
)
def test_other_families_score_padded_pieces_as_alone(family, config, pieces):
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: noisy(rng, leaf.shape), family.shapes(config))
    kv = jax_pieces.prefixes_of(params, config, pieces.prefixes[:3], 64)
    pairs = np.flatnonzero((pieces.pairs_n2[:, 0] < 3) & (pieces.pairs_n2[:, 1] < 4))
    found = jax_pieces.compiled_logprobs(
        params, config, kv, jax_pieces.padded(pieces, pairs, pieces.pairs_n2[pairs, 0], 64)
    )
    for (prefix, suffix), row in zip(pieces.pairs_n2[pairs], np.asarray(found), strict=True):
        tokens = np.concatenate([pieces.prefixes[prefix], pieces.queries[suffix], pieces.targets[suffix]])
        size = len(pieces.targets[suffix])
        whole = np.asarray(whole_logprobs(params, config, np.pad(tokens, (0, 191 - len(tokens)))[None])[0])
        np.testing.assert_allclose(
            row[:size], whole[np.arange(len(tokens) - size - 1, len(tokens) - 1), tokens[-size:]], atol=1e-4
        )


def test_prefixes_are_computed_once_and_no_document_is_compiled_anew(place, pieces, monkeypatch):
    engine = JaxScoringLM(place / "reference_lm", batch_pairs=4, window_prefixes=3)
    engine.score_pieces(pieces)
    programs = jax_pieces._compiled_prefixes._cache_size(), jax_pieces._half_sums._cache_size()
    windows = list[int]()
    compiled = jax_pieces._compiled_prefixes
    monkeypatch.setattr(
        jax_pieces, "_compiled_prefixes", lambda *args: windows.append(len(args[2])) or compiled(*args)
    )
    engine.score_pieces(pieces)
    # 3 prefixes of up to 64 tokens fit into 384 tokens twice over, 3 of up to 128 once
    assert windows == [6, 3]
    rng = np.random.default_rng(6)
    for _ in range(30):
        shorter = [
            [row[: rng.integers(1, len(row) + 1)] for row in rows]
            for rows in (pieces.prefixes, pieces.queries, pieces.targets[:5])
        ]
        chosen = pieces.pairs_n2[rng.permutation(len(pieces.pairs_n2))[: rng.integers(1, 30)]]
        engine.score_pieces(Pieces(*shorter[:2], [*shorter[2], pieces.targets[5]], chosen))
    assert (compiled._cache_size(), jax_pieces._half_sums._cache_size()) == programs


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda p: p._replace(prefixes=[row + VOCABULARY for row in p.prefixes]),
            "prefixes run from .*allowed are 0 to 399",
        ),
        (lambda p: p._replace(queries=[row[:0] for row in p.queries]), "no query empty"),
        (lambda p: p._replace(targets=p.targets[1:]), "6 queries and 5 targets"),
        (lambda p: p._replace(pairs_n2=p.pairs_n2 + np.array([0, 1])), r"suffix row.*6, allowed are 0 to 5"),
        (lambda p: p._replace(prefixes=[np.resize(row, 250) for row in p.prefixes]), "takes 256"),
    ],
)
def test_pieces_that_would_be_scored_as_something_else_are_refused(place, pieces, spoil, message):
    with pytest.raises(ValueError, match=message):
        JaxScoringLM(place / "reference_lm").score_pieces(spoil(pieces))
