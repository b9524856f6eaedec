"""Users of this machine, as `join` takes them: by name or by id."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import TypeAlias

from ipmb.registrations import a_type

Users: TypeAlias = "str | int | Iterable[str | int]"

_HOW = "give names or ids of users of this machine"

#: More than a bus may have (docs/limits.md, USERS), each several times; and where an endless iterable ends.
_MOST = 1024


def uids(users: Users) -> list[int]:
    """The ids of these users.

    Raises:
        TypeError: They are something else.
        ValueError: There is no such user.

    Example:
        >>> from ipmb.users import uids
        >>> uids("root"), uids([1000, 1001])
        ([0], [1000, 1001])
    """
    found = [_uid(user) for user in itertools.islice(_each(users), _MOST + 1)]
    if len(found) > _MOST:
        msg = f"users has more than {_MOST} entries: {_HOW}"
        raise ValueError(msg)
    return found


def _each(users: object) -> Iterable[object]:
    if isinstance(users, str | int):
        return (users,)
    # Bytes would be ids, a byte each; and a name is text.
    if isinstance(users, Iterable) and not isinstance(users, bytes | bytearray | memoryview):
        return users
    msg = f"users is {a_type(type(users))}: {_HOW}"
    raise TypeError(msg)


def _uid(user: object) -> int:
    if isinstance(user, bool) or not isinstance(user, str | int):
        msg = f"users has {a_type(type(user))}: {_HOW}"
        raise TypeError(msg)
    if isinstance(user, str):
        import pwd  # noqa: PLC0415 # few programs name users

        try:
            return pwd.getpwnam(user).pw_uid
        except (KeyError, ValueError, UnicodeError):
            msg = f"users has {user!r}, which is no user of this machine: {_HOW}"
            raise ValueError(msg) from None
    if not 0 <= user < (1 << 32) - 1:
        msg = f"users has {user}, which is no id of a user: {_HOW}"
        raise ValueError(msg)
    return user
