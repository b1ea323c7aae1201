"""Makes the daily files of a retailer that does not exist: 60 days of sales, dirty in the ways in which real ones are.

The demo, the tests and a first try of your own need files that may be thrown away and made again, the same each time.
Only the shape is that of a real shop (UCI's Online Retail): its columns, its share of unknown customers, its
cancelled invoices. Customers, products and prices are invented.

    python config/make_retail_files.py OUT_DIR                # 60 trading days, but one of them is late
    python config/make_retail_files.py OUT_DIR --late-day     # that one
    python config/make_retail_files.py OUT_DIR --readable     # all 60, and every line of them can be read
"""

from __future__ import annotations

import argparse
import csv
import io
import random
from datetime import date, datetime, time, timedelta
from pathlib import Path

COLUMNS = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"]
FIRST_DAY, SATURDAY, FEWEST_DAYS = date(2010, 12, 1), 5, 9
FIRST_INVOICE, INVOICES_A_DAY, LAST_INVOICE = 536_000, 160, 999_999  # invoice numbers have six digits

COUNTRIES = {"United Kingdom": 92, "Germany": 2, "France": 2, "EIRE": 1, "Spain": 1, "Norway": 1, "Japan": 1}
COLOURS = ("AMBER", "TEAL", "COBALT", "RUST", "PEARL", "MUSTARD", "PLUM", "SLATE")
MATERIALS = ("CORK", "LINEN", "BRASS", "WICKER", "BIRCH", "FELT", "SLATE-GREY TIN", "STONEWARE")
THINGS = (
    "PAPERWEIGHT", "LUNCH POT", "KITE", 'RULER 12"', "THIMBLE, SET OF 4", "BOOKEND", "WATERING JUG", "WALL HOOK",
    "NAPKIN, PACK OF 20", "SEED TRAY", "EGG TIMER", 'FRAME 5" X 7"', "TOY TRAM", "LETTER RACK", "BUTTON BOX",
    "PICNIC BLANKET", "CLOTHES PEG, LARGE",
)  # fmt: skip

Row = list[str]


