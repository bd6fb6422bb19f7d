"""A nats-server with a configuration of its own, for tests of who is let in, what is permitted and what is full."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from attorn.services.supervise.server import HOST, find_server, free_port


@asynccontextmanager
async def configured(directory: Path, lines: str, *, jetstream: str = "") -> AsyncIterator[int]:
    """Its port; `lines` are added to its configuration, `jetstream` to that of JetStream."""
    port = free_port()
    configuration = directory / "nats.conf"
    store = f'store_dir: "{directory}/store", sync_interval: always'
    configuration.write_text(f'listen: "{HOST}:{port}"\njetstream {{ {store}\n{jetstream} }}\n{lines}')
    process = await asyncio.create_subprocess_exec(
        find_server(), "-c", configuration, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection(HOST, port)
                    writer.close()
                    break
                except OSError:
                    await asyncio.sleep(0.02)
        yield port
    finally:
        process.kill()
        await process.wait()
