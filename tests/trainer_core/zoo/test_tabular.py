"""The ensemble for tables: members learn each for itself, and their mean is a proper answer."""

from __future__ import annotations

import torch

from trainer_core.zoo.learner import Learner
from trainer_core.zoo.tabular import Ensemble, TabularMLP

X = torch.randn(16, 5)
Y = torch.randint(0, 3, (16,))


def ensemble(classes: bool = True) -> Ensemble:
    torch.manual_seed(0)
    return Ensemble(4, [5, 8, 8], 3 if classes else 1, 0.0, classes=classes)


def test_the_answer_for_classes_is_the_mean_probability() -> None:
    net = ensemble()
    each = net.train()(X)
    assert each.shape == (16, 4, 3)
    answer = net.eval()(X)
    torch.testing.assert_close(answer.softmax(-1), each.softmax(-1).mean(1))
    torch.testing.assert_close(answer.exp().sum(-1), torch.ones(16))


def test_the_answer_for_a_number_is_the_mean() -> None:
    net = ensemble(classes=False)
    torch.testing.assert_close(net.eval()(X), net.train()(X).mean(1))


def test_a_member_learns_as_it_would_alone() -> None:
    """The gradient of one member's weights is that of its own loss; a shared scale of the norms is all they share."""
    net, learner = ensemble(), Learner()
    learner._loss(net.train()(X), Y).backward()
    first = net.layers[0].weight.grad[1].clone()  # type: ignore[union-attr,index]
    net.zero_grad()
    torch.nn.functional.cross_entropy(net(X)[:, 1], Y).backward()
    torch.testing.assert_close(first * 4, net.layers[0].weight.grad[1])  # type: ignore[union-attr,index]


def test_the_biases_of_members_are_not_decayed() -> None:
    learner = TabularMLP(schedule="constant")
    learner.net = ensemble()
    learner.trainer = type("T", (), {"estimated_stepping_batches": 1})()  # type: ignore[assignment]
    decayed, rest = learner.make_optimizer("adamw", 1e-3, 0.1, "constant").param_groups
    names = {id(p): n for n, p in learner.named_parameters()}
    assert {names[id(p)].rpartition(".")[2] for p in decayed["params"]} == {"weight"}
    assert len(rest["params"]) == 3 + 2 * 2
