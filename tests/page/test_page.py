"""The page from disk, as a person uses it: sorted, filtered, dark, by mouse and by keyboard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from bench.report.board import Board, Remark

HOSTILE = ("<script>alert(1)</script>", "\"><img src=x onerror='alert(2)'>", "</style></svg>{{ 7*7 }}&amp;]]>")
Visitor = Callable[..., Any]


def column(page: Page, number: int, table: str = "#table-2 table") -> list[str]:
    """The texts of one column of a section's first table."""
    return page.locator(table).first.locator(f"tbody tr > :nth-child({number})").all_inner_texts()


def shown(page: Page, what: str) -> list[str]:
    return page.locator(f"{what}:visible").all_inner_texts()


def background(page: Page) -> str:
    colour: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return colour


def test_the_page_asks_for_nothing_and_complains_of_nothing(visit: Visitor, path: Path) -> None:
    seen = visit(path)
    for button in seen.page.locator("main button").all()[:7]:
        button.click()
    seen.page.click("#theme")
    assert seen.asked == [path.as_uri()]
    assert seen.complaints == []
    assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_click_sorts_and_another_reverses(visit: Visitor, path: Path) -> None:
    page = visit(path).page
    table = page.locator("#table-2 table").first
    recall = table.get_by_role("button", name="Recall@10")
    head = table.locator("th", has=page.get_by_role("button", name="Recall@10"))
    before = column(page, 4)
    recall.click()
    assert column(page, 4) == sorted(before, reverse=True)
    expect(head).to_have_attribute("aria-sort", "descending")
    recall.click()
    assert column(page, 4) == sorted(before)
    expect(head).to_have_attribute("aria-sort", "ascending")
    table.get_by_role("button", name="method").click()
    names = column(page, 1)
    assert names[0].startswith("adaptor")
    assert names.index("bm25") < names.index("nnn") < names.index("none") < names.index("nudge-n") < len(names) - 1
    assert table.locator("[aria-sort]").count() == 1


def test_durations_sort_by_their_length_and_gaps_stay_last(visit: Visitor, path: Path) -> None:
    page = visit(path).page
    fit = page.locator("#table-1 table").first.get_by_role("button", name="fit")
    fit.click()
    fit.click()
    cells = column(page, 5, "#table-1 table")
    assert cells[0] == "0 ms"
    assert cells.index("3.4 s") < cells.index("11 s")
    assert set(cells[-4:]) == {"—"}
    fit.click()
    assert column(page, 5, "#table-1 table")[0] == "11 s"
    assert set(column(page, 5, "#table-1 table")[-4:]) == {"—"}


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_the_keyboard_sorts(visit: Visitor, path: Path, key: str) -> None:
    page = visit(path).page
    page.locator("#table-2 .scroll").first.focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "method"
    page.keyboard.press("Tab")
    page.keyboard.press(key)
    page.keyboard.press(key)
    means = [cell.split()[0] for cell in column(page, 2)]
    assert means == sorted(means)
    assert page.evaluate("document.activeElement.textContent") == "NDCG@10"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_filters_hide_what_they_do_not_name(visit: Visitor, path: Path) -> None:
    page = visit(path).page
    whole = shown(page, "h2")
    page.get_by_label("encoder").select_option("icon-clip")
    assert [title.split(" · ")[0] for title in shown(page, "h2")] == ["icons", "Published and measured"]
    assert [entry.split(" · ")[0] for entry in shown(page, "nav li")] == ["icons", "Published and measured"]
    assert all("icon-clip" in caption for caption in shown(page, "#published caption"))
    expect(page.get_by_role("status")).to_have_text("1 of 4 tables")
    page.get_by_label("data set").select_option("apidocs")
    assert shown(page, "h2") == shown(page, "nav li") == []
    expect(page.get_by_role("status")).to_have_text("0 of 4 tables")
    page.get_by_label("encoder").select_option("all")
    assert [title.split(" · ")[0] for title in shown(page, "h2")][:2] == ["Overall, 2 data sets", "apidocs"]
    page.get_by_label("data set").select_option("all")
    assert shown(page, "h2") == whole
    expect(page.get_by_role("status")).to_have_text("")


