import base64
import contextlib
import importlib.util
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from project import ROOT
from restoring import identity_network

import demo
from errors import Mistake, tell
from inference.demonstration import FIND, WHOLE, Versions
from metrics import BICUBIC, SR

PACKAGES = ("gradio", "mtcnn", "selenium")
PROGRAMS = ("chromium", "chromedriver")
MISSING = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
MISSING += [name for name in PROGRAMS if shutil.which(name) is None]
FLAGS = ("headless", "no-sandbox", "disable-gpu", "no-first-run", "disable-sync")
FLAGS += ("disable-background-networking", "disable-component-update")


# --- Without a browser -------------------------------------------------------------------------


def versions(**changes):
    small, large = np.zeros((7, 6, 3), np.uint8), np.zeros((128, 128, 3), np.uint8)
    parts = {
        **{"pixels": small, "bicubic": large + 1, "sr": large + 2, "original": large + 3},
        **{"similarities": {BICUBIC: 0.254, SR: 0.5}, "notes": ("1 < 2",)},
    }
    return Versions(**{**parts, **changes})


def pictures(html):
    data = [part.partition('"')[0] for part in html.split("base64,")[1:]]
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(part)))) for part in data]


def test_every_version_is_shown_with_what_is_to_be_said_of_it():
    html = demo.versions_html(versions())
    shown = pictures(html)
    assert [picture.shape[:2] for picture in shown] == [(7, 6), *[(128, 128)] * 3]
    assert [picture.max() for picture in shown] == [0, 1, 2, 3]
    figures = html.split("<figcaption>")[1:]
    for figure, words in zip(
        figures,
        (
            "input 7x6 pixels",
            "bicubic similarity 0.25",
            "super-resolved similarity 0.50",
            "original",
        ),
        strict=True,
    ):
        text = figure.partition("</figcaption>")[0].replace("<br>", " ")
        assert text.replace("<b>", "").replace("</b>", "").strip() == words
    assert html.count("pixels") == 2  # the first picture's class, and its caption
    assert "1 &lt; 2" in html
    assert "FaceNet" in html


def test_a_face_taken_as_it_is_is_shown_without_original_and_similarity():
    html = demo.versions_html(versions(original=None, similarities={}, notes=()))
    assert len(pictures(html)) == 3
    assert "original" not in html
    assert "imilarity" not in html


def test_whatever_goes_wrong_is_a_sentence():
    def fail(error):
        def demonstrate(path, framing, resolution):
            raise error

        return demo.answer(demonstrate, "a.png", FIND, "7x6")

    assert fail(Mistake("No <face>.")) == '<p class="problem">No &lt;face&gt;.</p>'
    assert "not enough memory" in fail(MemoryError())
    assert demo.answer(None, None, FIND, "7x6") == demo.NO_PICTURE


def test_the_size_that_was_chosen_is_what_the_face_is_reduced_to():
    asked = []

    def demonstrate(*arguments):
        asked.append(arguments)
        return versions()

    for size in ("7x6", demo.AS_IT_IS):
        demo.answer(demonstrate, "a.png", WHOLE, size)
    assert asked == [("a.png", WHOLE, (7, 6)), ("a.png", WHOLE, "auto")]


