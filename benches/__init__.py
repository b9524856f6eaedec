"""Side-by-side measurements: every figure is a ratio to something measured in the same run.

Absolute figures of a shared machine move by several times from one minute to the next. So all peers take
turns in rounds, each figure is the median over the rounds with its spread beside it, and what counts is the
ratio.

``peers``     one small file for each transport that is compared, this bus among them
``worker``    the process at one end of a link: sends, receives, checks
``pair``      both ends of one peer's link, and one measurement with them
``machine``   the line that says what was measured on
``report``    the table and the file of figures
``__main__``  the rounds
"""
