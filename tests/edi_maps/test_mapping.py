"""Wrong sheets are refused by file, block and row; the engine's own pieces."""

from datetime import date
from decimal import Decimal

import pytest

from edi_maps.canonical import Address, OrderLine, Party, PurchaseOrder, ShipNotice, load
from edi_maps.mapping import Maker, SheetError, Tag, grouped, put, take, wrapped
from edi_maps.mapping import load as load_sheet
from edi_maps.portal_json import SHEETS as PORTAL_SHEETS
from edi_maps.portal_json import load_sheet as load_portal_sheet
from edi_maps.x12.composition import Writer
from edi_maps.x12.extraction import Reader, X12Wire
from edi_maps.x12.map_sheets import SHEETS, mapped
from edi_maps.x12.segments import Loop

CODES = """
[kind]
unknown = "other"
names = { standalone = ["SA", "NE"], rush = ["RO"] }
[open]
names = { department = ["DP"] }
"""


@pytest.fixture
def sheet_of(tmp_path):
    def make(rows, *, model="PurchaseOrder", codes=CODES, head='record = "top"\ncodes = "codes.toml"\n', more=""):
        (tmp_path / "codes.toml").write_text(codes)
        path = tmp_path / "sheet.toml"
        path.write_text(f'{head}\n[blocks.top]\nmodel = "{model}"\nrows = [\n{rows}\n]\n{more}')
        return load_sheet(path, X12Wire())

    return make


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ('{ at = "BEG03", field = "numbr" }', "row 1: numbr: PurchaseOrder has no field 'numbr'"),
        ('{ at = "BEG03", field = "number" },\n{ at = "BEG", field = "number" }', "row 2: 'BEG' is not an element"),
        ('{ at = "BEG03" }', "row 1: neither field nor const"),
        ('{ at = "BEG03", field = "number", colour = 1 }', "row 1: colour: not a key of a row with 'at'"),
        ('{ field = "number" }', "row 1: one of at, each, texts, pairs, keep must say"),
        ('{ at = "BEG02", field = "kind" }', "row 1: kind needs a table with unknown"),
        ('{ at = "BEG02", field = "kind", codes = "open" }', "row 1: kind needs a table with unknown"),
        ('{ at = "BEG02", field = "number", codes = "nowhere" }', "row 1: no code table 'nowhere'"),
        ('{ at = "BEG03", field = "number", only = "sometimes" }', "row 1: only is 'read' or 'write'"),
        ('{ at = "N101", field = "parties" }', "row 1: record"),
        ('{ at = ["BEG03", "CUR02"], field = "number" }', "row 1: a row is about one wire part"),
        ('{ each = "REF", field = "references", block = "nowhere" }', "row 1: nowhere"),
        (
            '{ each = "REF", field = "references", block = "top" }',
            "row 1: references is not a list of what block 'top' makes",
        ),
        ('{ each = "DTM", map = "number", block = "top" }', "row 1: number is no dictionary"),
        ('{ texts = "MSG", from = ["PID05"], field = "number" }', "row 1: PID05 does not stand in MSG"),
        (
            '{ pairs = "PO106", upto = "PO124", field = "lines", names = ["line_number", "unit"] }',
            "row 1: PO106 to PO124 are no pairs",
        ),
        (
            '{ pairs = "PO106", upto = "PO125", into = { LT = "lines[]" }, written = ["LT"] }',
            "row 1: LT: only what goes into one field can be written",
        ),
    ],
)
def test_a_wrong_row_is_refused_by_its_number(sheet_of, rows, said):
    with pytest.raises(SheetError) as refused:
        sheet_of(rows)
    assert str(refused.value).startswith(f"sheet.toml, block 'top', {said}")


def test_two_rows_may_not_write_one_list(sheet_of):
    row = '{ each = "REF", field = "references", block = "ref" },'
    more = '[blocks.ref]\nmodel = "Reference"\nrows = [{ at = "REF01", field = "kind" }]'
    with pytest.raises(SheetError, match="row 2: references is written by row 1 already"):
        sheet_of(row + "\n" + row, more=more)


def test_rows_that_blocks_share_stand_where_they_are_named(sheet_of):
    sheet = sheet_of(
        '{ at = "BEG03", field = "number" },\n{ rows = "ends" }',
        more='[rows]\nends = [{ at = "BEG04", field = "release_number" }, { rows = "last" }]\n'
        'last = [{ at = "BEG06", field = "contract_number" }]',
    )
    writer = Writer("004010")
    writer.write(sheet.blocks["top"], {"number": "7", "release_number": "8", "contract_number": "9"}, {}, "")
    assert writer.segments == [["BEG", "", "", "7", "8", "", "9"]]


def test_what_pairs_send_into_fields_is_written_after_the_others_when_the_row_says_so(sheet_of):
    sheet = sheet_of(
        '{ each = "PO1", field = "lines", block = "line" }',
        more='[blocks.line]\nmodel = "OrderLine"\nrows = [{ pairs = "PO106", upto = "PO111", field = "product_ids",'
        ' names = ["kind", "value"], into = { ZL = "line_number", ZD = "description" }, written = ["ZL"] }]',
    )
    line = {"product_ids": [{"kind": "BP", "value": "A1"}], "line_number": "10", "description": "Bolt"}
    writer = Writer("004010")
    writer.write(sheet.blocks["top"], {"lines": [line]}, {}, "")
    assert writer.segments == [["PO1", "", "", "", "", "", "BP", "A1", "ZL", "10"]]


