"""Loads sample sites into a MongoDB: `python -m scripts.sample_sites --uri mongodb://… --days 30`.

The data are of the last days up to now. A site that is there already is left as it is, unless `--replace` is given.
"""

import argparse
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from pymongo.errors import PyMongoError

from scripts.building_data import citylearn_wheel, load_buildings
from scripts.sample_sites.generate import make_sample
from scripts.sample_sites.load import SiteExists, load
from scripts.sample_sites.options import CAR_PARK, SITES, SampleOptions, Shape, StampForm
from scripts.stack.plan import PROJECT
from workers.sites.client import server_of

#: How many homes, or chargers, a site has unless told otherwise.
_SIZE: Final = 4


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.sample_sites", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--uri", default=os.environ.get("OPEVA_MONGO_URI"), help="default: OPEVA_MONGO_URI")
    parser.add_argument("--site", action="append", choices=SITES, help="which; both by default")
    parser.add_argument("--days", type=float, default=30.0)
    parser.add_argument("--cadence", type=int, default=15, metavar="MINUTES")
    parser.add_argument("--size", type=int, default=_SIZE, help="homes, or chargers of the car park")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--messy", action="store_true", help="all shapes and timestamps, gaps, duplicates, odd numbers")
    parser.add_argument("--source-time-zone", help="the clock of dates and texts without an offset; default UTC")
    parser.add_argument("--replace", action="store_true", help="drop a site of the same name first")
    parser.add_argument("--cache", type=Path, default=PROJECT / ".run" / "cache", help="keeps the building data")
    arguments = parser.parse_args()
    if not arguments.uri:
        parser.error("--uri or OPEVA_MONGO_URI must say where the MongoDB is")
    now = datetime.now(UTC)
    status = 0
    for site in arguments.site or SITES:
        try:
            options = _options(arguments, site, now)
            years = load_buildings(citylearn_wheel(arguments.cache), 1 if site == CAR_PARK else options.size)
            counts = load(arguments.uri, make_sample(options, years), replace=arguments.replace)
        except SiteExists as error:
            print(f"{error}: it is left as it is")
        except (ValueError, RuntimeError, PyMongoError) as error:
            print(f"Site '{site}' at {server_of(arguments.uri)}: {error}", file=sys.stderr)
            status = 1
        else:
            print(f"Site '{site}': {sum(counts.values())} documents in {', '.join(counts)}")
    return status


def _options(arguments: argparse.Namespace, site: str, now: datetime) -> SampleOptions:
    messy = bool(arguments.messy)
    return SampleOptions(
        site=site,
        start=now - timedelta(days=arguments.days),
        end=now,
        seed=arguments.seed,
        cadence_minutes=arguments.cadence,
        size=arguments.size,
        shapes=tuple(Shape) if messy else (Shape.FLAT,),
        stamps=tuple(StampForm) if messy else (StampForm.DATE,),
        gap_days=0.3 if messy else 0.0,
        duplicates=0.02 if messy else 0.0,
        odd_numbers=0.02 if messy else 0.0,
        shuffled=messy,
        source_time_zone=arguments.source_time_zone,
    )


if __name__ == "__main__":
    sys.exit(main())
