"""What a strategy holds while it works on one problem."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self, TypeVar, Unpack

from widthwise.core.arrays import FloatArray
from widthwise.core.brief import brief, counted
from widthwise.core.conversation import Messages
from widthwise.core.problem import Problem
from widthwise.core.prompting.grammar import ThreadGrammar
from widthwise.core.pruner import PrunerOf
from widthwise.core.rewards.reward import StepScores
from widthwise.core.session import together
from widthwise.core.session.call import Call
from widthwise.core.session.clock import Moment, latest
from widthwise.core.session.derived_seed import derived_seed
from widthwise.core.session.ledger import Ledger
from widthwise.core.session.limits import Limits
from widthwise.core.session.reads import Reads
from widthwise.core.session.setting import Setting
from widthwise.core.session.shared import Shared
from widthwise.core.session.terms import SessionTerms
from widthwise.core.session.together import TraceWork
from widthwise.core.session.view import View
from widthwise.core.session.voices import Voice
from widthwise.core.session.writer import NO_FACTS, InsertionFacts, TextPieces
from widthwise.core.trace.trace import Finish, Trace, TraceId, TraceNote

T = TypeVar("T")
Traces = Trace | Sequence[Trace]


class Session(Reads):
    """One problem being worked on: its trace tree, its budget, its ledger.

    A strategy grows traces with ``sample``, ``stream``, ``append`` and ``prompt``, and reads them with ``score``,
    ``answer``, ``classes`` and ``valid``. Everything is charged to ``ledger``; when ``budget`` is used up, draws in
    flight end with finish "budget" and the next one raises ``BudgetReached``. The session delegates its work to
    ``Shared``, seen from one place of the trace tree (``View``).
    """

    def __init__(
        self,
        problem: Problem,
        setting: Setting,
        *,
        budget: Limits | None = None,
        pruners: Sequence[PrunerOf[Session]] = (),
        **terms: Unpack[SessionTerms],
    ) -> None:
        shared = Shared(problem, setting, budget or Limits(), **terms)
        root = shared.begun
        self._shared = shared
        self._view = View(root, (), tuple(pruners)).heeding(*pruners)

    def at(self, trace: Trace, *, pruners: Sequence[PrunerOf[Session]] = ()) -> Self:
        """A view of this session with ``trace`` as its root: what a sampler hands to another that works for it.

        Problem, budget and ledger are shared. The view has its own part of the tree (``leaves``, seeds), so the results
        of workers side by side do not depend on which was first. If ``trace`` follows a question (``refine`` ...), that
        question is the view's task: threads or outlines requested there are made for the task, not for the bare
        problem. ``pruners`` are added to the session's own.
        """
        place = self._shared.tree.next_id(self._view.place)
        view = replace(self._view, root=self.append(trace, ""), place=place, pruners=(*self.pruners, *pruners))
        return self._seen_from(view.heeding(*pruners))

    def by(self, model: str | None) -> Self:
        """A view of this session in which the run's model ``model`` works; None: the one that works here.

        ``root`` asks it the same, in its own words, and so do ``ask`` and ``prompt``. A trace belongs to the model for
        which its prompt was written, and only that model continues it. Raises ``UsageError`` for a model that the run
        does not have.
        """
        if model is None:
            return self
        return self._seen_from(replace(self._view, root=self._shared.voices.handed(self.root, self._view.place, model)))

    def _seen_from(self, view: View) -> Self:
        session = type(self).__new__(type(self))
        session._shared, session._view = self._shared, view
        return session

    @property
    def _voice(self) -> Voice:
        """The model that works here."""
        return self._shared.voices.of(self.root)

    def __repr__(self) -> str:
        spent = f"{counted(self.ledger.samples, 'sample')}, {self.ledger.total:,} tokens sampled"
        return f"{type(self).__name__}({brief(self.problem.id)}, {spent})"

    @property
    def problem(self) -> Problem:
        return self._shared.problem

    @property
    def root(self) -> Trace:
        """Where the work begins: the problem's prompt, or the trace at which a view stands."""
        return self._view.root

    @property
    def pruners(self) -> tuple[PrunerOf[Session], ...]:
        return self._view.pruners

    @property
    def budget(self) -> Limits:
        return self._shared.accounts.limits

    @property
    def limited(self) -> bool:
        """Whether a limit has ended what was being sampled, or kept a trace from beginning."""
        return self._shared.accounts.spent or self._shared.accounts.launches.refused

    @property
    def ledger(self) -> Ledger:
        return self._shared.accounts.ledger

    @property
    def traces(self) -> Mapping[TraceId, Trace]:
        """All traces of the problem, by id; the same for every view."""
        return self._shared.tree.traces

    @property
    def leaves(self) -> list[Trace]:
        """Sampled traces that no other sampled trace continues, in order of ids; no threads or judges' replies."""
        return self._shared.tree.leaves(self._view.has)

    @property
    def fragments(self) -> list[Trace]:
        """Threads, and whatever else grew only for another trace and is not continued, in order of their ids."""
        return self._shared.tree.fragments(self._view.has)

    @property
    def judgements(self) -> list[Trace]:
        """The replies of judges, in order of their ids."""
        return self._shared.tree.judgements(self._view.has)

    @property
    def notes(self) -> list[TraceNote]:
        """What was noted, in order of the traces' ids: which of two that run side by side comes first is chance."""
        return sorted(self._shared.notes, key=lambda note: note.trace)

    @property
    def errors(self) -> tuple[str, ...]:
        """The sentences of requests that failed for good: the policy's, judges', the reward model's."""
        return (*self._shared.tree.errors(), *self._shared.scorer.errors)

    @property
    def max_tokens(self) -> int | None:
        """How many tokens the run allows a sample; None: to the end of the context."""
        return self._voice.setting.params.max_tokens

    @property
    def thinks(self) -> bool:
        """Whether the model, as it is asked in this run, thinks before it answers."""
        return self._voice.setting.thinks

    @property
    def max_logprobs(self) -> int:
        """How many of the most likely tokens the backend can report for each token."""
        return self._voice.setting.backend.capabilities.max_logprobs

    @property
    def step_separator(self) -> str:
        """What ends a step in the model's prompt format."""
        return self._voice.setting.format.step_separator

    @property
    def lockstep(self) -> bool:
        """Whether what a strategy sees must not depend on timing, because the backend is deterministic."""
        return self._shared.setting.lockstep

    async def sample(self, trace: Traces, n: int = 1, **params: Any) -> list[Trace]:
        """Draw ``n`` continuations of ``trace`` and wait for all of them; in order of their ids.

        ``params`` are fields of ``SamplingParams`` (``stop``, ``max_tokens``, ``temperature`` ...), ``width``,
        ``judging``, ``thinking`` and ``waits``; see ``stream``.
        """
        return sorted([t async for t in self.stream(trace, n, **params)], key=lambda t: t.id)

    def stream(
        self, trace: Traces, n: int = 1, *, width: int | None = None, judging: bool = False, **params: Any
    ) -> AsyncIterator[Trace]:
        """Draw ``n`` continuations of ``trace`` and yield each as it ends; leaving the loop aborts the rest.

        Given several traces, ``n`` continuations of each grow side by side (``Trace.stem`` says whose they are).
        Pruned, cut and failed continuations are yielded too: see ``Trace.finish``. At most ``width`` grow at once, and
        the next begins when one has ended (None: all). ``judging`` charges the tokens to the ledger's judges. A judge's
        reply is not a solution, so pruners do not see it and it is not a leaf; its length is ``Setting.judge_tokens``.
        ``thinking`` and ``waits`` limit the thinking of each (``ThoughtBudget``); without them the sampler's limits
        apply. Raises ``BudgetReached`` if nothing may be spent any more.
        """
        call = Call.asked([trace] if isinstance(trace, Trace) else trace, n, params, width, judging=judging)
        return self._shared.drawer.stream(self._view.call(self, call))

    def heed(self, *parts: object) -> None:
        """Sample from now on as these parts need it: with ``logprobs`` (see ``PrunerOf``) and ``thought``."""
        self._view = self._view.heeding(*parts)

    def prepay(self, traces: int) -> None:
        """So many whole traces begin in any case: they were bought before, and come from the journal."""
        self._shared.accounts.launches.paid = traces

    def hold(self, traces: Iterable[Trace]) -> None:
        """Count these traces' paths as resident in an ideal prefix cache, until they are released."""
        self._shared.accounts.hold(traces)

    def release(self, traces: Iterable[Trace]) -> None:
        """These traces, held before, will not be continued (again)."""
        self._shared.accounts.release(traces)

    def go_on_from(self, traces: Iterable[Trace]) -> None:
        """A round of a search continues ``traces`` and retains nothing else; for the ledger's ``kv_rounds``."""
        self._shared.accounts.go_on_from(traces)

    def seed(self, *place: int | str) -> int:
        """A seed for a strategy's own randomness, derived from the run's seed and ``place``."""
        return derived_seed(self._shared.setting.seed, self.problem.id, (*self._view.place, *place))

    async def settle(self) -> None:
        """Abort what is still in flight and close the ledger's account of time."""
        await self._shared.drawer.settle()
        self._shared.accounts.close()

    async def follow(
        self, traces: AsyncIterator[Trace], work: TraceWork[T], until: Callable[[T], bool] | None = None
    ) -> list[T]:
        """Do ``work`` on each of ``traces`` as soon as it comes; the results in order of the traces' ids.

        The traces are worked on side by side, in the cases in which ``together`` would do so. With ``until``, they are
        worked on one after another, and the first result for which it is true is the last: the rest is aborted.
        """
        return await together.follow(traces, work, until, self._shared.clock, in_turn=self._in_turn)

    async def together(self, works: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
        """The results of independent works, in order; the first error ends all of them.

        They advance side by side. On a deterministic backend with a limit on tokens or samples they go one after
        another: which work spends the last of the shared budget must not depend on timing.
        """
        return await together.together(works, self._shared.clock, in_turn=self._in_turn)

    @property
    def _in_turn(self) -> bool:
        return self.budget.shared and self.lockstep

    def append(
        self, trace: Trace, text: TextPieces, *, after: Sequence[Trace] = (), facts: InsertionFacts = NO_FACTS
    ) -> Trace:
        """Append ``text`` (a tag, an instruction) to ``trace``; pieces of other traces keep their tokens.

        ``after`` names other traces from which the inserted text was made: the critical path runs through them too.
        ``facts`` are kept with it. With the fact ``thread``, what grows from here is a fragment of another trace, not a
        sample of its own.
        """
        return self._shared.voices.of(trace).writer.append(trace, text, after=after, facts=facts)

    def conclude(self, trace: Trace) -> Trace:
        """``trace`` with the text that makes the model state its answer at once; its thinking is closed first.

        If the trace still grows, the result is a copy, ``at`` so many tokens of its last segment.
        """
        facts = {"at": str(len(trace.segment))} if trace.grows else NO_FACTS
        return self.append(trace, self._shared.voices.of(trace).transcript.concluding(trace), facts=facts)

    def prompt(self, messages: Messages, *, after: Sequence[Trace] = (), facts: InsertionFacts = NO_FACTS) -> Trace:
        """Begin a new tree of traces from a conversation (the problem's own is ``root``); see ``append``."""
        return self._voice.writer.prompt(self._view.place, messages, after=after, facts=facts)

    def ask(self, question: str, *, after: Sequence[Trace] = (), **fields: str) -> Trace:
        """Begin a new tree of traces from a question of the model's prompt format (``refine``, ``verify`` ...).

        ``fields`` fill the question's places; the problem, the task (see ``at``) and the suite's instruction are
        filled in here. Raises ``UsageError`` if the format has no such question or a place stays empty.
        """
        questions = self._voice.questions
        filled = {"task": questions.task(self.root), **fields}
        prompt = self.prompt(questions.worded(question, filled), after=after, facts={"question": question})
        return questions.remember(prompt, question, filled)

    def asks(self, question: str) -> bool:
        """Whether the model's prompt format has this question."""
        return self._voice.questions.known(question)

    def listed(self, name: str, texts: Sequence[str]) -> str:
        """Several texts (drafts ...) as one field of a question, in the model's prompt format."""
        return self._voice.questions.listed(name, texts)

    def grammar(self, name: str | None = None) -> ThreadGrammar:
        """How the model writes threads, or how the family ``name`` does. Raises ``UsageError`` if none is known."""
        return self._voice.questions.grammar(name)

    def cut(self, trace: Trace, at: str | int) -> Trace:
        """``trace`` up to the last occurrence of a text, to be continued from there; ``trace`` becomes a fragment.

        With a number: up to so many tokens of its last segment, or fewer, so that no character is cut in two.
        """
        return self._shared.voices.of(trace).writer.cut(self._view.place, trace, at)

    def note(self, trace: Trace, text: str) -> None:
        """Note something unusual about ``trace``: it is logged, and stored with the problem."""
        self._shared.note(trace, text)

    def annotate(self, trace: Trace, **facts: Any) -> Trace:
        """``trace`` with facts in its metadata (a score, a verdict ...), which the run file keeps."""
        return self._shared.tree.keep(trace.annotated(facts))

    def end(self, trace: Trace, finish: Finish, reason: str) -> Trace:
        """Give up a trace that could have been continued: "pruned" by a selection, or "budget"."""
        if finish == "pruned":
            self._shared.accounts.discard(trace.drawn)
        return self._shared.tree.keep(trace.ended(finish, reason))

    def adopt(self, traces: Iterable[Trace]) -> None:
        """Make the traces of an unpickled search known to this session, so that it can continue them."""
        known = list(traces)
        self._shared.tree.adopt(known)
        self._shared.clock.advance(latest(map(Moment.of, known)))

    async def score(self, traces: Sequence[Trace], *, whole: bool = False) -> list[StepScores]:
        """Scores of the traces' steps by the run's reward model, in order; raises ``UsageError`` without one.

        ``whole`` gives each trace to the reward model as a single step (the reduction "model"). Nothing is scored
        twice, including prefixes of steps. A failure is an ``error`` in the trace's scores.
        """
        return await self._shared.scorer.score(traces, whole=whole)

    async def embed(self, texts: Sequence[str]) -> FloatArray:
        """Unit vectors, ``float32 [texts, dimensions]``, close together for texts of similar meaning.

        Raises ``UsageError`` for a run without an embedding model, ``BackendError`` if it fails.
        """
        return await self._shared.scorer.embed(texts)
