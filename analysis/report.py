"""`polyview-tools report` under the name that it had before there was a package: people's scripts call it so."""

import sys

from polyview.tools import main

sys.exit(main(["report", *sys.argv[1:]]))
