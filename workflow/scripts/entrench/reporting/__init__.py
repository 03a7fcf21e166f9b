"""The report: one self-contained HTML page of questions, answers, figures and provenance."""
