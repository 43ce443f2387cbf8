"""Every parameter of params.yaml, typed, bounded and described; unknown keys are errors.

All sections but `runtime` are identity: they decide the bytes of an artifact and stand in dvc.yaml as
`params:`. `runtime` says where and how fast the work runs, never what comes out, so no stage depends on it.
Other packages import all of it from here.
"""

from stages.parameters.configuration import Configuration
from stages.parameters.labels import Exhaustive, LabelGates, Mining, ReferenceLM, Retrieved, Scoring
from stages.parameters.reading import check, is_mapping_of_values, load, load_geometry
from stages.parameters.realm import RealmAnswers, RealmStart, RealmTraining
from stages.parameters.results import Evaluation, Report
from stages.parameters.retrieval import CorpusNeighbours, DenseRetriever, Index, PassageEncoder, Swap
from stages.parameters.runtime import Device, Runtime
from stages.parameters.section import Params
from stages.parameters.text import Corpus, FieldValue, Geometry, Ingestion, Tokenization
from stages.parameters.training import Packing, Recipe, Run, Start, Training

__all__ = [
    "Configuration",
    "Corpus",
    "CorpusNeighbours",
    "DenseRetriever",
    "Device",
    "Evaluation",
    "Exhaustive",
    "FieldValue",
    "Geometry",
    "Index",
    "Ingestion",
    "LabelGates",
    "Mining",
    "Packing",
    "Params",
    "PassageEncoder",
    "RealmAnswers",
    "RealmStart",
    "RealmTraining",
    "Recipe",
    "ReferenceLM",
    "Report",
    "Retrieved",
    "Run",
    "Runtime",
    "Scoring",
    "Start",
    "Swap",
    "Tokenization",
    "Training",
    "check",
    "is_mapping_of_values",
    "load",
    "load_geometry",
]
