"""A headless Chromium that tests drive through a pipe: no port, no network and no package is needed."""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE = 60  # seconds: a busy machine


def program():
    """Path of a Chromium, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


needs_browser = pytest.mark.skipif(program() is None, reason=f"no browser is installed: none of {', '.join(NAMES)}")


class Browser:
    """One page of a headless Chromium, spoken to in Chrome's DevTools protocol.

    Parameters
    ----------
    width, height : int
        Size of the window, in pixels.
    """

    def __init__(self, width=1280, height=900):
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        options = [
            "--headless=new",
            "--remote-debugging-pipe",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ]
        options += ["--no-first-run", "--disable-extensions", f"--user-data-dir={self._folder.name}", "about:blank"]
        # the protocol's pipes are file descriptors 3 and 4; the shell puts them there
        script = f'exec "$0" "$@" 3<&{to_read} 4>&{to_write}'
        self._process = subprocess.Popen(
            ["bash", "-c", script, program(), *options], pass_fds=(to_read, to_write), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env={**os.environ, "HOME": self._folder.name},
        )  # fmt: skip
        os.close(to_read)
        os.close(to_write)
        self._number, self._rest, self._session = itertools.count(1), b"", None
        self.events = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.resize(width, height)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        os.close(self._read)
        os.close(self._write)
        self._folder.cleanup()

    def _message(self, until):
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._read], [], [], max(0, until - time.monotonic()))
            part = os.read(self._read, 1 << 20) if ready else b""
            if not part:
                raise TimeoutError("the browser has ended" if ready else "the browser does not answer")
            self._rest += part
        text, _, self._rest = self._rest.partition(b"\0")
        return json.loads(text)

    def call(self, method, **parameters):
        """Send a command and return its result."""
        number = next(self._number)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + PATIENCE
        while True:
            answer = self._message(until)
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            if "method" in answer:
                self.events.append(answer)

    def resize(self, width, height):
        """Set the size of the window; a narrow one is a phone's."""
        phone = width < 600
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)

    def open(self, page, fragment=""):
        """Open a file and wait until its scripts have run."""
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=Path(page).resolve().as_uri() + (f"#{fragment}" if fragment else ""))
        self.wait("document.readyState === 'complete' && location.protocol === 'file:'")
        self.frame()

    def wait(self, condition):
        """Wait until an expression is true."""
        until = time.monotonic() + PATIENCE
        while not self(condition):
            if time.monotonic() > until:
                raise TimeoutError(condition)
            time.sleep(0.05)

    def frame(self):
        """Wait until the page has been drawn anew."""
        self("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def __call__(self, expression):
        """Return the value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description", details["text"]))
        return answer["result"].get("value")

    def text(self, selector):
        """Return the text of an element as it is seen."""
        return self(f"document.querySelector({json.dumps(selector)}).innerText")

    def press(self, key, times=1):
        """Press a key where the focus is."""
        codes = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Home": 36, "End": 35, "Escape": 27}
        code = codes.get(key, 0)
        for _ in range(times):
            for kind in ("keyDown", "keyUp"):
                letter = {"text": key} if len(key) == 1 and kind == "keyDown" else {}
                self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **letter)
        self.frame()

    def focus(self, selector):
        """Put the focus on an element."""
        self(f"document.querySelector({json.dumps(selector)}).focus()")

    def mouse(self, kind, x, y, pressed=False):
        """Move, press or release the mouse at a place of the window."""
        button = {"button": "left", "buttons": 1, "clickCount": 1} if pressed or kind != "mouseMoved" else {}
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)

    def troubles(self):
        """Return errors of the page, and what it asked of a network."""
        self.frame()
        errors = [e for e in self.events if e["method"] == "Runtime.exceptionThrown"]
        errors += [
            e for e in self.events if e["method"] == "Log.entryAdded" and e["params"]["entry"]["level"] == "error"
        ]
        asked = [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
        return errors + [url for url in asked if not url.startswith(("file:", "about:", "data:"))]

    def picture(self, path, whole=True):
        """Save a picture of the page."""
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        Path(path).write_bytes(base64.b64decode(data))
