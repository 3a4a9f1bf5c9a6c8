"""One patient caller in a process of its own: `python probe.py URL …`, the token in `TOKEN`.

It asks for a page of projects twice a second, at each address in turn, and prints the seconds that each answer took,
whatever it was; the client of the load is too busy with a thousand projects to time anything but itself.
"""

import http.client
import itertools
import os
import sys
import time
from contextlib import suppress
from urllib.parse import urlsplit

PAUSE = 0.5
PATIENCE = 60.0


def main() -> None:
    """Until it is ended."""
    headers = {"Authorization": f"Bearer {os.environ['TOKEN']}"}
    for url in itertools.cycle(sys.argv[1:]):
        began = time.monotonic()
        with suppress(OSError, http.client.HTTPException):  # no answer has its time, too
            connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)
            connection.request("GET", "/admin/v1/projects?per_page=1", headers=headers)
            connection.getresponse().read()
            connection.close()
        print(time.monotonic() - began, flush=True)
        time.sleep(PAUSE)


if __name__ == "__main__":
    main()
