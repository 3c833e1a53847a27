"""The guides: the structure of each transaction set and version, as a map directory that stock pyx12 loads.

The XML is made from ``source/*.toml`` by ``python -m edi_maps.x12.guides.generate``; change the source, never the XML.
"""
