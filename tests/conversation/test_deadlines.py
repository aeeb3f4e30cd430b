"""What falls due: reminders come once, to whom they should, and stop when answered; no promise breaks silently."""

from __future__ import annotations

from mailbox_service.core.case import Resolution, Stage
from tests.conversation.people import Person, Story, said, to


async def later(story: Story, **by: float) -> list[tuple[str, object]]:
    await story.bench.later(**by)
    return list(await story.delivered())


async def test_a_report_that_nobody_answers_reminds_all_before_and_after(story: Story) -> None:
    await story.begin()  # on a Monday, 12:00
    assert await later(story, hours=20) == []
    out = await later(story, hours=6)
    assert [recipient for recipient, _ in out] == ["ada@example.org", "grace@example.org"]
    assert "first answer" in said(story.ada.newest())
    assert await later(story, hours=2) == [], "once"
    out = await later(story, hours=24)
    assert [recipient for recipient, _ in out] == ["ada@example.org", "grace@example.org"]
    await story.answer(story.ada, "/reviewing")
    assert [m for m in await later(story, days=3) if m[0] != "jane@research.example"] == []


async def test_the_owner_is_reminded_first_then_all(story: Story) -> None:
    await story.begin()
    await story.answer(story.ada, "/own\n/reviewing")
    out = await later(story, days=6, hours=12)
    assert [recipient for recipient, _ in out] == ["ada@example.org"]
    out = await later(story, days=1)
    reminded = {recipient for recipient, m in out if str(m["X-Mailbox-Service-Loop"]).endswith(".reminder")}  # type: ignore[index]
    assert reminded == {"ada@example.org", "grace@example.org"}


async def test_questions_remind_once_and_close_with_a_way_back(story: Story) -> None:
    await story.begin()
    await story.answer(story.ada, "/needs-info\nWhich version?")
    out = await later(story, days=7, hours=1)
    assert len(to(out, story.jane)) == 1  # type: ignore[arg-type]
    assert story.state().reminded
    out = await later(story, days=23)
    assert len(to(out, story.jane)) == 1  # type: ignore[arg-type]
    assert (story.state().stage, story.state().resolution) == (Stage.CLOSED, Resolution.NO_ANSWER)
    await story.answer(story.jane, "Sorry, I was away: it is 4.38.")
    assert "4.38" in said(story.ada.newest())
    await story.answer(story.ada, "/reopen")
    assert story.state().stage is Stage.REVIEWING


async def test_an_unproven_answer_to_our_questions_keeps_the_case_open(story: Story) -> None:
    await story.begin()
    await story.answer(story.ada, "/needs-info\nWhich version?")
    await story.answer(story.jane, "It is 4.38.", proven=False)
    assert story.state().stage is Stage.NEEDS_INFO, "nobody's word for sure"
    before = len(story.jane.got)
    await later(story, days=8)
    await later(story, days=25)
    assert story.state().stage is Stage.NEEDS_INFO, "who answered is never told that they did not"
    assert len(story.jane.got) == before
    assert "without proof" in said(story.ada.newest("without proof"))


async def test_a_quiet_backlog_never_reminds(story: Story) -> None:
    await story.bench.post(story.jane.write("Old."), quiet=True)
    await story.delivered()
    out = await later(story, days=10)
    assert all("reminder" not in str(mail["X-Mailbox-Service-Loop"]) for _, mail in out)  # type: ignore[index]


async def test_a_fix_without_a_verdict_is_the_maintainers_to_decide(story: Story) -> None:
    await story.begin()
    await story.answer(story.ada, "/patched https://example.org/fix.patch")
    before = len(story.jane.got)
    await later(story, days=7, hours=1)
    assert "decide" in said(story.ada.newest("try the fix"))
    assert len(story.jane.got) == before
    await story.answer(story.ada, "/verified", to="try the fix")
    assert story.state().stage is Stage.FIX_VERIFIED


async def test_an_agreed_embargo_is_told_with_its_hour_and_remembered(story: Story) -> None:
    await story.begin()
    await story.answer(story.ada, "/embargo 2026-12-24 14:00 UTC")
    await story.answer(story.ada, "/confirm", to="/confirm")
    assert "2026-12-24 14:00 UTC" in said(story.jane.newest())
    await story.answer(story.ada, "/reviewing", to="New report")
    await later(story, days=28)
    assert "embargo" in said(story.ada.newest("the embargo ends"))


async def test_on_mondays_the_open_cases_are_listed_once(story: Story) -> None:
    await story.begin()
    await story.answer(story.ada, "/own\n/reviewing")
    out = await later(story, days=6, hours=19, minutes=30)  # Monday, 07:30
    digests = [mail for _, mail in out if str(mail["X-Mailbox-Service-Loop"]).endswith(".digest")]  # type: ignore[index]
    assert len(digests) == 2
    assert "SEC-2026-0001" in said(digests[0])  # type: ignore[arg-type]
    out = await later(story, hours=1)
    assert not [m for _, m in out if str(m["X-Mailbox-Service-Loop"]).endswith(".digest")]  # type: ignore[index]


# --- the digest's lines -----------------------------------------------------------------------------------------------


async def digest(story: Story) -> None:
    story.others["kim"] = Person("kim@company.example", "Kim")
    await story.send(story.others["kim"].write("How do I log in?", subject="support log in"))
    await later(story, days=1)


async def test_a_line_of_the_digest_makes_a_redirected_message_a_case(story: Story) -> None:
    await digest(story)
    out = await story.answer(story.ada, "/case M-1", to="M-1")
    assert len(to(out, story.others["kim"])) == 1, "acknowledged after all"
    assert "made M-1 a case" in said(to(out, story.ada)[0])
    assert story.state().stage is Stage.RECEIVED
    examples = story.bench.database.run(lambda tx: tx.examples_after(0, 10))
    assert [row["label"] for row in examples] == ["security"]


async def test_one_wrong_line_and_none_is_carried_out(story: Story) -> None:
    await digest(story)
    out = await story.answer(story.ada, "/spam M-1\n/release M-1", to="M-1")
    assert "not held" in said(to(out, story.ada)[0])
    assert story.bench.dispositions()[0] == "redirect"
    out = await story.answer(story.ada, "/spam M-99", to="M-1")
    assert "no message 99" in said(to(out, story.ada)[0])


async def test_an_unproven_answer_to_a_digest_does_nothing(story: Story) -> None:
    await digest(story)
    await story.answer(story.ada, "/spam M-1", to="M-1", proven=False)
    assert story.bench.dispositions()[0] == "redirect"


async def test_the_digest_in_another_hand_does_nothing(story: Story) -> None:
    await digest(story)
    kim = story.others["kim"]
    await story.send(kim.write("/spam M-1", answering=story.ada.newest("M-1")))
    assert story.bench.dispositions()[0] == "redirect"
