"""The bus for event loops: asyncio (uvloop too) and trio, by way of anyio.

The names are those of `ipmb`, with `await` and `async for`. No thread stands behind a call: a task waits on the
receiver's one descriptor. Cancelling a call at any point, by a task group, a timeout or `task.cancel()`, loses nothing
and repeats nothing.

    >>> import asyncio, ipmb.aio
    >>> async def main():
    ...     async with await ipmb.aio.join("com.example.aio", "earth") as (sender, receiver):
    ...         await sender.send("earth", "hello world")
    ...         async for message in receiver:
    ...             print(message.payload)
    ...             break
    >>> asyncio.run(main())
    hello world

What raises what, and what the arguments mean, is as without event loops. Labels, selectors, regions and the like are
those of `ipmb`.
"""

from ipmb.aio.endpoint import Endpoint, join
from ipmb.aio.messages import Message
from ipmb.aio.receiver import Receiver
from ipmb.aio.sender import Sender
from ipmb.aio.serving import serve

__all__ = ["Endpoint", "Message", "Receiver", "Sender", "join", "serve"]
