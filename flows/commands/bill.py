"""The bill of scoring, before any of it is paid: pairs, tokens, operations, time and price, for every corpus
of a plan.

Beside the labels it has the samples that the reference LM scores for evaluations, and time and price are
those of all of it. Pairs are counted where candidates exist and are up to date; before that they are
estimated from what does exist, and the bill says so.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from data_contracts.candidates import CANDIDATES
from data_contracts.contract import open_artifact, read_columns
from data_contracts.documents import DOCUMENTS, SPLITS
from data_contracts.failure import Exit, Failure
from data_contracts.tokens import CHUNKS
from flows.commands.bill_tokens import ledger_of, tokens_a_chunk
from flows.plan import Step
from flows.workspace import ROOT, child_environment
from infra.supervisor import release, supervised
from model.decoder_config import DecoderConfig, decoder_config
from model.gpt_neox_config import GPTNeoXConfig
from stages.bill.cost import LABEL_BYTES, UTILISATION, Volume, device_hours, scoring_flops, scoring_tokens
from stages.bill.volume import counted, estimated, exhaustive_sample, most_of_exhaustive, most_of_retrieved
from stages.devices import PEAK_FLOPS
from stages.parameters import Configuration
from stages.reference_lm.from_directory import directory_config
from stages.reference_lm.from_hub import hub_config

# a token has about this times log2(V) characters: measured 2.75 at V = 1,024 and 3.2 at 4,096
CHARACTERS_A_BIT = 0.27
SOON = "exact once mining is done: `./rpt run mining`"


def bills(steps: list[Step], configuration: Configuration, calibrate: bool) -> list[dict]:
    """One bill for every step that scores a corpus. With `calibrate` this machine is measured (about 20 s)
    where there are pairs to score.

    Raises:
        Failure: if an artifact that counts as up to date cannot be read, or the calibration fails.
    """
    fresh = {step.stage for step in steps if not step.stale}
    scored = [step.stage for step in steps if step.stage.startswith("scoring@")]
    return [_bill(stage, stage.split("@")[1], fresh, configuration, calibrate) for stage in scored]


def _bill(stage: str, corpus: str, fresh: set[str], configuration: Configuration, calibrate: bool) -> dict:
    volume, exact, basis = _volume(corpus, fresh, configuration)
    if stage in fresh:
        volume = Volume(volume.queries, volume.rows, volume.pairs)
    trained = f"reference_lm@{corpus}" in fresh
    config = _reference_lm(corpus, trained, configuration)
    size = tokens_a_chunk(corpus, fresh, configuration, config)
    flops = scoring_flops(config, size, volume.new_prefixes, volume.new_pairs)
    samples = _samples(corpus, fresh, configuration, config, size)
    pairs = volume.new_pairs + sum(sample["pairs"]["new"] for sample in samples.values())
    all_flops = flops + sum(sample["flops"] for sample in samples.values())
    measured = (
        _calibration(corpus)
        if calibrate and trained and f"mining@{corpus}" in fresh and volume.new_pairs
        else None
    )
    return {
        "stage": stage,
        "exact": exact,
        "basis": basis,
        "reference_lm": "as it is" if trained else _described(configuration),
        "queries": volume.queries,
        "pairs": _pairs(volume),
        "prefixes": volume.new_prefixes,
        "tokens": scoring_tokens(size, volume.new_prefixes, volume.new_pairs),
        "flops": flops,
        "label_rows": volume.rows,
        "label_bytes": volume.rows * LABEL_BYTES,
        "samples": samples,
        "with_samples": {"pairs": pairs, "flops": all_flops},
        "here": measured and _here(flops, all_flops, measured),
        "devices": _devices(all_flops, configuration),
        "assumptions": _assumptions(configuration, exact, size),
    }


def _here(flops: float, all_flops: float, measured: dict) -> dict:
    """Seconds on this machine for the labels, and with the samples, which are processes of their own."""
    start, speed = measured["start_seconds"], measured["flops_per_second"]
    return {
        "seconds": start + flops / speed,
        "seconds_with_samples": 3 * start + all_flops / speed,
        "measured": measured,
    }


def _pairs(volume: Volume) -> dict[str, int]:
    return {"all": volume.pairs, "known": volume.pairs - volume.new_pairs, "new": volume.new_pairs}


def _samples(
    corpus: str, fresh: set[str], configuration: Configuration, config: DecoderConfig, size: float
) -> dict[str, dict]:
    """What the exhaustive and the retrieved sample ask for: counted (`exact`), or at most so much."""
    recipes = [
        configuration.recipes[run.system] for run in configuration.runs.values() if run.corpus == corpus
    ]
    volumes = {
        "exhaustive": most_of_exhaustive(configuration.exhaustive),
        "retrieved": most_of_retrieved(configuration.retrieved, recipes),
    }
    counts = f"chunking@{corpus}" in fresh
    if counts:
        chunks = open_artifact(CHUNKS, ROOT / "artifacts" / corpus / "chunks")
        ledger = ledger_of(corpus, configuration) if f"reference_lm@{corpus}" in fresh else None
        volumes["exhaustive"] = exhaustive_sample(
            chunks, configuration.geometry, configuration.evaluation, configuration.exhaustive, ledger
        )
    return {
        name: {
            "exact": counts and name == "exhaustive",
            "queries": volume.queries,
            "pairs": _pairs(volume),
            "flops": scoring_flops(config, size, volume.new_prefixes, volume.new_pairs),
        }
        for name, volume in volumes.items()
    }


def _volume(corpus: str, fresh: set[str], configuration: Configuration) -> tuple[Volume, bool, str]:
    """(what there is to score, whether it was counted whole, what that was taken from)."""
    home, geometry, scoring = ROOT / "artifacts" / corpus, configuration.geometry, configuration.scoring
    if f"mining@{corpus}" in fresh:
        ledger = ledger_of(corpus, configuration) if f"reference_lm@{corpus}" in fresh else None
        volume, whole = counted(open_artifact(CANDIDATES, home / "candidates"), scoring, ledger)
        return (
            volume,
            whole,
            "counted in the candidates" if whole else "counted in a part of the candidates and scaled up",
        )
    if f"chunking@{corpus}" in fresh:
        return (
            estimated(_lengths_in_chunks(home / "chunks"), geometry, scoring),
            False,
            f"estimated from the chunks; {SOON}",
        )
    characters = (
        geometry.chunk_tokens
        * CHARACTERS_A_BIT
        * (configuration.tokenization.vocabulary_size.bit_length() - 1)
    )
    if f"ingestion@{corpus}" in fresh:
        lengths = (
            (split, int(length / characters)) for split, length in _lengths_in_characters(home / "documents")
        )
        return (
            estimated(lengths, geometry, scoring),
            False,
            f"estimated from the characters of the documents; {SOON}",
        )
    lengths = (
        (split, int(length / characters)) for split, length in _characters_of_sources(corpus, configuration)
    )
    return (
        estimated(lengths, geometry, scoring),
        False,
        f"estimated from the size of the source files, uncompressed text or not; {SOON}",
    )


def _lengths_in_chunks(directory: Path) -> Iterator[tuple[str, int]]:
    """(split, full chunks) of every document; the last chunk is nearly always a short one."""
    chunks = open_artifact(CHUNKS, directory)
    for shard in chunks.shards:
        rows = read_columns(CHUNKS, directory / shard, ["doc_id", "split"])
        counts = rows.group_by(["doc_id", "split"]).aggregate([([], "count_all")])
        yield from zip(
            counts.column("split").to_pylist(),
            (count - 1 for count in counts.column("count_all").to_pylist()),
            strict=True,
        )


def _lengths_in_characters(directory: Path) -> Iterator[tuple[str, int]]:
    """(split, characters) of every document."""
    documents = open_artifact(DOCUMENTS, directory)
    for shard in documents.shards:
        rows = read_columns(DOCUMENTS, directory / shard, ["split", "num_chars"])
        yield from zip(rows.column("split").to_pylist(), rows.column("num_chars").to_pylist(), strict=True)


def _characters_of_sources(corpus: str, configuration: Configuration) -> Iterator[tuple[str, float]]:
    """(split, bytes taken as characters) of the whole corpus, as if each split were one document."""
    source = configuration.corpora[corpus]
    files = json.loads((ROOT / "sources" / f"{corpus}.json").read_text(encoding="utf-8"))["files"]
    total = sum(file["bytes"] for file in files)
    shares = {"validation": source.validation, "test": source.test}
    if source.splits:
        shares = {
            split: sum(file["bytes"] for file in files if fnmatchcase(file["name"], pattern)) / max(total, 1)
            for split, pattern in source.splits.items()
        }
    taken = min(total, source.max_characters or total)
    for split in SPLITS:
        yield split, taken * (1 - sum(shares.values()) if split == "train" else shares.get(split, 0.0))


def _reference_lm(corpus: str, trained: bool, configuration: Configuration) -> DecoderConfig:
    try:
        if trained:
            return decoder_config(
                json.loads((ROOT / "artifacts" / corpus / "reference_lm" / "config.json").read_text())
            )
        if configuration.reference_lm.source == "hub":
            return hub_config(configuration.reference_lm)
        if configuration.reference_lm.source == "directory":
            return directory_config(configuration.reference_lm)
        sizes, vocabulary = configuration.reference_lm, configuration.tokenization.vocabulary_size
        return GPTNeoXConfig(vocabulary, sizes.width, sizes.layers, sizes.heads, 4 * sizes.width)
    except ValueError as error:
        raise Failure(
            "the sizes of the reference LM", str(error), "change `reference_lm` in params.yaml", Exit.USAGE
        ) from error


def _described(configuration: Configuration) -> str:
    source = configuration.reference_lm
    return {"hub": f"{source.name} of the hub", "directory": source.name}.get(
        source.source, "as params.yaml describes it"
    )


def _calibration(corpus: str) -> dict:
    """The measurement of stages/bill/calibration.py, in a process of its own that takes JAX and the weights
    with it when it ends.
    """
    command = [sys.executable, "-m", "stages.bill.calibration", corpus]
    child = supervised(
        command, cwd=ROOT, env=child_environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert child.stdout
        assert child.stderr
        answer, complaint = child.stdout.read(), child.stderr.read()
        code = child.wait()
    finally:
        release(child)
    if code:
        cause = complaint.strip().splitlines()[-1:] or [f"exit code {code}"]
        raise Failure(
            "this machine could not be measured",
            cause[0],
            "put it right, or add --no-calibrate",
            Exit.STAGE_FAILED,
        )
    return json.loads(answer)


def _devices(flops: float, configuration: Configuration) -> dict:
    """Hours of one device of each kind, and their price if `runtime.prices` has one, in both precisions."""
    bill: dict[str, dict] = {}
    for device, peaks in PEAK_FLOPS.items():
        price = configuration.runtime.prices.get(device)
        hours = {dtype: device_hours(flops, device, dtype) for dtype in peaks}
        bill[device] = {
            dtype: {"hours": time, "dollars": None if price is None else time * price}
            for dtype, time in hours.items()
        }
    return bill


def _assumptions(configuration: Configuration, exact: bool, size: float) -> list[str]:
    peaks = ", ".join(
        f"{device} {peak['float16'] / 1e12:.0f} / {peak['float32'] / 1e12:.0f}"
        for device, peak in PEAK_FLOPS.items()
    )
    prices = ", ".join(f"{device} {price:g}" for device, price in configuration.runtime.prices.items())
    lines = [
        (
            f"devices reach {UTILISATION:.0%} of their peak (TFLOP/s in float16 / float32: {peaks};"
            " stages/devices.py names the sources)"
        ),
        f"this run would score with {configuration.scoring.engine} in {configuration.scoring.dtype}",
        f"a device hour costs in US dollars: {prices} (runtime.prices)",
        f"a label takes {LABEL_BYTES} bytes on disk",
    ]
    if size != configuration.geometry.chunk_tokens:
        lines.append(
            f"the reference LM has {size:.1f} tokens a chunk, without padding; its tokenizer is not the"
            " corpus's"
        )
    return (
        lines
        if exact
        else [*lines, f"a token has {CHARACTERS_A_BIT} log2(V) characters where tokens were not counted"]
    )
