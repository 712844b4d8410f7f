"""Draw who may import whom, ``docs/wings.svg``, from the contracts of import-linter in pyproject.toml.

``python docs/wings.py`` writes the picture; a test holds it to the contracts and to the first line of each wing.
"""

from __future__ import annotations

import ast
import sys
import textwrap
import tomllib
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "wings.svg"

Place = tuple[int, int, int, int]  # left, top, width, height

_PACKAGE = "m3ter_nb"
_EDGE, _GAP, _WIDE, _NARROW, _HIGH = 24, 28, 420, 150, 66
# Its own ground, so that it can be read on a light page and on a dark one.
_STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #3d4852 }
.name { font: 600 15px ui-monospace, monospace; fill: #1a202c }
.ground { fill: #f7f9fb } .box { fill: #ffffff; stroke: #8795a1 } .arrow { stroke: #2779bd; fill: none } #tip { fill: #2779bd }
@media (prefers-color-scheme: dark) {
  text { fill: #b8c2cc } .name { fill: #f1f5f8 }
  .ground { fill: #161b22 } .box { fill: #21262d; stroke: #606f7b } .arrow { stroke: #6cb2eb } #tip { fill: #6cb2eb }
}"""


class Plan:
    """What the contracts say.

    Attributes:
        floors: the wings that import downwards only, from the top.
        ground: the modules below them, which serve all.
        beside: the wings that stand beside the floors.
    """

    def __init__(self, contracts: list[dict[str, list[str]]]) -> None:
        self._forbidden = [
            (contract["source_modules"], contract["forbidden_modules"])
            for contract in contracts
            if "forbidden_modules" in contract
        ]
        (layers,) = (contract["layers"] for contract in contracts if "layers" in contract)
        order = [layer.strip("()").removeprefix(f"{_PACKAGE}.") for layer in layers]
        self.floors = [name for name in order if (ROOT / _PACKAGE / name).is_dir()]
        self.ground = [name for name in order if (ROOT / _PACKAGE / f"{name}.py").is_file()]
        wings = sorted(path.parent.name for path in (ROOT / _PACKAGE).glob("*/__init__.py"))
        self.beside = sorted(
            (name for name in wings if name not in self.floors),
            key=lambda name: (not self.users(name), not self.rests(name), name),
        )

    def may(self, wing: str, other: str) -> bool:
        """Tell whether no contract forbids a wing another."""
        return not any(
            f"{_PACKAGE}.{wing}" in sources and f"{_PACKAGE}.{other}" in forbidden
            for sources, forbidden in self._forbidden
        )

    def users(self, wing: str) -> list[str]:
        """Return the floors below the first that may use a wing which stands beside them."""
        return [floor for floor in self.floors[1:] if self.may(floor, wing)]

    def rests(self, wing: str) -> bool:
        """Tell whether a wing may use something of the ground."""
        return any(self.may(wing, name) for name in self.ground)


def first_line(wing: str) -> str:
    """Return what a wing says of itself, in one line."""
    source = (ROOT / _PACKAGE / wing / "__init__.py").read_text("utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").splitlines()[0]


def box(place: Place, name: str, meaning: str) -> str:
    """Return a box with a name and, in as many lines as it takes, what it is for."""
    left, top, width, height = place
    written = "".join(
        f'<text x="{left + 12}" y="{top + 41 + 16 * row}">{escape(text)}</text>'
        for row, text in enumerate(textwrap.wrap(meaning, (width - 24) // 7))
    )
    return (
        f'<rect class="box" x="{left}" y="{top}" width="{width}" height="{height}" rx="6"/>'
        f'<text class="name" x="{left + 12}" y="{top + 22}">{name}</text>{written}'
    )


def arrow(left: int, top: int, right: int, bottom: int) -> str:
    """Return an arrow from a wing to one that it may import."""
    return f'<path class="arrow" marker-end="url(#end)" d="M{left} {top}L{right} {bottom}"/>'


def draw(plan: Plan) -> str:
    """Return the picture: notebook above all, the floors at the left, what stands beside them at the right."""
    step = _HIGH + _GAP
    first = _EDGE + step
    ground = _EDGE + len(plan.floors) * step
    width = _EDGE + _WIDE + len(plan.beside) * (_NARROW + _GAP)
    boxes = [box((_EDGE, _EDGE, width - _EDGE, _HIGH), plan.floors[0], first_line(plan.floors[0]))]
    arrows = []
    for number, name in enumerate(plan.floors):
        top, middle = _EDGE + number * step, _EDGE + _WIDE // 2
        arrows.append(arrow(middle, top + _HIGH, middle, top + step - 2))
        if number:
            boxes.append(box((_EDGE, top, _WIDE, _HIGH), name, first_line(name)))
    for number, name in enumerate(plan.beside):
        left = _EDGE + _WIDE + _GAP + number * (_NARROW + _GAP)
        middle = left + _NARROW // 2
        boxes.append(box((left, first, _NARROW, ground - _GAP - first), name, first_line(name)))
        arrows.append(arrow(middle, _EDGE + _HIGH, middle, first - 2))
        if plan.rests(name):
            arrows.append(arrow(middle, ground - _GAP, middle, ground - 2))
        for floor in plan.users(name):
            height = _EDGE + plan.floors.index(floor) * step + _HIGH // 2
            arrows.append(arrow(_EDGE + _WIDE, height, left - 2, height))
    reach = _WIDE + sum(plan.rests(name) for name in plan.beside) * (_NARROW + _GAP)
    boxes.append(
        box((_EDGE, ground, reach, _HIGH - 10), " ".join(plan.ground), "serve all that stands on them")
    )
    return framed(width + _EDGE, ground + _HIGH + 14, [*boxes, *arrows])


def framed(width: int, height: int, parts: list[str]) -> str:
    """Return a whole SVG document."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
            "<title>Who may import whom: downwards and along the arrows, never back</title>",
            f"<style>{_STYLE}</style>",
            '<marker id="end" markerWidth="8" markerHeight="8" refX="6" refY="4" orient="auto">',
            '<path id="tip" d="M0 0L8 4L0 8z"/></marker>',
            f'<rect class="ground" width="{width}" height="{height}" rx="8"/>',
            *parts,
            "</svg>\n",
        ]
    )


def render() -> str:
    """Return the picture of the contracts as they stand."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    return draw(Plan(settings["tool"]["importlinter"]["contracts"]))


if __name__ == "__main__":
    PICTURE.write_text(render(), "utf-8")
    sys.stdout.write(f"wrote {PICTURE.relative_to(ROOT)}\n")
