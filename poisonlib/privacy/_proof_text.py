"""The lines of the proof of Theorem 2: place -> (relation, right side as printed, corrected right side, remark), in LaTeX.

`proof` evaluates them. "As printed" refers to a text version of the paper that was converted from its PDF; the conversion may have
caused some of the misprints.
"""

_NINE = r"\frac{k}{n} \frac{(k-1)!\,(n-k-2)!}{(n-1)!} \sum_{x \in D^{k-1}} \phi\left(z - x_0 - \sum x_i\right)"
_TEN = r"\frac{k}{n} \frac{k!\,(n-k-1)!}{(n-1)!} \sum_{x \in D^k} \phi\left(z - x_0 - \sum_{i<k} x_i\right)"
_TEN_FIXED = (
    r"\frac{k}{n} \frac{(n-k-1)!}{(n-1)!} \sum_{k\text{-tuples of distinct records of } D'} "
    r"\phi\left(z - \frac{x_0 + \sum_{i<k} x_i}{k}\right)"
)
_IN_POWER = (
    r"$k$ stands in the exponent, so the term is $e^{-1/\sigma}$, and the factor $k/n$ is missing. False for large $\sigma$."
)

LINES = {
    "density of M_D": (
        "=",
        r"\frac{k!\,(n-k)!}{n!} \sum_{x \in D^k} \phi\left(z - \sum x_i\right)",
        r"\frac{1}{\binom{n}{k}} \sum_{k\text{-subsets of } D} \phi\left(z - \frac{\sum x_i}{k}\right)",
        "The factor $1/k$ of the mean is missing. $D^k$ must mean $k$-element subsets, because the coefficient counts these, not "
        "tuples.",
    ),
    "(7)": (
        "=",
        r"\frac{k!\,(n-k-1)!}{(n-1)!} \sum_{x \in D^{k-1}} \phi\left(z - \sum_{i<k} x_i\right)",
        r"\frac{1}{\binom{n-1}{k}} \sum_{k\text{-subsets of } D'} \phi\left(z - \frac{\sum x_i}{k}\right)",
        "A mixture without $x_0$ still has $k$ records, all from $D'$. So $k-1$ should be $k$, $D$ should be $D'$, and the factor "
        "$1/k$ is missing.",
    ),
    "(8)": ("=", r"\left(1 - \frac{k}{n}\right) q", r"\left(1 - \frac{k}{n}\right) q", "Correct."),
    "(9)": (
        "=",
        _NINE,
        r"\frac{k}{n} \frac{(k-1)!\,(n-k)!}{(n-1)!} \sum_{(k-1)\text{-subsets of } D'} "
        r"\phi\left(z - \frac{x_0 + \sum x_i}{k}\right)",
        "The factor $1/k$ is missing, the sum must exclude $x_0$, and the coefficient is also wrong (see the next line).",
    ),
    "(9), coefficient alone": (
        "=",
        r"\frac{(k-1)!\,(n-k-2)!}{(n-1)!}",
        r"\frac{(k-1)!\,(n-k)!}{(n-1)!} = \frac{1}{\binom{n-1}{k-1}}",
        "The coefficient is too small by the factor $(n-k)(n-k-1)$. For $k = n-1$ it contains $(-1)!$.",
    ),
    "(10), over tuples": (
        "=",
        _TEN,
        _TEN_FIXED,
        "If the sum runs over ordered tuples (with $1/k$ and $D'$ corrected), the printed coefficient is too large by the factor "
        "$k!$.",
    ),
    "(10), over subsets": (
        "=",
        _TEN,
        _TEN_FIXED,
        "If the sum runs over subsets, the coefficient is right, but the last element of a set, which the sum omits, is undefined.",
    ),
    "p1, below": (r">=", r"e^{-\frac{1}{k\sigma} k}\, q", r"\frac{k}{n}\, e^{-\frac{1}{k\sigma}}\, q", _IN_POWER),
    "p1, above": (
        "<=",
        r"e^{\frac{1}{k\sigma} k}\, q",
        r"\frac{k}{n}\, e^{\frac{1}{k\sigma}}\, q",
        "True as printed, but too loose for the theorem: $k$ stands in the exponent, and the factor $k/n$ is missing.",
    ),
    "p, below": (
        ">=",
        r"\left(1 - \frac{k}{n} + e^{-\frac{1}{k\sigma} k}\right) q",
        r"\left(1 - \frac{k}{n} + \frac{k}{n}\, e^{-\frac{1}{k\sigma}}\right) q",
        _IN_POWER,
    ),
    "p/q": (
        "<=",
        r"1 - \frac{k}{n} + e^{\frac{1}{k\sigma} k}",
        r"1 - \frac{k}{n} + \frac{k}{n}\, e^{\frac{1}{k\sigma}}",
        "True as printed, but not the $e^A$ of the theorem, because the factor $k/n$ is missing.",
    ),
    "p/q, simplified": (
        ">=",
        r"1 - \frac{k}{n} + e^{\frac{1}{k\sigma} k} \text{ (at most } e^{\frac{1}{k\sigma}}\text{)}",
        r"1 - \frac{k}{n} + \frac{k}{n}\, e^{\frac{1}{k\sigma}}",
        r"False with $k$ in the exponent. True with the factor $k/n$, because $k \le n$.",
    ),
    "q/p": (
        "<=",
        r"\frac{n}{n - k + k\, e^{-\frac{1}{k\sigma}}}",
        r"\frac{n}{n - k + k\, e^{-\frac{1}{k\sigma}}}",
        "Correct. This is $e^B$.",
    ),
    "max{A, B}": (
        "<=",
        r"\max\{A, B\}",
        r"A, \text{ because } B \le A",
        r"$B \le A$, because $(1 - r + r e^a)(1 - r + r e^{-a}) = 1 + 2 r (1 - r)(\cosh a - 1) \ge 1$ with $r = k/n$ and "
        r"$a = 1/(k\sigma)$.",
    ),
}
