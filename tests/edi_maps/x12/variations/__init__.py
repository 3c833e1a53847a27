"""What partners send beyond the plain case, and what it says in the record: a phrase book, by the part of a document.

A row is a name, the place its segments stand at, the segments, and the canonical values they mean. It is read in every version
without a finding and without a rest under ``extra``, and written back as it came; where that is otherwise, the row says so.
"""
