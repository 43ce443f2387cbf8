"""`rpt plan training --on`: what it refuses, what it asks of the compiler, and how its answer is read."""

import json
from dataclasses import replace

import pytest

from data_contracts.failure import Exit, Failure
from flows.cli import app
from flows.commands import fits as module
from flows.commands.fits import LOCKS, fit
from flows.commands.fits_text import as_text
from flows.profiles import profile_path
from flows.workspace import ROOT
from stages.fits.program import Program
from stages.parameters import Configuration, load

GIB = 2**30


@pytest.fixture
def paper() -> Configuration:
    return load(profile_path("paper-pg19"))


@pytest.fixture
def asked(monkeypatch) -> list[dict]:
    """The requests that would have gone to a compiler; each is answered by a program of 2 GiB of state and 14
    GiB at its peak.
    """
    requests = []

    def answer(request, target):
        requests.append(request)
        exchanged = {"all-reduce": {"count": 3, "bytes": 24_000_000}}
        seconds = {"lower": 4.0, "compile": 90.0, "compile_cpu": 60.0}
        return Program(
            32, "TPU v4", (8, 4), False, 2 * GIB, 1e15, 14 * GIB, collectives=exchanged, seconds=seconds
        )

    monkeypatch.setattr(module, "_compiled", answer)
    return requests


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (["training", "demo-rpt_sem", "--on", "v9:2x2"], "'v9' is not a chip that is known"),
        (["training", "demo-none", "--on", "v5e:1x1"], "the configuration does not name it"),
        (["scoring", "--on", "v5e:1x1"], "it is for one run's training"),
        (["training", "a", "b", "--on", "v5e:1x1"], "it is for one run's training"),
        (["training", "--on", "v5e:1x1", "--batch", "0"], "a step reads at least one sequence"),
        (["training", "--on", "v5e:1x1", "--profile", "none"], "profiles/ has demo"),
        (["training", "--batch", "2"], "--profile and --batch are for a training step on chips"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_installed(words, cause):
    with pytest.raises(Failure) as caught:
        app(["plan", *words], result_action="return_value")
    assert caught.value.code == Exit.USAGE
    assert cause in caught.value.cause
    assert caught.value.remedy


def test_the_run_with_the_most_operations_is_taken_and_asked_for_as_it_is_trained(paper, asked):
    found = fit(paper, None, "v4:2x4x4", None)
    (request,) = asked
    assert found["run"] == "pg19-rpt_sem"
    assert request["sizes"] == {"rows": 8, "tokens": 16_384, "slots": 20, "parts": 1}
    assert request["optimizer"] == [5e-3, 500_000, 0.004]
    assert request["model"]["shape"]["vocabulary_size"] == 50_277
    assert request["model"]["retriever_training"] == {
        "normalise": "sum",
        "sampling": "batch",
        "missing_gold": "mask",
    }
    assert request["topology"]["topology_name"] == "v4:2x4x4"
    json.dumps(request)  # it is an argument of a process


def test_another_batch_and_a_card(paper, asked):
    assert fit(paper, "pg19-transformer_xl", "h200:8", 3)["batch"] == 3
    assert asked[0]["sizes"] == {"rows": 3, "tokens": 16_384, "slots": 1, "parts": 1}
    assert asked[0]["card"] == "h200"


def test_a_batch_in_parts_is_asked_for_as_such(paper, asked):
    training = paper.training.model_copy(update={"parts": 4})
    parted = paper.model_copy(update={"training": training})
    found = fit(parted, "pg19-rpt_sem", "v4:2x4x4", None)
    assert asked[0]["sizes"]["parts"] == found["parts"] == 4
    assert found["batch_that_fits"] == 0  # of 32 sequences, the least that 8 groups take in 4 parts
    with pytest.raises(Failure, match=r"training\.parts, 4, does not divide it") as caught:
        fit(parted, "pg19-rpt_sem", "v4:2x4x4", 6)
    assert caught.value.code == Exit.USAGE


def test_the_answer_has_figures_verdict_and_what_is_not_proved(paper, asked):
    found = fit(paper, "pg19-rpt_sem", "v4:2x4x4", None)
    assert found["fits"]
    assert found["bytes"]["temporaries"] == 12 * GIB
    assert found["batch_that_fits"] == 16  # 28.75 GiB of room, 12 of them for every 8 sequences
    text = as_text(found)
    assert "pg19-rpt_sem (rpt_sem), 8 x 16,384 tokens a step, on v4:2x4x4: fits" in text
    assert "14.00 GiB a device at the worst moment, 46% of its memory" in text
    assert "3 all-reduce of 24 MB" in text
    assert "not proved" in text
    assert "DOES NOT FIT" in as_text(fit(paper, "pg19-rpt_sem", "v5e:4x4", None) | {"fits": False})


def test_a_step_compiled_with_less_effort_says_so(paper, asked, monkeypatch):
    answer = module._compiled
    full = fit(paper, "pg19-rpt_sem", "v4:2x4x4", None)
    monkeypatch.setattr(module, "_compiled", lambda *asked: replace(answer(*asked), effort=-1.0))
    less = fit(paper, "pg19-rpt_sem", "v4:2x4x4", None)
    assert full["effort"] == 0
    assert set(less["not_proved"]) - set(full["not_proved"]) == {module.LESS_EFFORT}
    assert "at least 16 sequences fit" in as_text(full)
    assert "of this program 16 sequences fit" in as_text(less)


def test_locks_have_the_jax_of_the_base_environment():
    def versions(lock) -> dict[str, str]:
        return dict(line.split()[0].split("==") for line in lock.read_text().splitlines() if "==" in line)

    base = versions(ROOT / "requirements.txt")
    for platform, own in (("tpu", "libtpu"), ("cuda", "jax-cuda13-plugin")):
        locked = versions(LOCKS[platform])
        assert own in locked
        assert {name: version for name, version in locked.items() if base.get(name, version) != version} == {}
        assert {"jax", "jaxlib", "flax", "optax"} <= locked.keys()
