from gradlab.sweep.plan import Cost as Cost
from gradlab.sweep.task import MeasureTask as MeasureTask
from gradlab.sweep.task import Task as Task

__all__ = ["Cost", "MeasureTask", "Task"]
