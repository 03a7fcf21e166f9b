"""On-policy consistency training: its loss against enumerated answers, and its training."""

import itertools

import pytest
import torch

from entrench.methods.opct import discounted_future, opct_terms

VOCABULARY, WIDTH, LENGTH = 8, 5, 3
END = 0  # the token that ends an answer


class TableModel(torch.nn.Module):
    """Next-token states that depend on the tokens before, so that all answers can be enumerated."""

    def __init__(self, seed, scale=1.0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        size = 1 + VOCABULARY + VOCABULARY**2
        table = torch.randn(size, WIDTH, generator=generator, dtype=torch.float64) * scale
        self.table = torch.nn.Parameter(table)

    def states(self, answer):
        """The states that predict each token of the answer."""
        places, place = [0], 0
        for token in answer[:-1]:
            place = 1 + token if len(places) == 1 else 1 + VOCABULARY * (answer[0] + 1) + token
            places.append(place)
        return self.table[places]


class Linear:
    """A fixed head."""

    positions = 2

    def __init__(self):
        generator = torch.Generator().manual_seed(9)
        self.weight = torch.randn(VOCABULARY, WIDTH, generator=generator, dtype=torch.float64)

    def __call__(self, states):
        return states @ self.weight.T


HEAD = Linear()


def answers():
    """Every answer: it ends with the end token, or is cut at three tokens."""
    for length in range(1, LENGTH + 1):
        for said in itertools.product(range(VOCABULARY), repeat=length):
            if END in said[:-1] or (said[-1] != END and length < LENGTH):
                continue
            yield list(said)


def logprob(model, answer):
    logs = HEAD(model.states(answer)).log_softmax(-1)
    return logs[range(len(answer)), answer]


@pytest.fixture
def models():
    return TableModel(1), TableModel(2)


def gradient(loss, model):
    (found,) = torch.autograd.grad(loss, model.table)
    return found


def enumerated(student, teacher):
    """The reverse KL of whole answers, as a sum over all of them."""
    total = 0.0
    for answer in answers():
        own = logprob(student, answer).sum()
        total = total + own.exp() * (own - logprob(teacher, answer).sum().detach())
    return total


def expected(student, teacher, *, estimator, discount):
    """The expectation over answers of the gradient of `opct_terms` on one answer."""
    total = torch.zeros_like(student.table)
    mass = 0.0
    for answer in answers():
        chance = logprob(student, answer).sum().exp().item()
        total += chance * gradient(
            terms(student, teacher, [answer], estimator, discount)[0], student
        )
        mass += chance
    assert mass == pytest.approx(1)
    return total


def terms(student, teacher, said, estimator, discount, lagging=False, sampler=None):
    own = torch.cat([student.states(answer) for answer in said])
    other = torch.cat([teacher.states(answer) for answer in said]).detach()
    drawn = torch.cat([logprob(sampler or student, answer) for answer in said]).detach()
    tokens = torch.tensor([token for answer in said for token in answer])
    lengths = [len(answer) for answer in said]
    settings = {"estimator": estimator, "discount": discount, "lagging": lagging}
    return opct_terms(own, other, tokens, drawn, lengths, HEAD, **settings)


@pytest.mark.parametrize("estimator", ["exact", "sampled"])
def test_with_discount_1_the_gradient_is_that_of_the_kl_of_whole_answers(models, estimator):
    student, teacher = models
    true = gradient(enumerated(student, teacher), student)
    found = expected(student, teacher, estimator=estimator, discount=1.0)
    assert torch.allclose(found, true, rtol=1e-5, atol=1e-6)


def test_without_discount_both_estimators_agree_and_miss_what_a_token_leads_to(models):
    student, teacher = models
    true = gradient(enumerated(student, teacher), student)
    exact, sampled = (
        expected(student, teacher, estimator=estimator, discount=0.0)
        for estimator in ("exact", "sampled")
    )
    assert torch.allclose(exact, sampled, rtol=1e-5, atol=1e-6)
    missed = ((exact - true).norm() / true.norm()).item()
    assert 0.05 < missed < 1
    # The last token leads to nothing: its states have the true gradient.
    last = slice(1 + VOCABULARY, None)
    assert torch.allclose(exact[last], true[last], rtol=1e-5, atol=1e-6)


def test_draws_of_answers_come_to_the_same_gradient(models):
    """20,000 drawn answers, by `sampled` and `discount` 1. A mean of as many errs by about 1%."""
    student, teacher = models
    every = list(answers())
    chances = torch.stack([logprob(student, answer).sum().exp() for answer in every]).detach()
    generator = torch.Generator().manual_seed(4)
    drawn = torch.multinomial(chances, 20_000, replacement=True, generator=generator)
    counts = torch.bincount(drawn, minlength=len(every))
    total = torch.zeros_like(student.table)
    for answer, count in zip(every, counts.tolist(), strict=True):
        if count:
            total += count * gradient(terms(student, teacher, [answer], "sampled", 1.0)[0], student)
    true = gradient(enumerated(student, teacher), student)
    assert ((total / 20_000 - true).norm() / true.norm()).item() < 0.05


def test_a_lagging_sampler_is_weighted_for(models):
    """Answers of another model, weighted by what the student would say: the same at one token."""
    student, teacher = models
    other = TableModel(3, scale=0.5)
    every = [[token] for token in range(VOCABULARY)]
    weighted, own = torch.zeros_like(student.table), torch.zeros_like(student.table)
    for answer in every:
        settings = {"lagging": True, "sampler": other}
        loss, _ = terms(student, teacher, [answer], "sampled", 0.0, **settings)
        weighted += logprob(other, answer).exp().item() * gradient(loss, student)
        loss, _ = terms(student, teacher, [answer], "sampled", 0.0)
        own += logprob(student, answer).exp().item() * gradient(loss, student)
    assert torch.allclose(weighted, own, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("estimator", ["exact", "sampled"])
@pytest.mark.parametrize("discount", [0.0, 0.5, 1.0])
def test_a_student_that_is_its_teacher_has_nothing_to_learn(models, estimator, discount):
    student, _ = models
    twin = TableModel(1)
    said = list(itertools.islice(answers(), 5, 25))
    loss, sums = terms(student, twin, said, estimator, discount)
    assert abs(loss.item()) < 1e-6
    assert gradient(loss, student).abs().max() < 1e-5  # rounding in float32
    assert sums["disagreement"] == 0


def test_values_and_sums_by_hand(models):
    student, teacher = models
    said = [[3, 0], [5, 1, 2]]
    own, other = (
        torch.cat([HEAD(model.states(answer)).softmax(-1) for answer in said]) for model in models
    )
    loss, sums = terms(student, teacher, said, "exact", 0.0)
    kl = (own * (own / other).log()).sum()
    assert loss.item() == pytest.approx(kl.item(), rel=1e-5)
    assert sums["kl"].item() == pytest.approx(kl.item(), rel=1e-5)
    assert sums["entropy"].item() == pytest.approx(-(own * own.log()).sum().item(), rel=1e-5)
    differ = (own.argmax(-1) != other.argmax(-1)).sum().item()
    assert sums["disagreement"].item() == differ
    loss, sums = terms(student, teacher, said, "sampled", 0.0)
    ratios = sum((logprob(student, one) - logprob(teacher, one)).sum().item() for one in said)
    assert sums["kl"].item() == pytest.approx(ratios, rel=1e-5)
    assert loss.item() == pytest.approx(ratios, rel=1e-5)


def test_the_future_by_hand():
    """Rows 1, 2, 4 and 8, 16 with discount .5: 2 / 2 + 4 / 4, 4 / 2, 0; 16 / 2, 0."""
    values = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0])
    assert discounted_future(values, [3, 2], 0.5).tolist() == [2.0, 2.0, 0.0, 8.0, 0.0]
    assert discounted_future(values, [1, 4], 0.0).tolist() == [0.0] * 5


