"""What loopback and the environment must let through: Prefect, Ray and the pages talk over 127.0.0.1, models
come from the hub.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from flows.doctor.finding import Finding, judged
from infra.services import DEFAULT_PORT

LOOPBACK = "127.0.0.1"


def loopback() -> Finding:
    """A connection from this machine to itself."""
    with socket.create_server((LOOPBACK, 0)) as server, socket.create_connection(server.getsockname(), 5):
        return Finding("loopback", "good", f"{LOOPBACK} answers")


def prefect_port(port: int = DEFAULT_PORT) -> Finding:
    """The port of Prefect's pages; another is taken where it is in use."""
    with socket.socket() as probe:
        taken = probe.connect_ex((LOOPBACK, port)) == 0
    return judged(
        "prefect's port",
        f"{port} is {'in use' if taken else 'free'}",
        "./rpt down, or nothing: a free port is taken",
        unsure=taken,
    )


def proxies(environment: Mapping[str, str] = os.environ) -> Finding:
    """A proxy that is told to leave loopback alone."""
    lower = {name.lower(): value for name, value in environment.items()}
    proxy = next((lower[name] for name in ("http_proxy", "all_proxy") if lower.get(name)), None)
    spared = {part.strip() for part in lower.get("no_proxy", "").split(",")}
    open_way = proxy is None or "*" in spared or LOOPBACK in spared
    found = "none" if proxy is None else f"set, {LOOPBACK} {'is' if open_way else 'is not'} spared"
    return judged(
        "proxy",
        found,
        f"export NO_PROXY={LOOPBACK},localhost no_proxy={LOOPBACK},localhost",
        bad=not open_way,
    )


def prefect_profile(environment: Mapping[str, str] = os.environ) -> Finding:
    """A Prefect server elsewhere that `./rpt demo` would be told to use."""
    address = environment.get("PREFECT_API_URL", "")
    place = urlsplit(address).hostname or "an address without a host"  # the rest may hold a password
    found = place if address else "a server of this checkout's own"
    return judged("prefect", found, "unset PREFECT_API_URL, unless you mean it", unsure=bool(address))


def hub(environment: Mapping[str, str] = os.environ) -> Finding:
    """Where models of the hub are kept, and whether any may be fetched."""
    home = Path(environment.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    nearest = next(place for place in (home, *home.parents) if place.exists())
    offline = environment.get("HF_HUB_OFFLINE", "0") not in ("", "0", "false", "False")
    found = f"{home} {'is offline: what lies there is all there is' if offline else 'is writable'}"
    if not os.access(nearest, os.W_OK):
        return Finding("hub", "unsure", f"{home} cannot be written", "export HF_HOME=/path/to/a/large/disk")
    return judged("hub", found, "unset HF_HUB_OFFLINE, to fetch models", unsure=offline)


def host_name() -> Finding:
    """A name of this machine that can be looked up, as Ray does."""
    name = socket.gethostname()
    with contextlib.suppress(OSError):
        return Finding("host name", "good", f"{name} is {socket.gethostbyname(name)}")
    return Finding(
        "host name",
        "unsure",
        f"{name} cannot be looked up",
        f"echo '127.0.0.1 {name}' | sudo tee -a /etc/hosts",
    )


def remote_ray(environment: Mapping[str, str] = os.environ) -> Finding:
    """A Ray elsewhere that stages would join."""
    address = environment.get("RAY_ADDRESS", "")
    found = address.rpartition("@")[2] or "a Ray of this checkout's own"
    return judged("ray", found, "unset RAY_ADDRESS, unless you mean it", unsure=bool(address))


CHECKS = {
    "loopback": loopback,
    "prefect's port": prefect_port,
    "proxy": proxies,
    "prefect": prefect_profile,
    "hub": hub,
    "host name": host_name,
    "ray": remote_ray,
}
