"""Information theoretic representation distillation (ITRD): correlation and mutual information.

Source: "Information Theoretic Representation Distillation", BMVC 2022, and its supplement; the
authors' code, github.com/roymiles/ITRD.
Where the two disagree, this file follows the code: the published kernel is the inner product of
unit rows (degree 1; the supplement says degree 2), and the deviation is unbiased while the
correlation is divided by n, so a perfect match gives (n - 1) / n. The code always embeds the
student for the correlation, but for the mutual information only if the widths differ; so does
this file. log2 of both potentials and the RBF kernel are in the supplement only (Tables 1 and 2).
Departure: the code has no guards, and one constant unit makes its loss NaN. Form "stable" equals
it wherever its value is meaningful (see `ITRD`); "official" is the code's arithmetic.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from losses.batch import Batch
from losses.loss import DistillationLoss, require_choice, require_not_negative, require_positive
from models.outputs import Outputs, Shapes

KERNELS = ("polynomial", "rbf")
FORMS = ("stable", "official")


class ITRD(DistillationLoss):
    """Correlates each unit with the teacher's, and matches the batch's pairwise similarities.

    Heads: one linear map from the student's width to the teacher's, shared by both terms.
    Terms: "corr", "mi". A term of weight 0 is neither built nor computed.

    Form "stable" is defined where form "official" is NaN or explodes:
    - a unit that is constant in the batch, in either network, has correlation 0 and no
      gradient; constant means that its deviation does not exceed rounding errors;
    - in a batch of one every unit is constant, and "mi" is 0;
    - an embedding of zeros remains a row of zeros and gets no gradient through "mi";
    - if all rows of one network are zeros, "mi" is 0;
    - correlation errors too small to be squared in float32 keep their value.
    """

    def __init__(
        self,
        student: Shapes,
        teacher: Shapes,
        *,
        beta_corr: float,
        beta_mi: float,
        alpha: float,
        kernel: str,
        degree: int | None,
        offset: float | None,
        sigma: float | None,
        h: float | None,
        normalise: bool,
        log2: bool,
        form: str,
    ) -> None:
        super().__init__()
        require_not_negative("itrd: beta_corr", beta_corr)
        require_not_negative("itrd: beta_mi", beta_mi)
        require_positive("itrd: alpha", alpha)
        require_choice("itrd: kernel", kernel, KERNELS)
        require_choice("itrd: form", form, FORMS)
        if kernel == "polynomial":
            require_positive("itrd: degree", degree)
        elif sigma is None:
            require_positive("itrd: h", h)
        else:
            require_positive("itrd: sigma", sigma)
        self.beta_corr = beta_corr
        self.beta_mi = beta_mi
        self.alpha = alpha
        self.kernel = kernel
        self.degree = degree
        self.offset = offset
        self.sigma = sigma
        self.h = h
        self.normalise = normalise
        self.log2 = log2
        self.stable = form == "stable"
        student_width, teacher_width = student.embedding[0], teacher.embedding[0]
        self.widths_differ = student_width != teacher_width
        self.embed: nn.Linear | None = None
        if beta_corr or (beta_mi and self.widths_differ):
            self.embed = nn.Linear(student_width, teacher_width)
        self.needs = ("embedding",) if beta_corr or beta_mi else ()

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Returns {"corr": scalar, "mi": scalar}, weighted; "corr" is often negative."""
        terms = {}
        embedded = student.embedding if self.embed is None else self.embed(student.embedding)
        if self.beta_corr:
            correlation = unit_correlation(embedded, teacher.embedding, stable=self.stable)
            loss = correlation_loss(correlation, self.alpha, stable=self.stable)
            terms["corr"] = self.beta_corr * loss
        if self.beta_mi:
            rows = embedded if self.widths_differ else student.embedding
            loss = mutual_information_loss(
                self.gram(rows), self.gram(teacher.embedding), log2=self.log2, stable=self.stable
            )
            terms["mi"] = self.beta_mi * loss
        return terms

    def gram(self, rows: Tensor) -> Tensor:
        """The kernel matrix [n, n] of the rows of an embedding [n, d]."""
        if self.normalise:
            rows = unit_rows(rows, stable=self.stable)
        if self.kernel == "polynomial":
            assert self.degree is not None
            return polynomial_kernel(rows, self.degree, self.offset or 0.0)
        if self.sigma is not None:
            return rbf_kernel(rows, self.sigma)
        assert self.h is not None
        return rbf_kernel(rows, silverman_width(self.h, *rows.shape))


