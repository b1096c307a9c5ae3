"""Looks at an application, its source and its import, for mistakes that end work behind the response in silence."""

from afterword.doctor.app.examination import examine
from afterword.doctor.app.findings import DoctorError, Examination, Finding

__all__ = ["DoctorError", "Examination", "Finding", "examine"]
