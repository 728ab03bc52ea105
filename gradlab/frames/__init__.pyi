from gradlab.frames.files import Run as Run
from gradlab.frames.files import example as example
from gradlab.frames.files import load as load
from gradlab.frames.files import migrate as migrate
from gradlab.frames.files import read as read
from gradlab.frames.files import write as write
from gradlab.frames.jsonl import from_jsonl as from_jsonl
from gradlab.frames.jsonl import to_jsonl as to_jsonl
from gradlab.frames.rows import concat as concat
from gradlab.frames.rows import failed_rows as failed_rows
from gradlab.frames.rows import frame as frame
from gradlab.frames.rows import network_hash as network_hash
from gradlab.frames.summaries import BANDS as BANDS
from gradlab.frames.summaries import rates as rates
from gradlab.frames.summaries import summarise as summarise

__all__ = [
    "BANDS",
    "Run",
    "concat",
    "example",
    "failed_rows",
    "frame",
    "from_jsonl",
    "load",
    "migrate",
    "network_hash",
    "rates",
    "read",
    "summarise",
    "to_jsonl",
    "write",
]
