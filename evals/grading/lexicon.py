"""The words in which answers are written: names of symbols, functions and relations, and words that add nothing."""

from __future__ import annotations

from widthwise.evals.grading.terms import words

GREEK = words(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho varrho sigma tau "
    "upsilon pi phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"
)
SYMBOLS = GREEK | words("hbar ell aleph partial nabla mho wp top bot odot oplus otimes star bullet imath jmath")

FUNCTIONS = {name: name for name in words("sin cos tan cot sec csc sinh cosh tanh ln log exp max min gcd lcm")} | {
    "arcsin": "arcsin", "asin": "arcsin", "arccos": "arccos", "acos": "arccos", "arctan": "arctan", "atan": "arctan",
    "lg": "log10", "Re": "real", "Im": "imaginary", "floor": "floor", "ceil": "ceil", "ceiling": "ceil", "abs": "abs",
    "Abs": "abs", "factorial": "!", "binomial": "binom", "Rational": "/", "sqrt": "sqrt", "cbrt": "cbrt",
    "tg": "tan", "ctg": "cot", "cosec": "csc", "arctg": "arctan",
}  # fmt: skip
NAMED = words("det dim deg ker arg rank tr Tr sgn sign lim sup inf Var Cov erf div curl grad ord lcd hcf")
"""Functions whose value is not computed: equal for equal arguments, else different."""
INVERSES = {"sin": "arcsin", "cos": "arccos", "tan": "arctan"}

OPERATORS = {
    "times": "times", "cdot": "*", "ast": "*", "div": "/", "pm": "+-", "mp": "-+", "cup": "cup", "cap": "cap",
    "setminus": "setminus", "backslash": "setminus", "bmod": "mod",
    "le": "<=", "leq": "<=", "leqslant": "<=", "lt": "<",
    "ge": ">=", "geq": ">=", "geqslant": ">=", "gt": ">", "ne": "!=", "neq": "!=", "equiv": "equiv", "in": "in",
    "notin": "notin", "approx": "approx", "simeq": "approx", "mid": "mid", "vert": "|", "lvert": "|", "rvert": "|",
    "Vert": "||", "lVert": "||", "rVert": "||", "colon": ":", "lbrace": "\\{", "rbrace": "\\}", "lbrack": "[",
    "rbrack": "]", "langle": "langle", "rangle": "rangle", "lfloor": "lfloor", "rfloor": "rfloor", "lceil": "lceil",
    "rceil": "rceil", "prime": "'", "circ": "circ", "degree": "deg", "textdegree": "deg", "cong": "cong", "sim": "sim",
    "propto": "propto", "perp": "perp", "parallel": "parallel", "nmid": "nmid", "subset": "subset", "to": "to",
    "subseteq": "subseteq", "supset": "supset", "supseteq": "supseteq", "land": "land", "wedge": "land", "lor": "lor",
    "vee": "lor", "Rightarrow": "implies", "implies": "implies", "rightarrow": "to", "iff": "iff", "neg": "lnot",
    "Leftrightarrow": "iff", "forall": "forall", "exists": "exists", "lnot": "lnot", "gg": "gg", "ll": "ll",
    "triangle": "triangle", "angle": "angle", "measuredangle": "angle", "mod": "pmod", "pmod": "pmod",
    "choose": "choose",
    "over": "over",
}  # fmt: skip
RELATIONS = words(
    "= < > <= >= != equiv in notin approx cong sim propto perp parallel mid nmid subset subseteq supset supseteq "
    "implies iff to gg ll"
)
COMMANDS = words(
    "frac dfrac tfrac cfrac sqrt binom dbinom tbinom overline bar hat vec dot ddot tilde widehat overrightarrow "
    "underline int sum prod lim mathbb mathcal mathbf boldsymbol mathscr mathfrak mathit boxed fbox "
    "infty emptyset varnothing dots ldots cdots dotsc dotsb not"
)
TEXT = words("text textbf textit textrm textsf texttt textnormal mbox hbox mathrm mathsf mathtt rm bf operatorname")
IGNORED = words(
    "left right big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr displaystyle textstyle limits quad qquad "
    "thinspace medspace enspace nolimits bigm middle tiny scriptsize footnotesize small normalsize large Large LARGE "
    "huge Huge mathstrut strut"
)

FILLER = words("the a an of is are equals approximately about roughly exactly answer final therefore thus so hence")
"""Words before an answer that add nothing to it."""
QUALIFIERS = words("where for only exactly total altogether respectively")
ABBREVIATIONS = {"dne": "does not exist"}
ARTICLES = frozenset(("the", "a", "an"))
SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}
COUNTS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60,
    "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
SHORT_WORDS = words("is no on or if in to of at by it as an am pm do go he we me my so up us be")
WORDS = words(
    "and the not for all any are but can has its was who how why yes red odd cup row per day min max one two six ten "
    "sum set end via out off new old few big low top box car dog cat boy man men way won day non ray arc east west "
    "left pct none even"
)
NUMBER_NOUNS = words(
    "halves thirds fourths quarters fifths sixths sevenths eighths ninths tenths hundredths thousandths tens dozens "
    "hundreds thousands millions billions trillions times plus minus less unless always ends exists fails this thus "
    "does was has is equals sometimes perhaps besides towards upwards downwards afterwards repeats diverges converges "
    "works percents pairs digits radians losses reds others ones zeros twos tries"
)
"""Words in s that say more about a number than what is counted."""
