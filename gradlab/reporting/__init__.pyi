from gradlab.reporting.experiment import Finding as Finding
from gradlab.reporting.experiment import publish as publish
from gradlab.reporting.html import to_html as to_html
from gradlab.reporting.page import report as report

__all__ = ["Finding", "publish", "report", "to_html"]
