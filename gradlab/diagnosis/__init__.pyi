from gradlab.diagnosis.monitor import Monitored as Monitored
from gradlab.diagnosis.monitor import MonitorState as MonitorState
from gradlab.diagnosis.monitor import monitored as monitored
from gradlab.diagnosis.observation import Observation as Observation
from gradlab.diagnosis.observation import observe as observe
from gradlab.diagnosis.records import monitor_frame as monitor_frame
from gradlab.diagnosis.records import monitor_histograms as monitor_histograms
from gradlab.diagnosis.trackers import scalars as scalars

__all__ = [
    "MonitorState",
    "Monitored",
    "Observation",
    "monitor_frame",
    "monitor_histograms",
    "monitored",
    "observe",
    "scalars",
]
