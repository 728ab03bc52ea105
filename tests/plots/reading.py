"""What a reader needs of a figure, measured on the figure itself: few lines, whole texts, a small legend."""

import itertools

from matplotlib.text import Text

#: Lines of one panel that are told apart; share of a figure's height that its legend may take.
MOST_LINES, MOST_LEGEND = 6, 0.2


def faults(figure):
    """What cannot be read in a figure, a sentence each; none where all can."""
    figure.draw_without_rendering()
    page = figure.bbox
    found = []
    for ax in figure.axes:
        lines = [line for line in ax.lines if line.get_gid() in ("mean", "seed")]
        if len(lines) > MOST_LINES:
            found.append(f"{len(lines)} lines in a panel")
    for legend in figure.legends:
        share = legend.get_window_extent().height / page.height
        if share >= MOST_LEGEND:
            found.append(f"a legend of {share:.2f} of the height")
    boxes = [(text, text.get_window_extent()) for text in texts(figure)]
    for text, box in boxes:
        if box.x0 < page.x0 - 1 or box.y0 < page.y0 - 1 or box.x1 > page.x1 + 1 or box.y1 > page.y1 + 1:
            found.append(f"{text.get_text()!r} leaves the page")
    for (one, a), (other, b) in itertools.combinations(boxes, 2):
        width, height = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        if width > 1 and height > 1:  # more than a pixel of each
            found.append(f"{one.get_text()!r} lies on {other.get_text()!r}")
    for text, _ in boxes:
        if text.get_fontsize() < 5:
            found.append(f"{text.get_text()!r} has {text.get_fontsize()} points")
    return found


def texts(figure):
    """All texts that are seen: labels, headers, legends, cells, and the labels of ticks that lie on an axis."""
    seen = []
    ticks = {}
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            low, high = (ax.bbox.x0, ax.bbox.x1) if axis is ax.xaxis else (ax.bbox.y0, ax.bbox.y1)
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                at = axis.get_transform().transform(tick.get_loc())
                bounds = sorted(axis.get_transform().transform(v) for v in axis.get_view_interval())
                ticks[tick.label1] = bounds[0] - 1e-9 <= at <= bounds[1] + 1e-9 and low < high
                ticks[tick.label2] = False
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip() and ticks.get(text, True) and shown(text):
            seen.append(text)
    return seen


def shown(artist):
    """Whether the axes that an artist stands in are seen."""
    ax = getattr(artist, "axes", None)
    return ax is None or ax.get_visible()
