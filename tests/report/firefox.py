"""A small client of WebDriver BiDi (w3c.github.io/webdriver-bidi): a page in Firefox, a script in it, its picture."""

import base64
import contextlib
import json
import re
import subprocess
from collections.abc import Callable
from itertools import count
from threading import Timer
from typing import Any, NamedTuple

from websockets.sync.client import connect

LIMIT = 120  # seconds for anything
# Done when a report page has drawn itself.
READY = """new Promise((done) => {
  const look = () => (document.documentElement.dataset.ready ? done(true) : setTimeout(look, 20));
  look();
})"""


class Tab(NamedTuple):
    """A tab of Firefox.

    Attributes:
        evaluate: What a script, an expression or a promise, gives in the page of an address (None: the open one).
        resize: Give the page a width and a height in pixels.
        picture: A PNG of what is seen of the page.
    """

    evaluate: Callable[[str | None, str], Any]
    resize: Callable[[int, int], Any]
    picture: Callable[[], bytes]


@contextlib.contextmanager
def firefox(program, profile, limit=2 * LIMIT):
    """Give a tab of a new Firefox, which ends after `limit` seconds at the latest."""
    arguments = [program, "--headless", "--remote-debugging-port=0", "--profile", str(profile), "--no-remote"]
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        watchdog = Timer(limit, process.kill)
        watchdog.start()
        try:
            where = next(
                filter(None, (re.search(r"WebDriver BiDi listening on (ws://\S+)", line) for line in process.stderr))
            )
            with connect(f"{where[1]}/session", open_timeout=LIMIT, max_size=None) as socket:
                yield _tab(socket)
        finally:
            watchdog.cancel()
            process.terminate()
            process.wait(LIMIT)


def _tab(socket):
    numbers = count(1)

    def ask(method, **given):
        number = next(numbers)
        socket.send(json.dumps({"id": number, "method": method, "params": given}))
        while (answer := json.loads(socket.recv(timeout=LIMIT))).get("id") != number:
            pass  # an event
        assert answer["type"] == "success", answer
        return answer["result"]

    ask("session.new", capabilities={})
    context = ask("browsingContext.create", type="tab")["context"]

    def evaluate(address, script):
        if address:
            ask("browsingContext.navigate", context=context, url=address, wait="complete")
        # What is not plain is sent as JSON, since BiDi has its own way to write objects.
        text = f"(async () => JSON.stringify(await ({script})))()"
        done = ask("script.evaluate", expression=text, target={"context": context}, awaitPromise=True)
        assert done["type"] == "success", done
        return json.loads(done["result"].get("value", "null"))

    def resize(width, height):
        ask("browsingContext.setViewport", context=context, viewport={"width": width, "height": height})

    def picture():
        return base64.b64decode(ask("browsingContext.captureScreenshot", context=context)["data"])

    return Tab(evaluate, resize, picture)
