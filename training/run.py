"""A training's output folder: what is validated, drawn, logged and saved, and how it goes on."""

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
from trained_networks import CONFIG, save_network, write_config
from training.checkpoints import load_newest_checkpoint, save_checkpoint
from training.curves import save_curves
from training.history import StepLog, append_rows, cut_after
from training.validation import mean_loss, quality_rows, quality_table


@dataclasses.dataclass(frozen=True)
class Schedule:
    """When a training does what, in steps.

    Attributes:
        epochs: passes over the training faces.
        steps_per_epoch: between validations.
        batch_size: faces per step, of all devices together.
        save_steps: between checkpoints and sample sheets inside an epoch.
        keep_checkpoints: number of newest checkpoints to keep.
        log_steps: losses of so many steps are fetched and written at once.
    """

    epochs: int
    steps_per_epoch: int
    batch_size: int
    save_steps: int
    keep_checkpoints: int
    log_steps: int

    @property
    def total_steps(self):
        """Steps of the whole training."""
        return self.epochs * self.steps_per_epoch


class Run:
    """A training and its output folder.

    Attributes:
        folder: `Path` of the output folder.
        step: training steps done.
        schedule: `Schedule`.
        log: `StepLog`.
    """

    def __init__(
        self,
        folder,
        unet,
        optimizer,
        schedule,
        held_out,
        loss_weights,
        samples,
        recipe,
        unreadable,
        devices,
    ):
        """Start at step 0 in a folder, which is created.

        Args:
            folder: output folder.
            unet: `keras.Model` to train.
            optimizer: built optimizer of `unet`.
            schedule: `Schedule`.
            held_out: `HeldOut` faces to validate on.
            loss_weights: those of `losses.total_loss`, to tell which epoch is best.
            samples: (number of held-out faces, (height, width) pairs) on a sample sheet.
            recipe: see `training.constants.recipe_of`.
            unreadable: `Unreadable`, growing as files turn out to be damaged.
            devices: `Devices`; only the chief validates, draws and writes.

        Raises:
            Mistake: the folder cannot be written to.
        """
        self.folder = Path(folder)
        self.step = 0
        self.schedule = schedule
        self._unet = unet
        self._optimizer = optimizer
        self._held_out = held_out
        self._loss_weights = loss_weights
        self._samples = samples
        self._recipe = json.loads(json.dumps(recipe))
        self._unreadable = unreadable
        self._devices = devices
        self._is_chief = devices.is_chief
        self._validated_step = 0
        self._saved_step = 0
        self._best_loss = float("inf")
        if self._is_chief:
            for name in ("checkpoints", "samples", "logs"):
                make_writable(self.folder / name)
        self.log = StepLog(
            self.folder if self._is_chief else None, schedule.log_steps, devices.fetch
        )
        self.super_resolve = tf.function(lambda faces: unet(faces, training=False))

    @property
    def epoch(self):
        """The epoch of the last step, counted from 1."""
        return max(0, self.step - 1) // self.schedule.steps_per_epoch + 1

    # --- Going on ---

    def restore(self, allow_changes=False):
        """Go back to the newest whole checkpoint, if there is one.

        Args:
            allow_changes: whether a checkpoint with another recipe is continued.

        Raises:
            Mistake: see `load_newest_checkpoint`; or the checkpoint belongs to a training with
                other constants.
        """
        checkpoint = load_newest_checkpoint(self.folder / "checkpoints")
        if checkpoint is not None:
            before = checkpoint.record["recipe"]
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
            checkpoint.assign(self._variables)
            self.step = self._saved_step = checkpoint.record["step"]
            self._validated_step = checkpoint.record["validated_step"]
            if not changes and checkpoint.record["held_out"] == self._held_out.fingerprint:
                self._best_loss = checkpoint.record["best_loss"]  # else it cannot be compared
        if self._is_chief:
            cut_after(self.folder / "history.csv", self.step)
            cut_after(self.folder / "validation.csv", self._validated_step)

    def begin(self, constants, device, facenet, faces):
        """Check that all workers are about to do the same; write and print what makes the run.

        Args:
            constants: {name: value} of `train.py`.
            device: a line about the hardware.
            facenet: a line about the FaceNet of the loss.
            faces: a line about the faces.

        Raises:
            Mistake: another worker has other constants, faces or another step.
        """
        self._devices.check_alike({"step": self.step, **self._recipe})
        if self._is_chief:
            write_config(self.folder / CONFIG, constants, self._recipe, device)
        parameters, precision = self._unet.count_params(), self._recipe["precision"]
        print(
            f"U-Net    {parameters:,} parameters, computing in {precision}\n"
            f"FaceNet  {facenet}\n"
            f"Device   {device}\n"
            f"Faces    {faces}\n"
            f"Output   {self.folder}, from step {self.step} to step {self.schedule.total_steps}",
            flush=True,
        )

    def save(self):
        """Write a checkpoint, see `save_checkpoint`, and the list of unreadable files."""
        if not self._is_chief:
            return
        self.log.flush()
        record = {
            "step": self.step,
            "validated_step": self._validated_step,
            "best_loss": self._best_loss,
            "held_out": self._held_out.fingerprint,
            "recipe": self._recipe,
        }
        save_checkpoint(
            self.folder / "checkpoints",
            self.step,
            self._variables,
            record,
            self.schedule.keep_checkpoints,
        )
        self._saved_step = self.step
        self._unreadable.write(self.folder / "unreadable.txt")

    @property
    def _variables(self):
        """All that training changes: weights, batch statistics, dropout seeds, Adam's slots."""
        return [*self._unet.variables, *self._optimizer.variables]

    # --- What is done between steps ---

    def count_step(self, values):
        """Count a step whose losses are {name: scalar tensor}.

        Raises:
            Mistake: the loss became NaN or infinite at this step or one of the last.
        """
        self.step += 1
        self.log.add(self.step, self.schedule.batch_size, values)

    def catch_up(self, watch):
        """Validate, draw and save what is due at this step and was not done yet.

        Args:
            watch: wraps the iterable of low resolutions; it may raise to stop in between.
        """
        if not self._is_chief:
            return
        ends_epoch = self.step % self.schedule.steps_per_epoch == 0
        if ends_epoch and self.step > self._validated_step:
            self.log.flush()
            self.validate(watch)
        elif self.step % self.schedule.save_steps or self.step <= self._saved_step:
            return
        self.log.flush()
        self.draw()
        self.save()
        self.log.flush()

    def validate(self, watch):
        """Measure the held-out faces, log them, and keep the network if it is the best so far.

        Args:
            watch: see `catch_up`.
        """
        quality = self._held_out.measure(self.super_resolve, watch)
        rows = quality_rows(self._held_out.bicubic, quality)
        loss = mean_loss(quality, **self._loss_weights)
        append_rows(self.folder / "validation.csv", [{"step": self.step, **row} for row in rows])
        self.log.scalars(self.step, {"validation/total": loss})
        for row in rows:
            for name in ("psnr", "ssim", "similarity", "rank1"):
                tag = f"{name}/{row['low_resolution']}"
                self.log.scalars(self.step, {tag: row[f"sr_{name}"]})
        self.log.show()
        if loss < self._best_loss:
            self._best_loss = loss
            save_network(self._unet, self.folder / "checkpoints" / "best.keras")
        self._validated_step = self.step

    def draw(self):
        """Write the sample sheet of this step and the curves so far."""
        hr_faces, (count, low_resolutions) = self._held_out.hr_faces, self._samples
        chosen = np.linspace(0, len(hr_faces) - 1, min(count, len(hr_faces))).astype(int)
        columns = []
        for size in low_resolutions:
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

    def report(self, held_out, count, watch):
        """Save the trained network, and measure it at every low resolution.

        Args:
            held_out: `HeldOutFaces`.
            count: number of faces to measure.
            watch: see `catch_up`.
        """
        if not self._is_chief:
            return
        held_out = held_out.take(count)
        save_network(self._unet, self.folder / "model.keras")
        quality = held_out.measure(self.super_resolve, watch)
        table = quality_table(held_out, quality)
        (self.folder / "report.md").write_text(table + "\n")
        print(f"\n{table}\n")
        if count := self._unreadable.write(self.folder / "unreadable.txt"):
            print(f"{count} unreadable files, named in {self.folder / 'unreadable.txt'}")