@pytest.mark.parametrize("row", ['{ rows = "nowhere" }', '{ rows = "ends", since = "004030" }'])
def test_shared_rows_are_named_and_nothing_else(sheet_of, row):
    with pytest.raises(SheetError, match="names rows that several blocks share, and says nothing else"):
        sheet_of(row, more='[rows]\nends = [{ at = "BEG04", field = "release_number" }]')


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": "Order"}, "block 'top': 'Order' is not a canonical record"),
        ({"head": 'record = "other"'}, "record = 'other' is not a block"),
        (
            {"codes": '[kind]\nnames = { a = ["X"], b = ["X"] }'},
            "codes.toml, table 'kind': ['X'] stand for more than one name",
        ),
        ({"codes": '[kind]\nname = "x"'}, "codes.toml, table 'kind': a table has names"),
        ({"codes": "[kind"}, "codes.toml: "),
    ],
)
def test_a_wrong_file_is_refused_by_its_place(sheet_of, options, said):
    with pytest.raises(SheetError) as refused:
        sheet_of('{ at = "BEG03", field = "number" }', **options)
    assert said in str(refused.value)


@pytest.mark.parametrize("code", sorted(mapped()))
def test_our_x12_sheets_load(code):
    assert load_sheet(SHEETS / f"{code}.toml", X12Wire()).settings["functional_id"]


@pytest.mark.parametrize("path", sorted(PORTAL_SHEETS.glob("*/[!c]*.toml")), ids=lambda path: path.stem)
def test_our_portal_sheets_load(path):
    assert load_portal_sheet(path).settings["told_by"]


def test_a_component_is_an_address_of_its_own(sheet_of):
    sheet = sheet_of('{ at = "REF04-2", field = "number" },\n{ at = "REF04-1", field = "currency" }')
    data: dict[str, object] = {}
    Reader(">").read(sheet.blocks["top"], ["REF", "", "", "", "USD>17"], data)
    assert data == {"number": "17", "currency": "USD"}
    writer = Writer("004010")
    writer.write(sheet.blocks["top"], data, {}, "")
    assert writer.segments == [["REF", "", "", "", "USD\x1f17"]]


def test_rows_for_some_versions_are_read_in_all_and_written_in_theirs(sheet_of):
    sheet = sheet_of(
        '{ at = "BEG03", field = "number", until = "004029" },\n{ at = "BEG08", field = "number", since = "004030" }'
    )
    for version, written in (("004010", ["BEG", "", "", "7"]), ("005010", ["BEG", "", "", "", "", "", "", "", "7"])):
        data: dict[str, object] = {}
        Reader().read(sheet.blocks["top"], written, data)
        assert data == {"number": "7"}
        writer = Writer(version)
        writer.write(sheet.blocks["top"], data, {}, "")
        assert writer.segments == [written]


def test_the_first_row_that_fits_takes_a_part_once_and_the_next_what_follows(sheet_of):
    sheet = sheet_of(
        '{ at = "REF02", where = { REF01 = ["YB", "RE"] }, field = "number" },\n'
        '{ each = "REF", field = "references", block = "ref" }',
        more='[blocks.ref]\nmodel = "Reference"\nrows = [{ at = "REF01", field = "kind" }, { at = "REF02", field = "value" }]',
    )
    data: dict[str, object] = {}
    scope = Loop("", [["REF", "RE", "1"], ["REF", "YB", "2"], ["REF", "DP", "3"]], [1, 2, 3])
    assert Reader().read(sheet.blocks["top"], scope, data) == {"REF01": "RE"}
    assert data["number"] == "1"
    references = data["references"]
    assert isinstance(references, list)
    assert [(reference.kind, reference.value) for reference in references] == [("YB", "2"), ("DP", "3")]


def test_made_records_are_what_validation_would_make():
    party = Maker(Party).make({"role": "buyer", "address": {"lines": ["1 Road"], "city": "X"}})
    made = Maker(PurchaseOrder).make(
        {
            "number": "1",
            "parties": [party],
            "lines": [Maker(OrderLine).make({"quantity": Decimal(2), "dates": {"a": date(2026, 1, 2)}})],
        }
    )
    validated = load(
        {
            "type": "purchase_order",
            "number": "1",
            "parties": [{"role": "buyer", "address": {"lines": ["1 Road"], "city": "X"}}],
            "lines": [{"quantity": "2", "dates": {"a": "2026-01-02"}}],
        }
    )
    assert made == validated
    assert made.model_dump_json() == validated.model_dump_json()
    assert isinstance(made.parties[0].address, Address)


def test_made_records_share_no_dictionary():
    make = Maker(ShipNotice).make
    assert make({"shipment_number": "1"}).extra is not make({"shipment_number": "2"}).extra


def test_a_tagged_step_takes_the_entry_of_its_kind():
    data: dict[str, object] = {"product_ids": [{"kind": "upc", "value": "1"}]}
    path = ("product_ids", Tag("kind", "sku"), "value")
    assert take(data, path) is None
    put(data, path, "2")
    assert data == {"product_ids": [{"kind": "upc", "value": "1"}, {"kind": "sku", "value": "2"}]}
    assert take(data, path) == "2"


def test_extra_is_grouped_by_the_entry_it_belongs_to():
    assert grouped({"BEG07": "AC", "parties/1/N405": "RG", "parties/1/contacts/0/PER05": "FX"}) == {
        "": {"BEG07": "AC"},
        "parties/1": {"N405": "RG"},
        "parties/1/contacts/0": {"PER05": "FX"},
    }


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("one two three", 8, ["one two", "three"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("a\nb", 4, ["a", "b"]),
        ("anything at all", 0, ["anything at all"]),
    ],
)
def test_text_is_wrapped_at_blanks_where_there_are_any(text, width, lines):
    assert wrapped(text, width) == lines