def test_a_device_is_a_choice_where_there_are_two(visit: Visitor, boards: list[Board], written: Any) -> None:
    other = replace(boards[0], setting=replace(boards[0].setting, accelerator="NVIDIA H200"))
    page = visit(written([*boards, other])).page
    page.get_by_label("device").select_option("NVIDIA H200, 2 threads")
    assert len(shown(page, "section[id^=table] > h2")) == 1
    assert len(page.locator("#tools select").all()) == 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_button_overrides_what_the_system_prefers(visit: Visitor, path: Path, scheme: str) -> None:
    page = visit(path, color_scheme=scheme).page
    button, before = page.locator("#theme"), background(page)
    expect(button).to_have_attribute("aria-pressed", str(scheme == "dark").lower())
    button.click()
    expect(button).to_have_attribute("aria-pressed", str(scheme == "light").lower())
    assert background(page) != before
    button.click()
    assert background(page) == before
    page.emulate_media(color_scheme="dark" if scheme == "light" else "light")
    assert background(page) == before


def test_the_page_follows_the_system_until_the_button_is_used(visit: Visitor, path: Path) -> None:
    page = visit(path, color_scheme="light").page
    before = background(page)
    page.emulate_media(color_scheme="dark")
    assert background(page) != before
    expect(page.locator("#theme")).to_have_attribute("aria-pressed", "true")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1100), ("dark", 1100), ("light", 400)])
def test_axe_finds_nothing(visit: Visitor, path: Path, scheme: str, width: int) -> None:
    page = visit(path, color_scheme=scheme, bypass_csp=True).page
    page.set_viewport_size({"width": width, "height": 900})
    page.locator("details").first.locator("summary").click()
    page.locator("#table-2 thead button").first.click()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_without_scripts_everything_is_there_but_the_tools(visit: Visitor, path: Path) -> None:
    page = visit(path, java_script_enabled=False).page
    expect(page.locator("#tools")).to_be_hidden()
    assert len(shown(page, "section[id^=table] > h2")) == 4
    assert page.locator("thead button").count() == 0
    assert column(page, 1)[0] == "adaptor[side=document] ≈"


def test_hostile_names_are_text(visit: Visitor, boards: list[Board], written: Any) -> None:
    script, image, markup = HOSTILE
    rows = tuple(replace(row, method=f"{row.method}{HOSTILE[n % 3]}") for n, row in enumerate(boards[2].rows))
    board = replace(
        boards[2],
        setting=replace(boards[2].setting, dataset=script, encoder=image, accelerator=markup),
        rows=rows,
        changes={row.method: {} for row in rows},
        remarks=(Remark(markup, "failed", "".join(HOSTILE), (0,)),),
    )
    seen = visit(written([*boards[:2], board]))
    page = seen.page
    assert seen.asked == [page.url]
    assert seen.complaints == []
    assert page.locator("img, main script").count() == 0
    page.get_by_label("data set").select_option(script)
    page.get_by_label("encoder").select_option(image)
    (title,) = shown(page, "section[id^=table] > h2")
    assert title.startswith(f"{script} · {image} · random split · {markup}, 2 threads")
    assert column(page, 1, "section:visible table")[1].startswith(rows[1].method)
    assert "".join(HOSTILE) in page.locator("section:visible .notes").inner_text()
    assert image in "".join(page.locator("section:visible svg title").all_text_contents())


def test_a_page_of_many_boards_stays_small_and_says_what_it_left_out(
    visit: Visitor, boards: list[Board], written: Any
) -> None:
    many = [replace(boards[n % 3], setting=replace(boards[n % 3].setting, dataset=f"set {n:03}")) for n in range(400)]
    path = written(many)
    assert path.stat().st_size < 1_500_000
    seen = visit(path)
    assert "Left out for the size of this page" in seen.page.locator("header").inner_text()
    seen.page.get_by_label("data set").select_option("set 007")
    assert "set 007" in shown(seen.page, "section[id^=table] > h2")[-1]
    assert seen.complaints == []


def test_the_page_of_the_embedded_data_sets_is_small(path: Path) -> None:
    assert path.stat().st_size < 300_000
