"""`ipmb.Queue`: in the place of `multiprocessing.Queue`, and no death of a process can block it.

From the bottom up: `items`, what pickle makes of an item; `patience`, waiting within a timeout; `meeting`, how a
process gets the descriptors of a queue from one that has them; `queue`, the class. The items themselves are kept by
native code, `crates/transport/src/queue`.
"""

from ipmb.queues.queue import Queue

__all__ = ["Queue"]
