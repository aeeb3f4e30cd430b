"""What mail clients write around quotes and below texts, by language: plain tables, compared in lower case.

From the clients' own translations: Gmail, Outlook (desktop, web, phones), Apple Mail, Thunderbird, mutt, Yahoo, Proton,
K-9, Samsung, BlackBerry. A new client or language is one more entry here, and one more sample in the tests.
"""

from __future__ import annotations


def _entries(text: str) -> tuple[str, ...]:
    """The phrases of a table: separated by bars or line ends."""
    return tuple(dict.fromkeys(p.strip().lower() for line in text.splitlines() for p in line.split("|") if p.strip()))


def _labels(**kinds: str) -> dict[str, str]:
    return {label: kind for kind, text in kinds.items() for label in _entries(text)}


# What an attribution says of its author ("On …, Jane wrote:"). Matched as a substring of one short joined line.
WROTE = _entries(
    """
    wrote | writes | schrieb | schreef | geschreven | a écrit | écrit | escribió | escribio | escreveu | ha scritto
    scrisse | skrev | napisał | napisała | napísal | napsal | napsala | написал | написала | написав | написала | пишет
    пише | писал | kirjoitti | írta | yazdı | şunu yazdı | a scris | έγραψε | 写道 | 寫道 | 写到 | さんは書きました | 書きました
    님이 작성 | 님이 쓴 | 작성: | כתב | כתבה | كتب | đã viết | menulis | va escriure | escrigué | написа | napisao | je napisao
    je napisal | kirjutas | rašė | rakstīja | nhắn | เขียน | ने लिखा | schrieb: | het volgende geschreven
    """
)

# How an attribution begins, where its first line has no address.
OPENERS = _entries(
    """
    on | at | am | le | el | il | op | em | den | dnia | på | dne | dňa | a | la | pe | de | tarihinde | στις | ngày | pada
    dana | dne | v | в | у | на | em | il giorno | el día | vào | le mer. | 在 | 于 | kl. | mon | tue | wed | thu | fri | sat | sun
    пн | вт | ср | чт | пт | сб | вс | нд | понедельник | вторник | среда | четверг | пятница | суббота | воскресенье
    понеділок | вівторок | середа | четвер | п'ятниця | субота | неділя | lun | mar | mer | mié | jue | vie | sáb | dom
    seg | ter | qua | qui | sex | pon | wt | śr | czw | pt | sob | niedz | po | út | st | čt | pá | so | ne
    ma | ti | ke | to | pe | la | su | man | tir | ons | tor | fre | lør | søn | mån | tis | lör | sön
    monday | tuesday | wednesday | thursday | friday | saturday | sunday
    """
)

# The inside of `-----Original Message-----` and its like.
ORIGINAL = _entries(
    """
    original message | original appointment | original email | forwarded message | reply message | begin forwarded message
    reply above this line | ursprüngliche nachricht | originalnachricht | original-nachricht | weitergeleitete nachricht
    anfang der weitergeleiteten nachricht | message d'origine | message d’origine | message original | message transféré
    courriel original | début du message réexpédié | début du message transféré | mensaje original | mensaje reenviado
    inicio del mensaje reenviado | mensagem original | mensagem encaminhada | mensagem reencaminhada
    início da mensagem encaminhada | início da mensagem reencaminhada | messaggio originale | messaggio inoltrato
    inizio messaggio inoltrato | oorspronkelijk bericht | doorgestuurd bericht | begin doorgestuurd bericht
    ursprungligt meddelande | originalmeddelande | vidarebefordrat meddelande | vidarebefordrat brev
    vidarebefordrat mejl | oprindelig meddelelse | oprindelig besked | videresendt meddelelse | videresendt besked
    start på videresendt besked | opprinnelig melding | opprinnelig beskjed | videresendt melding | videresendt e-post
    alkuperäinen viesti | välitetty viesti | oryginalna wiadomość | wiadomość oryginalna | pierwotna wiadomość
    przekazana wiadomość | wiadomość przekazana dalej | wiadomość oryginalna | původní zpráva | původní e-mail
    přeposlaná zpráva | pôvodná správa | preposlaná správa | eredeti üzenet | továbbított üzenet | mesaj original
    mesajul original | mesaj redirecționat | исходное сообщение | оригинальное сообщение | пересылаемое сообщение
    пересланное сообщение | перенаправленное сообщение | начало переадресованного сообщения | вихідне повідомлення
    оригінальне повідомлення | переслане повідомлення | orijinal ileti | orijinal mesaj | özgün ileti | iletilen mesaj
    iletilmiş mesaj | yönlendirilen ileti | αρχικό μήνυμα | προωθημένο μήνυμα | 原始邮件 | 邮件原件 | 原邮件 | 原始郵件 | 转发的邮件
    转发邮件 | 轉寄郵件 | 轉寄的郵件 | 轉寄訊息 | 转发邮件信息 | 元のメッセージ | 転送されたメッセージ | 転送メッセージ | 원본 메시지 | 원본 메일
    원본 이메일 | 전달된 메일 | 전달된 메시지 | הודעה מקורית | הודעה שהועברה | الرسالة الأصلية | رسالة أصلية | رسالة معاد توجيهها
    thư gốc | tin nhắn gốc | pesan asli | pesan terusan | missatge original | missatge reenviat | оригинално съобщение
    izvorna poruka | originalna poruka | izvirno sporočilo | algne kiri | originalus laiškas
    """
)

