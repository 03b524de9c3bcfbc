import pytest
import torch
import torch.nn.functional as F

from trackers.memory import attention


@pytest.mark.parametrize("block", [10**9, 1000, 1], ids=["at once", "in blocks", "a query each"])
@pytest.mark.parametrize("padded", [False, True])
def test_it_equals_the_librarys_whatever_is_held_at_once(monkeypatch, block, padded):
    monkeypatch.setattr(attention, "BLOCK", block)
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 20, 16), torch.randn(3, 2, 90, 16), torch.randn(3, 2, 90, 8)
    used = torch.arange(90) < torch.tensor([[90], [1], [40]]) if padded else None
    expected = F.scaled_dot_product_attention(
        query, key, value, attn_mask=None if used is None else used[:, None, None], scale=1.0
    )
    assert torch.allclose(attention.attend(query, key, value, used), expected, atol=1e-5)