class Shop:
    """What the days have in common: products with their prices, and customers with their countries."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        names = [f"{colour} {material} {thing}" for colour in COLOURS for material in MATERIALS for thing in THINGS]
        self.products = []
        for number, name in enumerate(rng.sample(names, len(names))):
            padded = rng.choices([name, f"{name} ", f" {name}"], [80, 17, 3])[0]  # as it was typed once, for good
            code = f"{20_000 + 7 * number}{rng.choice(['', '', '', 'A', 'B'])}"
            self.products.append((code, padded, f"{rng.randrange(20, 1500) / 100:.2f}"))
        countries = rng.choices(list(COUNTRIES), list(COUNTRIES.values()), k=900)
        self.customers = [(f"{12_000 + 3 * number}.0", country) for number, country in enumerate(countries)]


def make_rows(shop: Shop, day: date, first_invoice: int, rows: int, rng: random.Random) -> list[Row]:
    """A day's sales, with the defects that a single row can have."""
    made: list[Row] = []
    for invoice in range(first_invoice, first_invoice + max(1, rows // 16)):
        customer, country = rng.choice(shop.customers)
        if rng.random() < 0.27:  # noqa: PLR2004  over the counter, or never written down
            customer = ""
        moment = datetime.combine(day, time(rng.randrange(8, 18), rng.randrange(60)))
        cancelled = rng.random() < 0.08  # noqa: PLR2004  few lines each, so about 2 % of all rows
        number = f"C{invoice}" if cancelled else str(invoice)
        for code, name, price in rng.sample(shop.products, rng.randrange(1, 5) if cancelled else rng.randrange(4, 30)):
            quantity = -rng.randrange(1, 7) if cancelled else rng.randrange(1, 25)
            row = [number, code, name, str(quantity), str(moment), price, customer, country]
            made.append(spoil(row, rng))
            if rng.random() < 0.01:  # noqa: PLR2004  sent twice
                made.append(list(made[-1]))
    return made


def spoil(row: Row, rng: random.Random) -> Row:
    """Now and then, break one value of a row."""
    defects = [
        (0.005, "UnitPrice", ["0.0"]),
        (0.003, "Description", [""]),
        (0.001, "Quantity", ["n/a", "two", "3 pcs"]),
        (0.001, "CustomerID", ["17850.5", "unknown"]),
        (0.0005, "InvoiceDate", ["2011-02-30 10:00:00", "2010-13-05 08:26:00", "yesterday"]),
        (0.0005, "UnitPrice", ["1,25", "-"]),
    ]
    for share, column, values in defects:
        if rng.random() < share:
            row[COLUMNS.index(column)] = rng.choice(values)
    return row


def to_lines(rows: list[Row]) -> list[bytes]:
    """Rows as csv, header first; fields with commas and quotes are quoted."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    return text.getvalue().encode().splitlines(keepends=True)


def break_lines(lines: list[bytes], rng: random.Random) -> None:
    """Put in lines that are no records: cut off, one comma too many, not UTF-8."""
    for bad in (
        b"536999,22041,AMBER CORK KI\n",
        b"536999,22048,TEAL FELT KITE,2,2010-12-01 09:00:00,1,25,12003.0,United Kingdom\n",
        b"536999,22055,CR\xc8ME BRASS BOOKEND,1,2010-12-01 09:00:00,2.50,12003.0,France\n",
    ):
        lines.insert(rng.randrange(1, len(lines)), bad)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Make daily retail files, as dirty as real ones.")
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    parser.add_argument("--days", type=int, default=60, help="how many trading days (60)")
    parser.add_argument("--seed", type=int, default=7, help="another seed gives other files (7)")
    parser.add_argument("--scale", type=int, default=1, help="times as many rows a day (1)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--late-day", action="store_true", help="write only the day that is otherwise left out")
    which.add_argument("--readable", action="store_true", help="leave out no day, put in nothing that stops a reader")
    options = parser.parse_args(arguments)
    if FIRST_INVOICE + options.days * INVOICES_A_DAY * options.scale > LAST_INVOICE:
        parser.error("so many days at such a scale need more invoice numbers than six digits give")

    if options.days < FEWEST_DAYS and not options.readable:
        parser.error(f"it takes {FEWEST_DAYS} days to show every defect once")

    calendar = (FIRST_DAY + timedelta(days=offset) for offset in range(2 * options.days + 2))
    days = [day for day in calendar if day.weekday() != SATURDAY][: options.days]
    with_bom, late, empty, no_csv = (len(days) // part for part in (6, 4, 3, 2))

    shop, files, written = Shop(options.seed), 0, 0
    options.out.mkdir(parents=True, exist_ok=True)
    for index, day in enumerate(days):
        # Each day has a generator of its own, so that a day comes out the same whichever others are made.
        rng = random.Random(f"{options.seed} {day}")
        if not options.readable and options.late_day != (index == late):
            continue
        first_invoice = FIRST_INVOICE + index * INVOICES_A_DAY * options.scale
        rows = make_rows(shop, day, first_invoice, rng.randrange(1_000, 2_500) * options.scale, rng)
        lines = to_lines(rows)
        if not options.readable:
            if index % 9 == 4:  # noqa: PLR2004  any regular choice
                break_lines(lines, rng)
            if index == with_bom:
                lines = [b"\xef\xbb\xbf", *(line.replace(b"\n", b"\r\n") for line in lines)]
            elif index == empty:
                rows, lines = [], []
            elif index == no_csv:  # somebody's archive, under the wrong name
                rows, lines = [], [b"PK\x03\x04", rng.randbytes(4_096)]
        (options.out / f"{day}.csv").write_bytes(b"".join(lines))
        files, written = files + 1, written + len(rows)
    print(f"{files} file{'s' if files != 1 else ''} with {written:,} rows of sales in {options.out}")


if __name__ == "__main__":
    main()
