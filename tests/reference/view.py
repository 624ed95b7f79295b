"""What `resnetc view` writes, in a real browser: `python tests/reference/view.py RESNETC [FOLDER]`.

Drives headless Chromium over its debugging pipe, with nothing but Python's standard library. Checks that pages draw without an error and
without a request, that boxes and lines lie as they should, that mouse and keys work, and that a served page follows its source; leaves
screenshots in FOLDER, to be looked at.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Browser:
    """Chromium, spoken to over two pipes: messages of JSON, each with a zero behind it."""

    def __init__(self, chromium):
        self.profile = tempfile.mkdtemp(prefix="view-")
        to_browser, self.write = os.pipe()
        self.read, from_browser = os.pipe()

        def place():
            # the browser reads from 3 and writes to 4; both may be taken by what is to be moved there
            low, high = os.dup2(to_browser, 20), os.dup2(from_browser, 21)
            os.dup2(low, 3)
            os.dup2(high, 4)

        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe",
                 f"--user-data-dir={self.profile}", "--no-first-run", "--window-size=1440,900", "about:blank"]
        self.process = subprocess.Popen([chromium, *flags], preexec_fn=place, close_fds=False,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self.rest, self.number, self.events = b"", 0, []
        target = self.call("Target.createTarget", url="about:blank", session=None)["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True, session=None)["sessionId"]
        for domain in ["Page", "Runtime", "Network", "Log"]:
            self.call(f"{domain}.enable")

    def message(self):
        while b"\0" not in self.rest:
            piece = os.read(self.read, 1 << 20)
            if not piece:
                raise RuntimeError("chromium went away")
            self.rest += piece
        one, self.rest = self.rest.split(b"\0", 1)
        return json.loads(one)

    def call(self, method, session="", **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.message()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def js(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def open(self, url):
        self.events.clear()
        self.call("Page.navigate", url=url)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self.message())

    def complaints(self):
        """Errors, and requests for anything but the page itself."""
        found = []
        for event in self.events:
            method, params = event.get("method"), event.get("params", {})
            if method == "Runtime.exceptionThrown":
                found.append(params["exceptionDetails"].get("exception", {}).get("description", "exception"))
            if method == "Log.entryAdded" and params["entry"]["level"] == "error":
                found.append(params["entry"]["text"])
            if method == "Network.requestWillBeSent":
                url = params["request"]["url"]
                if params.get("type") != "Document" and not url.startswith("data:"):
                    found.append(f"a request for {url}")
        return found

    def wait(self, expression, seconds=10):
        end = time.time() + seconds
        while time.time() < end:
            if self.js(expression):
                return
            time.sleep(0.05)
        raise AssertionError(f"did not come true: {expression}")

    def theme(self, name, media="screen"):
        self.call("Emulation.setEmulatedMedia", media="", features=[{"name": "prefers-color-scheme", "value": name}])

    def size(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def shot(self, path):
        Path(path).write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def pdf(self, path):
        data = self.call("Page.printToPDF", printBackground=True, preferCSSPageSize=True)["data"]
        Path(path).write_bytes(base64.b64decode(data))

    def key(self, key, text=None):
        for kind in ["keyDown", "keyUp"]:
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, **({"text": text} if text and kind == "keyDown" else {}))

    def click(self, x, y):
        for kind in ["mousePressed", "mouseReleased"]:
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)


# Boxes of one depth that lie upon each other, and lines that cross a closed box which they do not join.
GEOMETRY = """(() => {
  const { boxes, lines } = view.drawing, wrong = [];
  const solid = boxes.filter(b => !b.open);
  const byTop = [...solid].sort((a, b) => a.y - b.y);
  byTop.forEach((a, i) => {
    for (let j = i + 1; j < byTop.length && byTop[j].y < a.y + a.h; j++) {
      const b = byTop[j];
      if (b.x < a.x + a.w && a.x < b.x + b.w) wrong.push(`${a.item.key} lies upon ${b.item.key}`);
    }
  });
  for (const line of lines) {
    for (let i = 1; i < line.points.length; i++) {
      const [ax, ay] = line.points[i - 1], [bx, by] = line.points[i];
      const [l, r, t, d] = [Math.min(ax, bx), Math.max(ax, bx), Math.min(ay, by), Math.max(ay, by)];
      if (Math.abs(ax - bx) > 0.5 && Math.abs(ay - by) > 0.5) wrong.push('a line that is not straight');
      for (const b of byTop) {
        if (b.y >= d - 0.5) break;
        if (b.y + b.h <= t + 0.5 || b.x >= r - 0.5 || b.x + b.w <= l + 0.5) continue;
        wrong.push(`a line from ${line.from && line.from.key} to ${line.to && line.to.key} crosses ${b.item.key}`);
      }
    }
  }
  const cut = [...document.querySelectorAll('.box .t, .box .s')].filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0).map(e => e.textContent);
  return { boxes: boxes.length, made: view.drawing.made.size, wrong: [...new Set(wrong)].slice(0, 5), cut: cut.slice(0, 5) };
})()"""


def of(resnetc, folder, name, *args):
    page = folder / f"{name}.html"
    subprocess.run([resnetc, "view", *args, "-o", page], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return page


def drawn(browser, page, what, levels=(None, 0, 1, 2, 3)):
    """Opens a page, and looks at its geometry at every level."""
    browser.open(page.as_uri())
    for level in levels:
        if level is not None:
            browser.js(f"view.open({level}); view.draw(true); 1")
        found = browser.js(GEOMETRY)
        assert not found["wrong"], (what, level, found)
    assert not browser.complaints(), (what, browser.complaints())
    print(f"{what}: {found['boxes']} boxes, {found['made']} of them made")


def by_hand(browser, page):
    """Mouse, keys, the search, the source."""
    browser.open(page.as_uri())
    chosen = "view.chosen"

    def line(file, text):
        return browser.js(f"view.tree.data.sources[{file}].text.split('\\n').findIndex(l => l.includes({json.dumps(text)})) + 1")

    box = browser.js("""(() => { const r = document.querySelector('[data-key="n maxpool"]').getBoundingClientRect(); return [r.x + 30, r.y + 8]; })()""")
    browser.click(*box)
    assert browser.js(chosen) == "n maxpool"
    assert browser.js("document.querySelector('#text .here').dataset.n") == str(line(0, "maxpool 3x3"))
    assert "64 x 56 x 56" in browser.js("document.getElementById('about').textContent")
    browser.key("ArrowDown")
    assert browser.js(chosen) == "g layer1", browser.js(chosen)
    before = browser.js("view.drawing.boxes.length")
    browser.key("ArrowLeft")
    assert browser.js("view.drawing.boxes.length") < before
    browser.key("ArrowRight")
    assert browser.js("view.drawing.boxes.length") == before
    browser.key("End")
    assert browser.js(chosen) == "n fc"
    browser.js("document.getElementById('find').value = 'layer3.4.conv2'; view.find(0)")
    assert browser.js(chosen) == "n layer3.4.conv2" and browser.js("view.drawing.by.has('n layer3.4.conv2')")
    # the stage's line makes the stage, and so marks it
    browser.js(f"view.chooseLine(0, {line(0, 'stage layer3:')})")
    assert browser.js("[...document.querySelectorAll('.box.from')].map(e => e.dataset.key)") == ["g layer3"]
    browser.js(f"view.chooseLine(1, {line(1, 'conv 3x3, filters: filters * widen')})")
    assert browser.js("document.querySelectorAll('.box.from').length") >= 4
    assert not browser.complaints(), browser.complaints()


def watched(browser, resnetc, folder):
    """A served page follows its source, shows errors, and comes back."""
    source = folder / "watched.resnet"
    right = "resnet 1\nnetwork net {\n  input 4\n  linear 3\n}\n"
    source.write_text(right)
    server = subprocess.Popen([resnetc, "view", source, "--watch"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        url = server.stdout.readline().split(" at ")[1].split(";")[0]
        browser.open(url)
        browser.wait("view.tree && view.tree.nodes.length === 2")
        source.write_text(right.replace("linear 3", "linear 3\n  relu"))
        browser.wait("view.tree && view.tree.nodes.length === 3")
        browser.shot(folder / "watch.png")
        source.write_text(right.replace("linear", "linar"))
        browser.wait("!document.getElementById('error').hidden && document.getElementById('error').textContent.includes('linar')")
        browser.shot(folder / "watch-error.png")
        source.write_text(right)
        browser.wait("document.getElementById('error').hidden && view.tree && view.tree.nodes.length === 2")
    finally:
        server.terminate()
        server.wait()
    browser.wait("!document.getElementById('notice').hidden")
    print("watched: a change, an error, and back")


def main():
    resnetc = str(Path(sys.argv[1]).resolve())
    chromium = next((found for found in map(shutil.which, ["chromium", "chromium-browser", "google-chrome"]) if found), None)
    if chromium is None:
        print("view: skipped, there is no chromium")
        return
    folder = Path(sys.argv[2] if len(sys.argv) > 2 else tempfile.mkdtemp(prefix="view-")).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    browser = Browser(chromium)
    try:
        browser.size(1440, 900)
        pages = {
            "resnet50": ["models/resnet.resnet", "--network", "resnet50"],
            "resnet152": ["models/resnet.resnet", "--network", "resnet152"],
            "resnet1202": ["models/cifar.resnet", "--network", "resnet1202"],
            "plain34": ["models/plain.resnet", "--network", "plain34"],
            "inception": ["tests/cases/ok/inception.resnet"],
        }
        pages = {name: of(resnetc, folder, name, *args) for name, args in pages.items()}
        for name, page in pages.items():
            for theme in ["light", "dark"]:
                browser.theme(theme)
                drawn(browser, page, name, levels=[None])
                browser.shot(folder / f"{name}-{theme}.png")
            drawn(browser, page, name)
        # thousands of boxes at once, of which few are made
        browser.open(pages["resnet1202"].as_uri())
        browser.js("view.state.folding = false; view.open(3); 1")
        start = time.time()
        browser.js("view.draw(); 1")
        print(f"resnet1202, all open: {browser.js('view.drawing.boxes.length')} boxes drawn in {time.time() - start:.2f} s")
        assert not browser.js(GEOMETRY)["wrong"]
        browser.js("document.getElementById('graph').scrollTop = 1e5")
        browser.wait("[...view.drawing.made.keys()].every(key => Math.abs(view.drawing.by.get(key).y - 1e5) < 3000 || view.drawing.by.get(key).h > 1e4)")
        for case in sorted((ROOT / "tests/cases/ok").glob("*.resnet")):
            ran = subprocess.run([resnetc, "view", case, "-o", folder / "case.html"], capture_output=True, text=True)
            if ran.returncode == 0:
                drawn(browser, folder / "case.html", case.stem)
        browser.theme("light")
        by_hand(browser, pages["resnet50"])
        browser.open(pages["resnet50"].as_uri())
        browser.pdf(folder / "resnet50.pdf")
        assert browser.js("view.drawing.scale") == 1 and not browser.js(GEOMETRY)["wrong"]
        watched(browser, resnetc, folder)
    finally:
        browser.close()
    print(f"view: fine; screenshots are in {folder}")


if __name__ == "__main__":
    main()
