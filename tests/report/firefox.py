"""A small client of WebDriver BiDi (w3c.github.io/webdriver-bidi): a page in Firefox, and a script in it."""

import contextlib
import json
import re
import subprocess
from itertools import count
from threading import Timer

from websockets.sync.client import connect

LIMIT = 120  # seconds for anything


@contextlib.contextmanager
def firefox(program, profile):
    """Give `evaluate(address, script)`: what a script, an expression or a promise, gives in the page of an address."""
    arguments = [program, "--headless", "--remote-debugging-port=0", "--profile", str(profile), "--no-remote"]
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        watchdog = Timer(2 * LIMIT, process.kill)
        watchdog.start()
        try:
            where = next(
                filter(None, (re.search(r"WebDriver BiDi listening on (ws://\S+)", line) for line in process.stderr))
            )
            with connect(f"{where[1]}/session", open_timeout=LIMIT, max_size=None) as socket:
                yield _session(socket)
        finally:
            watchdog.cancel()
            process.terminate()
            process.wait(LIMIT)


def _session(socket):
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

    return evaluate
