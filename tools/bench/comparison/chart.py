# SPDX-License-Identifier: Apache-2.0
"""Charts in SVG, written by hand: lines over two logarithmic axes, readable on light and dark pages."""

import html
import math

WIDTH, HEIGHT = 800, 440
LEFT, RIGHT, TOP, BOTTOM = 76, 220, 44, 60
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#7f7f7f", "#8a5fd1", "#a23b3b")
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1c1c1c }
  .title { font-size: 15px; font-weight: 600 }
  .grid { stroke: #1c1c1c; stroke-opacity: .15 }
  .frame { stroke: #1c1c1c; stroke-opacity: .6; fill: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #e8e8e8 }
    .grid, .frame { stroke: #e8e8e8 }
  }
"""


class Axis:
    """Values to places on one axis, with a mark at each of `marks`."""

    def __init__(self, values, begin, end, marks=None):
        low, high = min(values), max(values)
        if marks is None:
            low, high = _decade(low, False), _decade(high, True)
            marks = [
                step * 10**power
                for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
                for step in (1, 2, 5)
            ]
        if low == high:
            low, high = low / 2, high * 2
        self.low, self.high, self.begin, self.end = math.log(low), math.log(high), begin, end
        self.marks = [mark for mark in marks if low * 0.999 <= mark <= high * 1.001]

    def place(self, value):
        part = (math.log(value) - self.low) / (self.high - self.low)
        return self.begin + part * (self.end - self.begin)


def _decade(value, up):
    """The next of 1, 2, 5, 10, 20, ..."""
    power = 10 ** math.floor(math.log10(value))
    steps = [power * step for step in (1, 2, 5, 10)]
    if up:
        return min(step for step in steps if step >= value * 0.999)
    return max(step for step in steps if step <= value * 1.001)


def _line(x1, y1, x2, y2):
    return f'<line class="grid" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x, y, text, anchor="start", more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{html.escape(text)}</text>'


def _spread_labels(wanted, step=17):
    """Places for labels near the wanted ones, none over another."""
    placed, last = {}, -math.inf
    for name, place in sorted(wanted.items(), key=lambda item: item[1]):
        last = max(place, last + step)
        placed[name] = last
    overflow = max(0, last - (HEIGHT - BOTTOM))
    return {name: place - overflow for name, place in placed.items()}


def chart(title, x_name, y_name, series, x_text=str):
    """`series`: {name: [(x, y)]}, all above 0."""
    xs = sorted({x for points in series.values() for x, _ in points})
    across = Axis(xs, LEFT, WIDTH - RIGHT, xs)
    upward = Axis([y for points in series.values() for _, y in points], HEIGHT - BOTTOM, TOP)
    parts = [_text(LEFT, 24, title, more=' class="title"')]
    for x in across.marks:
        parts.append(_line(across.place(x), TOP, across.place(x), HEIGHT - BOTTOM))
        parts.append(_text(across.place(x), HEIGHT - BOTTOM + 20, x_text(x), "middle"))
    for y in upward.marks:
        parts.append(_line(LEFT, upward.place(y), WIDTH - RIGHT, upward.place(y)))
        parts.append(_text(LEFT - 8, upward.place(y) + 4, f"{y:g}", "end"))
    parts.append(f'<rect class="frame" x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" height="{HEIGHT - TOP - BOTTOM}"/>')
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16, x_name, "middle"))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(_text(20, middle, y_name, "middle", f' transform="rotate(-90 20 {middle:.1f})"'))
    labels = _spread_labels({name: upward.place(points[-1][1]) for name, points in series.items()})
    for colour, (name, points) in zip(COLOURS * (1 + len(series) // len(COLOURS)), series.items()):
        path = " ".join(f"{across.place(x):.1f},{upward.place(y):.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for x, y in points:
            parts.append(f'<circle cx="{across.place(x):.1f}" cy="{upward.place(y):.1f}" r="3" fill="{colour}"/>')
        parts.append(_text(WIDTH - RIGHT + 10, labels[name] + 4, name, more=f' style="fill: {colour}"'))
    body = "\n".join(f"  {part}" for part in parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{html.escape(title)}">\n<style>{STYLE}</style>\n{body}\n</svg>\n'
    )
