"""Full, realistic records, within what X12 can carry and in the form that reading gives them.

The form: list positions and identifiers as ``records.py`` documents them (packages numbered in the order of the hierarchy, items
in the order of the document, the SSCC apart from the marks, totals that say their count).
"""
