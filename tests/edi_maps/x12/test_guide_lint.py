"""The linter of guides: one fault for each slip in a small directory of its own. `make check` has it look at ours."""

import shutil
import subprocess
import sys

import pytest

from edi_maps.x12.guides.lint import lint
from edi_maps.x12.stock import GUIDES

#: A purchase order of BEG, REF, DTM and parties, in pyx12's format.
ENVELOPE = (GUIDES / "x12.control.00401.xml").read_text(encoding="utf-8")
ORDER = """
<loop xid="ST_LOOP" name="Set" usage="R" pos="0020" repeat="&gt;1" type="explicit">
 <segment xid="ST" name="Set header" usage="R" pos="0010" max_use="1">
  <element xid="ST01" data_ele="143" name="Set" usage="R" seq="01"><valid_codes><code>850</code></valid_codes></element>
  <element xid="ST02" data_ele="329" name="Number" usage="R" seq="02"/>
 </segment>
 <loop xid="HEADER" name="Header" usage="R" pos="0100" repeat="1" type="wrapper">
  <segment xid="BEG" name="Beginning" usage="R" pos="0010" max_use="1">
   <element xid="BEG01" data_ele="353" name="Purpose" usage="R" seq="01"><valid_codes><code>00</code></valid_codes></element>
   <element xid="BEG02" data_ele="92" name="Kind" usage="R" seq="02"/>
   <element xid="BEG03" data_ele="324" name="Number" usage="R" seq="03"/>
   <element xid="BEG04" data_ele="328" name="Release" usage="S" seq="04"/>
   <element xid="BEG05" data_ele="373" name="Date" usage="R" seq="05"/>
  </segment>
  <segment xid="REF" name="Reference" usage="S" pos="0020" max_use="&gt;1">
   <syntax>R0203</syntax>
   <element xid="REF01" data_ele="128" name="Kind" usage="R" seq="01"/>
   <element xid="REF02" data_ele="127" name="Reference" usage="S" seq="02"/>
   <element xid="REF03" data_ele="352" name="Description" usage="S" seq="03"/>
  </segment>
  <segment xid="DTM" name="Ship" usage="S" pos="0030" max_use="1">
   <element xid="DTM01" data_ele="374" name="Kind" usage="R" seq="01"><valid_codes><code>010</code></valid_codes></element>
   <element xid="DTM02" data_ele="373" name="Date" usage="R" seq="02"/>
  </segment>
  <segment xid="DTM" name="Deliver" usage="S" pos="0030" max_use="1">
   <element xid="DTM01" data_ele="374" name="Kind" usage="R" seq="01"><valid_codes><code>002</code></valid_codes></element>
   <element xid="DTM02" data_ele="373" name="Date" usage="R" seq="02"/>
  </segment>
  <loop xid="N1_LOOP" name="Party" usage="S" pos="0040" repeat="5">
   <segment xid="N1" name="Party" usage="R" pos="0010" max_use="1">
    <element xid="N101" data_ele="98" name="Role" usage="R" seq="01"/>
    <element xid="N102" data_ele="93" name="Name" usage="R" seq="02"/>
   </segment>
   <segment xid="N4" name="Place" usage="S" pos="0020" max_use="1">
    <element xid="N401" data_ele="19" name="City" usage="S" seq="01"/>
   </segment>
  </loop>
 </loop>
 <segment xid="SE" name="Set trailer" usage="R" pos="0900" max_use="1">
  <element xid="SE01" data_ele="96" name="Count" usage="R" seq="01"/>
  <element xid="SE02" data_ele="329" name="Number" usage="R" seq="02"/>
 </segment>
</loop>
"""
GUIDE = ENVELOPE.replace('<transaction xid="X12">', '<transaction xid="850">').replace(
    '<segment xid="GE"', f'{ORDER}<segment xid="GE"'
)
INDEX = """<maps>
 <version icvn="00401"><map vriic="004010" fic="PO" abbr="850">850.4010.xml</map></version>
</maps>"""
SHEET = """
record = "order"
type = "purchase_order"
codes = "codes.toml"
functional_id = "PO"

[blocks.order]
model = "PurchaseOrder"
rows = [
  { at = "BEG01", field = "purpose", codes = "purpose" },
  { at = "BEG03", field = "number" },
  { at = "BEG05", field = "ordered_on" },
  { each = "REF", field = "references", block = "reference" },
  { keep = ["DTM"] },
  { each = "N1", field = "parties", block = "party" },
]

[blocks.reference]
model = "Reference"
rows = [
  { at = "REF01", field = "kind" },
  { at = "REF02", field = "value" },
]

[blocks.party]
model = "Party"
rows = [
  { at = "N101", field = "role" },
  { at = "N102", field = "name" },
  { at = "N401", field = "address.city" },
]
"""


