"""Batches cut from one copy of many rows behave like batches that were copied one by one."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from trainer_core.data import indexed


def batches(n_items: int = 200, batch_size: int = 16, shuffle: bool = True) -> list[list[torch.Tensor]]:
    dataset = TensorDataset(torch.randn(n_items, 16), torch.arange(n_items))
    found = indexed.indexed_batches(DataLoader(dataset, batch_size, shuffle=shuffle))
    assert found is not None
    return list(found)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("n_items", [16, 200, 16 * 70 + 3])
@pytest.mark.parametrize("drop_last", [True, False])
def test_equal_to_the_dataloader_over_many_copies(shuffle: bool, n_items: int, drop_last: bool) -> None:
    dataset = TensorDataset(torch.randn(n_items, 16), torch.arange(n_items))
    loader = DataLoader(dataset, 16, shuffle=shuffle, drop_last=drop_last)
    torch.manual_seed(1)
    expected = list(loader)
    torch.manual_seed(1)
    got = list(indexed.indexed_batches(loader) or ())
    assert [[t.tolist() for t in one] for one in got] == [[t.tolist() for t in one] for one in expected]


@pytest.mark.parametrize("batch_size", [16, 7])
def test_every_batch_is_aligned_as_memory_of_its_own(batch_size: int) -> None:
    found = batches(batch_size=batch_size)
    assert len({t.untyped_storage().data_ptr() for one in found for t in one}) == (2 if batch_size == 16 else 58)
    assert all(t.data_ptr() % indexed.ALIGNMENT == 0 for one in found for t in one)


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_batch_may_be_written_to_while_another_waits_for_its_backward(shuffle: bool) -> None:
    first, second = batches(32, shuffle=shuffle)
    weight = torch.ones(16, 1, requires_grad=True)
    loss = (first[0] @ weight).sum()
    second[0].add_(1)
    loss.backward()
    torch.testing.assert_close(weight.grad, first[0].sum(0, keepdim=True).T)


def test_writing_to_a_batch_leaves_the_dataset_alone() -> None:
    dataset = TensorDataset(torch.ones(64, 16))
    for (batch,) in indexed.indexed_batches(DataLoader(dataset, 16)) or ():
        batch.zero_()
    assert dataset.tensors[0].sum() == 64 * 16


def test_a_copy_stays_small() -> None:
    dataset = TensorDataset(torch.zeros(4096, 1024))
    found = list(indexed.indexed_batches(DataLoader(dataset, 64)) or ())
    sizes = {t.untyped_storage().nbytes() for one in found for t in one}
    assert max(sizes) <= indexed.AT_ONCE_BYTES