def test_mistakes_end_with_usage_and_2(tmp_path, monkeypatch, capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            tell(lambda: demo.main(arguments), code=2)
        err = capsys.readouterr().err
        assert "Traceback" not in err
        return end.value.code, err.splitlines()[-1]

    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(demo.importlib.util, "find_spec", lambda name: None)
        code, line = run()
        assert (code, "pip install -r requirements-demo.txt" in line) == (2, True)
        patch.setattr(demo.importlib.util, "find_spec", lambda name: True)
        code, line = run("--model", "none.keras")
        assert (code, "there is no trained network none.keras" in line) == (2, True)
    code, line = run("--port", "70000")
    assert (code, "--port" in line) == (2, True)


# --- In a browser ------------------------------------------------------------------------------


@contextlib.contextmanager
def server(folder, **environment):
    """Yield (address, process) of the page, with a network that returns its input."""
    network = folder / "model.keras"
    network.write_bytes(identity_network())
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "demo.py"), "--model", str(network)],
        cwd=folder,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        lines = []
        while line := process.stdout.readline():
            lines.append(line)
            if line.startswith("Page"):
                yield line.split()[1], process
                break
        else:
            pytest.fail(f"{lines}\n{process.stderr.read()}")
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def browser(folder):
    """Yield a browser as wide as a phone, which logs what it loads."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location, driver = map(shutil.which, PROGRAMS)
    for flag in (*FLAGS, f"user-data-dir={folder}"):
        options.add_argument(f"--{flag}")
    phone = {"deviceMetrics": {"width": 390, "height": 844, "pixelRatio": 1.0}}
    options.add_experimental_option("mobileEmulation", phone)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    window = webdriver.Chrome(options, Service(driver))
    try:
        yield window
    finally:
        window.quit()


class Page:
    """What a user does, and sees."""

    def __init__(self, window, address):
        self.window = window
        window.get(address)
        self.wait_for("16x12 pixels")

    def wait_for(self, text):
        from selenium.webdriver.support.wait import WebDriverWait

        WebDriverWait(self.window, 120).until(lambda window: text in self.text())

    def text(self):
        return self.window.execute_script("return document.body.innerText")

    def choose(self, *values):
        """Click on choices, ten in a second."""
        for value in values:
            self.window.find_element("css selector", f"input[value='{value}']").click()
            time.sleep(0.1)

    def sample(self, index):
        self.window.execute_script(
            "document.querySelectorAll('.samples .gallery-item')[arguments[0]].click()", index
        )

    def upload(self, path):
        self.window.find_element("css selector", "input[type=file]").send_keys(str(path))

    def right_edge(self):
        """Return how far pictures and choices reach to the right, in pixels."""
        return self.window.execute_script(
            "const seen = [...document.querySelectorAll('img, label, h1, p')];"
            "return Math.max(...seen.map(e => e.getBoundingClientRect().right))"
        )

    def requests(self):
        """Return the addresses that the window asked for; of the browser's own pages none."""
        messages = [json.loads(e["message"])["message"] for e in self.window.get_log("performance")]
        sent = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        urls = [params["request"]["url"] for params in sent]
        return [url for url in urls if not url.startswith(("data:", "blob:", "chrome"))]


@pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}")
def test_a_user_tries_the_page_on_a_phone(tmp_path):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    (tmp_path / "text.png").write_text("no picture")
    Image.new("RGB", (300, 200), "teal").save(tmp_path / "teal.png")
    proxy = "http://127.0.0.1:9"  # nobody answers there
    with server(tmp_path, TMPDIR=str(temporary), http_proxy=proxy) as (address, process):
        with browser(tmp_path / "profile") as window:
            page = Page(window, address)
            assert demo.GUESS in page.text()
            assert page.right_edge() <= 390
            page.upload(tmp_path / "text.png")
            page.wait_for("This file is no picture")
            page.upload(tmp_path / "teal.png")
            page.wait_for("No face was found.")
            page.choose(WHOLE)
            page.wait_for("this is the middle of the picture")
            page.choose(demo.AS_IT_IS)
            page.wait_for("there is nothing to gain")
            page.sample(0)
            page.wait_for("192x192 pixels")
            page.choose(*["7x6", "11x8", "14x12", "16x12", "16x14"] * 2, "7x6")
            page.wait_for("7x6 pixels")
            page.wait_for("hardly tell who a person is")
            requests = page.requests()
            assert len(requests) > 10
            assert [url for url in requests if not url.startswith(address)] == []
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0
        assert "Traceback" not in err
        assert list(temporary.iterdir()) == []
