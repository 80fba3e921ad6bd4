"""A headless Chromium driven over its DevTools pipe, with the standard library alone."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Without the network flags Chromium looks up its maker's hosts at every start.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--remote-debugging-pipe",
)


@dataclass(slots=True)
class Visit:
    """What a page did while it loaded at one width."""

    width: int
    overflow: int  # pixels by which the page is wider than its window
    console: list[str] = field(default_factory=list)  # errors and warnings, exceptions
    requests: list[str] = field(default_factory=list)  # everything fetched beside the page itself
    facts: dict[str, Any] = field(default_factory=dict)


class Browser:
    """One Chromium process; commands go to file descriptor 3, answers come from 4."""

    def __init__(self, program: str, profile: Path) -> None:
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        script = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
        flags = (*FLAGS, f"--user-data-dir={profile}", "about:blank")
        self._process = subprocess.Popen(
            ["bash", "-c", script, "chromium", program, *flags],
            pass_fds=(to_browser, from_browser),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._buffer = b""
        self._last_id = 0
        self.events: list[dict[str, Any]] = []

    def _receive(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError("the browser did not answer")
            chunk = os.read(self._read, 1 << 16)
            if not chunk:
                raise ConnectionError("the browser closed its pipe")
            self._buffer += chunk
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def call(self, method: str, *, session: str = "", timeout: float = 60, **params: Any) -> Any:
        """Send one command and return its result; events on the way are kept."""
        self._last_id += 1
        request = {"id": self._last_id, "method": method, "params": params}
        if session:
            request["sessionId"] = session
        os.write(self._write, json.dumps(request).encode() + b"\0")
        deadline = time.monotonic() + timeout
        while True:
            message = self._receive(deadline)
            if message.get("id") != self._last_id:
                self.events.append(message)
                continue
            if "error" in message:
                raise RuntimeError(f"{method}: {message['error']['message']}")
            return message["result"]

    def wait_for(self, method: str, *, timeout: float = 60) -> None:
        """Read events until one of this name has come."""
        deadline = time.monotonic() + timeout
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self._receive(deadline))

    def visit(self, page: Path, *, width: int, expressions: dict[str, str] | None = None) -> Visit:
        """Open a file in a window of one width; `expressions` are evaluated after loading."""
        self.events.clear()
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable", session=session)
        self.call(
            "Emulation.setDeviceMetricsOverride",
            session=session,
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        address = page.resolve().as_uri()
        self.call("Page.navigate", session=session, url=address)
        self.wait_for("Page.loadEventFired")

        def evaluate(expression: str) -> Any:
            answer = self.call(
                "Runtime.evaluate",
                session=session,
                expression=expression,
                returnByValue=True,
                awaitPromise=True,
            )
            return answer["result"].get("value")

        evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done, 200)))")
        found = Visit(
            width=width,
            overflow=evaluate("document.documentElement.scrollWidth") - width,
            facts={name: evaluate(text) for name, text in (expressions or {}).items()},
        )
        for event in self.events:
            _record(found, event, address)
        self.call("Target.closeTarget", targetId=target)
        return found

    def close(self) -> None:
        """End the process this object started."""
        with contextlib.suppress(OSError, RuntimeError, TimeoutError):
            self.call("Browser.close", timeout=10)
        os.close(self._write)
        os.close(self._read)
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _record(found: Visit, event: dict[str, Any], address: str) -> None:
    params = event.get("params", {})
    match event.get("method"):
        case "Runtime.exceptionThrown":
            found.console.append(params["exceptionDetails"]["text"])
        case "Runtime.consoleAPICalled" if params["type"] in {"error", "warning", "assert"}:
            found.console.append(" ".join(str(arg.get("value")) for arg in params["args"]))
        case "Log.entryAdded" if params["entry"]["level"] in {"error", "warning"}:
            found.console.append(params["entry"]["text"])
        case "Network.requestWillBeSent":
            url = params["request"]["url"]
            if url.partition("#")[0] != address and not url.startswith("data:"):
                found.requests.append(url)


@contextlib.contextmanager
def open_browser(program: str, profile: Path) -> Iterator[Browser]:
    """Yield a running browser and end it afterwards."""
    browser = Browser(program, profile)
    try:
        yield browser
    finally:
        browser.close()
