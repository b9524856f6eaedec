"""Side-by-side measurements: every figure is a ratio to something measured in the same run.

Absolute figures of a shared machine move by several times from one minute to the next. So all peers take
turns in rounds, each figure is the median over the rounds with its spread beside it, and what counts is the
ratio.

``groups``    what is measured, one module each: bytes, typed payloads, arrays, descriptors
``peers``     one small file for each transport that is compared, this bus among them, by group
``worker``    the process at one end of a link: obeys commands
``pair``      both ends of one peer's link
``machine``   the line that says what was measured on
``probe``     what the machine itself gives meanwhile
``thin``      a thin extension ring in C: the limit, and the probe's tool
``start``     how long an import takes
``targets``   what was aimed at, and whether this run reached it
``report``    the tables and the file of figures
``pictures``  the picture of a file of figures
``page``      the tables of docs/performance.md
``__main__``  the rounds
``queues``    `ipmb.Queue` beside `multiprocessing.Queue`
``scaling``   how the bus scales: senders, receivers, members, time
"""
