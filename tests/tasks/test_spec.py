"""What `--task` may say, and what it is called."""

from __future__ import annotations

import pytest

from grpo_prm.errors import UsageError
from grpo_prm.tasks import TASKS, get_task, get_tasks
from grpo_prm.tasks.spec import for_a_model, names, parameters, short

MIX = 'reasoning-gym:a?x=[1,2]&y={"k":"p,q"},reasoning-gym:b , reasoning-gym:c?z="u,v"'


def test_the_tasks_of_a_mix():
    assert names("chain") == ["chain"]
    assert names(MIX) == [
        'reasoning-gym:a?x=[1,2]&y={"k":"p,q"}',
        "reasoning-gym:b",
        'reasoning-gym:c?z="u,v"',
    ]
    for spec, said in (("a,,b", "a name is empty"), ("", "a name is empty"), ("a,b,a", "a stands there twice")):
        with pytest.raises(UsageError, match=said):
            names(spec)


def test_parameters_are_json_or_text():
    query = 'whole=3&share=.5&half=0.5&on=true&off=False&none=null&some=["a","b"]&word=abc&odd=a%26b%3D1'
    assert parameters(f"reasoning-gym:products?{query}") == (
        "products",
        {"whole": 3, "share": ".5", "half": 0.5, "on": True, "off": False, "none": None, "some": ["a", "b"]}
        | {"word": "abc", "odd": "a&b=1"},
    )
    assert parameters("reasoning-gym:gcd") == parameters("reasoning-gym:gcd?") == ("gcd", {})
    for query, said in (("x", "'x' is no parameter"), ("=1", "'=1' is no parameter"), ("x=1&x=2", "x stands there")):
        with pytest.raises(UsageError, match=said):
            parameters(f"reasoning-gym:gcd?{query}")


def test_folders_have_short_names():
    assert short("chain") == "chain" and short("reasoning-gym:gcd?max_value=30") == "gcd"
    assert short("reasoning-gym:gcd,reasoning-gym:gcd?max_value=9,reasoning-gym:products") == "gcd+products"
    assert short(",".join(f"reasoning-gym:t{n}" for n in range(4))) == "4-tasks"
    assert short("reasoning-gym:../x y") == ".._x_y"


def test_tasks_with_a_small_model_stand_alone():
    assert for_a_model("reasoning-gym:gcd") and not for_a_model("chain") and not for_a_model(None)
    assert [task.name for task in get_tasks("chain")] == ["chain"]
    with pytest.raises(UsageError, match="chain has a small model of its own"):
        get_tasks("chain,abstain")
    with pytest.raises(UsageError, match=r"No task is called prodcts; there are chain, .*, and reasoning-gym:NAME"):
        get_task("prodcts")
    assert all(get_task(name).words for name in TASKS)
