"""Small PDFs, made by hand of pypdf's own parts."""

from __future__ import annotations

import io
from collections.abc import Sequence

from pypdf import PdfWriter
from pypdf.generic import DictionaryObject, NameObject, StreamObject


def pdf(*pages: Sequence[str], password: str | None = None, owner: str | None = None) -> bytes:
    """Returns a PDF with these lines on its pages; a page without any is as a scanned one: it has
    no text.
    """
    writer = PdfWriter()
    font = DictionaryObject(
        {
            NameObject(f"/{key}"): NameObject(f"/{value}")
            for key, value in (
                ("Type", "Font"),
                ("Subtype", "Type1"),
                ("BaseFont", "Helvetica"),
                ("Encoding", "WinAnsiEncoding"),
            )
        }
    )
    for lines in pages:
        page, stream = writer.add_blank_page(612, 792), StreamObject()
        fonts = DictionaryObject({NameObject("/F1"): writer._add_object(font)})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        shown = " ".join(f"({line}) Tj 0 -16 Td" for line in lines)
        stream.set_data(f"BT /F1 12 Tf 72 720 Td {shown} ET".encode("cp1252"))
        page[NameObject("/Contents")] = writer._add_object(stream)
    if password is not None:
        writer.encrypt(password, owner, algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()
