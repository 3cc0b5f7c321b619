"""Cut the faces out of a folder of photographs: edit the constants, then run `python prepare.py`.

OUTPUT_DIR becomes a copy of the folder tree of SOURCE_DIR that holds square RGB crops, with
`manifest.csv`, which says of every picture where its face was or why it was left out, and
`summary.txt`. Nothing is written into SOURCE_DIR. A run that was interrupted goes on where it
stopped when it is started again, and leaves what an uninterrupted one leaves.
"""

import functools
import os
import sys
from pathlib import Path

from joblib import cpu_count

from console.progress import progress
from errors import (
    PATH,
    PATHS,
    SWITCH,
    Mistake,
    check_constants,
    integer,
    number,
    one_of,
    refuse_arguments,
    require,
    tell,
)
from files import check_apart, locked
from imaging.detection import import_mtcnn
from imaging.lists import find_faces, passed_over_note
from preparation.crops import Picture, Settings, do_all, do_part
from preparation.manifest import DETECTORS, PART, Manifest
from preparation.vggface2 import Tables, check_people_apart, read_excluded

# --- Paths ---
SOURCE_DIR = "VGGFace2"  # one folder per identity, at any depth; it is only read
OUTPUT_DIR = "VGGFace2_crops"  # the same tree of crops

# --- Faces ---
FACES = "vggface2"  # boxes of its tables; "detect": found by MTCNN; "cropped": only resized
MARGIN = 0.3  # the square is longer than the longer side of the box by this fraction of it
ALIGN = False  # turn and move each face so that eyes, nose and mouth come to lie at one place
SMALLEST_FACE = 20  # pixels, longer side of the box; smaller faces are left out
EXCLUDE = ()  # text files of identities to leave out, one a line, such as ("lfw_people.txt",)

# --- Output ---
SIZE = 160  # pixels, height and width of a crop
JPEG_QUALITY = 95  # 1 to 100
PROCESSES = cpu_count()


RULES = {
    "SOURCE_DIR": PATH,
    "OUTPUT_DIR": PATH,
    "FACES": one_of(*DETECTORS),
    "MARGIN": number(0, 10),
    "ALIGN": SWITCH,
    "SMALLEST_FACE": integer(12),
    "EXCLUDE": PATHS,
    "SIZE": integer(1, 4096),
    "JPEG_QUALITY": integer(1, 100),
    "PROCESSES": integer(1),
}


def choose_pictures(source, exclude):
    """Return the names of the pictures below a folder whose identities are not excluded.

    Args:
        source: `Path` of the folder.
        exclude: text files, see `read_excluded`.

    Returns:
        Sorted list of paths relative to the folder, as strings with "/" between their parts.

    Raises:
        Mistake: nothing is left, or the files exclude nobody.
    """
    faces = find_faces(source)
    listed = [os.fsdecode(name) for name in faces.names()]
    excluded = read_excluded(exclude, source)
    names = [name for name in listed if Path(name).parent.name not in excluded]
    if not names:
        raise Mistake(f"EXCLUDE leaves none of the {len(listed)} pictures")
    if exclude and len(names) == len(listed):
        raise Mistake(
            f"the files of EXCLUDE name none of the identities in {source}: they list folders, or "
            "people of VGGFace2's meta/identity_meta.csv, which must lie there"
        )
    if len(names) < len(listed):
        print(f"{len(listed) - len(names)} pictures of excluded identities are left out")
    if note := passed_over_note(faces):
        print(note)
    return names


def main():
    """Make the crops that the constants ask for, or those that are still missing.

    Raises:
        Mistake, OSError: one line that names the constant or path to change; what is done stays
            done.
    """
    constants = check_constants(globals(), RULES)
    require(not ALIGN or FACES != "cropped", "ALIGN", 'False if FACES is "cropped"', ALIGN)
    settings = Settings(FACES, MARGIN, ALIGN, SMALLEST_FACE, SIZE, JPEG_QUALITY)
    source, output = Path(constants["SOURCE_DIR"]), Path(constants["OUTPUT_DIR"])
    check_apart("OUTPUT_DIR", output, "SOURCE_DIR", source)
    names = choose_pictures(source, constants["EXCLUDE"])
    picture_of = Picture
    if FACES == "vggface2":
        check_people_apart(names)
        picture_of = Tables(source).look_up
    elif FACES == "detect":
        import_mtcnn()  # fails here rather than in every process
    with locked(output):
        manifest = Manifest(output, names, settings)
        parts = (
            [picture_of(name) for name in names[start : start + PART]]
            for start in range(manifest.done, len(names), PART)
        )
        work = functools.partial(do_part, source=source, output=output, settings=settings)
        try:
            with progress(len(names), "picture", manifest.done) as bar:
                for count in do_all(parts, PROCESSES, manifest, work):
                    bar.update(count)
        except KeyboardInterrupt:
            print("prepare.py: stopped; the same command goes on", file=sys.stderr)
            raise
        print(manifest.finish(), end="")


if __name__ == "__main__":
    refuse_arguments()
    tell(main, hint="; once that is mended, the same command goes on")
