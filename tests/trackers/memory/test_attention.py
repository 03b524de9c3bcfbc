import time

import pytest
import torch
import torch.nn.functional as F

from trackers.memory import attention


def drawn(count=3):
    torch.manual_seed(0)
    return torch.randn(count, 2, 20, 16), torch.randn(count, 2, 90, 16), torch.randn(count, 2, 90, 8)


USED = torch.arange(90) < torch.tensor([[90], [1], [40]])


@pytest.mark.parametrize("block", [10**9, 1000, 1], ids=["at once", "in blocks", "a query each"])
@pytest.mark.parametrize("padded", [False, True])
def test_it_equals_the_librarys_whatever_is_held_at_once(monkeypatch, block, padded):
    monkeypatch.setattr(attention, "BLOCK", block)
    query, key, value = drawn()
    used = USED if padded else None
    expected = F.scaled_dot_product_attention(
        query, key, value, attn_mask=None if used is None else used[:, None, None], scale=1.0
    )
    assert torch.allclose(attention.Attention()(query, key, value, used), expected, atol=1e-5)


@pytest.mark.parametrize("kernel", attention.FUSED)
@pytest.mark.parametrize("padded", [False, True])
def test_every_kernel_gives_the_same(kernel, padded):
    query, key, value = drawn()
    used = USED if padded else None
    if padded and kernel is attention.padded_values:
        with pytest.raises(RuntimeError, match="mask"):
            kernel(query, key, value, used)
    else:
        right = attention.product(query, key, value, used)
        assert torch.allclose(kernel(query, key, value, used), right, atol=1e-5)


@pytest.mark.parametrize("kernel", attention.FUSED)
def test_no_kernel_forbids_the_others_to_the_stage_beside_it(monkeypatch, kernel):
    """Torch's setting is one for all threads: a mask in the other stage would find no kernel that takes it."""

    def allowed(*_, **__):
        seen.append((torch.backends.cuda.mem_efficient_sdp_enabled(), torch.backends.cuda.math_sdp_enabled()))
        return torch.zeros(3, 2, 20, 16)

    seen = []
    monkeypatch.setattr(F, "scaled_dot_product_attention", allowed)
    kernel(*drawn(), None)
    assert seen == [(True, True)]


def test_the_fastest_that_works_is_chosen_for_each_number_of_objects(monkeypatch):
    """Measured on a device that stands for a GPU."""

    def slow_for_many(query, key, value, used):
        if len(query) > 2:
            time.sleep(0.02)
        if used is not None:
            raise RuntimeError("no such kernel")
        return value[:, :, :1].expand_as(query[..., :8]) + 1

    def steady(query, key, value, used):
        time.sleep(0.005)
        return value[:, :, :1].expand_as(query[..., :8]) + 2

    monkeypatch.setattr(attention, "FUSED", (slow_for_many, steady))
    chosen = attention.Attention()
    meta = torch.ones(1, 2, 20, 16, device="meta")
    chosen.measure(meta, keys=90, width=8, counts=(1, 2, 4))
    kernels = {key: kernel.__name__ for key, kernel in chosen._chosen.items()}
    assert kernels == {
        (1, False): "slow_for_many",
        (2, False): "slow_for_many",
        (4, False): "steady",
        **dict.fromkeys([(1, True), (2, True), (4, True)], "steady"),
    }
    query, key, value = (part.to("meta") for part in drawn())
    assert chosen(query, key, value, None).shape == (3, 2, 20, 8)
