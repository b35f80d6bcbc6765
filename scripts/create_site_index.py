"""Creates the index on `timestamp` in a site's collections: `python -m scripts.create_site_index --site living_lab`.

Reads by time need it; the product itself never creates it, since a site's data belong to its owner.
"""

import argparse
import os
import sys
from typing import Final

from workers.common.errors import OpevaError
from workers.sites import indexes
from workers.sites.client import MongoConnection
from workers.sites.database import Sites
from workers.sites.options import SitesOptions

#: An index of many millions of documents takes its time.
_BUILD_TIMEOUT_S: Final = 3600.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.create_site_index", description=__doc__)
    parser.add_argument("--uri", default=os.environ.get("OPEVA_MONGO_URI"), help="default: OPEVA_MONGO_URI")
    parser.add_argument("--site", action="append", required=True, help="may be given more than once")
    arguments = parser.parse_args()
    connection = MongoConnection(SitesOptions(arguments.uri, mongo_read_timeout_s=_BUILD_TIMEOUT_S))
    try:
        for name in arguments.site:
            site = Sites(connection).open(name)
            for collection in site.collections:
                with connection.errors(f"{collection} of site '{name}'"):
                    print(f"{name}.{collection}: {indexes.create_index(site.collection(collection))}", flush=True)
    except OpevaError as error:
        print(error.detail, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
