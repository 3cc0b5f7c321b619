"""A page to try a trained network on: `python demo.py`, then open the address that it prints.

It answers this machine alone, and neither keeps nor sends any picture.
"""

from hardware.precision import use_hardware

import argparse
import base64
import contextlib
import functools
import html
import importlib.util
import io
import os
import signal
import tempfile
import warnings
from pathlib import Path

import tensorflow as tf
from PIL import Image

from errors import Mistake, expanded, tell
from facenet import FaceNet
from imaging.detection import FaceDetector
from inference.demonstration import FIND, WHOLE, Demonstration, sizes_of
from inference.resolution import AUTO
from inference.super_resolver import SuperResolver
from metrics import BICUBIC, SR
from trained_networks import add_model_option, newest_network, shown_network

HOST = "127.0.0.1"  # this machine alone
PORTS = range(7860, 7960)  # the first that is free
SAMPLES = sorted(Path(__file__).parent.glob("samples/n00004[1-8]/0001_01.jpg"))  # held out
FIRST_SIZE = 16, 12  # shown at the start, if the network was trained on it
UPLOADS_KEPT = 60, 600  # looked at every so many seconds, removed when so many old

DESCRIPTION = """\
Open a page on this machine to try a trained network on: drop a photograph or take a sample, choose
from how few pixels the face is to be restored, and compare. Ctrl-C ends it.

The page answers 127.0.0.1 alone, loads nothing from elsewhere and sends nothing. Pictures lie in a
temporary folder while they are looked at, ten minutes at most."""

TITLE = "IPU-Net: faces from few pixels"
GUESS = (
    "A super-resolved face is a guess: what it shows beyond the input pixels may be somebody "
    "else's. It is no evidence of who a person is."
)
ABOUT_SIMILARITY = (
    "Similarity to the original: the cosine of FaceNet's embeddings, at most 1. Networks are "
    "trained to please this FaceNet, which flatters what they make."
)
NO_PICTURE = "<p>Drop a photograph, or take a sample.</p>"
FRAMINGS = (("Find the face", FIND), ("Whole picture", WHOLE))
AS_IT_IS = "as it is"
CSS = """
.gradio-container { max-width: 1250px !important; }
.guess { font-weight: 600; }
.problem { color: #b91c1c; font-weight: 600; }
.dark .problem { color: #fca5a5; }
.versions { display: grid; grid-template-columns: repeat(4, 1fr); gap: 10px; }
@media (max-width: 700px) { .versions { grid-template-columns: repeat(2, 1fr); } }
.versions figure { margin: 0; }
.versions img { width: 100%; display: block; }
.versions .pixels { image-rendering: pixelated; }
.versions figcaption { line-height: 1.3; padding-top: 4px; }
.samples .gallery { gap: 6px; }
.samples .gallery-item, .samples .gallery-item img { width: 76px; height: 76px; }
.note { margin-top: 10px; }
"""
# The browser loads nothing from elsewhere, whatever Gradio's page may ask for.
POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:"


# --- What the page shows -----------------------------------------------------------------------


def versions_html(versions):
    """Return the pictures of a face side by side as HTML, with what is to be said of them.

    Args:
        versions: `demonstration.Versions`.
    """
    height, width = versions.bicubic.shape[:2]
    pixels = "{}x{} pixels".format(*versions.pixels.shape)
    figures = [("input", pixels, versions.pixels)]
    enlarged = ((BICUBIC, BICUBIC, versions.bicubic), ("super-resolved", SR, versions.sr))
    for name, method, picture in enlarged:
        value = versions.similarities.get(method)
        figures.append((name, "" if value is None else f"similarity {value:.2f}", picture))
    if versions.original is not None:
        figures.append(("original", "", versions.original))
    notes = [*versions.notes, *([ABOUT_SIMILARITY] if versions.similarities else [])]
    return "".join(
        (
            '<div class="versions">',
            *(_figure(*figure, f"{width}/{height}") for figure in figures),
            "</div>",
            *(f'<p class="note">{html.escape(note)}</p>' for note in notes),
        )
    )


def _figure(name, remark, pixels, proportions):
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG")
    data = base64.b64encode(written.getvalue()).decode()
    return (
        f'<figure><img class="{"pixels" if name == "input" else ""}" alt="{name}" '
        f'style="aspect-ratio: {proportions}" src="data:image/png;base64,{data}">'
        f"<figcaption><b>{name}</b><br>{remark}</figcaption></figure>"
    )


def answer(demonstrate, path, framing, size):
    """Return what the page shows of a picture as HTML; of whatever goes wrong, a sentence.

    Args:
        demonstrate: `Demonstration`.
        path: picture file, or None.
        framing: `FIND` or `WHOLE`.
        size: "HxW" or `AS_IT_IS`.
    """
    if path is None:
        return NO_PICTURE
    resolution = AUTO if size == AS_IT_IS else tuple(map(int, size.split("x")))
    try:
        return versions_html(demonstrate(path, framing, resolution))
    except Mistake as mistake:
        problem = str(mistake)
    except (MemoryError, tf.errors.ResourceExhaustedError):
        problem = "There is not enough memory for this picture."
    return f'<p class="problem">{html.escape(problem)}</p>'


