"""The retail job by hand on Spark: what a data engineer who knows PySpark writes for this one job, and for no other.

It does the work of `yardstick.py` and gives the same tables: what oreflow on Spark is measured against. It is as users
of Spark write it (the csv reader of the JVM, which trusts every line; a cache where two results share a plan), and
commits the finished Parquet files to Delta as they are. It has none of what oreflow promises.

    python tests/bench/yardstick_spark.py RAW_DIR LAKE_DIR
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
from deltalake import Schema
from deltalake.transaction import AddAction, create_table_with_add_actions
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F  # noqa: N812  the name that it has in all of Spark's own pages

RAW = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
FORMAT = "yyyy-MM-dd HH:mm:ss"


def publish(lake: Path, tables: dict[str, DataFrame]) -> None:
    """Write each frame as Parquet, then make it a Delta table."""
    for name, frame in tables.items():
        folder = lake / name
        frame.write.option("compression", "zstd").parquet(str(folder))
        files = sorted(folder.glob("part-*.parquet"))
        adds = [
            AddAction(
                path=file.name,
                size=file.stat().st_size,
                partition_values={},
                modification_time=int(time.time() * 1000),
                data_change=True,
                stats=json.dumps({"numRecords": pq.read_metadata(file).num_rows}),
            )
            for file in files
        ]
        create_table_with_add_actions(str(folder), Schema.from_arrow(pq.read_schema(files[0])), adds)


def typed() -> dict[str, Column]:
    """The columns of silver."""
    customer = F.regexp_replace("CustomerID", r"\.0$", "")
    return {
        "invoice_no": F.col("InvoiceNo"),
        "stock_code": F.col("StockCode"),
        "description": F.trim("Description"),
        "quantity": F.col("Quantity").try_cast("bigint"),
        "invoice_date": F.try_to_timestamp("InvoiceDate", F.lit(FORMAT)).cast("timestamp_ntz"),
        "unit_price": F.col("UnitPrice").try_cast("decimal(18,3)"),
        "customer_id": customer.try_cast("bigint"),
        "country": F.col("Country"),
    }


def rules() -> dict[str, Column]:
    """What a row must keep; a rule that comes out NULL is broken."""
    casts = {
        "quantity": "Quantity",
        "invoice_date": "InvoiceDate",
        "unit_price": "UnitPrice",
        "customer_id": "CustomerID",
    }
    return {
        "customer known": F.col("customer_id").isNotNull(),
        "sold something": F.coalesce(F.col("quantity") > 0, F.lit(False)),
        "has a price": F.coalesce(F.col("unit_price") > 0, F.lit(False)),
        "has a description": F.col("description").isNotNull(),
        "invoice number": F.coalesce(F.col("invoice_no").rlike("^C?[0-9]{6}$"), F.lit(False)),
    } | {f"cast {name}": F.col(raw).isNull() | F.col(name).isNotNull() for name, raw in casts.items()}


def main(raw: Path, lake: Path) -> None:
    """Raw files to six tables, stage by stage."""
    spark = (
        SparkSession.builder.master("local[*]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "8")
        .config("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
        .getOrCreate()
    )
    schema = ", ".join(f"`{name}` string" for name in RAW)
    files = spark.read.csv(str(raw), header=True, schema=schema, enforceSchema=False)
    numbered = files.withColumn("_source_file", F.input_file_name()).withColumn(
        "_place", F.monotonically_increasing_id()
    )
    publish(lake, {"bronze": numbered.withColumn("_ingested_at", F.current_timestamp())})

    bronze = spark.read.parquet(str(lake / "bronze"))
    first = Window.partitionBy(*RAW).orderBy("_source_file", "_place")
    distinct = bronze.withColumn("_copy", F.row_number().over(first)).filter("_copy = 1")
    judged = distinct.withColumns(typed()).withColumns({f"_ok {n}": kept for n, kept in enumerate(rules().values())})
    flags = [F.col(f"`_ok {n}`") for n in range(len(rules()))]
    clean = flags[0]
    for flag in flags[1:]:
        clean = clean & flag
    broken = F.array_compact(F.array(*[F.when(~flag, F.lit(name)) for flag, name in zip(flags, rules(), strict=True)]))
    judged = judged.withColumn("_clean", clean).cache()
    publish(
        lake,
        {
            "silver": judged.filter("_clean").select(*typed(), "_source_file"),
            "quarantine": judged.filter("not _clean").select(*RAW, "_source_file", broken.alias("_rules")),
        },
    )
    judged.unpersist()

    sales = spark.read.parquet(str(lake / "silver"))
    revenue = F.sum(F.col("quantity").cast("decimal(19,0)") * F.col("unit_price")).cast("decimal(38,3)")
    invoices, customers = F.countDistinct("invoice_no"), F.countDistinct("customer_id")
    publish(
        lake,
        {
            "sales_by_day": sales.groupBy(F.to_date("invoice_date").alias("day")).agg(
                revenue.alias("revenue"), customers.alias("customers")
            ),
            "sales_by_country": sales.groupBy("country").agg(revenue.alias("revenue"), invoices.alias("invoices")),
            "customer_rfm": sales.groupBy("customer_id").agg(
                F.max("invoice_date").alias("last_purchase"), invoices.alias("frequency"), revenue.alias("monetary")
            ),
        },
    )
    spark.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
