"""What `evaluate.py` writes: the problems met and the tables, as CSV and as Markdown."""

import csv
import math

from evaluation.groups import GROUP_HEIGHT
from evaluation.measuring import HR_LR, LR_LR
from files import whole
from metrics import BICUBIC, HR, SR

# heading, key in a row, digits after the point
PICTURE = (
    ("PSNR (dB)", "psnr", 2),
    ("SSIM", "ssim", 3),
    ("shift red", "shift_red", 1),
    ("green", "shift_green", 1),
    ("blue", "shift_blue", 1),
)
IDENTITY = (
    ("similarity", "similarity", 3),
    ("5th percentile", "similarity_p5", 3),
    ("rank-1 (%)", "rank1", 1),
)
VERIFICATION = (
    ("accuracy (%)", "accuracy", 1),
    ("AUC (%)", "auc", 1),
    ("TAR at FAR 1 % (%)", "tar", 1),
    ("at FAR 0.1 % (%)", "tar_strict", 1),
    ("EER (%)", "eer", 1),
)
IDENTITY_TITLE = "Identification, and similarity to the HR face"
PROTOCOLS = {
    HR_LR: "an HR face against a low-resolution one",
    LR_LR: "two faces of the same low resolution",
}


class Problems(list):
    """Lines about what went wrong without ending the evaluation; each is printed when it comes."""

    def note(self, problem):
        """Print and keep a line."""
        print(f"Problem  {problem}")
        self.append(problem)


def write_csv(path, rows):
    """Write dicts as one CSV file; a column that a dict lacks stays empty."""
    columns = dict.fromkeys(name for row in rows for name in row)
    with whole(path) as unfinished, open(unfinished, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def write_tables(path, rows, by_group, conditions, problems):
    """Write the results as Markdown.

    Args:
        path: file to write.
        rows: see `measuring.table_rows`.
        by_group: see `groups.group_rows`; may be empty.
        conditions: a line above the tables.
        problems: lines below them.

    Returns:
        The text.
    """
    recognisers = list(dict.fromkeys(row["recogniser"] for row in rows))
    of_first = [row for row in rows if row["recogniser"] == recognisers[0]]
    parts = [conditions, "## Pictures, against HR", _table(of_first, PICTURE, with_hr=False)]
    for name in recognisers:
        own = [row for row in rows if row["recogniser"] == name]
        parts += [f"## {name}", IDENTITY_TITLE, _table(own, IDENTITY)]
        for protocol, meaning in PROTOCOLS.items():
            if f"{protocol} accuracy" in rows[0]:
                columns = [(heading, f"{protocol} {key}", n) for heading, key, n in VERIFICATION]
                parts += [f"Verification, {protocol}: {meaning}", _table(own, columns, protocol)]
    if by_group:
        parts += [
            "## Groups of people",
            f"{recognisers[-1]}; means over faces and the low resolutions of at most "
            f"{GROUP_HEIGHT} rows",
            _group_table(by_group),
        ]
    if problems:
        parts += ["## Problems", "\n".join(f"* {problem}" for problem in problems)]
    text = "\n\n".join(parts) + "\n"
    with whole(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8", errors="backslashreplace")
    return text


def _table(rows, columns, protocol=None, with_hr=True):
    """Return a table with bicubic -> SR in each cell; columns that no row has are left out."""
    columns = [column for column in columns if column[1] in rows[-1]]
    lines = ["| low resolution | " + " | ".join(heading for heading, _, _ in columns) + " |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    by_method = {(row["low_resolution"], row["method"]): row for row in rows}

    def cell(row, key, digits):
        text = _number(row, key, digits)
        if key == f"{protocol} accuracy":
            text += f" ± {row[f'{protocol} accuracy_std']:.1f}"
        return text

    for size in dict.fromkeys(row["low_resolution"] for row in rows if row["method"] != HR):
        bicubic, sr = by_method[size, BICUBIC], by_method[size, SR]
        cells = (f"{cell(bicubic, key, n)} -> {cell(sr, key, n)}" for _, key, n in columns)
        lines.append(f"| {size} | " + " | ".join(cells) + " |")
    if with_hr:
        cells = (cell(by_method["", HR], key, n) for _, key, n in columns)
        lines.append("| HR | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _number(row, key, digits):
    """Return a number of a row as text, or why there is none."""
    if math.isnan(row[key]):
        return "too few pairs" if "tar" in key.split()[-1] else "-"
    return f"{row[key]:.{digits}f}"


def _group_table(rows):
    columns = (PICTURE[0], IDENTITY[0], IDENTITY[2])
    columns = [column for column in columns if f"SR {column[1]}" in rows[0]]
    lines = ["| group | people | " + " | ".join(heading for heading, _, _ in columns) + " |"]
    lines.append("|---" * (len(columns) + 2) + "|")
    for row in rows:
        cells = (
            f"{_number(row, f'bicubic {key}', n)} -> {_number(row, f'SR {key}', n)}"
            for _, key, n in columns
        )
        lines.append(f"| {row['group']} | {row['people']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
