"""What `evaluate.py` writes: the problems met and the tables, as CSV and as Markdown."""

import csv

from evaluation.curves import draw_pictures
from evaluation.groups import GROUP_HEIGHT
from evaluation.markdown import MEANINGS, VERIFICATION, cell, head, is_nan, legend, number
from evaluation.scores import SCORES
from evaluation.tables import (
    difference_rows,
    differences,
    flat_rows,
    rank_rows,
    score_columns,
    score_rows,
    table_rows,
)
from files import whole
from metrics import BICUBIC, SR

# heading, name of the number, digits after the point
PICTURE = (
    ("PSNR (dB)", "psnr", 2),
    ("SSIM", "ssim", 3),
    ("shift red", "shift_red", 1),
    ("green", "shift_green", 1),
    ("blue", "shift_blue", 1),
    ("BRISQUE (less is better)", "brisque", 1),
    ("LPIPS (less is better)", "lpips", 3),
)
IDENTITY = (
    ("similarity", "similarity", 3),
    ("5th percentile", "similarity_p5", 3),
    ("rank-1 (%)", "rank1", 1),
)
IDENTITY_TITLES = {"similarity": "Similarity to the HR face", "rank1": "Identification"}


class Problems(list):
    """Lines about what went wrong without ending the evaluation; each is printed when it comes."""

    def note(self, problem):
        """Print and keep a line."""
        print(f"Problem  {problem}")
        self.append(problem)


def write_results(folder, results, problems):
    """Write all tables and pictures.

    Args:
        folder: `Path`.
        results: `Results`.
        problems: `Problems`.

    Returns:
        The text of the tables.
    """
    rows = table_rows(results)
    changes = differences(rows, results.people)
    write_csv(folder / "results.csv", flat_rows(rows, results.people))
    write_csv(folder / "differences.csv", difference_rows(changes))
    write_csv(folder / "cmc.csv", rank_rows(results.outcomes))
    write_scores(folder / SCORES, results)
    text = tables_text(results.conditions, rows, changes, results.by_group, problems)
    with whole(folder / "results.md") as unfinished:
        unfinished.write_text(text, encoding="utf-8", errors="backslashreplace")
    draw_pictures(folder, results, rows, changes)
    return text


def write_csv(path, rows):
    """Write dicts as one CSV file; a column that a dict lacks stays empty, as does NaN."""
    columns = dict.fromkeys(name for row in rows for name in row)
    with whole(path) as unfinished, open(unfinished, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for row in rows:
            writer.writerow({name: "" if is_nan(value) else value for name, value in row.items()})


def write_scores(path, results):
    """Write the score of every pair, see `tables.score_rows`; without pairs, remove the file."""
    if results.pairs is None:
        path.unlink(missing_ok=True)
        return
    utf8 = {"encoding": "utf-8", "errors": "backslashreplace"}  # names may be no text
    with whole(path) as unfinished, open(unfinished, "w", newline="", **utf8) as file:
        writer = csv.writer(file)
        writer.writerow(score_columns(results))
        writer.writerows(score_rows(results))


def tables_text(conditions, rows, changes, by_group, problems):
    """Return the results as Markdown.

    Args:
        conditions: list of lines above the tables.
        rows: list of `Row`.
        changes: see `tables.differences`.
        by_group: see `groups.group_rows`; may be empty.
        problems: lines below the tables.
    """
    recognisers = list(dict.fromkeys(row.recogniser for row in rows))
    parts = ["\n".join(f"* {line}" for line in [*conditions, legend(BICUBIC, SR)])]
    of_first = [row for row in rows if row.recogniser == recognisers[0]]
    if pictures := _table(of_first, PICTURE, changes):
        parts += ["## Pictures, against HR", pictures]
    for recogniser in recognisers:
        own = [row for row in rows if row.recogniser == recogniser]
        known = set().union(*(row.numbers for row in own))
        titles = [title for name, title in IDENTITY_TITLES.items() if name in known]
        parts += [f"## {recogniser}", " and ".join(titles), _table(own, IDENTITY, changes)]
        for protocol, meaning in MEANINGS.items():
            columns = [(heading, f"{protocol} {name}", n) for heading, name, n in VERIFICATION]
            if table := _table(own, columns, changes):
                parts += [f"Verification, {protocol}: {meaning}", table]
    if by_group:
        parts += [
            "## Groups of people",
            f"{recognisers[-1]}; means over faces and the low resolutions of at most "
            f"{GROUP_HEIGHT} rows",
            _group_table(by_group),
        ]
    if problems:
        parts += ["## Problems", "\n".join(f"* {problem}" for problem in problems)]
    return "\n\n".join(parts) + "\n"


def _table(rows, columns, changes):
    """Return a table of one recogniser; "" if no row has a number of any column."""
    columns = [column for column in columns if any(column[1] in row.numbers for row in rows)]
    if not columns:
        return ""
    lines = head("low resolution", columns)
    by_key = {(row.size, row.method): row for row in rows}
    for size in dict.fromkeys(row.size for row in rows if row.method == SR):
        bicubic, sr = by_key[size, BICUBIC], by_key[size, SR]
        cells = []
        for _, name, digits in columns:
            both = [number(row.numbers, name, digits) for row in (bicubic, sr)]
            cells.append(
                cell(*both, *changes[sr.recogniser, size, name][1:], digits)
                if name in sr.drawn and not name.startswith("shift")
                else " ~ ".join(both)
            )
        lines.append(f"| {size} | {' | '.join(cells)} |")
    for row in rows:
        if row.method not in (BICUBIC, SR) and any(name in row.numbers for _, name, _ in columns):
            cells = [number(row.numbers, name, digits) for _, name, digits in columns]
            lines.append(f"| {row.method} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _group_table(rows):
    columns = [column for column in (*PICTURE, *IDENTITY) if f"{SR} {column[1]}" in rows[0]]
    lines = head("group | people", columns)
    for row in rows:
        cells = [
            cell(
                number(row, f"{BICUBIC} {name}", digits),
                number(row, f"{SR} {name}", digits),
                row[f"{name} low"],
                row[f"{name} high"],
                digits,
            )
            for _, name, digits in columns
        ]
        lines.append(f"| {row['group']} | {row['people']} | {' | '.join(cells)} |")
    return "\n".join(lines)