# The labels of header blocks: `From: … Sent: … To: … Subject: …`.
LABELS = _labels(
    author="""
    from | von | de | da | van | från | fra | lähettäjä | od | feladó | de la | от | від | від кого | kimden | gönderen
    από | 发件人 | 寄件者 | 寄件人 | 差出人 | 送信者 | 送信元 | 보낸 사람 | 보낸사람 | 발신 | מאת | من | từ | dari | expéditeur | remitente
    saatja | nuo | no | šalje | pošiljatelj
    """,
    date="""
    sent | date | gesendet | gesendet am | datum | envoyé | date d'envoi | enviado | enviado el | enviado em | enviada em
    enviada | fecha | data | inviato | verzonden | skickat | sendt | dato | lähetetty | päivämäärä | päiväys | wysłano
    wysłane | odesláno | odoslané | dátum | elküldve | küldve | trimis | отправлено | дата | надіслано | gönderildi
    gönderme tarihi | tarih | στάλθηκε | ημερομηνία | 发送时间 | 发送日期 | 日期 | 時間 | 寄件日期 | 傳送時間 | 传送时间 | 送信日時 | 日付
    日時 | 보낸 날짜 | 보낸날짜 | 날짜 | נשלח | תאריך | تم الإرسال | أُرسلت | التاريخ | đã gửi | ngày | dikirim | terkirim
    tanggal | изпратено | poslano | saadetud | išsiųsta | enviat | odeslano
    """,
    to="""
    to | an | à | para | a | aan | till | til | vastaanottaja | do | komu | címzett | către | кому | kime | alıcı | προς
    收件人 | 收件者 | 宛先 | 送信先 | 받는 사람 | 받는사람 | 수신 | אל | إلى | đến | kepada | ke | destinataire | destinatario | per a | за | za
    """,
    copy="""
    cc | bcc | kopie | copie | copia | cópia | kopia | kopio | copie à | копия | копія | bilgi | κοιν | 抄送 | 副本 | 참조 | עותק | نسخة
    másolat | kopi | dw | kopie an
    """,
    subject="""
    subject | betreff | objet | asunto | assunto | oggetto | onderwerp | ämne | emne | aihe | temat | předmět | predmet
    tárgy | subiect | тема | konu | θέμα | 主题 | 主旨 | 标题 | 件名 | 제목 | נושא | הנדון | الموضوع | chủ đề | tiêu đề | subjek | perihal | judul
    assumpte | относно | zadeva | teema | tema
    """,
    other="""
    reply-to | reply to | antwort an | répondre à | responder a | responder para | rispondi a | risposta | antwoord aan
    svara till | svar til | importance | wichtigkeit | importance | importancia | prioridade | priorità | attachments
    anlagen | pièces jointes | sensitivity | organization | ответить | newsgroups
    """,
)