@pytest.mark.parametrize("estimator", ["exact", "sampled"])
def test_with_a_lag_what_follows_is_weighted_too(models, estimator):
    """Answers of two tokens, drawn by another model: the first token's share of the future, with
    the second token as the student would say it."""
    student, teacher = models
    other = TableModel(3, scale=0.5)
    first = torch.zeros_like(student.table)
    wanted = torch.zeros_like(student.table)
    for answer in itertools.product(range(1, VOCABULARY), range(VOCABULARY)):
        said = list(answer)
        chance = logprob(other, said).exp().detach()
        late = (logprob(student, said) - logprob(other, said)).exp().detach()[1]
        settings = {"lagging": True, "sampler": other}
        lagging, _ = terms(student, teacher, [said], estimator, 1.0, **settings)
        plain, _ = terms(student, teacher, [said], estimator, 0.0, **settings)
        first += chance.prod() * late * (gradient(lagging, student) - gradient(plain, student))
        own, _ = terms(student, teacher, [said], estimator, 1.0)
        alone, _ = terms(student, teacher, [said], estimator, 0.0)
        weight = logprob(student, said).exp().detach().prod()
        wanted += weight * (gradient(own, student) - gradient(alone, student))
    assert wanted.abs().max() > 1e-3
    assert torch.allclose(first, wanted, rtol=1e-4, atol=1e-6)
