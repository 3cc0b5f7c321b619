"""A training's output folder: checkpoints, logs, validation and pictures, and how it goes on."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from data import to_pixels
from errors import Mistake
from files import make_writable
from imaging.sheets import sample_sheet
from metrics import in_batches
from trained_networks import save_network
from training.checkpoints import load_newest_checkpoint, save_checkpoint
from training.curves import save_curves
from training.history import append_rows, cut_after
from training.validation import mean_loss, quality_rows, quality_table


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a run is told about its output.

    Attributes:
        loss_weights: (pixel weight, embedding weight), to tell which epoch is best.
        keep_checkpoints: number of newest checkpoints to keep.
        sample_faces: number of held-out faces on a sample sheet.
        sample_resolutions: (height, width) pairs in pixels on a sample sheet.
    """

    loss_weights: tuple
    keep_checkpoints: int
    sample_faces: int
    sample_resolutions: tuple


class Run:
    """A training and its output folder: what is saved, logged and drawn, and how it goes on.

    Attributes:
        folder: `Path` of the output folder.
        step: training steps done.
    """

    def __init__(
        self, folder, unet, optimizer, held_out, recipe, settings, unreadable, is_chief=True
    ):
        """Start at step 0 in a folder, which is created.

        Args:
            folder: output folder.
            unet: `keras.Model` to train.
            optimizer: built optimizer of `unet`.
            held_out: `HeldOut` faces to validate on.
            recipe: JSON-serialisable dict of all that shapes the training.
            settings: `Settings`.
            unreadable: {path: reason}, growing as files turn out to be damaged.
            is_chief: False for other processes of the same training: they restore and count steps,
                but validate, draw and write nothing.

        Raises:
            Mistake: the folder cannot be written to.
        """
        self.folder = Path(folder)
        self.step = 0
        self._unet = unet
        self._optimizer = optimizer
        self._held_out = held_out
        self._recipe = json.loads(json.dumps(recipe))
        self._settings = settings
        self._unreadable = unreadable
        self._validated_step = 0
        self._saved_step = 0
        self._best_loss = float("inf")
        self._is_chief = is_chief
        if is_chief:
            for name in ("checkpoints", "samples", "logs"):
                make_writable(self.folder / name)
            self._writer = tf.summary.create_file_writer(str(self.folder / "logs"))
        self.super_resolve = tf.function(lambda faces: unet(faces, training=False))

    @property
    def must_validate(self):
        """Whether the held-out faces were not measured at this step yet."""
        return self._is_chief and self.step > self._validated_step

    @property
    def must_save(self):
        """Whether this step has no checkpoint yet."""
        return self._is_chief and self.step > self._saved_step

    def restore(self, allow_changes=False):
        """Go back to the newest whole checkpoint, if there is one.

        Args:
            allow_changes: whether a checkpoint with another recipe is continued.

        Raises:
            Mistake: see `load_newest_checkpoint`.
            Mistake: the checkpoint belongs to a training with other constants.
        """

        def check(record):
            before = record["recipe"]
            changes = [
                f"{name} was {before.get(name)!r} and is now {self._recipe.get(name)!r}"
                for name in sorted(before.keys() | self._recipe.keys())
                if before.get(name) != self._recipe.get(name)
            ]
            if changes and not allow_changes:
                raise Mistake(
                    f"{self.folder} holds a training with other constants: {'; '.join(changes)}. "
                    "Restore them, set OUTPUT_DIR to another folder, or set "
                    "CONTINUE_WITH_CHANGES = True"
                )
            for change in changes:
                print(f"Since the checkpoint, {change}")

        record, messages = load_newest_checkpoint(
            self.folder / "checkpoints", self._variables, check
        )
        for message in messages:
            print(message)
        if record is not None:
            self.step = self._saved_step = record["step"]
            self._validated_step = record["validated_step"]
            if (
                record["recipe"] == self._recipe
                and record["held_out"] == self._held_out.fingerprint
            ):
                self._best_loss = record["best_loss"]  # else it cannot be compared
        if self._is_chief:
            cut_after(self.folder / "history.csv", self.step)
            cut_after(self.folder / "validation.csv", self._validated_step)

    def save(self):
        """Write a checkpoint, see `save_checkpoint`, and the list of unreadable files."""
        if not self._is_chief:
            return
        record = {
            "step": self.step,
            "validated_step": self._validated_step,
            "best_loss": self._best_loss,
            "held_out": self._held_out.fingerprint,
            "recipe": self._recipe,
        }
        folder = self.folder / "checkpoints"
        save_checkpoint(folder, self.step, self._variables, record, self._settings.keep_checkpoints)
        self._saved_step = self.step
        self._name_unreadable()

    def count_step(self, values):
        """Count a step and write its losses to `history.csv` and TensorBoard.

        Args:
            values: {name: float}.

        Raises:
            Mistake: a loss is NaN or infinite; the step is neither counted nor written.
        """
        if not np.isfinite(list(values.values())).all():
            raise Mistake(
                f"the loss became {values['total']} at step {self.step + 1}, so the training "
                f"stopped; the checkpoints in {self.folder / 'checkpoints'} are from before. "
                "Lower LEARNING_RATE and set CONTINUE_WITH_CHANGES = True to go on from there"
            )
        self.step += 1
        if not self._is_chief:
            return
        append_rows(self.folder / "history.csv", [{"step": self.step, **values}])
        with self._writer.as_default(self.step):
            for name, value in values.items():
                tf.summary.scalar(f"train/{name}", value)

    def validate(self, watch):
        """Measure the held-out faces, log them, and keep the network if it is the best so far.

        Args:
            watch: wraps the iterable of low resolutions; it may raise to stop in between.
        """
        quality = self._held_out.measure(self.super_resolve, watch)
        rows = quality_rows(self._held_out.bicubic, quality)
        loss = mean_loss(quality, *self._settings.loss_weights)
        append_rows(self.folder / "validation.csv", [{"step": self.step, **row} for row in rows])
        with self._writer.as_default(self.step):
            tf.summary.scalar("validation/total", loss)
            for row in rows:
                for name in ("psnr", "ssim", "similarity", "rank1"):
                    tf.summary.scalar(f"{name}/{row['low_resolution']}", row[f"sr_{name}"])
        self._writer.flush()
        if loss < self._best_loss:
            self._best_loss = loss
            save_network(self._unet, self.folder / "checkpoints" / "best.keras")
        self._validated_step = self.step

    def draw(self):
        """Write the sample sheet of this step and the curves so far."""
        hr_faces = self._held_out.hr_faces
        count = min(self._settings.sample_faces, len(hr_faces))
        chosen = np.linspace(0, len(hr_faces) - 1, count).astype(int)
        columns = []
        for size in self._settings.sample_resolutions:
            lr_faces = self._held_out.lr_faces(size)[chosen]
            sr_faces = in_batches(self.super_resolve, lr_faces)
            group = f"{size[0]}x{size[1]}"
            columns.append((group, "bicubic", to_pixels(lr_faces).numpy()))
            columns.append((group, "SR", to_pixels(sr_faces).numpy()))
        group = "x".join(map(str, hr_faces.shape[1:3]))
        columns.append((group, "HR", to_pixels(hr_faces[chosen]).numpy()))
        sheet = sample_sheet(columns, f"IPU-Net, held-out faces, step {self.step}")
        sheet.save(self.folder / "samples" / f"step_{self.step:08d}.png")
        save_curves(self.folder)

    def report(self, held_out, watch):
        """Save the trained network, and measure it at every low resolution.

        Args:
            held_out: `HeldOut` faces.
            watch: see `validate`.
        """
        save_network(self._unet, self.folder / "model.keras")
        quality = held_out.measure(self.super_resolve, watch)
        table = quality_table(held_out, quality)
        (self.folder / "report.md").write_text(table + "\n")
        print(f"\n{table}\n")
        if count := self._name_unreadable():
            print(f"{count} unreadable files, named in {self.folder / 'unreadable.txt'}")

    def _name_unreadable(self):
        """Add the files that could not be read to `unreadable.txt`; return how many it names."""
        path = self.folder / "unreadable.txt"
        style = {"encoding": "utf-8", "errors": "backslashreplace"}
        known = path.read_text(**style).splitlines() if path.exists() else []
        new = [" ".join(reason.split()) for reason in list(self._unreadable.values())]
        lines = list(dict.fromkeys(known + new))
        if lines:
            path.write_text("\n".join(lines) + "\n", **style)
        return len(lines)

    @property
    def _variables(self):
        """All that training changes: weights, batch statistics, dropout seeds, Adam's slots."""
        return [*self._unet.variables, *self._optimizer.variables]
