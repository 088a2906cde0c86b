"""A `group_tree` to walk through in the terminal: its process steps on the left, all about one of them on the right."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.containers import Container, VerticalScroll
from textual.widgets import Footer, Static, Tree

from .printed import LEGEND, LEVELS, SIGNS, cells, difference, folded, heading, markers, marks, step_text

START = 160  # characters of a step in the tree, marks included; all of it stands beside
MOST = 200_000  # characters of a text beside the tree: the terminal lays out a megabyte of short lines in half a minute


class TreeApp(App[None]):
    """Groups one at a time. Every text is a rich `Text`, so nothing in it is read as markup.

    Args:
        trees: Of `grpo_prm.tree.view.group_tree`, at least one.
    """

    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS: list[tuple[int, str]] | None = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012 - as textual has it
    CSS = """
    #head { padding: 0 1; max-height: 6; }
    #panes { layout: horizontal; height: 1fr; }
    #steps { width: 3fr; height: 1fr; border: round $foreground 40%; }
    #pane { width: 2fr; height: 1fr; border: round $foreground 40%; padding: 0 1; }
    #steps:focus, #pane:focus { border: round $accent; }
    .-narrow #panes { layout: vertical; }
    .-narrow #steps, .-narrow #pane { width: 100%; }
    """
    BINDINGS: ClassVar = [
        Binding("n", "group(1)", "next group"),
        Binding("p", "group(-1)", "previous group"),
        Binding("tab", "app.focus_next", "other pane", priority=True),
        Binding("q", "quit", "quit"),
    ]

    def __init__(self, trees: list[dict[str, Any]]) -> None:
        super().__init__()
        self.trees = trees
        self.number = 0

    def compose(self) -> ComposeResult:
        """Lay out heading, tree, pane and keys."""
        yield Static(id="head", markup=False)
        with Container(id="panes"):
            steps: Tree[dict[str, Any]] = Tree(Text(), id="steps")
            steps.guide_depth = 2
            yield steps
            with VerticalScroll(id="pane"):
                yield Static(id="step", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """Open the first group."""
        self.action_group(0)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 - textual's
        """Offer another group only where there is one."""
        return action != "group" or len(self.trees) > 1

    def action_group(self, by: int) -> None:
        """Open the group that is `by` further; after the last comes the first."""
        self.number = (self.number + by) % len(self.trees)
        group = self.trees[self.number]
        head = heading(group)
        head[0].append(f" (group {self.number + 1} of {len(self.trees)})", style="not bold")
        self.query_one("#head", Static).update(Text("\n").join(head))
        tree = self.query_one("#steps", Tree)
        fill(tree, group["steps"])
        tree.cursor_line = 0
        tree.scroll_home(animate=False)
        tree.focus()
        self.on_tree_node_highlighted()  # textual tells nothing where the cursor stood on the first line already

    def on_tree_node_highlighted(self) -> None:
        """Show the step under the cursor, which is not always the message's: that may be of the group before."""
        node = self.query_one("#steps", Tree).cursor_node
        if node and node.data:
            self.query_one("#step", Static).update(description(self.trees[self.number], node.data))
            self.query_one("#pane").scroll_home(animate=False)


def fill(tree: Tree[dict[str, Any]], steps: list[dict[str, Any]]) -> None:
    """Put the process steps of a group into the widget, all of them open.

    Steps deeper than `LEVELS` stand in order below the one above them that is not, with their depth before them: they
    would leave the screen, and textual walks its tree by recursion.
    """
    tree.reset(_line(steps[0]), steps[0])
    tree.root.expand()
    has_children = {step["parent"] for step in steps}
    below = [tree.root]  # for each step, the node that takes what is below it
    for n, step in enumerate(steps[1:], 1):
        above = below[step["parent"]]
        opens = n in has_children and step["depth"] < LEVELS
        node = above.add(_line(step), step, expand=opens, allow_expand=opens)
        below.append(node if opens else above)


def description(group: dict[str, Any], step: dict[str, Any]) -> Text:
    """All about one process step: its numbers, its whole text, its members by reward; at the root the prompt too."""
    size, reward, advantage, length = cells(step)
    unit, start, end = group["unit"], step["start"], step["end"]
    about = Text().append(f"{step['kind']}: {size} of {group['k']} completions", "bold")
    about.append(f"\nR {reward}  A ").append(advantage.strip(), SIGNS[step["sign"]])
    loss = f"{step['loss_tokens']} of {step['size'] * (end - start)} in the loss"
    about.append(f"\n{length} {unit}s at {start} to {end}, {loss}")
    for name in ("suppressed_good", "boosted_bad"):
        if step[f"{name}_tokens"]:
            about.append(f"\n◀ {name.replace('_', ' ')}: {step[f'{name}_tokens']} {unit}s", "magenta")
    if step["texts"]:
        about.append(f"\n{difference(step['texts'])}", "dim")
    members = Text().append("members", "bold")
    facts = {end["sample"]: end for row in group["steps"] for end in row["ends"]}
    for text, sign in markers([facts[i] for i in step["samples"]], most=step["size"]):
        members.append(f"\n{text}", SIGNS[sign])
    sections = [about, _bounded(step_text(step, full=True)), members]
    if step["parent"] < 0 and group["prompt"]:
        sections.append(Text().append("prompt\n", "bold").append_text(_bounded(folded(group["prompt"], full=True))))
    return Text("\n\n").join([*sections, Text(LEGEND, style="dim")])


def _bounded(text: Text) -> Text:
    if len(text) <= MOST:
        return text
    hidden = Text(f" … {len(text) - MOST:,} characters (tree --full prints them) … ", style="dim italic")
    return text[: MOST // 2].append_text(hidden).append_text(text[-(MOST // 2) :])


def _line(step: dict[str, Any]) -> Text:
    size, reward, advantage, _ = cells(step)
    line = Text(f"{step['depth']}· " if step["depth"] > LEVELS else "")
    line.append(f"|λ| {size}  R {reward}  A ").append(advantage.strip(), SIGNS[step["sign"]])
    line.append_text(marks(step)).append("  ").append_text(step_text(step, full=False))
    line.truncate(START, overflow="ellipsis")
    return line
