"""Tensors arrive equal in another process, can be written to there, and what is no plain memory is refused."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ipmb import _core
from tests.property import absent, tensor_roles
from tests.support import roles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.property.hall import Hall

torch: Any = pytest.importorskip("torch", reason="torch is too large for the development environment")

LARGE = _core.VIEW_BYTES

DTYPES = [
    *("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
    *("float16", "bfloat16", "float32", "float64", "complex64", "complex128", "float8_e4m3fn", "float8_e5m2"),
]


@pytest.fixture(autouse=True)
def nothing_on_the_screen() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def same(sent: Any, got: Any) -> bool:
    """Equal, bit for bit: not every dtype can be compared by torch."""
    return (
        type(got) is torch.Tensor
        and (got.dtype, got.shape) == (sent.dtype, sent.shape)
        and tensor_roles.raw(got) == tensor_roles.raw(sent)
    )


@pytest.mark.parametrize("rows", [3, LARGE // 4])
@pytest.mark.parametrize("name", DTYPES)
def test_any_tensor_arrives_equal(hall: Hall, name: str, rows: int) -> None:
    whole = (torch.arange(rows * 4) % 2).to(getattr(torch, name)).reshape(rows, 4)
    for tensor in (
        whole,
        whole.T,
        whole[::2],
        whole[:, 1:2],
        whole[0, 0],
        whole[:0],
        whole[None].expand(2, -1, -1),
    ):
        _, back = hall.reflected(tensor)
        assert same(tensor, back)
        _, (back, rest) = hall.reflected([tensor, {"more": tensor}])
        assert same(tensor, back)
        assert same(tensor, rest["more"])


def test_gradients_stay_and_subclasses_are_plain(hall: Hall) -> None:
    weights = torch.nn.Parameter(torch.ones(3))
    _, back = hall.reflected(weights)
    assert same(weights.detach(), back)
    assert not back.requires_grad


def test_lazy_conjugates_are_resolved(hall: Hall) -> None:
    tensor = torch.tensor([1 + 2j, 3 - 4j]).conj()
    assert same(tensor.resolve_conj(), hall.reflected(tensor)[1])
    assert same(tensor.imag.resolve_neg(), hall.reflected(tensor.imag)[1])


@pytest.mark.parametrize("rows", [3, LARGE])
def test_what_came_can_be_written_to_and_nobody_sees_it(hall: Hall, rows: int) -> None:
    other = hall.spawn.member(hall.end.identifier, "other")
    tensor = torch.ones(rows)
    assert hall.end.sender.send("other", [tensor, tensor[::2]]) == 1
    assert other.child.call(tensor_roles.add_one_and_sum) == 2 * rows + 2 * len(tensor[::2])
    assert tensor.sum() == rows


def test_a_tensor_keeps_its_memory(hall: Hall) -> None:
    tensor = torch.arange(LARGE)
    _, back = hall.reflected(tensor)
    part = back[5:][::3]
    del back
    for _ in range(10):
        hall.reflected(torch.zeros(LARGE))
    assert same(tensor[5:][::3], part)


def test_tensors_in_a_region_are_sent_in_place(hall: Hall) -> None:
    import ipmb

    other = hall.spawn.member(hall.end.identifier, "viewer")
    region = ipmb.MemoryRegistry().alloc(4 * LARGE)
    tensor = torch.frombuffer(region, dtype=torch.float32, count=LARGE)
    tensor.fill_(1)
    assert hall.end.sender.send("viewer", tensor) == 1
    assert other.child.call(tensor_roles.keep) == LARGE
    tensor[0] = 3
    assert other.child.call(tensor_roles.look) == LARGE + 2


@pytest.mark.parametrize(
    ("make", "hint"),
    [
        (lambda: torch.eye(3, device="meta"), r"\.cpu\(\)"),
        (lambda: torch.eye(3).to_sparse(), r"\.to_dense\(\)"),
        (lambda: torch.zeros(4, dtype=torch.uint8).view(torch.bits8), "another dtype"),
    ],
    ids=["elsewhere", "sparse", "bits"],
)
def test_others_are_refused(hall: Hall, make: Any, hint: str) -> None:
    with pytest.raises(TypeError, match=rf"^payload is a tensor .*{hint}"):
        hall.end.sender.send("mirror", make())


def test_a_receiver_without_torch_says_so(hall: Hall) -> None:
    plain = hall.spawn.member(hall.end.identifier, "plain")
    plain.child.call(absent.forget, "torch")
    assert hall.end.sender.send("plain", torch.ones(3)) == 1
    assert "install torch" in plain.child.post(roles.recv, 5.0).fails("DecodeError").text


def test_arrays_beside_tensors(hall: Hall) -> None:
    _, back = hall.reflected({"tensor": torch.ones(LARGE), "array": np.ones(LARGE)})
    assert same(torch.ones(LARGE), back["tensor"])
    assert (back["array"] == 1).all()
