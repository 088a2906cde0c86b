"""Words in the names of columns: what a column called so can be, and what it cannot."""

from __future__ import annotations

import re


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


OF_ROWS = _set(
    "id ids uid uuid hash sha commit key date time timestamp created updated path file filename url uri host "
    "hostname node worker rank device gpu pid server endpoint ip model checkpoint ckpt engine backend version rev "
    "revision seed lang language locale split source subset dataset config settings env environment status state "
    "code exit error errors exception traceback stderr stdout warning warnings reason finish stop type kind "
    "category topic subject tag tags label name author user tokens token length len"
)
OF_PROMPTS = _set(
    "gold golden reference references truth expected target targets truths gt gts correct canonical oracle hint "
    "hints system instruction instructions context passage document documents docs choices options tests test "
    "cases schema tools functions template few shot shots demonstration demonstrations"
)
OF_JUDGES = _set(
    "feedback judge judgement judgment judged critique critic rationale grader grade grading comment comments "
    "explanation explain note notes remark review log logs debug trace verdict extracted parsed pred prediction "
    "normalized summary observation observations obs tool"
)
SAID = _set(
    "answer answers response responses output outputs completion completions generation generations generated "
    "text texts said reply replies ys traj trajectory transcript rollout rollouts chat dialogue conversation "
    "messages sampled solution essay story content"
)
KEYS = _set(
    "id ids key task problem question prompt query item group example instance puzzle case input hash uid idx "
    "index nr no number doc exercise ticket scenario q qid pid"
)
NO_KEYS = _set(
    "step steps epoch iteration iter seed trial trials sample samples attempt attempts rollout rollouts repeat "
    "try turn turns version model checkpoint date time timestamp rank worker host node gpu pid level difficulty "
    "topic subject category type kind lang language split source status reason row line run token tokens length "
    "len count n k user author session config"
)
VERDICT = _set(
    "pass fail passed failed true false correct incorrect wrong right yes no success failure solved unsolved "
    "accepted rejected y n c i p"
)
WHOLE = _set("total final overall scalar episode combined weighted aggregate aggregated")
REWARDS = _set("reward rewards return returns r")
VERDICTS = _set("correct correctness right accuracy accurate acc pass passed passes success successful solved won")
SCORES = _set("score scores grade")
NO_REWARDS = _set(
    "step steps length len tokens token time ms seconds sec latency duration version seed count counts num n "
    "epoch idx index id level difficulty port rank temperature threshold weight weights max min mean avg std var "
    "baseline rate ratio code exit status prob logprob logprobs probability entropy kl penalty bonus format style "
    "partial expected gold target reference ref advantage value old prev pct percent percentile "
    "cost"
)


def reward_rank(path: str) -> int | None:
    """How surely a name is that of the whole reward, 0 the surest; None of what is no reward."""
    words = words_of_name(path)
    if words & NO_REWARDS or not words & (REWARDS | VERDICTS | SCORES):
        return None
    return 0 if words & WHOLE else 1 if words & REWARDS else 2 if words & VERDICTS else 3


def may_be_text_of_a_model(path: str) -> bool:
    """Does a name leave open that a model wrote what stands under it?"""
    words = words_of_name(path)
    words -= {"model"} if words & SAID else set()  # `model_answer` is an answer, `model` is the name of one
    return not words & (OF_ROWS | OF_PROMPTS | OF_JUDGES)


def words_of_name(path: str) -> set[str]:
    """Words of the last part of a path, in lower case: `isRight` is `is` and `right`."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", path.rpartition(".")[2])
    return set(re.split(r"[^a-z]+", name.lower()))
