"""What the process-level tests stand on, from the bottom up.

``wait``        bounded waiting for a condition: no test sleeps and hopes
``proc``        what the kernel says about a process: descriptors, threads, switches, sockets
``runner``      the main loop of a child interpreter: obeys calls, reports results and events
``child``       the parent's handle of such a child: spawn, call, stop, kill
``roles``       what a child can be asked to do with the bus
``streams``     roles that go on for a while: conversations, checked streams, deaths
``member``      a child that has joined, with the roles as methods
``syscalls``    counts the system calls of a running child between two marks
``stranger``    raw sockets that speak to the bus what nobody should
``storm``       members that talk, log and are killed, and the check of what the survivors saw
``cancelling``  calls that are cancelled at random moments, in every way an event loop knows
``services``    roles of those who answer and of those who ask
``plain_user``  starts a command as an unprivileged user with a low descriptor limit
"""