@pytest.fixture
def faults(tmp_path):
    """The faults of the small directory after a replacement in one of its files, as (rule, line)."""
    files = {"850.4010.xml": GUIDE, "maps.xml": INDEX, "850.toml": SHEET}
    for name in ("codes.xml", "dataele.xml", "x12.control.00401.xml", "x12.control.00501.xml"):
        files[name] = (GUIDES / name).read_text(encoding="utf-8")
    files["codes.toml"] = '[purpose]\nunknown = "original"\nnames = { original = ["00"] }\n'

    def after(old="", new="", name="850.4010.xml"):
        assert old in files[name]
        for file, text in files.items():
            changed = text.replace(old, new, 1) if file == name else text
            (tmp_path / file).write_text(changed, encoding="utf-8")
        return [(fault.rule, str(fault)) for fault in lint(tmp_path, tmp_path)]

    return after


def test_the_small_directory_is_without_fault(faults):
    assert faults() == []


@pytest.mark.parametrize(
    ("rule", "old", "new", "says"),
    [
        ("schema", 'name="Beginning" usage="R" pos="0010"', 'name="Beginning" usage="X" pos="0010"', "usage"),
        ("schema", '<element xid="BEG03"', "<br><element xid=", "line"),
        ("schema", '<segment xid="N4" ', "<segment><xid>N4</xid><segment ", "line"),  # a bit of version 1
        ("siblings", "</loop>\n </loop>", '</loop><loop xid="N1_LOOP" name="B" usage="S" pos="0050" repeat="1">'
         '<segment xid="N2" name="N" usage="R" pos="0010" max_use="1"/></loop></loop>', "2 loops are called N1_LOOP"),
        ("order", 'name="Reference" usage="S" pos="0020"', 'name="Reference" usage="S" pos="0035"', "DTM stands behind REF"),
        ("order", 'usage="S" seq="04"', 'usage="S" seq="07"', "elements of BEG are not numbered"),
        ("order", 'name="Place" usage="S" pos="0020"', 'name="Place" usage="R" pos="0900"', "N4 has the pos of SE"),
        ("start", 'name="Party" usage="R" pos="0010"', 'name="Party" usage="S" pos="0010"', "begins with N1"),
        ("start", 'name="Place" usage="S" pos="0020"', 'name="Place" usage="S" pos="0010"', "N1 and N4 share"),
        ("element", 'data_ele="328"', 'data_ele="32800"', "BEG04: dataele.xml does not know data element 32800"),
        ("codes", "<code>010</code>", "<code>10</code>", "'10' does not fit data element 374, 3 to 3 wide"),
        ("syntax", "R0203", "R0204", "R0204 names an element the segment does not have; there are 3"),
        ("syntax", "R0203", "R0202", "R0202 names an element twice"),
        ("schema", "R0203", "R02", "line"),
        ("qualifier", "<code>002</code>", "<code>002</code><code>010</code>", "DTM and DTM begin with DTM"),
        ("qualifier", 'name="Kind" usage="R" seq="01"><valid_codes><code>002</code></valid_codes></element>',
         'name="Kind" usage="R" seq="01"/>', "DTM and DTM begin with DTM"),
        ("load", 'xid="ST_LOOP"', 'xid="SET_LOOP"', "stock pyx12 does not load it"),
    ],
)  # fmt: skip
def test_a_slip_in_a_guide_is_found(faults, rule, old, new, says):
    found = faults(old, new)
    assert rule in [name for name, _ in found]
    assert any(says in line and line.startswith("850.4010.xml") for _, line in found)