def unit_correlation(student: Tensor, teacher: Tensor, *, stable: bool) -> Tensor:
    """Correlation [d] of each unit of two embeddings [n, d], within +-(n - 1) / n."""
    product = _standardised(student, stable) * _standardised(teacher, stable)
    return product.sum(dim=0) / len(student)


def correlation_loss(correlation: Tensor, alpha: float, *, stable: bool) -> Tensor:
    """log2 sum_k |c_k - 1|**(2 alpha) of correlations [d]; a scalar, equation 6 of the paper."""
    errors = (correlation - 1.0).abs()
    if not stable:
        return errors.pow(2.0).pow(alpha).sum().log2()
    # Scaled by the largest error: powers such as (1/64)**20 would underflow in float32.
    largest = errors.detach().amax()
    largest = largest.masked_fill(largest == 0, 1.0)
    total = (errors / largest).pow(2.0 * alpha).sum()
    # Zero only if rounding made every correlation 1, so that nothing is left to learn.
    total = total.masked_fill(total == 0, 1.0)
    return total.log2() + 2.0 * alpha * largest.log2()


def mutual_information_loss(
    student_gram: Tensor, teacher_gram: Tensor, *, log2: bool, stable: bool
) -> Tensor:
    """||K_s / tr K_s||**2 - ||K_st / tr K_st||**2 with K_st = K_s * K_t, all [n, n]; a scalar.

    With `log2` it is the difference of the norms' logarithms: the negative mutual information
    of order 2 in bits, up to the teacher's entropy, which is constant.
    """
    joint_gram = student_gram * teacher_gram
    student_potential = _information_potential(student_gram, stable)
    joint_potential = _information_potential(joint_gram, stable)
    if log2:
        loss = student_potential.log2() - joint_potential.log2()
    else:
        loss = student_potential - joint_potential
    if stable:
        loss = loss.masked_fill(joint_gram.trace() == 0, 0.0)
    return loss


def unit_rows(rows: Tensor, *, stable: bool) -> Tensor:
    """Rows [n, d] divided by their length; a row of zeros stays as it is."""
    if stable:
        # Changes no value but blocks the gradient, which would be divided by 1e-12.
        rows = rows.masked_fill((rows == 0).all(dim=1, keepdim=True), 0.0)
    return F.normalize(rows, dim=1)


def polynomial_kernel(rows: Tensor, degree: int, offset: float) -> Tensor:
    """(x . y + offset)**degree, [n, n], between rows [n, d]."""
    return (rows @ rows.T + offset).pow(degree)


def rbf_kernel(rows: Tensor, sigma: float) -> Tensor:
    """exp(-||x - y||**2 / (2 sigma**2)), [n, n], between rows [n, d]."""
    # Distances do not depend on the mean; without it, cancellation loses less precision.
    rows = rows - rows.mean(dim=0)
    products = rows @ rows.T
    squares = products.diagonal()
    distances = (squares[:, None] + squares[None, :] - 2.0 * products).clamp_min(0.0)
    return (distances / (-2.0 * sigma**2)).exp()


def silverman_width(h: float, n: int, d: int) -> float:
    """Silverman's rule: sigma = h * n**(-1 / (4 + d)) for n rows of d numbers."""
    return h * n ** (-1.0 / (4.0 + d))


def _standardised(embedding: Tensor, stable: bool) -> Tensor:
    """Units of an embedding [n, d] with mean 0 and unbiased deviation 1; constant units are 0."""
    centred = embedding - embedding.mean(dim=0)
    if not stable:
        return centred / embedding.std(dim=0)
    deviation = embedding.std(dim=0, correction=min(1, len(embedding) - 1))
    rounding = 4 * torch.finfo(embedding.dtype).eps * embedding.detach().abs().amax(dim=0)
    # False for NaN: a diverged network must not look like a constant one.
    constant = deviation.detach() <= rounding
    # Both operands are masked: masking the quotient would let 0/0 into the gradient.
    return centred.masked_fill(constant, 0.0) / deviation.masked_fill(constant, 1.0)


def _information_potential(gram: Tensor, stable: bool) -> Tensor:
    """Squared Frobenius norm of a Gram matrix [n, n] of trace 1, in [1/n, 1]; 1 if it is zero."""
    trace = gram.trace()
    if not stable:
        return (gram / trace).square().sum()
    potential = (gram / trace.masked_fill(trace == 0, 1.0)).square().sum()
    # 1 keeps log2 finite; the caller discards the value.
    return potential.masked_fill(trace == 0, 1.0)
