"""The lines of the proof of Theorem 2: place -> (relation, right side as printed, corrected right side, remark).

`proof` evaluates them. "As printed" refers to a text version of the paper that was converted from its PDF; the conversion may have
caused some of the misprints.
"""

_NINE = "(k/n) (k-1)!(n-k-2)!/(n-1)! sum_{x in D^{k-1}} phi(z - x0 - sum x_i)"
_TEN = "(k/n) k!(n-k-1)!/(n-1)! sum_{x in D^k} phi(z - x0 - sum_{i<k} x_i)"
_TEN_FIXED = "(k/n) (n-k-1)!/(n-1)! sum_{k-tuples of distinct records of D'} phi(z - (x0 + sum_{i<k} x_i) / k)"
_IN_POWER = "k stands in the exponent, so the term is e^{-1/sigma}, and the factor k/n is missing. False for large sigma."

LINES = {
    "density of M_D": (
        "=",
        "k!(n-k)!/n! sum_{x in D^k} phi(z - sum x_i)",
        "1/C(n,k) sum_{k-subsets of D} phi(z - sum x_i / k)",
        "The factor 1/k of the mean is missing. D^k must mean k-element subsets, because the coefficient counts these, not tuples.",
    ),
    "(7)": (
        "=",
        "k!(n-k-1)!/(n-1)! sum_{x in D^{k-1}} phi(z - sum_{i<k} x_i)",
        "1/C(n-1,k) sum_{k-subsets of D'} phi(z - sum x_i / k)",
        "A mixture without x0 still has k records, all from D'. So k-1 should be k, D should be D', and the factor 1/k is missing.",
    ),
    "(8)": ("=", "(1 - k/n) q", "(1 - k/n) q", "Correct."),
    "(9)": (
        "=",
        _NINE,
        "(k/n) (k-1)!(n-k)!/(n-1)! sum_{(k-1)-subsets of D'} phi(z - (x0 + sum x_i) / k)",
        "The factor 1/k is missing, the sum must exclude x0, and the coefficient is also wrong (see the next line).",
    ),
    "(9), coefficient alone": (
        "=",
        "(k-1)!(n-k-2)!/(n-1)!",
        "(k-1)!(n-k)!/(n-1)! = 1/C(n-1,k-1)",
        "The coefficient is too small by the factor (n-k)(n-k-1). For k = n-1 it contains (-1)!.",
    ),
    "(10), over tuples": (
        "=",
        _TEN,
        _TEN_FIXED,
        "If the sum runs over ordered tuples (with 1/k and D' corrected), the printed coefficient is too large by the factor k!.",
    ),
    "(10), over subsets": (
        "=",
        _TEN,
        _TEN_FIXED,
        "If the sum runs over subsets, the coefficient is right, but the last element of a set, which the sum omits, is undefined.",
    ),
    "p1, below": (">=", "e^{-1/(k sigma) k} q", "(k/n) e^{-1/(k sigma)} q", _IN_POWER),
    "p1, above": (
        "<=",
        "e^{1/(k sigma) k} q",
        "(k/n) e^{1/(k sigma)} q",
        "True as printed, but too loose for the theorem: k stands in the exponent, and the factor k/n is missing.",
    ),
    "p, below": (">=", "(1 - k/n + e^{-1/(k sigma) k}) q", "(1 - k/n + (k/n) e^{-1/(k sigma)}) q", _IN_POWER),
    "p/q": (
        "<=",
        "1 - k/n + e^{1/(k sigma) k}",
        "1 - k/n + (k/n) e^{1/(k sigma)}",
        "True as printed, but not the e^A of the theorem, because the factor k/n is missing.",
    ),
    "p/q, simplified": (
        ">=",
        "1 - k/n + e^{1/(k sigma) k} (at most e^{1/(k sigma)})",
        "1 - k/n + (k/n) e^{1/(k sigma)}",
        "False with k in the exponent. True with the factor k/n, because k <= n.",
    ),
    "q/p": ("<=", "n / (n - k + k e^{-1/(k sigma)})", "n / (n - k + k e^{-1/(k sigma)})", "Correct. This is e^B."),
    "max{A, B}": (
        "<=",
        "max{A, B}",
        "A, because B <= A",
        "B <= A, because (1-r+r e^a)(1-r+r e^-a) = 1 + 2 r (1-r)(cosh a - 1) >= 1 with r = k/n and a = 1/(k sigma).",
    ),
}
