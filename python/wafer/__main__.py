"""python -m wafer"""

import signal
import sys

from wafer.cli import main

if __name__ == "__main__":
    # Python's own handler would wait until the compiler or the emulator returns.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(main())
