from gradlab.reporting.experiment import Words as Words
from gradlab.reporting.experiment import options as options
from gradlab.reporting.experiment import publish as publish
from gradlab.reporting.findings import Finding as Finding
from gradlab.reporting.findings import above as above
from gradlab.reporting.findings import below as below
from gradlab.reporting.findings import both as both
from gradlab.reporting.findings import either as either
from gradlab.reporting.html import to_html as to_html
from gradlab.reporting.page import report as report

__all__ = ["Finding", "Words", "above", "below", "both", "either", "options", "publish", "report", "to_html"]
