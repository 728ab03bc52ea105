from gradlab.reporting.experiment import Finding as Finding
from gradlab.reporting.experiment import above as above
from gradlab.reporting.experiment import below as below
from gradlab.reporting.experiment import both as both
from gradlab.reporting.experiment import either as either
from gradlab.reporting.experiment import options as options
from gradlab.reporting.experiment import publish as publish
from gradlab.reporting.html import to_html as to_html
from gradlab.reporting.page import report as report

__all__ = ["Finding", "above", "below", "both", "either", "options", "publish", "report", "to_html"]
