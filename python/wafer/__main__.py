"""python -m wafer"""

import sys

from wafer.cli import main

if __name__ == "__main__":
    sys.exit(main())