# How the one line begins that a phone or a program puts below a text.
DEVICE_STARTS = _entries(
    """
    sent from my | sent from a | sent from outlook | sent from mail | sent from mailbox | sent from yahoo | sent from windows
    sent from proton | sent from mobile | sent from samsung | sent from galaxy | sent from blackberry | sent from gmail
    sent from nine | sent from spark | sent from the | sent from mobile | sent from [mail] | sent from android | sent via
    sent with | sent using | sent by galaxy | from my iphone | from my ipad | get outlook for | get [outlook for | envoyé depuis | envoyé de mon
    envoyé de l | envoyé à partir de | envoyé avec | envoyé via | télécharger outlook | obtenez outlook | provenance : courrier
    von meinem | von meiner | gesendet von | gesendet mit | gesendet über | diese nachricht wurde von | holen sie sich outlook
    outlook für | diese e-mail wurde von meinem | enviado desde | enviado do | enviado de | enviado con | enviado com | enviado via
    enviado a partir | enviada do | obtener outlook | obter o outlook | inviato da | inviato dal | inviata da | inviato con
    scarica outlook | ottieni outlook | verzonden vanaf | verzonden met | verzonden via | verstuurd vanaf | verstuurd met
    outlook voor | download outlook | skickat från | skickat med | hämta outlook | sendt fra | sendt med | sendt via
    hent outlook | få outlook | lähetetty | hanki outlook | wysłane z | wysłano z | wysłane za | pobierz outlook | odesláno z
    odoslané z | získat outlook | získajte outlook | az iphone-omról | iphone-omról küldve | küldve az | elküldve | trimis de pe
    trimis din | отправлено с | отправлено из | надіслано з | відправлено з | iphone'umdan | gönderildi | στάλθηκε από
    από το iphone | iphoneから | ipadから | 私のiphone | 发自我的 | 发自 | 從我的 | 從我的 iphone | 来自我的 | 寄自 | 나의 iphone | 내 iphone | iphone에서
    נשלח מ | أرسلت من | تم الإرسال من | مرسل من | đã gửi từ | được gửi từ | dikirim dari | enviat des | изпратено от | poslano s | poslano iz
    saadetud minu | <<sent by | (sent from | ((sent | someone from mobile
    """
)
# And how it ends, where the language puts the verb last. The line must name a device, too.
DEVICE_ENDS = _entries("gesendet | gesendet. | 送信 | 傳送 | 发送 | 보냄 | gönderildi | küldve")
DEVICES = _entries(
    "iphone | ipad | android | galaxy | samsung | mobil | handy | telefon | blackberry | outlook | 手机 | スマートフォン"
)
# After a comma such a line goes on with an excuse, never with anything else.
EXCUSES = _entries(
    "excuse | typo | brevity | forgive | pardon | kürze | tippfehler | entschuldig | fautes | errores | erros | errori"
)

# What a mailing list puts below a text, behind a rule or without one.
LIST_WORDS = _entries(
    """
    mailing list | mailman/listinfo | listinfo | @lists. | unsubscribe | to post to this group | list archive | -list@
    /lists/ | you received this message because you are subscribed | subscription options | mailing-liste | listserv
    """
)
LIST_STARTS = _entries(
    """
    you received this message because you are subscribed | to unsubscribe from this group | to unsubscribe send
    to unsubscribe, | you are receiving this because you
    """
)

# The lines that go with a name below them.
CLOSINGS = _entries(
    """
    regards | best | cheers | thanks | thank you | sincerely | yours | greetings | grüße | gruß | grüßen | mfg | vg | lg
    cordialement | bien à vous | merci | salutations | saludos | gracias | atentamente | abraços | obrigado | obrigada
    atenciosamente | saluti | grazie | groet | groeten | hälsningar | mvh | hilsen | terveisin | pozdrawiam | s pozdravem
    с уважением | спасибо | saygılarımla | üdvözlettel | kr | br
    """
)
