"""A page to explore the rows of a sweep or an audit in a browser, in one file that needs no network."""

from mfmi.report.page.document import available, compose
from mfmi.report.page.of_audit import audit_page
from mfmi.report.page.of_sweep import sweep_page
from mfmi.report.page.parts import Page

__all__ = ["Page", "audit_page", "available", "compose", "sweep_page"]
