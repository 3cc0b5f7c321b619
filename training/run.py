"""A training's output folder: what is validated, drawn, logged and saved, and how it goes on."""

import contextlib
import json
import time
from pathlib import Path

from errors import Mistake
from files import UNFINISHED, locked, make_writable, remove, whole
from imaging.lists import nested_note, passed_over_note
from trained_networks import (
    BEST,
    CONFIG,
    FILE_NAME,
    save_network,
    super_resolution,
    write_config,
    write_people,
)
from training.batch_norm import NormStatistics
from training.checkpoints import Saving, list_checkpoints, load_newest_checkpoint
from training.constants import MEASURING, RESUMABLE
from training.curves import save_curves
from training.history import StepLog, append_rows, cut_after, set_aside
from training.signals import Stopped
from training.start import compared_starts
from training.validation import quality_table

REPORT = "report.md"


@contextlib.contextmanager
def claimed(folder, devices):
    """Keep an output folder for this training alone, from before anything that takes long.

    What a killed training left half written there is removed.

    Args:
        folder: `OUTPUT_DIR`, which is created.
        devices: `Devices`; only the chief writes.

    Raises:
        Mistake: the folder cannot be written to, or another training has it.
    """
    with contextlib.ExitStack() as stack:
        if devices.is_chief:
            make_writable(folder)
            stack.enter_context(locked(Path(folder)))
            for place in (Path(folder), Path(folder, "checkpoints")):
                for leftover in place.glob(f"{UNFINISHED}*"):
                    remove(leftover)
        yield


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
        devices,
        unet,
        optimizer,
        degradation,
        schedule,
        validation,
        recipe,
        training_faces,
    ):
        """Start at step 0 in a folder, which is created.

        Args:
            folder: output folder.
            devices: `Devices`; only the chief validates, draws and writes.
            unet: `keras.Model` to train.
            optimizer: built optimizer of `unet`.
            degradation: `Degradation` of the sizes that are measured and drawn.
            schedule: `Schedule`.
            validation: `Validation`.
            recipe: see `training.constants.recipe_of`.
            training_faces: `TrainingFaces`, whose `unreadable` files are named.

        Raises:
            Mistake: the folder cannot be written to.
        """
        self.folder = Path(folder)
        self.step = 0
        self.schedule = schedule
        self._norms = NormStatistics(unet)
        self._updates = 0  # steps since the weights' start, which `step` is unless renumbered
        self._devices = devices
        self._is_chief = devices.is_chief
        self._unet = unet
        self._optimizer = optimizer
        self._validation = validation
        self._recipe = json.loads(json.dumps(recipe))
        self._faces = training_faces
        self._validated_step = self._drawn_step = self._saved_step = 0
        self._saved_at = time.monotonic()
        self._saving = Saving(self.folder / "checkpoints")
        self._best_loss = float("inf")
        if self._is_chief:
            for name in ("checkpoints", "samples", "logs"):
                make_writable(self.folder / name)
        self.log = StepLog(
            self.folder if self._is_chief else None, schedule.log_steps, devices.fetch
        )
        self.super_resolve = super_resolution(unet, degradation.correct)

    @property
    def epoch(self):
        """The epoch of the last step, counted from 1."""
        return max(0, self.step - 1) // self.schedule.steps_per_epoch + 1

    @property
    def _best_of(self):
        """What the best loss was measured on, and how: only then two can be compared."""
        return [self._validation.fingerprint, *(self._recipe[name] for name in MEASURING)]

    @property
    def _variables(self):
        """All that training changes: weights, batch statistics, dropout seeds, Adam's slots."""
        return [*self._unet.variables, *self._optimizer.variables]

    # --- Beginning and going on ---

    def restore(self, allow_changes=False):
        """Go back to the newest whole checkpoint, if there is one.

        Args:
            allow_changes: whether a checkpoint with another recipe is continued.

        Raises:
            Mistake: see `load_newest_checkpoint`; or the checkpoint belongs to a training with
                other constants; or with these, nothing is left to do.
        """
        checkpoint = load_newest_checkpoint(self.folder / "checkpoints")
        if checkpoint is not None:
            self._continue(checkpoint, allow_changes)
        if self._is_chief:
            cut_after(self.folder / "history.csv", self.step)
            cut_after(self.folder / "validation.csv", self._validated_step)

    def _continue(self, checkpoint, allow_changes):
        record = checkpoint.record
        before, self._recipe = compared_starts(record["recipe"], self._recipe)
        changes = [
            f"{name} was {before.get(name)!r} and is now {self._recipe.get(name)!r}"
            # Earlier versions compared some of what may differ.
            for name in sorted((before.keys() | self._recipe.keys()) - RESUMABLE.keys())
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
        per_epoch = record.get("steps_per_epoch", self.schedule.steps_per_epoch)
        # What counts is how much was seen of the faces; a step may mean another number of them now.
        scale = self.schedule.steps_per_epoch / per_epoch
        self.step = round(record["step"] * scale)
        self._validated_step = round(record["validated_step"] * scale)
        self._drawn_step = round(record.get("drawn_step", record["step"]) * scale)
        if changes and self.step >= self.schedule.total_steps:
            raise Mistake(
                f"the training in {self.folder} has done {record['step'] / per_epoch:g} epochs, so "
                f"with EPOCHS = {self.schedule.epochs} nothing is left to do: raise EPOCHS, or "
                "begin anew from its network with START_WEIGHTS and another OUTPUT_DIR"
            )
        checkpoint.assign(self._variables)
        self._norms.first = record.get("norms_first", self._norms.first)
        self._updates = record.get("updates", record["step"])
        if record.get("best_of") == self._best_of:
            self._best_loss = record["best_loss"]  # else it cannot be compared
        self._saved_step = self.step
        if scale != 1:
            self._renumber(record["step"])

    def _renumber(self, step):
        """Give what was step `step` its new number; what was written before moves aside."""
        print(f"Step {step} of before is step {self.step} now: an epoch has other steps")
        optimizer = getattr(self._optimizer, "inner_optimizer", self._optimizer)
        optimizer.iterations.assign(self.step)
        if self._is_chief:
            for name in ("history.csv", "validation.csv"):
                set_aside(self.folder / name)
            self.save(keep=1)
            self._saving.wait()

    def _set_results_aside(self):
        """Rename what an earlier end left: by its name it would be this training's network."""
        for name in (FILE_NAME, REPORT):
            if aside := set_aside(self.folder / name):
                print(f"{name} of before is {aside.name} now")

    def begin(self, constants, device, facenet, training_list, held_out_list):
        """Check that all workers are about to do the same; write and print what makes the run.

        Args:
            constants: {name: value} of `train.py`.
            device: a line about the hardware.
            facenet: a line about the FaceNet of the loss.
            training_list: `FaceList`.
            held_out_list: `FaceList`.

        Raises:
            Mistake: another worker has other constants, faces or another step.
        """
        self._devices.check_alike({"step": self.step, **self._recipe})
        if self._is_chief:
            write_config(self.folder / CONFIG, constants, self._recipe, device)
            start, goes_on = constants["START_WEIGHTS"], self._updates > 0
            write_people(self.folder, training_list, start, goes_on)
            if self.step < self.schedule.total_steps:
                self._set_results_aside()
        for note in (passed_over_note(training_list), nested_note(training_list)):
            if note:
                print(note)
        parameters, precision = self._unet.count_params(), self._recipe["precision"]
        print(
            f"U-Net    {parameters:,} parameters, computing in {precision}\n"
            f"FaceNet  {facenet}\n"
            f"Device   {device}\n"
            f"Faces    {len(training_list)} to train, {len(held_out_list)} of others held out\n"
            f"Output   {self.folder}, from step {self.step} to step {self.schedule.total_steps}",
            flush=True,
        )

    def save(self, keep=None):
        """Begin to write a checkpoint, see `Saving`, and write the list of unreadable files.

        Args:
            keep: number of newest checkpoints to keep; None for what the schedule says.
        """
        if not self._is_chief:
            return
        self.flush()
        record = {
            "step": self.step,
            "updates": self._updates,
            "norms_first": self._norms.first,
            "validated_step": self._validated_step,
            "drawn_step": self._drawn_step,
            "steps_per_epoch": self.schedule.steps_per_epoch,
            "best_loss": self._best_loss,
            "best_of": self._best_of,
            "recipe": self._recipe,
        }
        keep = keep or self.schedule.keep_checkpoints
        self._saving.save(self.step, self._variables, record, keep)
        self._saved_step, self._saved_at = self.step, time.monotonic()
        self._faces.unreadable.write(self.folder / "unreadable.txt")

    @contextlib.contextmanager
    def saved_if_stopped(self):
        """Save where a signal stopped the training; the same command goes on from there.

        Whatever ends the training, what is being written is whole afterwards.
        """
        try:
            yield
        except Stopped:
            self.save()
            self._saving.wait()
            print(f"Stopped after step {self.step}; the same command goes on from there.")
            raise
        finally:
            self._saving.wait()

    # --- What is done between steps ---

    def count_step(self, values):
        """Count a step whose losses are {name: scalar tensor}.

        Raises:
            Mistake: see `flush`.
        """
        self.step += 1
        self._updates += 1
        if self.log.add(self.step, self.schedule.batch_size, values):
            self.flush()

    def flush(self):
        """Write the losses that wait.

        Raises:
            Mistake: one of them is NaN or infinite; the message names the step.
        """
        try:
            self.log.flush()
        except Mistake as mistake:
            self._saving.wait()
            saved = list_checkpoints(self.folder / "checkpoints")
            way_out = (
                f"{saved[-1]} is from before. Lower LEARNING_RATE and set CONTINUE_WITH_CHANGES = "
                "True to go on from there"
                if saved
                else "there is no checkpoint from before. Lower LEARNING_RATE and start again"
            )
            raise Mistake(f"{mistake}, so the training stopped; {way_out}") from None

    def catch_up(self, watch):
        """Validate, draw and save what is due at this step and was not done yet.

        Args:
            watch: wraps the iterable of results, size by size; it may raise to stop in between.
        """
        if not self._is_chief:
            return
        ends_epoch = self.step % self.schedule.steps_per_epoch == 0
        must_validate = ends_epoch and self.step > self._validated_step
        is_due = time.monotonic() - self._saved_at >= 60 * self.schedule.save_minutes
        must_save = (ends_epoch or is_due) and self.step > self._saved_step
        is_sample = ends_epoch or self.step % self.schedule.sample_steps == 0
        must_draw = is_sample and self.step > self._drawn_step
        if not (must_validate or must_draw or must_save):
            return
        self.flush()
        with self._norms.settled(self._updates):
            if must_validate:
                self.validate(watch)
            if must_draw:
                self.draw()
        if must_save:
            self.save()
        self.log.restart_clock()

    def validate(self, watch):
        """Measure the held-out faces, log them, and keep the network if it is the best so far.

        Args:
            watch: see `catch_up`.
        """
        rows, loss = self._validation.measure(self.super_resolve, watch)
        append_rows(self.folder / "validation.csv", [{"step": self.step, **row} for row in rows])
        self.log.scalars(self.step, {"validation/total": loss})
        for row in rows:
            for name in ("psnr", "ssim", "similarity", "rank1"):
                tag = f"{name}/{row['low_resolution']}"
                self.log.scalars(self.step, {tag: row[f"sr_{name}"]})
        self.log.show()
        if loss < self._best_loss:
            self._best_loss = loss
            save_network(self._unet, self.folder / BEST)
        self._validated_step = self.step

    def draw(self):
        """Write the sample sheet of this step and the curves so far."""
        title = f"IPU-Net, held-out faces, step {self.step}"
        sheet = self._validation.draw(self.super_resolve, title)
        sheet.save(self.folder / "samples" / f"step_{self.step:08d}.png")
        save_curves(self.folder)
        self._drawn_step = self.step

    def report(self, held_out, watch):
        """Save the trained network, and measure it at every low resolution.

        Args:
            held_out: `HeldOut` faces.
            watch: see `catch_up`.
        """
        with self._norms.settled(self._updates):
            save_network(self._unet, self.folder / FILE_NAME)
            quality = dict(watch(held_out.measure(self.super_resolve)))
        table = quality_table(held_out, quality)
        with whole(self.folder / REPORT) as unfinished:
            unfinished.write_text(table + "\n")
        print(f"\n{table}\n")
        if count := self._faces.unreadable.write(self.folder / "unreadable.txt"):
            print(f"{count} unreadable files, named in {self.folder / 'unreadable.txt'}")
