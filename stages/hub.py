"""Files of a model of the Hugging Face hub, pinned to a commit."""

from __future__ import annotations

from pathlib import Path

from data_contracts.failure import Exit, Failure

SMALL_FILES = ["config.json", "tokenizer.json"]
WEIGHTS = ["*.safetensors"]


def snapshot(name: str, revision: str, patterns: list[str], section: str) -> Path:
    """A directory with those of the files that the model has; `section` of params.yaml is where it is named.

    Raises:
        Failure: (exit code 5) if the hub cannot be reached or has no such model.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except Exception as error:
        cause = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        remedy = (
            f"check {section}.name and .revision and the network; without one, fill the hub's cache elsewhere"
            " and set HF_HUB_OFFLINE=1"
        )
        raise Failure(
            f"{name} at {revision[:12]} could not be downloaded", cause, remedy, Exit.ENVIRONMENT
        ) from error


def no_commit(name: str, section: str, why: str, then: str | None = None) -> Failure:
    """What is said where a model of the hub is named without a commit; `then` is the command that takes one,
    by default an edit of the section.
    """
    remedy = (
        f'copy the commit from https://huggingface.co/{name}/commits/main, or ask: python -c "import'
        " huggingface_hub as h; "
        f"print(h.model_info('{name}').sha)\"; then {then or f'./rpt run -o {section}.revision=COMMIT'}"
    )
    return Failure(f"{section}.revision is null", f"{name} may change on the hub; {why}", remedy, Exit.USAGE)
