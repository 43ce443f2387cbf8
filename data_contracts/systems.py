"""The systems that can be trained, a record each: its name, where its code is, how it is trained and
evaluated, what was published of it.

Nothing of a model is imported here. A record names code as `module:function`, which is imported when the
system is built.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from data_contracts.neighbour_settings import DPR, ORACLE, OWN

Perplexity = tuple[float, ...]


@dataclass(frozen=True)
class Published:
    """A line of the paper's Table 2 or 4: perplexity on ArXiv, Code, PG19 and Books3, parameters, time of an
    update over that of Transformer-XL; `setting` is the one of ours that it is to be compared with.

    `reckoned` is not printed in the paper: what counting dense multiply-accumulates at its sizes gives for
    `time`, all projections of a neighbour once a neighbour (12 d^2 a layer, V / d = 49 d^2 of the output;
    pairs and sorts of the ranking loss left out), and three products of Memorizing with its whole memory, of
    which ours makes one.
    """

    table: Literal[2, 4]
    line: int
    name: str
    perplexity: Perplexity
    parameters: str = ""
    time: float | None = None
    setting: str = OWN
    reckoned: float | None = None


@dataclass(frozen=True)
class Record:
    """All that is said of a system outside of its model's code. Code is named as `module:function`."""

    name: str
    title: str
    """As pages and tables write it."""
    build: str
    """From a `ModelConfig` to the model; of a system that learns to retrieve, from that and a
    `RetrieverTraining`.
    """
    supervision: Literal["none", "bm25", "bm25_q", "scored", "corpus"] = "none"
    """The narrowest artifact that its training reads."""
    retriever: Literal["none", "bm25", "random", "recency", "own", "corpus", "corpus_random"] = "none"
    """Who ranks the earlier chunks, or the passages of a corpus, at test time."""
    carry: Literal["none", "document"] = "none"
    """`document`: a row of the batch reads documents sequence after sequence, its layers going on from what
    they keep.
    """
    updates: float | str = 1.0
    """How many updates a run has, relative to `training.steps`: a number, or code that says it of a
    `ModelConfig` and the tokens of a sequence."""
    relevance: str = ""
    """What its retriever learns; empty if it does not learn to retrieve."""
    weighs_pairs: bool = False
    """Its retriever weighs features of pairs of chunks, which are no inner products: its memory is searched
    exactly.
    """
    retriever_training: str = ""
    """What makes a `RetrieverTraining` of the words of a recipe."""
    first_values: str = ""
    """The first values of its parameters, if not those of all systems."""
    optimizer: str = ""
    """Its optimizer, if not that of all systems."""
    learning_rate: float | None = None
    """The highest; None: `training.learning_rate`."""
    cost: str = "model.training_cost:decoder_macs"
    """Its multiply-accumulates, of a `ModelConfig` and the tokens of a sequence."""
    begins_with: str = ""
    """The system whose trained model its runs begin with: the `input` of a run names one, as `starts/RUN`."""
    recipe: str = "transformer_xl"
    """The system whose recipe it has where params.yaml has none of its own."""
    variant_of: str = ""
    """The system that it differs from only in depth, schedule, size of a memory, or in which neighbours it
    reads: tests that compile every kind of system leave it out."""
    published: tuple[Published, ...] = ()

    @property
    def deciding(self) -> dict[str, Any]:
        """The fields that decide what a run of it gives."""
        return {name: value for name, value in vars(self).items() if name not in DESCRIBING}

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules of the code that decides what a run of it gives."""
        return tuple(
            sorted(
                {
                    value.split(":")[0]
                    for value in self.deciding.values()
                    if isinstance(value, str) and ":" in value
                }
            )
        )


DESCRIBING = ("title", "cost", "begins_with", "recipe", "variant_of", "published")
"""Fields of a record that change no number of a run; what one begins with, its `input` decides."""

_official = partial(
    Record,
    carry="document",
    first_values="model.baselines.official_training:official_parameters",
    optimizer="model.baselines.official_training:adafactor",
    learning_rate=0.01,
)
_retro = partial(Record, cost="model.training_cost:fused_macs", recipe="retro")
_retro_corpus = partial(
    Record,
    build="model.baselines.retro_corpus:RetroCorpus",
    supervision="corpus",
    cost="model.training_cost:retro_corpus_macs",
    recipe="retro_corpus",
)
_retro_fit = partial(
    _retro_corpus,
    build="model.baselines.retro_fit:RetroFit",
    first_values="model.baselines.retro_fit:fitted_values",
    optimizer="model.baselines.retro_fit:adabelief_of_what_is_new",
    cost="model.training_cost:retro_fit_macs",
    begins_with="transformer_xl",
)
_rpt = partial(
    Record,
    retriever="own",
    retriever_training="model.systems.rpt:retriever_training",
    cost="model.training_cost:rpt_macs",
    recipe="rpt_sem",
)
_rpt_sem = partial(_rpt, supervision="scored", relevance="model.rpt:semantic_relevance")
_rpt_features = partial(_rpt, weighs_pairs=True, cost="model.training_cost:rpt_features_macs")
# The paper's figures are likely to be of the official form. Its 212 M is the count of Block-Recurrent: a
# memory adds only a gate a head.
_memorizing_32k = partial(
    Published, 2, perplexity=(2.92, 2.18, 10.97, 14.40), parameters="212 M", time=1.82, reckoned=1.50
)
_memorizing_65k = partial(
    Published, 2, perplexity=(2.93, 2.15, 10.99, 14.3), parameters="212 M", time=2.12, reckoned=1.99
)
_block_recurrent = partial(
    Published, 2, perplexity=(2.89, 2.73, 10.95, 14.64), parameters="212 M", time=1.56, reckoned=1.05
)

_RECORDS = (
    Record(
        "transformer_xl",
        "Transformer-XL",
        build="model.baselines.transformer_xl:TransformerXL",
        published=(
            Published(2, 1, "Transformer-XL", (3.11, 2.30, 11.48, 15.00), "202 M", 1.0, reckoned=1.0),
        ),
    ),
    Record(
        "transformer_xl_plus_2",
        "Transformer-XL, 2 layers more",
        build="model.systems.matched:transformer_xl_plus_2",
        cost="model.training_cost:plus_2_macs",
        variant_of="transformer_xl",
        published=(Published(2, 2, "+ 2 layers", (3.07, 2.26, 11.2, 14.52), "228 M", 1.14, reckoned=1.12),),
    ),
    Record(
        "transformer_xl_longer",
        "Transformer-XL, 1.5 times the steps",
        build="model.baselines.transformer_xl:TransformerXL",
        updates=1.5,
        variant_of="transformer_xl",
        published=(
            Published(2, 3, "1.5 times the steps", (3.11, 2.26, 11.39, 14.70), "202 M", 1.0, reckoned=1.0),
        ),
    ),
    Record(
        "transformer_xl_same_parameters",
        "Transformer-XL, as many parameters",
        build="model.systems.matched:transformer_xl_same_parameters",
        cost="model.training_cost:same_parameters_macs",
        recipe="retro",
        variant_of="transformer_xl",
    ),
    Record(
        "transformer_xl_same_time",
        "Transformer-XL, as much time",
        build="model.baselines.transformer_xl:TransformerXL",
        updates="model.systems.matched:same_time",
        recipe="retro",
        variant_of="transformer_xl",
    ),
    Record(
        "transformer_xl_carry",
        "Transformer-XL, state carried",
        build="model.baselines.transformer_xl:TransformerXL",
        carry="document",
    ),
    Record(
        "memorizing_32k",
        "Memorizing, 32K, matched",
        build="model.systems.recurrent:memorizing_32k",
        carry="document",
        cost="model.training_cost:memorizing_32k_macs",
        published=(_memorizing_32k(10, "Memorizing, 32K, matched"),),
    ),
    Record(
        "memorizing_65k",
        "Memorizing, 65K, matched",
        build="model.systems.recurrent:memorizing_65k",
        carry="document",
        cost="model.training_cost:memorizing_65k_macs",
        variant_of="memorizing_32k",
        published=(_memorizing_65k(12, "Memorizing, 65K, matched"),),
    ),
    Record(
        "memorizing_32k_bucketed",
        "Memorizing, 32K, matched, approximate search",
        build="model.systems.recurrent:memorizing_32k_bucketed",
        carry="document",
        cost="model.training_cost:memorizing_32k_macs",
        variant_of="memorizing_32k",
    ),
    Record(
        "block_recurrent",
        "Block-Recurrent, matched",
        build="model.systems.recurrent:block_recurrent",
        carry="document",
        cost="model.training_cost:block_recurrent_macs",
        published=(_block_recurrent(14, "Block-Recurrent, matched"),),
    ),
    _official(
        "transformer_xl_official",
        "Transformer-XL in Memorizing's official form",
        build="model.systems.official:transformer_xl_official",
    ),
    _official(
        "memorizing_32k_official",
        "Memorizing, 32K, official",
        build="model.systems.official:memorizing_32k_official",
        cost="model.training_cost:memorizing_32k_macs",
        published=(_memorizing_32k(9, "Memorizing, 32K, official"),),
    ),
    _official(
        "memorizing_65k_official",
        "Memorizing, 65K, official",
        build="model.systems.official:memorizing_65k_official",
        cost="model.training_cost:memorizing_65k_macs",
        variant_of="memorizing_32k_official",
        published=(_memorizing_65k(11, "Memorizing, 65K, official"),),
    ),
    _official(
        "block_recurrent_official",
        "Block-Recurrent, official",
        build="model.systems.official:block_recurrent_official",
        cost="model.training_cost:block_recurrent_macs",
        published=(_block_recurrent(13, "Block-Recurrent, official"),),
    ),
    Record(
        "griffin",
        "Griffin",
        build="model.baselines.griffin:griffin",
        cost="model.training_cost:griffin_macs",
        recipe="griffin",
        published=(Published(2, 15, "Griffin", (3.08, 2.24, 11.26, 14.16), "240 M", 1.15, reckoned=1.18),),
    ),
    _retro(
        "retro",
        "RETRO",
        build="model.baselines.retro:Retro",
        supervision="bm25",
        retriever="bm25",
        published=(
            Published(2, 4, "RETRO with BM25", (2.94, 2.17, 11.44, 14.60), "236 M", 1.35, reckoned=1.40),
            Published(4, 1, "RETRO with BM25", (2.94, 2.17, 11.44, 14.60)),
            Published(4, 2, "RETRO, DPR-style retriever", (2.97, 2.28, 11.7, 14.86), setting=DPR),
        ),
    ),
    _retro(
        "retro_q",
        "RETRO, (c_q) in training",
        build="model.baselines.retro:Retro",
        supervision="bm25_q",
        retriever="bm25",
        variant_of="retro",
    ),
    _retro(
        "random",
        "Random retrieval",
        build="model.baselines.random_retrieval:RandomRetrieval",
        retriever="random",
        variant_of="retro",
    ),
    _retro(
        "recency",
        "Nearest chunks",
        build="model.baselines.recency:Recency",
        retriever="recency",
        variant_of="retro",
    ),
    _retro_corpus("retro_corpus", "RETRO, whole corpus", retriever="corpus"),
    _retro_corpus(
        "retro_corpus_random",
        "RETRO, whole corpus, random passages",
        retriever="corpus_random",
        variant_of="retro_corpus",
    ),
    _retro_fit("retro_fit", "RETRO-fit, whole corpus", retriever="corpus"),
    _retro_fit(
        "retro_fit_random",
        "RETRO-fit, whole corpus, random passages",
        retriever="corpus_random",
        variant_of="retro_fit",
    ),
    _rpt(
        "rpt_lex",
        "RPT-Lex",
        build="model.systems.rpt:rpt_lex",
        supervision="bm25",
        relevance="model.rpt:lexical_relevance",
        published=(
            Published(2, 5, "RPT-Lex", (2.92, 2.23, 11.59, 14.32), "242 M", 1.51, reckoned=1.42),
            Published(2, 16, "RPT-Lex, oracle", (2.80, 2.12, 10.88, 13.30), "242 M", 1.51, ORACLE, 1.42),
            Published(4, 3, "RPT-Lex", (2.92, 2.23, 11.59, 14.32)),
            Published(4, 4, "RPT-Lex, DPR-style retriever", (2.84, 2.26, 11.11, 14.17), setting=DPR),
        ),
    ),
    _rpt_sem(
        "rpt_sem",
        "RPT-Sem",
        build="model.systems.rpt:rpt_sem",
        published=(
            Published(2, 6, "RPT-Sem", (2.77, 2.17, 10.96, 13.91), "242 M", 1.51, reckoned=1.42),
            Published(
                2, 7, "RPT-Sem, 3 neighbours", (2.75, 2.16, 10.92, 13.87), setting="first_3", reckoned=1.60
            ),
            Published(
                2, 8, "RPT-Sem, 4 neighbours", (2.74, 2.15, 10.93, 13.91), setting="first_4", reckoned=1.78
            ),
            Published(2, 17, "RPT-Sem, oracle", (2.69, 2.10, 10.26, 12.74), "242 M", 1.51, ORACLE, 1.42),
            Published(4, 5, "RPT-Sem", (2.77, 2.17, 10.96, 13.91)),
            Published(4, 6, "RPT-Sem, DPR-style retriever", (2.98, 2.33, 11.62, 14.66), setting=DPR),
        ),
    ),
    _rpt_sem(
        "rpt_sem_gold_only",
        "RPT-Sem, only teacher forcing",
        build="model.systems.rpt:rpt_sem_gold_only",
        variant_of="rpt_sem",
        published=(Published(4, 7, "only teacher forcing", (2.91, 2.22, 11.54, 14.66)),),
    ),
    _rpt_sem(
        "rpt_sem_own_only",
        "RPT-Sem, no teacher forcing",
        build="model.systems.rpt:rpt_sem_own_only",
        variant_of="rpt_sem",
        published=(Published(4, 8, "no teacher forcing", (2.95, 2.26, 13.10, 14.40)),),
    ),
    _rpt_sem(
        "rpt_sem_ungated",
        "RPT-Sem, no neighbour gating",
        build="model.systems.rpt:rpt_sem_ungated",
        cost="model.training_cost:ungated_macs",
        published=(Published(4, 9, "no neighbour gating", (2.92, 2.20, 11.50, 18.68)),),
    ),
    _rpt(
        "rpt_sem_shuffled",
        "RPT-Sem, labels shuffled",
        build="model.systems.rpt:rpt_sem_shuffled",
        supervision="scored",
        relevance="model.rpt:shuffled_relevance",
        variant_of="rpt_sem",
    ),
    _rpt_features(
        "rpt_sem_features",
        "RPT-Sem, features of pairs",
        build="model.systems.rpt:rpt_sem_features",
        supervision="scored",
        relevance="model.rpt:semantic_relevance",
        variant_of="rpt_sem",
    ),
    _rpt_features(
        "rpt_sem_features_shuffled",
        "RPT-Sem, features of pairs, labels shuffled",
        build="model.systems.rpt:rpt_sem_features_shuffled",
        supervision="scored",
        relevance="model.rpt:shuffled_relevance",
        variant_of="rpt_sem",
    ),
)
RECORDS = {record.name: record for record in _RECORDS}
"""Name -> record, in the order in which systems are listed."""