def build_page(gr, demonstrate, sizes):
    """Lay out the page.

    Args:
        gr: the module `gradio`.
        demonstrate: `Demonstration`.
        sizes: list of (height, width) in pixels to choose from.

    Returns:
        `gradio.Blocks`, not launched.
    """
    choices = [f"{height}x{width}" for height, width in sizes] + [AS_IT_IS]
    first = "{}x{}".format(*FIRST_SIZE)
    start = str(SAMPLES[-1]), WHOLE, first if first in choices else choices[0]
    gr.set_static_paths(SAMPLES)  # served from where they are, not copied
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=UPLOADS_KEPT) as page:
        kept = gr.State(start[0])  # the path, also if the file was removed: then that can be said
        gr.HTML(f'<h1>{TITLE}</h1><p class="guess">{GUESS}</p>')
        with gr.Row():
            with gr.Column(scale=3, min_width=300):
                picture = gr.Image(
                    start[0],
                    label="Photograph",
                    type="filepath",
                    sources=["upload", "clipboard"],
                    height=230,
                    buttons=[],
                )
                framing = gr.Radio(FRAMINGS, value=start[1], label="Take")
                samples = gr.Dataset(
                    components=["image"],
                    samples=[[str(path)] for path in SAMPLES],
                    type="index",
                    elem_classes="samples",
                    label="Or a sample: synthetic faces",
                )
            with gr.Column(scale=5, min_width=300):
                size = gr.Radio(choices, value=start[2], label="Pixels left (height x width)")
                result = gr.HTML(answer(demonstrate, *start))

        def take_upload(picture):
            return picture and picture["path"], FIND

        def take_sample(index):
            path = str(SAMPLES[index])
            return path, path, WHOLE

        # A file that is no picture is told of in the answer, not by Gradio's preprocessing. Of ten
        # clicks in a second, the last counts.
        how = {"preprocess": False, "api_visibility": "private", "trigger_mode": "always_last"}
        answers = {
            "fn": functools.partial(answer, demonstrate),
            "inputs": [kept, framing, size],
            "outputs": result,
            "concurrency_id": "network",  # one at a time
            **how,
        }
        quick = {**how, "show_progress": "hidden"}
        taken = [
            picture.upload(take_upload, picture, [kept, framing], **quick),
            picture.clear(lambda: None, None, kept, **quick),
            samples.click(take_sample, samples, [kept, picture, framing], **quick),
        ]
        for listen in (framing.input, size.input, *(event.then for event in taken)):
            listen(**answers)
    return page


# --- The server --------------------------------------------------------------------------------


class OnlyFromHere:
    """Tells the browser with every answer to load nothing from elsewhere (ASGI middleware)."""

    def __init__(self, app):
        """Wrap an ASGI application."""
        self._app = app

    async def __call__(self, scope, receive, send):
        """Answer a request."""

        async def send_with_policy(message):
            if message["type"] == "http.response.start":
                policy = b"content-security-policy", POLICY.encode()
                message = {**message, "headers": [*message["headers"], policy]}
            await send(message)

        await self._app(scope, receive, send_with_policy)


@contextlib.contextmanager
def serve(demonstrate, sizes, port):
    """Serve the page while the context lasts; yields its address.

    Args:
        demonstrate: `Demonstration`.
        sizes: see `build_page`.
        port: number, or None for the first of `PORTS` that is free.

    Raises:
        Mistake: the port is taken.
    """
    with tempfile.TemporaryDirectory(prefix="ipu_net_demo_") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder  # read when gradio is imported
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
        # It asks its own server whether it is there.
        os.environ["NO_PROXY"] = os.environ["no_proxy"] = HOST
        import gradio as gr
        from starlette.middleware import Middleware

        page = build_page(gr, demonstrate, sizes)
        system_fonts = {"font": ["system-ui", "sans-serif"], "font_mono": ["monospace"]}
        for number in PORTS if port is None else [port]:
            try:
                _, address, _ = page.launch(
                    server_name=HOST,
                    server_port=number,
                    share=False,
                    quiet=True,
                    inbrowser=False,
                    prevent_thread_lock=True,
                    ssr_mode=False,
                    run_history=False,
                    footer_links=[],
                    app_kwargs={"middleware": [Middleware(OnlyFromHere)]},
                    theme=gr.themes.Default(**system_fonts),
                    css=CSS,
                )
                break
            except OSError:
                continue
        else:
            taken = f"port {port} is" if port else f"the ports {PORTS[0]} to {PORTS[-1]} are"
            raise Mistake(f"{taken} taken or not allowed: name another --port")
        try:
            yield address
        finally:
            page.close(verbose=False)


def parse(arguments):
    """Return the parsed command line; prints usage and exits with 2 if it makes no sense."""
    parser = argparse.ArgumentParser(
        description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_model_option(parser)
    parser.add_argument(
        "-p",
        "--port",
        type=int,
        choices=range(1, 1 << 16),
        metavar="PORT",
        help=f"where the page answers (default: the first free one from {PORTS[0]})",
    )
    options = parser.parse_args(arguments)
    if importlib.util.find_spec("gradio") is None:
        parser.error("the page needs packages: pip install -r requirements-demo.txt")
    try:
        options.model = expanded(Path(options.model)) if options.model else newest_network()
    except Mistake as error:
        parser.error(str(error))
    return options


def main(arguments=None):
    """Serve the page until Ctrl-C.

    Args:
        arguments: list of strings; None for those of the process.

    Raises:
        SystemExit: with 2, after the usage, if the arguments make no sense.
        Mistake: the command cannot work as it was given.
    """
    options = parse(arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    # Pillow refuses pictures that could fill the memory; those half as large only annoy.
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    _, device = use_hardware("float32")
    super_resolve = SuperResolver.of(options.model)
    facenet = tf.function(FaceNet(), reduce_retracing=True)
    demonstrate = Demonstration(super_resolve, facenet, FaceDetector())
    print(f"Network  {shown_network(options.model)}\nDevice   {device}", flush=True)
    sizes = sizes_of(options.model, super_resolve.size)
    with serve(demonstrate, sizes, options.port) as address:
        print(f"Page     {address} (Ctrl-C ends it)", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    tell(main, code=2)
