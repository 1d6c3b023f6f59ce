"""What the rows of a run come to: lines of Markdown, a summary, a picture of the ratios."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .idle import ENOUGH
from .workloads import PEERS, peer

BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
Row = Mapping[str, Any]


def line(*cells: str) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def of_case(row: Row, columns: Sequence[str]) -> str:
    """One side of a case."""
    times = f"{_digits(row['median'])} {row['unit']}", "–".join(map(_digits, row["quartiles"]))
    return line(row["workload"], row["who"], *times, *(_digits(row.get(c)) for c in columns))


def summary(rows: Sequence[Row]) -> str:
    """A line for each case with peers: beside the fastest of them, beside PyTorch as it comes."""
    heads = "workload", "scratchgen", "floor", "fastest peer", "its time", "ratio", "PyTorch eager"
    lines = [line(*heads, "ratio"), line(*["---"] * (len(heads) + 1))]
    for title, ours, floor, peers in _cases(rows):
        fastest = min(peers, key=lambda row: row["median"])
        eager = next((row for row in peers if row["who"] == "torch"), None)
        lines.append(
            line(
                title,
                _time(ours),
                _time(floor),
                fastest["who"],
                _time(fastest),
                _digits(fastest["scratchgen / this"]),
                _time(eager),
                _digits(eager["scratchgen / this"] if eager else None),
            )
        )
    return "\n".join(lines)


def remarks(rows: Sequence[Row]) -> str:
    """What a reader of these rows should know: what was too busy, what lies below its floor."""
    busy, below = (
        ", ".join(dict.fromkeys(row["workload"] for row in rows if wanted(row)))
        for wanted in (too_busy, lambda row: (row["this / floor"] or 1) < 1)
    )
    said = []
    if busy:
        said.append(
            f"The machine was too busy to measure {busy}: close other programs, and measure again."
        )
    if below:
        said.append(
            f"Times below their floor: {below}. A floor is what the sums of a case need at the "
            "least in NumPy, on all threads. A time lies below it where the same numbers come from "
            "fewer multiplications (3×3 convolutions by Winograd's method), where a library brings "
            "a faster BLAS of its own, or where one thread is faster than all."
        )
    return "\n\n".join(said)


def too_busy(row: Row) -> bool:
    """Whether other programs took too much of the cores just before, or just after."""
    return bool(row["cores left"] < ENOUGH)


def picture(rows: Sequence[Row], path: Path) -> None:
    """Time of scratchgen over that of each peer, a row for each case, on a logarithmic axis."""
    import matplotlib.pyplot as plt

    cases = [(title, peers) for title, _, _, peers in _cases(rows)]
    figure, ax = plt.subplots(figsize=(9, 1.4 + 0.36 * len(cases)), layout="constrained")
    for colour, (name, marker) in enumerate(zip(PEERS, "osD^vP", strict=True)):
        points = [
            (row["scratchgen / this"], k)
            for k, (_, peers) in enumerate(cases)
            for row in peers
            if peer(row["who"]) == name
        ]
        if points:
            ax.plot(*zip(*points, strict=True), marker, color=f"C{colour}", label=name, alpha=0.8)
    ax.axvline(1, color="black", linewidth=1)
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    marks = [mark for mark in (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5) if low < mark < high]
    ax.set_xticks(marks, [f"{mark:g}" for mark in marks])
    ax.set_xticks([], minor=True)
    ax.set_yticks(range(len(cases)), [title for title, _ in cases])
    ax.set_ylim(len(cases) - 0.5, -0.5)
    ax.grid(axis="both", alpha=0.3)
    ax.set_xlabel("time of scratchgen / time of the peer (left of 1: scratchgen is faster)")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def has_place(path: Path) -> bool:
    """Whether a file holds the marks between which the table belongs, once each."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return text.count(BEGIN) == text.count(END) == 1


def in_readme(rows: Sequence[Row], machine: Mapping[str, str], path: Path) -> None:
    """Put the summary between the marks in a file, of all but brief cases, and where it is from."""
    before, rest = path.read_text(encoding="utf-8").split(BEGIN)
    table = summary([row for row in rows if not row["brief"]])
    said = "; ".join(f"{name} {value}" for name, value in machine.items())
    path.write_text(
        f"{before}{BEGIN}\n{table}\n\n{said}.\n{END}{rest.split(END)[1]}", encoding="utf-8"
    )


def _cases(rows: Sequence[Row]) -> Iterator[tuple[str, Row, Row | None, list[Row]]]:
    """Title, our row, that of the floor, and those of the peers, where there are any."""
    for title in dict.fromkeys(row["workload"] for row in rows):
        of_case = [row for row in rows if row["workload"] == title]
        peers = [row for row in of_case if peer(row["who"]) in PEERS]
        ours = [row for row in of_case if row["who"] == "scratchgen"]
        floor = next((row for row in of_case if row["who"] == "floor"), None)
        if peers and ours:
            yield title, ours[0], floor, peers


def _time(row: Row | None) -> str:
    return "" if row is None else f"{_digits(row['median'])} {row['unit']}"


def _digits(value: float | None) -> str:
    """Three significant digits."""
    return "" if value is None else f"{value:.0f}" if value >= 100 else f"{value:#.3g}"
