"""The images' health check: does the process answer where it should? Exit status 1 where not.

A slim image has no curl; this needs nothing but Python.
"""

import os
import sys
import urllib.error
import urllib.request


def main() -> int:
    """Asks a service's metrics listener; a process without one (the simulator, a job) is healthy while it runs."""
    port = os.environ.get("METRICS_PORT", "0")
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=4).close()
    except (urllib.error.URLError, OSError) as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
