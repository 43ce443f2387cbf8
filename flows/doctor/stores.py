"""What the object stores of params.yaml let this machine do; nothing is written to them."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from data_contracts.failure import Failure
from data_contracts.places import is_url
from flows.doctor.finding import Finding
from flows.workspace import ROOT


def ledger(path: Path = ROOT / "params.yaml") -> Finding:
    """The ledger's bucket, if it is one: whether it can be reached, listed, read, added to and merged."""
    from stages.parameters import load
    from stages.stores.object_store import ObjectStore

    url = load(path).runtime.ledger
    if not is_url(url):
        return Finding("ledger", "good", f"{url} is a directory")
    try:
        store = ObjectStore(url)
        objects, lacking = len(store.sizes()), store.lacking_rights()
    except Failure as failure:
        return Finding("ledger", "bad", f"{failure.what}: {failure.cause}", failure.remedy)
    if lacking:
        fix = (
            f"gcloud storage buckets add-iam-policy-binding gs://{urlsplit(url).hostname}"
            " --member=user:YOU --role=roles/storage.objectUser"
        )
        return Finding("ledger", "bad", f"{url} does not grant {', '.join(lacking)}", fix)
    rights = "may be read, added to and merged" if lacking == [] else "rights to write were not asked for"
    return Finding("ledger", "good", f"{url} has {objects:,} objects; {rights}")


CHECKS = {"ledger": ledger}