def test_a_segment_that_demands_what_it_excludes_has_no_sample_that_is_accepted(faults):
    both = "<syntax>E0102</syntax>"
    found = faults('max_use="1">\n    <element xid="N101"', f'max_use="1">{both}<element xid="N101"')
    assert {rule for rule, _ in found} == {"sample"}
    assert any("we refuse a sample of the most" in line for _, line in found)
    assert any("stock pyx12 refuses a sample of the most" in line for _, line in found)


@pytest.mark.parametrize(
    ("rule", "old", "new", "says"),
    [
        ("guide", 'functional_id = "PO"', 'functional_id = "PR"', "travels in PO"),
        ("sheet", 'field = "number"', 'field = "nmuber"', "has no field 'nmuber'"),
        ("place", '{ at = "BEG03"', '{ at = "BEG06", field = "release_number" }, { at = "BEG03"', "BEG06 has no place"),
        ("place", '{ at = "BEG03"', '{ at = "CUR02", field = "currency" }, { at = "BEG03"', "CUR has no place"),
        ("place", '{ each = "REF"', '{ each = "REF", where = { N101 = "BY" }', "N101 has no place"),
        ("place", 'keep = ["DTM"]', 'keep = ["DTN"]', "DTN has no place"),
        ("place", '{ at = "N401"', '{ at = "REF03"', "REF has no place"),
        ("place", '{ at = "REF02"', '{ at = "REF02-1"', "REF02-1 has no place"),
        ("required", '{ at = "REF01", field = "kind" },', "", "no row fills kind, which Reference must have"),
        ("required", '{ at = "BEG03", field = "number" },', "", "no row fills number"),
        (
            "double",
            '{ at = "BEG03"',
            '{ at = "BEG04", field = "number" }, { at = "BEG03"',
            "written to BEG04 and BEG03",
        ),
    ],
)
def test_a_slip_in_a_sheet_is_found(faults, rule, old, new, says):
    found = faults(old, new, "850.toml")
    assert rule in [name for name, _ in found]
    assert any(says in line and line.startswith("850.toml") for _, line in found)


@pytest.mark.parametrize(
    "declared",
    [
        '{ at = "BEG04", field = "number", only = "read" }',
        '{ at = "BEG04", field = "number", when = { BEG02 = "BK" } }',
        '{ at = "BEG04", field = "number", until = "003070" }',
    ],
)
def test_a_field_may_have_two_rows_that_say_which_is_written(faults, declared):
    row = '{ at = "BEG03", field = "number"'
    since = row if "until" not in declared else f'{row}, since = "004010"'
    assert faults(row, f"{declared}, {since}", "850.toml") == []


def test_a_map_that_is_named_and_not_there_is_found(faults):
    assert ("file", "850.xml: there is no such file [file]") in faults("850.4010.xml", "850.xml", "maps.xml")


def test_a_map_that_is_there_and_not_named_is_found(faults, tmp_path):
    faults()
    shutil.copy(tmp_path / "850.4010.xml", tmp_path / "860.4010.xml")
    assert [str(fault) for fault in lint(tmp_path, tmp_path)] == ["860.4010.xml: no row of maps.xml names it [index]"]


def test_a_sheet_without_a_guide_is_found(faults, tmp_path):
    faults()
    shutil.copy(tmp_path / "850.toml", tmp_path / "851.toml")
    assert [str(fault) for fault in lint(tmp_path, tmp_path)] == ["851.toml: there is no guide for 851 [guide]"]


def test_the_command_prints_a_line_for_each_fault_and_exits_with_1(faults, tmp_path):
    faults("R0203", "R0204")
    command = [sys.executable, "-m", "edi_maps.x12.guides.lint", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == (
        "850.4010.xml ST_LOOP/HEADER/REF: R0204 names an element the segment does not have; there are 3 [syntax]\n"
    )
