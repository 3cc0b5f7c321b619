"""What every picture becomes: no result may replace a source, another result or other work."""

import dataclasses
import re
from pathlib import Path

from errors import Mistake
from imaging.lists import find_faces, passed_over_note


@dataclasses.dataclass(frozen=True)
class Task:
    """A picture to do.

    Attributes:
        source: `Path` of the picture.
        name: what to call it on a sheet.
        result: `Path` of what it becomes.
    """

    source: Path
    name: str
    result: Path

    @property
    def faces(self):
        """`Path` of the folder for the faces of a photograph."""
        return self.result.with_name(self.result.stem.removesuffix("_sr") + "_faces")


def plan(paths, output, overwrite, detect=False):
    """Decide what every picture becomes, so that no result replaces a source or another result.

    Of a folder, pictures lie in `output` as in the folder. Where two would get the same name, the
    later one gets a number.

    Args:
        paths: files and folders as the user named them.
        output: `Path` of the folder for results; pictures inside it are not taken from folders.
        overwrite: whether results of an earlier run may be replaced.
        detect: whether every picture gets a folder for its faces as well.

    Returns:
        (tasks, problems): list of `Task` and of (path, why nothing will be done with it).
    """
    sources, problems = _find_sources(paths, output)
    distinct = {path.resolve(): (path, folder) for path, folder in reversed(sources.items())}
    inodes = {_inode(path) for path in distinct}
    # Folders of results are taken as well: faces of a photograph must not lie among them.
    folders = {output / folder for _, folder in distinct.values()}
    taken = {_key(path) for folder in folders for path in (folder, *folder.parents)}
    tasks = []
    for path, folder in reversed(distinct.values()):
        task = Task(path, str(folder / path.name), output / folder / f"{path.stem}_sr.png")
        number = 1
        while taken & {_key(place) for place in _places(task, detect)}:
            number += 1
            result = task.result.with_name(f"{path.stem}_{number}_sr.png")
            task = dataclasses.replace(task, result=result)
        taken |= {_key(place) for place in _places(task, detect)}
        if problem := _why_not(task, inodes, overwrite, detect):
            problems.append((path, f"{path}: {problem}"))
        else:
            tasks.append(task)
    return tasks, problems


def earlier_faces(folder):
    """Return the paths of the faces that an earlier run left in the folder of a photograph."""
    return [path for path in folder.glob("*.png") if re.fullmatch(r"\d+_sr\.png", path.name)]


def _find_sources(paths, output):
    """Return ({path of a picture: its folder below the one named}, problems), see `plan`."""
    sources, problems = {}, []
    inside = output.resolve()
    for path in map(Path, paths):
        try:
            if path.is_dir():
                found = find_faces(path)
                if note := passed_over_note(found):
                    print(note)
                found = [face for face in found if not face.resolve().is_relative_to(inside)]
                if not found:
                    raise Mistake(f"{path} holds no image but results in {output}")
                sources |= {face: face.relative_to(path).parent for face in found}
            elif path.is_file():
                sources[path] = Path()
            else:
                raise Mistake(f"{path}: there is no such file or folder")
        except OSError as error:
            problems.append((path, f"{path}: {error.strerror}"))
        except Mistake as error:
            problems.append((path, str(error)))
    return sources, problems


def _why_not(task, inodes, overwrite, detect):
    """Return why a task cannot be done, "" if it can; `inodes` are those of all sources."""
    try:
        existing = [place for place in _places(task, detect) if place.exists()]
        replaced = [place for place in existing if not place.is_dir()]
        replaced += earlier_faces(task.faces) if detect else []
        replaced = [place for place in replaced if _inode(place) in inodes]
    except OSError as error:
        return f"cannot write {task.result}: {error.strerror}"
    if replaced:
        return f"its result would replace the source {replaced[0]}"
    if existing and not overwrite:
        return f"{existing[0]} exists; --overwrite replaces it"
    return ""


def _places(task, detect):
    return (task.result, task.faces) if detect else (task.result,)


def _key(path):
    return str(path).casefold()  # some systems ignore case


def _inode(path):
    """Return what two names of one file have in common."""
    status = path.stat()
    return status.st_dev, status.st_ino
