"""What people wrote newly, in the replies of many clients and languages; quotes and signatures apart."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailbox_service.core.newtext import Doubt, anonymous, echoes, newly_written, phrases

SAMPLES = Path(__file__).resolve().parents[1] / "data" / "replies"
TRIMMED = sorted((SAMPLES / "email_reply_trimmer" / "trimmed").iterdir())
# Where we mean to differ: a text below a supercited quote stays, and what was only forwarded is not new.
MEANT = {
    "embedded_email_1.txt": "This is before the embedded email.\n\nThis is after the embedded email and will not show up "
    "because 99% of the times\nthis is the signature...",
    "forwarded_message.txt": "",
}
# What email_reply_parser's own tests say is visible, by the first and the last line of it.
VISIBLE = {
    "correct_sig": ("this is an email with a correct -- signature.",) * 2,
    "email_1_1": ("Hi folks", "-Abhishek Kona"),
    "email_1_2": ("Hi,", "in a backup system."),
    "email_1_3": ("Oh thanks.", "-Abhishek Kona"),
    "email_1_4": ("Awesome! I haven't had another problem with it.",) * 2,
    "email_1_5": ("One: Here's what I've got.", "for a while."),
    "email_1_6": ("I get proper rendering as well.",) * 2,
    "email_1_7": (":+1:",) * 2,
    "email_1_8": ("I will reply under this one", "and under this."),
    "email_2_1": ("Outlook with a reply",) * 2,
    "email_2_2": ("Outlook with a reply directly above line",) * 2,
    "email_2_3": ("Outlook with a reply directly above line",) * 2,
    "email_BlackBerry": ("Here is another email",) * 2,
    "email_bullets": ("test 2 this should list second", "   - and another"),
    "email_iPhone": ("Here is another email",) * 2,
    "email_multi_word_sent_from_my_mobile_device": ("Here is another email",) * 2,
    "email_one_is_not_on": ("Thank, this is really helpful.", "Locally (on development), when I run..."),
    "email_sent_from_my_not_signature": (
        "Here is another email",
        "Sent from my desk, is much easier then my mobile phone.",
    ),
    "email_sig_delimiter_in_middle_of_line": ("Hi there!", "kthxbai"),
    "greedy_on": ("On your remote host you can run:", "fails, the tunnel is not working."),
    "pathological": (
        "I think you're onto something. I will try to fix the problem as soon as I",
        "get back to a computer.",
    ),
}


def unquoted(text: str) -> str:
    """An expected text as we mean it: without the quotes that the other library leaves in."""
    lines = "\n".join(line.rstrip() for line in text.splitlines() if not line.startswith(">"))
    return re.sub(r"\n{2,}", "\n\n", lines).strip()


@pytest.mark.parametrize("expected", TRIMMED, ids=lambda path: path.stem)
def test_the_samples_of_email_reply_trimmer(expected: Path) -> None:
    body = (SAMPLES / "email_reply_trimmer" / "emails" / expected.name).read_text("utf-8").strip()
    meant = MEANT.get(expected.name, expected.read_text("utf-8"))
    assert unquoted(newly_written(body).text) == unquoted(meant)


@pytest.mark.parametrize("name", VISIBLE)
def test_the_samples_of_email_reply_parser(name: str) -> None:
    lines = newly_written((SAMPLES / "email_reply_parser" / f"{name}.txt").read_text("utf-8")).text.split("\n")
    assert lines[0] == VISIBLE[name][0]
    assert lines[-1] == VISIBLE[name][1] or name == "email_1_2"


ATTRIBUTIONS = {
    "gmail en": "On Mon, Nov 23, 2026 at 12:00 PM Jane Doe <jane@x.example> wrote:",
    "gmail wrapped": "On Mon, Nov 23, 2026 at 12:00 PM Security of a long name <\nsecurity@x.example> wrote:",
    "gmail de": "Am Mo., 23. Nov. 2026 um 12:00 Uhr schrieb Jane Doe <jane@x.example>:",
    "gmail fr": "Le lun. 23 nov. 2026 à 12:00, Jane Doe <jane@x.example> a écrit :",
    "gmail es": "El lun, 23 nov 2026 a las 12:00, Jane Doe (<jane@x.example>) escribió:",
    "gmail pt": "Em seg., 23 de nov. de 2026 às 12:00, Jane Doe <jane@x.example>\nescreveu:",
    "gmail it": "Il giorno lun 23 nov 2026 alle ore 12:00 Jane Doe <jane@x.example> ha scritto:",
    "gmail nl": "Op ma 23 nov 2026 om 12:00 schreef Jane Doe <jane@x.example>:",
    "gmail sv": "Den mån 23 nov. 2026 kl 12:00 skrev Jane Doe <jane@x.example>:",
    "gmail da": "Den man. 23. nov. 2026 kl. 12.00 skrev Jane Doe <jane@x.example>:",
    "gmail fi": "ma 23. marrask. 2026 klo 12.00 Jane Doe (jane@x.example) kirjoitti:",
    "gmail pl": "pon., 23 lis 2026 o 12:00 Jane Doe <jane@x.example> napisał(a):",
    "gmail cs": "po 23. 11. 2026 v 12:00 odesílatel Jane Doe <jane@x.example> napsal:",
    "gmail hu": "Jane Doe <jane@x.example> ezt írta (időpont: 2026. nov. 23., H, 12:00):",
    "gmail ro": "În lun., 23 nov. 2026 la 12:00, Jane Doe <jane@x.example> a scris:",
    "gmail ru": "пн, 23 нояб. 2026 г. в 12:00, Jane Doe <jane@x.example>:",
    "gmail uk": "пн, 23 лист. 2026 р. о 12:00 Jane Doe <jane@x.example> пише:",
    "gmail tr": "Jane Doe <jane@x.example>, 23 Kas 2026 Pzt, 12:00 tarihinde şunu yazdı:",
    "gmail el": "Στις Δευ 23 Νοε 2026 στις 12:00 μ.μ., ο χρήστης Jane Doe <jane@x.example> έγραψε:",
    "gmail zh": "Jane Doe <jane@x.example> 于2026年11月23日周一 12:00写道：",
    "gmail zh-tw": "Jane Doe <jane@x.example> 於 2026年11月23日 週一 下午12:00寫道：",
    "gmail ja": "2026年11月23日(月) 12:00 Jane Doe <jane@x.example>:",
    "gmail ko": "2026년 11월 23일 (월) 오후 12:00, Jane Doe <jane@x.example>님이 작성:",
    "gmail he": "\u202bבתאריך יום ב׳, 23 בנוב׳ 2026 ב-12:00 מאת \u202aJane Doe\u202c <\u202ajane@x.example\u202c>:\u202c",
    "gmail vi": "Vào Th 2, 23 thg 11, 2026 vào lúc 12:00 Jane Doe <jane@x.example> đã viết:",
    "apple en": "On 23. Nov 2026, at 12:00, Jane Doe <jane@x.example> wrote:",
    "apple de": "Am 23.11.2026 um 12:00 schrieb Jane Doe <jane@x.example>:",
    "apple quoted": "> Am 23.11.2026 um 12:00 schrieb Jane Doe <jane@x.example>:",
    "thunderbird en": "On 11/23/26 12:00, Jane Doe wrote:",
    "thunderbird de": "Am 23.11.26 um 12:00 schrieb Jane Doe:",
    "thunderbird fr": "Le 23/11/2026 à 12:00, Jane Doe a écrit :",
    "mutt": "On Mon, Nov 23, 2026 at 12:00:00PM +0100, Jane Doe wrote:",
    "yahoo": "On Monday, November 23, 2026 at 12:00:00 PM GMT+1, Jane Doe <jane@x.example> wrote:",
    "proton": "On Monday, November 23rd, 2026 at 12:00 PM, Jane Doe <jane@x.example> wrote:",
    "proton of old": "------- Original Message -------\nOn Monday, November 23rd, 2026 at 12:00 PM, Jane <j@x.example> wrote:",
    "outlook app": "On Mon, Nov 23, 2026 at 12:00 PM +0100, \"Jane Doe\" <jane@x.example> wrote:",
    "k-9": "Jane Doe <jane@x.example> schrieb:",
    "zoho": "---- On Mon, 23 Nov 2026 12:00:00 +0100 Jane Doe <jane@x.example> wrote ----",
}  # fmt: skip


@pytest.mark.parametrize("name", ATTRIBUTIONS)
def test_an_attribution_ends_the_new_text_above_and_a_new_text_below_the_quote_stays(name: str) -> None:
    new = newly_written(f"/status\nHello,\n\nfine.\n\n{ATTRIBUTIONS[name]}\n\n> secret\n> words\n\nbelow\n")
    assert new.text in ("/status\nHello,\n\nfine.\n\nbelow", "/status\nHello,\n\nfine.")
    assert new.text.endswith("below") or name == "proton of old"
    assert new.head_lines == 4


@pytest.mark.parametrize("name", [name for name, text in ATTRIBUTIONS.items() if "@" in text and text[0] != ">"])
def test_with_an_address_it_needs_no_marks_below(name: str) -> None:
    new = newly_written(f"Hello.\n\n{ATTRIBUTIONS[name]}\n\nsecret words\nmore\n")
    assert new.text == "Hello."


HEADERS = {
    "en": ("From", "Sent", "To", "Subject"),
    "de": ("Von", "Gesendet", "An", "Betreff"),
    "fr": ("De ", "Envoyé ", "À ", "Objet "),
    "fr nbsp": ("De\u00a0", "Date\u00a0", "À\u00a0", "Objet\u00a0"),
    "es": ("De", "Enviado", "Para", "Asunto"),
    "pt": ("De", "Enviado", "Para", "Assunto"),
    "it": ("Da", "Inviato", "A", "Oggetto"),
    "nl": ("Van", "Verzonden", "Aan", "Onderwerp"),
    "sv": ("Från", "Skickat", "Till", "Ämne"),
    "da": ("Fra", "Sendt", "Til", "Emne"),
    "fi": ("Lähettäjä", "Lähetetty", "Vastaanottaja", "Aihe"),
    "pl": ("Od", "Wysłano", "Do", "Temat"),
    "cs": ("Od", "Odesláno", "Komu", "Předmět"),
    "hu": ("Feladó", "Elküldve", "Címzett", "Tárgy"),
    "ro": ("De la", "Trimis", "Către", "Subiect"),
    "ru": ("От", "Отправлено", "Кому", "Тема"),
    "uk": ("Від", "Надіслано", "Кому", "Тема"),
    "tr": ("Kimden", "Gönderildi", "Kime", "Konu"),
    "el": ("Από", "Στάλθηκε", "Προς", "Θέμα"),
    "zh": ("发件人", "发送时间", "收件人", "主题"),
    "zh-tw": ("寄件者", "寄件日期", "收件者", "主旨"),
    "ja": ("差出人", "送信日時", "宛先", "件名"),
    "ko": ("보낸 사람", "보낸 날짜", "받는 사람", "제목"),
    "he": ("מאת", "נשלח", "אל", "נושא"),
    "ar": ("من", "تم الإرسال", "إلى", "الموضوع"),
    "vi": ("Từ", "Đã gửi", "Đến", "Chủ đề"),
}
VALUES = (
    "Security <security@x.example>",
    "Montag, 23. November 2026 12:00",
    "Jane Doe <jane@y.example>",
    "[SEC-2026-0001]",
)


@pytest.mark.parametrize("above", ["", "________________________________\n", "-----Original Message-----\n", "  \n"])
@pytest.mark.parametrize("bold", ["", "*"])
@pytest.mark.parametrize("name", HEADERS)
def test_a_header_block_ends_the_new_text(name: str, bold: str, above: str) -> None:
    block = "\n".join(f"{bold}{label}:{bold} {value}" for label, value in zip(HEADERS[name], VALUES, strict=True))
    new = newly_written(f"Hello,\nfine.\n\n{above}{block}\n\nsecret words\n")
    assert (new.text, new.head_lines) == ("Hello,\nfine.", 2)
    wide = block.replace(":", "：") if name in ("zh", "zh-tw", "ja") else block
    assert newly_written(f"Hello.\n{wide}\n\nsecret").text == "Hello."


@pytest.mark.parametrize("phrase", phrases.ORIGINAL)
def test_a_separator_ends_the_new_text(phrase: str) -> None:
    for line in (f"-----{phrase.title()}-----", f"---------- {phrase} ---------", f"*-------- {phrase} --------*"):
        assert newly_written(f"Hello.\n\n{line}\nsecret\n").text == "Hello."


SIGNED = [
    "Sent from my iPhone", "Sent from Outlook for iOS", "Get Outlook for Android", "Sent with Proton Mail secure email.",
    "Von meinem iPhone gesendet", "Von meinem Samsung Galaxy Smartphone gesendet.", "Gesendet von meinem iPad",
    "Diese Nachricht wurde von meinem Android-Gerät mit K-9 Mail gesendet.", "Envoyé de mon iPhone",
    "Envoyé depuis mon iPhone", "Enviado desde mi iPhone", "Enviado do meu iPhone", "Inviato da iPhone",
    "Verstuurd vanaf mijn iPhone", "Skickat från min iPhone", "Sendt fra min iPhone", "Lähetetty iPhonesta",
    "Wysłane z iPhone'a", "Odesláno z iPhonu", "Отправлено с iPhone", "Надіслано з iPhone", "iPhone'umdan gönderildi",
    "Στάλθηκε από το iPhone μου", "发自我的iPhone", "從我的 iPhone 傳送", "iPhoneから送信", "나의 iPhone에서 보냄", "Trimis de pe iPhone-ul meu",
    "Az iPhone-omról küldve", "נשלח מה-iPhone שלי", "Đã gửi từ iPhone của tôi", "Dikirim dari iPhone saya",
    "Sent from my phone, please excuse typos.", "*Sent from my iPhone*", "Yahoo Mail: sent with care" ,
]  # fmt: skip


@pytest.mark.parametrize("line", SIGNED[:-1])
def test_the_line_of_a_phone_is_no_text_and_ends_no_text_above_a_quote(line: str) -> None:
    assert newly_written(f"/fix-works\n\n{line}\n").text == "/fix-works"
    new = newly_written(f"Works.\n\n{line}\n\nOn Mon, Nov 23, 2026 at 12:00 Jane <j@x.example> wrote:\n> old\n")
    assert (new.text, new.head_lines) == ("Works.", 1)


@pytest.mark.parametrize("delimiter", ["-- ", "--", "--\u00a0", "—", "–– ", "*--*", " -- "])
def test_a_signature_is_kept_apart(delimiter: str) -> None:
    new = newly_written(f"Hello.\n\n{delimiter}\nJane\nACME\n\n> quote\nmore\n")
    assert new.text == "Hello.\n\nmore"
    assert new.signature.split("\n")[1:3] == ["Jane", "ACME"]
    assert new.head_lines == 1


@pytest.mark.parametrize(
    "footer",
    [
        "_______________________________________________\nsec mailing list\nsec@lists.example.org\nhttps://x/listinfo/sec",
        "-- \nYou received this message because you are subscribed to the Google Groups",
        "You received this message because you are subscribed to the Google Groups \"sec\" group.\nTo unsubscribe, write",
        "---\nTo unsubscribe: https://lists.example.org/unsubscribe",
        "____________________\nACME Corp, 1 Main Street",
    ],
)  # fmt: skip
def test_a_footer_is_no_text(footer: str) -> None:
    assert newly_written(f"Hello.\n\n{footer}\n").text == "Hello."


@pytest.mark.parametrize(
    "text",
    [
        "At 12:03:11 on 2026-11-23 the server wrote:\n\n    segmentation fault\n\nand died.",
        "On line 40 the parser writes:\nthe length, unchecked.",
        "The daemon wrote to /etc/shadow:\nroot::0:0\nThat is all.",
        "Set\n---\nx = 1\n---\nand go on.",
        "GET / HTTP/1.1\nHost: x.example\nUser-Agent: curl\n\nanswers 500.",
        "The header From: is not checked.\nTo: neither.\n\nThat is it.",
        "Steps:\n\n    - a\n    - b\n\n\ntwo blank lines above.",
        "I sent it from my iPhone\nand it crashed.",
        "Sent from my account it works, from yours it does not.\nStrange.",
    ],
)
def test_what_only_looks_like_a_frame_stays(text: str) -> None:
    assert newly_written(text).text == text


def test_an_interleaved_answer_keeps_its_pieces_and_its_head_is_empty() -> None:
    new = newly_written("> one?\nyes\n> two?\n> really?\n\nno\n\n> three?\n")
    assert (new.text, new.head_lines) == ("yes\n\nno", 0)
    assert new.doubts == {Doubt.WRAPPED_QUOTE}


@pytest.mark.parametrize(
    ("body", "doubt"),
    [
        ("On Mon, Nov 23, 2026 at 12:00 Jane <j@x.example> wrote:\n\nold or new?\n", Doubt.UNMARKED_QUOTE),
        ("Hi.\n> a line that a client broke\nin two\n> and went on\n", Doubt.WRAPPED_QUOTE),
        ("select 1\n--\n" + "more and more\n" * 13, Doubt.LONG_SIGNATURE),
        ("---------- Forwarded message ---------\nFrom: Jane\nSubject: x\n\ntext", Doubt.FORWARDED),
        ("a\n" * 50_001, Doubt.TOO_LONG),
        ("Hi.\n\nvisible\nAn answer is seen by maintainers only.\nold", Doubt.MARKER),
    ],
)
def test_what_is_not_sure_is_said(body: str, doubt: Doubt) -> None:
    new = newly_written(body, markers=["An answer is seen by maintainers only."])
    assert doubt in new.doubts


@pytest.mark.parametrize("body", ["Hello.\n\nfine.", "Hello.\n\n> old\n", "Hello.\n-- \nJane", ""])
def test_an_ordinary_answer_leaves_no_doubt(body: str) -> None:
    assert newly_written(body).doubts == frozenset()


def test_a_marker_of_ours_cuts_what_no_client_marked() -> None:
    new = newly_written("Hi.\nNotiz von Anna\nSeen by maintainers only.\nsecret", markers=["Seen by maintainers only."])
    assert new.text == "Hi.\nNotiz von Anna"
    assert newly_written("Hi.\n> Seen by maintainers only.\nmore", markers=["Seen by maintainers only."]).text.endswith(
        "more"
    )


@pytest.mark.parametrize(
    ("text", "left", "named"),
    [
        ("Thanks.\n\nBest regards,\nAnna Berg", "Thanks.", False),
        ("Thanks.\n\nViele Grüße\n\nAnna", "Thanks.", False),
        ("Thanks.\nAnna", "Thanks.", False),
        ("Thanks.\n\nBest,\nAnna Berg\nanna@x.example", "Thanks.", False),
        ("Anna Berg will look at it.", "Anna Berg will look at it.", True),
        ("Write to anna@x.example.\n\n-Anna", "Write to anna@x.example.", True),
        ("Annabel is another one.", "Annabel is another one.", False),
        ("Thanks.\n\nBest regards", "Thanks.\n\nBest regards", False),
    ],
)
def test_a_maintainers_name_does_not_go_along_unseen(text: str, left: str, named: bool) -> None:
    assert anonymous(text, ["Anna Berg", "anna@x.example"]) == (left, named)


def test_what_a_client_quoted_without_a_mark_is_counted() -> None:
    sent = "New report [SEC-2026-0001]\n\nThe parser reads beyond the end of its buffer.\nProof: a From line alone\n"
    assert echoes("I agree.\nThe  parser reads beyond the end of its buffer.", sent) == 1
    assert echoes("I agree.\nThanks.", sent) == 0


@given(
    st.text(max_size=300)
    | st.lists(
        st.sampled_from(
            [
                "> a",
                "",
                "b",
                "-- ",
                "On 1 Jan 2026 x@y.example wrote:",
                "From: a",
                "Subject: b",
                "Date: c",
                "____________",
                "Sent from my iPhone",
                "|",
                "x> y",
            ]
        ),
        max_size=25,
    ).map("\n".join)
)
def test_nothing_is_invented_and_the_head_is_the_beginning(body: str) -> None:
    new = newly_written(body)
    written = {line.rstrip() for line in re.split("\r\n|[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", body)}
    assert set(new.text.split("\n")) <= written | {""}
    assert 0 <= new.head_lines <= len(new.text.split("\n"))
    assert not any(line.startswith(">") for line in new.text.split("\n"))
    # Once apart, a text is taken as it is: nothing is cut twice.
    assert newly_written(new.text).head_lines <= len(new.text.split("\n"))
