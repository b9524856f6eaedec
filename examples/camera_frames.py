"""Camera frames from one process to two viewers, in shared memory: a frame is filled once and never copied.

    python examples/camera_frames.py            # needs numpy

The camera takes memory from a registry, draws the frame right into it as a numpy array, and sends the array. Both
viewers get an array of the same memory, read-only, for as long as they look at it. When nobody does any more, the
registry gives that memory out again, so a long film needs only a few frames' worth; and when a viewer is killed, what
it held comes back.

That nothing is copied is not taken on trust here: each process asks the kernel in which file its array lies.
"""

import multiprocessing
import os
import sys

import numpy as np

import ipmb

HEIGHT, WIDTH = 1080, 1920
FRAMES = 60


def memory_of(array: np.ndarray) -> int:
    """The number (inode) of the memory file that an array lies in; 0 if it is ordinary memory."""
    address = array.ctypes.data
    with open("/proc/self/maps") as maps:
        for line in maps:
            span, _, _, _, inode = line.split()[:5]
            begin, end = (int(part, 16) for part in span.split("-"))
            if begin <= address < end:
                return int(inode)
    return 0


def view(bus: str, name: str) -> None:
    """A viewer: looks at frames, and tells the camera what it saw and where it lay."""
    with ipmb.join(bus, ["viewer", name]) as (sender, receiver):
        sender.send("camera", f"the {name} viewer is there")
        for message in receiver:
            frame = message.payload
            if frame is None:
                break
            assert frame.shape == (HEIGHT, WIDTH, 3)
            assert not frame.flags.writeable
            number = int(frame[0, 0, 0])
            assert (frame[-1] == number).all(), "a whole frame"
            message.reply([number, memory_of(frame)])


def main() -> int:
    """The camera, which starts the viewers."""
    bus = f"example.camera.{os.getpid()}"
    viewers = ipmb.Selector.multicast("viewer")
    registry = ipmb.MemoryRegistry()
    drawn: list[int] = []
    seen: dict[int, list[list[int]]] = {}

    with ipmb.join(bus, "camera") as (sender, receiver):
        spawning = multiprocessing.get_context("spawn")
        processes = [spawning.Process(target=view, args=(bus, name)) for name in ("left", "right")]
        for process in processes:
            process.start()
        for _ in processes:
            print(f"camera: {receiver.recv(timeout=20).payload}")

        for number in range(FRAMES):
            region = registry.alloc(HEIGHT * WIDTH * 3, tag="frame")
            frame = np.frombuffer(region.map(size=HEIGHT * WIDTH * 3), np.uint8).reshape(HEIGHT, WIDTH, 3)
            frame[:] = number  # the camera's work
            sender.send(viewers, frame)
            drawn.append(memory_of(frame))
            del region, frame  # from now on the viewers alone hold it

            for _ in processes:  # at the viewers' pace
                message = receiver.recv(timeout=10)
                seen.setdefault(message.sender.pid, []).append(message.payload)

        sender.send(viewers, None)
        for process in processes:
            process.join(timeout=10)

    expected = [[number, inode] for number, inode in enumerate(drawn)]
    for pid, frames in seen.items():
        same = sum(frame == right for frame, right in zip(frames, expected, strict=False))
        print(f"viewer {pid}: {same} of {FRAMES} frames seen in the camera's own memory")
    megabytes = FRAMES * HEIGHT * WIDTH * 3 / 1e6
    print(
        f"camera: {megabytes:,.0f} MB of frames in {len(set(drawn))} regions of {HEIGHT * WIDTH * 3 / 1e6:.1f} MB each"
    )
    right = len(seen) == 2 and all(frames == expected for frames in seen.values())
    return 0 if right and all(process.exitcode == 0 for process in processes) else 1


if __name__ == "__main__":
    sys.exit(main())
