"""The retail job by hand: what a data engineer who knows Polars writes for this one job, and for no other.

It is what oreflow is measured against, so it is written to be fast: every pass streams, the silver rows and their
quarantine come out of one pass, and finished Parquet files are handed to Delta as they are. It has none of what
oreflow promises: it starts from nothing each time, stops at the first file that it cannot read, and a kill in the
middle leaves half a lake.

    python tests/bench/yardstick.py RAW_DIR LAKE_DIR
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from deltalake import Schema
from deltalake.transaction import AddAction, create_table_with_add_actions

RAW = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")

# An exact product: decimal(18,3) times int64 keeps its three decimals, and the sum has 38 digits to grow into.
REVENUE = (pl.col("quantity") * pl.col("unit_price")).sum().cast(pl.Decimal(38, 3))

TYPED = {
    "invoice_no": pl.col("InvoiceNo"),
    "stock_code": pl.col("StockCode"),
    "description": pl.col("Description").str.strip_chars(),
    "quantity": pl.col("Quantity").cast(pl.Int64, strict=False),
    "invoice_date": pl.col("InvoiceDate").str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us", strict=False),
    "unit_price": pl.col("UnitPrice").cast(pl.Decimal(18, 3), strict=False),
    "customer_id": pl.col("CustomerID").str.strip_suffix(".0").cast(pl.Int64, strict=False),
    "country": pl.col("Country"),
}

CASTS = {
    "cast quantity": ("Quantity", "quantity"),
    "cast invoice_date": ("InvoiceDate", "invoice_date"),
    "cast unit_price": ("UnitPrice", "unit_price"),
    "cast customer_id": ("CustomerID", "customer_id"),
}

# A rule that comes out NULL is broken.
RULES = {
    "customer known": pl.col("customer_id").is_not_null(),
    "sold something": (pl.col("quantity") > 0).fill_null(value=False),
    "has a price": (pl.col("unit_price") > 0).fill_null(value=False),
    "has a description": pl.col("description").is_not_null(),
    "invoice number": pl.col("invoice_no").str.contains("^C?[0-9]{6}$").fill_null(value=False),
} | {name: pl.col(raw).is_null() | pl.col(typed).is_not_null() for name, (raw, typed) in CASTS.items()}


def publish(lake: Path, tables: dict[str, pl.LazyFrame]) -> None:
    """Stream the frames to Parquet, all in one pass over what they share; then make each a Delta table."""
    files = {name: lake / name / "part-00000.parquet" for name in tables}
    pl.collect_all([frame.sink_parquet(files[name], mkdir=True, lazy=True) for name, frame in tables.items()])
    for name, file in files.items():
        written = pl.scan_parquet(file)
        rows = written.select(pl.len()).collect().item()
        add = AddAction(
            path=file.name,
            size=file.stat().st_size,
            partition_values={},
            modification_time=int(time.time() * 1000),
            data_change=True,
            stats=json.dumps({"numRecords": rows}),
        )
        create_table_with_add_actions(str(lake / name), Schema.from_arrow(written.collect_schema()), [add])


def rows_of(lake: Path, name: str) -> pl.LazyFrame:
    """A table that `publish` has just made."""
    return pl.scan_parquet(lake / name / "part-00000.parquet")


def main(raw: Path, lake: Path) -> None:
    """Raw files to six tables, stage by stage."""
    files = pl.scan_csv(raw / "*.csv", schema=dict.fromkeys(RAW, pl.String), include_file_paths="_source_file")
    publish(lake, {"bronze": files.with_columns(_ingested_at=pl.lit(datetime.now(UTC)))})

    # Duplicates go first, while all columns are text; order is kept, so that the first copy is the one that stays.
    distinct = rows_of(lake, "bronze").unique(subset=RAW, keep="first", maintain_order=True)
    judged = distinct.with_columns(**TYPED).with_columns(_clean=pl.all_horizontal(RULES.values()))
    broken = pl.concat_list(pl.when(~kept).then(pl.lit(name)) for name, kept in RULES.items()).list.drop_nulls()
    publish(
        lake,
        {
            "silver": judged.filter("_clean").select(*TYPED, "_source_file"),
            "quarantine": judged.filter(~pl.col("_clean")).select(*RAW, "_source_file", _rules=broken),
        },
    )

    sales = rows_of(lake, "silver")
    invoices = pl.col("invoice_no").n_unique().cast(pl.Int64)
    customers = pl.col("customer_id").n_unique().cast(pl.Int64)
    last_purchase = pl.col("invoice_date").max()
    publish(
        lake,
        {
            "sales_by_day": sales.group_by(day=pl.col("invoice_date").dt.date()).agg(
                revenue=REVENUE, customers=customers
            ),
            "sales_by_country": sales.group_by("country").agg(revenue=REVENUE, invoices=invoices),
            "customer_rfm": sales.group_by("customer_id").agg(
                last_purchase=last_purchase, frequency=invoices, monetary=REVENUE
            ),
        },
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
