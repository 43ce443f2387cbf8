"""A headless Chromium driven over the DevTools protocol: pages as people see them, with every request and
dialog counted.

Tests drive the pages of reports/browser with it, and benchmarks/labels.py measures them.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import connect
from websockets.sync.connection import Connection

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
FLAGS = ("--headless=new", *QUIET, "--hide-scrollbars", "--remote-debugging-port=0")
PATIENCE = 30.0
KEY_CODES = {"Escape": 27, "Enter": 13, "Tab": 9, "ArrowRight": 39, "ArrowLeft": 37}


@contextlib.contextmanager
def chromium() -> Iterator[Page]:
    """One tab of a new browser with a profile of its own.

    Raises:
        RuntimeError: if no browser is installed.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise RuntimeError(
            f"no browser found: looked for {', '.join(BROWSERS)} | remedy: apt-get install chromium"
        )
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [browser, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with connect(_address(Path(profile) / "DevToolsActivePort"), max_size=None) as socket:
                yield Page(socket)
        finally:
            process.terminate()
            process.wait()


def _address(file: Path) -> str:
    """The web socket of the browser's first tab."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, IndexError, StopIteration):
            port = file.read_text().split()[0]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
                return next(tab["webSocketDebuggerUrl"] for tab in json.load(answer) if tab["type"] == "page")
        time.sleep(0.05)
    raise RuntimeError("the browser did not open its debugging port")


class Page:
    """A tab. `requests` are the addresses it asked for, `dialogs` what it tried to say, `problems` what its
    console reported.
    """

    def __init__(self, socket: Connection):
        self._socket, self._ids = socket, itertools.count(1)
        self._events: list[dict] = []
        self.requests: list[str] = []
        self.dialogs: list[str] = []
        self.problems: list[str] = []
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict:
        """One DevTools command and its result.

        Raises:
            RuntimeError: if the browser refuses it.
        """
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(PATIENCE))
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                return message["result"]
            self._note(message)

    def _note(self, event: dict) -> None:
        self._events.append(event)
        method, said = event.get("method"), event.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(said["request"]["url"])
        elif method == "Page.javascriptDialogOpening":
            self.dialogs.append(said["message"])
            self._socket.send(
                json.dumps(
                    {
                        "id": next(self._ids),
                        "method": "Page.handleJavaScriptDialog",
                        "params": {"accept": True},
                    }
                )
            )
        elif method == "Log.entryAdded":
            self.problems.append(said["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(said["exceptionDetails"])[:500])

    def wait(self, method: str) -> dict:
        """The next event of this name, of those not waited for before.

        Raises:
            TimeoutError: if it does not come in time.
        """
        while True:
            while self._events:
                event = self._events.pop(0)
                if event.get("method") == method:
                    return event["params"]
            self._note(json.loads(self._socket.recv(PATIENCE)))

    def open(self, address: str) -> None:
        """Go to an address and wait until its page is loaded."""
        self._events.clear()
        self.call("Page.navigate", url=address)
        self.wait("Page.loadEventFired")

    def evaluate(self, expression: str) -> Any:
        """The JSON value of a JavaScript expression.

        Raises:
            RuntimeError: if it throws.
        """
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(json.dumps(result["exceptionDetails"])[:500])
        return result["result"].get("value")

    def press(self, key: str, *, loads: bool = True) -> None:
        """Press and release a key; `loads` waits for the page that it leads to."""
        self._events.clear()
        typed = {"Enter": "\r"}.get(key, "" if key in KEY_CODES else key)
        text = {"text": typed} if typed else {}
        code = {"windowsVirtualKeyCode": KEY_CODES[key]} if key in KEY_CODES else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text, **code)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, **code)
        if loads:
            self.wait("Page.loadEventFired")

    def until(self, expression: str) -> Any:
        """The value of an expression once it is true.

        Raises:
            TimeoutError: if it does not become true.
        """
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if value := self.evaluate(expression):
                return value
            time.sleep(0.05)
        raise TimeoutError(expression)

    def look(self, width: int, height: int, *, dark: bool = False, scripts: bool = True) -> None:
        """Set the size of the window, the colour scheme, and whether scripts run."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}],
        )
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
