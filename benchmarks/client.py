"""The load generator where there is no wrk: ``python -m benchmarks.client URL CONNECTIONS SECONDS``.

Keep-alive connections, one request at a time on each, one kind of answer expected. Prints what wrk prints.
"""

import asyncio
import sys
import time
from urllib.parse import urlsplit


async def main(url: str, connections: int, seconds: float) -> int:
    """How many requests were answered."""
    until = time.monotonic() + seconds
    return sum(await asyncio.gather(*(_connection(url, until) for _ in range(connections))))


async def _connection(url: str, until: float) -> int:
    at = urlsplit(url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    request = f"GET {at.path} HTTP/1.1\r\nhost: {at.netloc}\r\n\r\n".encode()
    answered = 0
    while time.monotonic() < until:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"Non-2xx: {head!r}")
        await reader.readexactly(_length(head))
        answered += 1
    writer.close()
    return answered


def _length(head: bytes) -> int:
    return int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])


if __name__ == "__main__":
    print(f"{asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))} requests in {sys.argv[3]} s")
