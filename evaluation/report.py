"""What `evaluate.py` writes: the problems met and the tables, as CSV and as Markdown."""

import csv

from evaluation.groups import GROUP_HEIGHT
from files import whole

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
    ("EER (%)", "eer", 1),
)


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
        parts += [f"## {name}", "Identification, and similarity to the HR face", "Verification"]
        parts.insert(-1, _table(own, IDENTITY))
        for protocol, meaning in (
            ("HR-LR", "an HR face against a low-resolution one"),
            ("LR-LR", "two faces of the same low resolution"),
        ):
            columns = [(heading, f"{protocol} {key}", n) for heading, key, n in VERIFICATION]
            parts += [f"{protocol}: {meaning}", _table(own, columns, f"{protocol} accuracy_std")]
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


def _table(rows, columns, std=None, with_hr=True):
    """Return a table with bicubic -> SR in each cell; `std` belongs to the first column."""
    lines = ["| low resolution | " + " | ".join(heading for heading, _, _ in columns) + " |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    by_method = {(row["low_resolution"], row["method"]): row for row in rows}

    def cell(row, key, digits):
        text = f"{row[key]:.{digits}f}"
        return f"{text} ± {row[std]:.1f}" if std and key == columns[0][1] else text

    for size in dict.fromkeys(row["low_resolution"] for row in rows if row["method"] != "HR"):
        bicubic, sr = by_method[size, "bicubic"], by_method[size, "SR"]
        cells = (f"{cell(bicubic, key, n)} -> {cell(sr, key, n)}" for _, key, n in columns)
        lines.append(f"| {size} | " + " | ".join(cells) + " |")
    if with_hr:
        cells = (cell(by_method["", "HR"], key, n) for _, key, n in columns)
        lines.append("| HR | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _group_table(rows):
    columns = (PICTURE[0], IDENTITY[0], IDENTITY[2])
    lines = ["| group | people | " + " | ".join(heading for heading, _, _ in columns) + " |"]
    lines.append("|---" * (len(columns) + 2) + "|")
    for row in rows:
        cells = (
            f"{row[f'bicubic {key}']:.{n}f} -> {row[f'SR {key}']:.{n}f}" for _, key, n in columns
        )
        lines.append(f"| {row['group']} | {row['people']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
