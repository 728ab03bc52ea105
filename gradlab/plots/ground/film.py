"""Films: a figure drawn again for each stage, written as GIF, MP4 or numbered PDFs, with a poster beside it."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

from gradlab._errors import GradlabError, unknown
from gradlab._files import path_from, replacing
from gradlab.plots.ground import words
from gradlab.plots.ground.captions import caption
from gradlab.plots.ground.save import metadata, save
from gradlab.plots.ground.styles import NEUTRAL, line_width

ENDINGS: tuple[str, ...] = ("gif", "mp4", "pdf")
#: Seconds that a GIF shows its last frame before it begins again.
REST = 1.5


def target(path: str | os.PathLike[str], fps: float) -> tuple[Path, str]:
    """Return the path of a film and its kind; refuse a rate of frames or an ending that no writer takes."""
    if not fps > 0:
        raise GradlabError("fps to be a positive number", repr(fps), "fps=4")
    path = path_from(path, "path")
    kind = path.suffix[1:].lower()
    if kind not in ENDINGS:
        raise unknown("ending of the file", kind or "none", ENDINGS)
    if kind == "mp4":
        from matplotlib.animation import FFMpegWriter

        if not FFMpegWriter.isAvailable():
            raise GradlabError(
                "ffmpeg, which makes MP4", "none", f"{path.with_suffix('.gif').name}, or ffmpeg on the search path"
            )
    return path, kind


def write(
    figure: Any, show: Callable[[int], None], count: int, path: Path, kind: str, fps: float, origin: dict[str, Any]
) -> list[Path]:
    """Write the film and its last stage as a poster; `show` draws the stage of a number from 0 on."""
    made = _WRITERS[kind](figure, show, count, path, fps, origin)
    show(count - 1)
    return [*made, *save(figure, path.with_name(f"{path.stem}-poster"), "png", **origin)]


def mark_progress(ax: Any, share: float) -> None:
    """Draw a bar along the lower edge, as long as the share of the film that has run."""
    look = {"color": NEUTRAL, "linewidth": line_width(2.5), "solid_capstyle": "butt", "clip_on": False}
    ax.plot([0, share], [0, 0], transform=ax.transAxes, zorder=5, gid="progress", **look)


def stage_title(over: str, value: Any) -> str:
    """Return the title of the stage at which the column `over` has this value."""
    symbols = {"sigma_w2": r"$\sigma_w^2$", "sigma_b2": r"$\sigma_b^2$"}
    return f"{symbols[over]} = {words.named(value)}" if over in symbols else words.entry(over, value)


def _gif(
    figure: Any, show: Callable[[int], None], count: int, path: Path, fps: float, origin: dict[str, Any]
) -> list[Path]:
    from PIL import Image

    pictures = []
    for number in range(count):
        show(number)
        page = io.BytesIO()
        figure.savefig(page, format="png", dpi=matplotlib.rcParams["figure.dpi"])
        pictures.append(Image.open(page).convert("RGB").quantize(dither=Image.Dither.NONE))
    durations = [round(1000 / fps)] * (count - 1) + [round(1000 * max(1 / fps, REST))]
    described = metadata("pdf", **origin, text=caption(figure))
    text = "; ".join(described[name] for name in ("Keywords", "Subject") if described[name])
    options = {"save_all": True, "append_images": pictures[1:], "duration": durations, "loop": 0, "comment": text}
    with replacing(path) as temporary:
        pictures[0].save(temporary, format="GIF", **options)
    return [path]


def _mp4(
    figure: Any, show: Callable[[int], None], count: int, path: Path, fps: float, origin: dict[str, Any]
) -> list[Path]:
    from matplotlib.animation import FFMpegWriter

    described = metadata("pdf", **origin, text=caption(figure))
    carried = {"comment": described["Keywords"] or "", "description": described["Subject"] or ""}
    # the file that is not yet whole has no ending to tell the format by
    writer = FFMpegWriter(fps=fps, metadata=carried, extra_args=["-f", "mp4"])
    dpi = matplotlib.rcParams["savefig.dpi"]
    # absolute: of a name with a colon, ffmpeg would make an address
    with replacing(path) as temporary, writer.saving(figure, str(temporary.absolute()), dpi):
        for number in range(count):
            show(number)
            writer.grab_frame()
    return [path]


def _pdf(
    figure: Any, show: Callable[[int], None], count: int, path: Path, fps: float, origin: dict[str, Any]
) -> list[Path]:
    made = []
    digits = max(3, len(str(count)))
    for number in range(count):
        show(number)
        made += save(figure, path.with_name(f"{path.stem}-{number + 1:0{digits}d}"), "pdf", **origin)
    return made


_WRITERS: dict[str, Callable[..., list[Path]]] = {"gif": _gif, "mp4": _mp4, "pdf": _pdf}
