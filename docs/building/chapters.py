"""The chapters: a file of ``tutorials/`` in percent format is program, notebook and page."""

from __future__ import annotations

import re
from pathlib import Path

import jupytext
import nbformat

PARTS = {
    "Models that predict": [
        "generative_discriminative",
        "linear_models",
        "nuclear_masses",
    ],
    "Backpropagation": [
        "scalar_perceptron",
        "hidden_scalar_layer",
        "two_two_one",
        "backpropagation",
        "universal_approximation",
        "optimizers",
        "vanishing_gradient",
    ],
    "Energies and distances": [
        "boltzmann_machines",
        "gaussian_units",
        "energy_based_models",
        "divergences",
    ],
    "Latent variables": [
        "variational_autoencoder",
        "linear_vae",
        "hierarchical_vae",
    ],
    "Two players": [
        "generative_adversarial",
        "adversarial_game",
    ],
    "Diffusion": [
        "from_hierarchy_to_diffusion",
        "variational_diffusion",
        "denoising_diffusion",
        "scores",
        "conditions",
    ],
    "Your own work": [
        "checking_a_derivative",
        "my_layer",
        "gpu_and_machines",
        "data",
    ],
    "Beside the notes": [
        "errata",
        "coverage",
    ],
}
"""The chapters in the order in which they are read."""


def notebook(path: Path) -> nbformat.NotebookNode:
    """The notebook of a chapter: a solution is folded, and opens on a click."""
    made = jupytext.read(path, fmt="py:percent")
    made.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python", "pygments_lexer": "ipython3"},
    }
    for number, cell in enumerate(made.cells):
        cell.id = f"cell-{number}"  # the same in each build, so that what has not changed is kept
        if "solution" in cell.metadata.get("tags", []):
            cell.metadata["tags"].append("hide-cell")
            cell.metadata["jupyter"] = {"source_hidden": True}
            cell.metadata["mystnb"] = {
                "code_prompt_show": "Show the solution",
                "code_prompt_hide": "Hide the solution",
            }
    return made


def is_chapter(path: Path) -> bool:
    """Whether a file has cells."""
    return path.read_text(encoding="utf-8").startswith("# %%")


def write(tutorials: Path, docs: Path) -> None:
    """Write the pages of all chapters, and the page that lists them, into ``docs/chapters``."""
    folder = docs / "chapters"
    folder.mkdir(exist_ok=True)
    found = {path.stem: path for path in sorted(tutorials.glob("*.py")) if is_chapter(path)}
    listed = [name for names in PARTS.values() for name in names]
    if unlisted := set(found) - set(listed):
        raise ValueError(
            f"tutorials/ has chapters without a place in the order of docs/building/chapters.py: "
            f"{', '.join(sorted(unlisted))}"
        )
    for name, path in found.items():
        made = notebook(path)
        for cell in made.cells:
            if cell.cell_type == "markdown":
                cell.source = _links(cell.source, docs, set(found), set(listed) - set(found))
        keep(folder / f"{name}.ipynb", nbformat.writes(made) + "\n")
    notebooks = set(found)
    for path in sorted(tutorials.glob("*.md")):
        if path.stem in listed and path.stem not in found:
            found[path.stem] = path
            text = _links(path.read_text(encoding="utf-8"), docs, notebooks, set())
            keep(folder / path.name, text)
    for page in folder.iterdir():
        kept = f"{page.stem}.ipynb" if page.stem in notebooks else f"{page.stem}.md"
        if page.stem not in {*found, "index"} or page.name != kept:
            page.unlink()
    keep(folder / "index.md", _index(found))


def _index(found: dict[str, Path]) -> str:
    lines = [
        "# Chapters",
        "",
        "Each chapter derives, shows the line of the library that is the equation, runs it, and",
        "asks. It is a page, a notebook, and a program: `python tutorials/NAME.py`.",
    ]
    for part, names in PARTS.items():
        here = [name for name in names if name in found]
        if here:
            lines += ["", "```{toctree}", f":caption: {part}", ":maxdepth: 1", "", *here, "```"]
    return "\n".join(lines) + "\n"


def _links(text: str, docs: Path, notebooks: set[str], not_yet: set[str]) -> str:
    """Links as they stand in the file, to where the pages and the source views are."""
    text = re.sub(
        r"\]\((?:\.\./)?((?:scratchgen|tests|benchmarks)/[^)]*?\.py[^)]*)\)", r"](src:\1)", text
    )
    text = re.sub(r"\]\(([a-z_]+\.py)\)", r"](src:tutorials/\1)", text)
    text = text.replace("](../docs/equations)", "](../equations/index.md)")
    text = re.sub(r'<a id="(\w+)"></a>', r"[]{#\1}", text)
    pages = {path.stem for path in docs.glob("*.md")}

    def link(found: re.Match[str]) -> str:
        words, name, anchor = found.groups()
        if name in not_yet:
            return words
        suffix = "ipynb" if name in notebooks else "md"  # an anchor resolves in a file that exists
        return f"[{words}]({'../' if name in pages else ''}{name}.{suffix}{anchor or ''})"

    return re.sub(r"\[([^]]*)\]\(([a-z_]+)\.md(#[^)]*)?\)", link, text)


def keep(path: Path, text: str) -> None:
    """Write a file if its content changes: Sphinx reads anew what is newer than its last build."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":  # make notebooks
    folder = Path("notebooks")
    folder.mkdir(exist_ok=True)
    for chapter in sorted(filter(is_chapter, Path("tutorials").glob("*.py"))):
        book = notebook(chapter)
        for cell in book.cells:
            if cell.cell_type == "markdown":
                cell.source = re.sub(r"\]\(([a-z_]+)\.md", r"](\1.ipynb", cell.source)
        keep(folder / f"{chapter.stem}.ipynb", nbformat.writes(book) + "\n")
