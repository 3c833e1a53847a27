"""Documents that something has happened to."""

from hypothesis import strategies as st

ODD = st.sampled_from(
    [
        "",
        " ",
        "0",
        "-1",
        "9" * 40,
        "1e9",
        "٣",
        "²",
        "20261341",
        "2026-09-24",
        "AB",
        "*",
        "~",
        ">",
        "A>B>C",
        "\x00",
        "é",
        "HL",
        "YB",
        "S",
    ]
)


@st.composite
def damaged(draw, paths):
    """One of these files after one to four changes to its segments, as bytes."""
    segments = [line.split("*") for line in draw(st.sampled_from(paths)).read_text().split("~\n")]
    for _ in range(draw(st.integers(1, 4))):
        index = draw(st.integers(2, len(segments) - 2))
        segment = segments[index]
        match draw(st.sampled_from(["element", "element", "drop", "repeat", "move"])):
            case "element" if segment:
                segment[draw(st.integers(0, len(segment) - 1))] = draw(ODD)
            case "drop":
                del segments[index]
            case "repeat":
                segments.insert(index, list(segment))
            case _:
                segments.insert(draw(st.integers(2, len(segments) - 2)), segments.pop(index))
    return "~\n".join("*".join(segment) for segment in segments).encode()
