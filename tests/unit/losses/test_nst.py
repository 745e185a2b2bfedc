import pytest
import torch

from losses import LossError
from losses.nst import NST, channel_discrepancy
from tests.support.loss_inputs import shapes


def by_definition(student, teacher):
    """The discrepancy with the kernel taken of each pair of channels."""

    def mean_kernel(x, y):
        x, y = (z.flatten(2) / z.flatten(2).norm(dim=2, keepdim=True) for z in (x, y))
        return torch.einsum("bcp,bdp->bcd", x, y).pow(2).mean()

    return (
        mean_kernel(teacher, teacher)
        + mean_kernel(student, student)
        - 2 * mean_kernel(student, teacher)
    )


# Few channels on a large map, many on a small one, and much more of one network.
@pytest.mark.parametrize("channels", [(3, 4), (40, 50), (2, 70), (70, 2)])
@pytest.mark.parametrize("size", [(9, 9), (4, 3), (1, 1)])
def test_both_ways_to_compute_it_match_the_definition(channels, size):
    torch.manual_seed(0)
    teacher = torch.randn(4, channels[1], *size, dtype=torch.float64)
    student = torch.randn(4, channels[0], *size, dtype=torch.float64, requires_grad=True)
    loss, expected = channel_discrepancy(student, teacher), by_definition(student, teacher)
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=1e-12)
    gradients = (torch.autograd.grad(x, student)[0] for x in (loss, expected))
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("num_channels", [3, 40])
def test_it_is_zero_for_equal_maps_and_ignores_the_order_of_channels(num_channels):
    maps = torch.randn(4, num_channels, 5, 5, dtype=torch.float64)
    torch.testing.assert_close(
        channel_discrepancy(maps.flip(1), maps), maps.new_zeros(()), rtol=0, atol=1e-14
    )


@pytest.mark.parametrize("num_channels", [3, 40])
def test_a_dead_channel_has_no_gradient(num_channels):
    student = torch.randn(2, num_channels, 3, 3)
    student[:, 1] = 0.0
    student.requires_grad_()
    channel_discrepancy(student, torch.randn(2, num_channels, 3, 3)).backward()
    assert student.grad.isfinite().all()
    assert student.grad[:, 1].abs().max() == 0.0


def test_nst_refuses_networks_without_stages():
    with pytest.raises(LossError, match=r"nst: the teacher has no map after a stage \(its maps: "):
        NST(shapes(6, stage1=(4, 8, 8)), shapes(9), weight=1.0)
