"""Weighted terms and signals: the field's jargon, what support and business mail sounds like, and what spam sells.

Notation: `weight: entries`, one entry a line or separated by `|`; several words are met in a row, `*` at a word's end
stands for any ending. Weights are log-odds, set by hand; see docs/sorting.md for how they were tuned.
"""

from __future__ import annotations

from typing import Final

# Words of support (token, session, password, login) are missing on purpose: in mail about an authentication server they
# say nothing. So is "security" alone, which sales mail and questionnaires use more than reports do.
SECURITY_TERMS: Final = """
4.0: sql injection|command injection|cross site scripting|responsible disclosure
4.0: coordinated disclosure|disclosure contact|disclosure timeline|disclosure deadline
4.0: coordinated vulnerability disclosure|subdomain takeover|prototype pollution|request smuggling
4.0: remote code execution
3.4: authentication bypass|auth bypass|account takeover|path traversal|directory traversal
3.4: privilege escalation
3.4: insecure direct object reference|template injection|object injection|local file inclusion
3.4: remote file inclusion
3.4: server side request forgery|cross site request forgery|code injection|html injection
3.4: ldap injection|xpath injection
3.4: injection sql|inyección sql|injeção de sql|sql инъекция|iniezione sql|xss|idor|ssrf|csrf|xxe
3.4: 0day|zero day
3.0: use after free|heap overflow|buffer overflow|heap buffer overflow|stack buffer overflow
3.0: integer overflow to|rce
3.0: open redirect|open redirection|clickjacking|tabnabbing|session fixation|cache poisoning
3.0: crlf injection|csv injection
3.0: header injection|host header|user enumeration|username enumeration|account enumeration
3.0: homograph|log4shell
3.0: information disclosure|arbitrary code|arbitrary file|arbitrary files|arbitrary command
3.0: arbitrary commands|redos
3.0: double free|timing attack|timing attacks|side channel|man in the middle|downgrade attack
3.0: replay attack|dns rebinding
3.0: security vulnerability|security advisory|bug bounty|vulnerability disclosure|disclosure policy
3.0: proof of concept|web shell|webshell|magecart|defacement|computer emergency response
3.0: cert bund|cert fr|cert ua|cert eu|cert polska|cert cc|us cert|jpcert|auscert|certfr|national cert|psirt|csirt
2.4: disclosure process|disclosure program*|phishing kit|defaced|skimmer|openly reachable|publicly reachable
2.4: reachable from the internet|openly accessible|safe harbor|safe harbour
3.0: exploitab*|exploitation|metasploit|sqlmap|burp suite|bugcrowd|hackerone|cvss
3.0: deserialisation of untrusted
3.0: deserialization of untrusted|out of bounds read|out of bounds write|out of bounds memory
3.0: type confusion|oob read
3.0: oob write|hash collision*|denial of service|ddos|resource exhaustion|memory exhaustion|zip slip
3.0: zip bomb|typosquat*
3.0: malicious package*|supply chain|memory corruption|arbitrary memory|uninitialized memory
3.0: race condition to|soundness
3.0: unsound|unsoundness|dangling pointer*|padding oracle|nonce reuse|dmarc|spf record|spf records
3.0: x frame options
3.0: content security policy|prise de contrôle|elevation of privilege*
2.4: buffer overrun*|bounds check*|non https|https everywhere|over http|password policy bypass
2.4: bypass|enumeration
2.4: stack traces visible|lack of rate|no length limit|no limit on|leaked|leaks|leaking
2.4: without verification|cookie is sent
2.4: security threat|access key|secret leak*|unintended code|search path element|panic on|panics on
2.4: panic when
2.4: exploit|exploits|exploited|poc|csrf token*|mitm|security researcher|security hole
2.4: security holes|security flaw
2.4: security bug|security report|security contact|report a security|security team
2.4: product security team|embargo|embargoed|ethical hacker|bounty|hack|hacked|hacking|hacker
2.4: hackers|backdoor*
2.4: privilege*|null pointer dereference|null dereference|undefined behavior|undefined behaviour
2.4: data race|data races
2.4: memory safety|memory disclosure|directory listing|hardcoded|hard coded|no rate limit
2.4: rate limiting|brute force*
2.4: insecure*|unsafe*|impersonat*|hijack*|malicious*|attacker*|unauthenticated|phishing of|nessus
2.4: owasp|nmap|openvas
2.4: sweet32|heartbleed|tls 1 0 enabled|weak cipher*|medium strength cipher*|outdated openssl
2.4: pgp key|gpg key|clé pgp
2.4: klucz pgp|pgp schlüssel|secure contact|for disclosure|full disclosure|multi party coordination
2.4: unmaintained
2.4: cert coordination|coordination centre|coordination center|security advisories|vulnerable|vulns
2.4: vuln|cve|cwe|ghsa
2.4: hashed passwords|password hash*|s3 bucket|bucket is public|private key for|not being validated
2.4: sandbox escape
2.4: bypasses|bypassing|bypassed|signature is not|not verified|improper*|xmlhttprequest to
2.4: allows an attacker|injected
2.4: send the details to|send you the details|send the details|share the details
2.4: whom should i report|private credentials
1.8: security problem*|security question|allow list of|hands out|wrapping|become any user
1.8: become admin*|every tenant|all tenants|expired key
1.8: still has access|still have access|role admin|escalada|escalation|élévation de privilèges
1.8: escalation de privilege
1.8: leak|leakage|unauthori*|spoof*|forge|forged|forgery|injection|sanitiz*|sanitis*|unsanitiz*
1.8: escalat*
1.8: untrusted|attack|attacks|payload|payloads|crafted|specially crafted|fuzzing|fuzzer|fuzzed|afl
3.0: invalid next size|double free or corruption|corrupted size vs prev size|corrupted double linked list
3.0: heap corruption|stack smashing detected|invalid write of size|invalid read of size
2.4: invalid memory write|invalid memory read|program received signal sigsegv|program received signal sigabrt
1.8: segmentation fault
1.8: addresssanitizer
1.8: valgrind|disclos*|publicly accessible|can be predicted|predictable|vorhersehbar|prévisible
1.8: prevedibile|predecible
1.8: unescaped|unencrypted|cleartext|plaintext password*|plain text password*|in plain text
1.8: sensitive data
1.8: sensitive information|security issue|security problem|security risk|security impact
1.8: security concern
1.8: security implication*|security fix|steal|stealing|stolen|theft|tamper*|unbounded|infinite loop
1.8: stack overflow
1.8: out of bounds|overflow*|underflow*|segfault*|use of uninitialized|regular expression denial
1.8: compromise*|takeover
1.8: pentest*|penetration test report|penetration tester|red team|assessment at|evil|alg none
1.8: redirect uri|exfiltrat*
1.8: consent screen|parental lock|crossdomain|cors|samesite|httponly|hsts|x xss protection
1.8: referer leak*|same origin
1.8: severity|mitigation|mitigations|remediation|reproducible on production|affected versions
1.8: betroffen sind
1.8: logs me in as|logged in as|without asking for
1.8: koordiniert veröffentlichen|umgehung|umgehen
0.8: permission check|permission checks|access control|acl|without permission|unprivileged|escaping
0.8: validat*
0.8: able to access|able to see|able to view|able to change|able to edit|able to update|other user
0.8: deleted user
0.8: step to reproduce|https link*|visible to|information leak|anonymous|deanonymi*|outsider*
0.8: outdated|end of life
0.8: poisoning|dos|oom killed|reproduction steps|signed url|signature|exposed|exposes|exposing
0.8: exposure|reveal*
0.8: arbitrary|sandbox*|domxss|in scope|out of scope|researcher*|disallow*|whitelist*|impact
0.8: audit log|restriction*
0.8: restricted|complexity|email verification|hi team|security threat|read only access|misaligned
0.8: unaligned|alignment
0.8: allowlist*|blacklist*|encryption|decrypt*|cipher*|tls 1 0|sslv3|md5|sha1|weak|entropy|nonce
0.8: replay*|enumerat*
0.8: root user|world writable|world readable|file permissions|symlink*|temporary file*|panic|panics
0.8: abort|aborts
"""

# What speaks against a report, in the paragraph where it stands (never against another paragraph).
OTHER_TERMS: Final = """
1.6: feature request|feature wish|please add|is there a setting|are there any plans|on the roadmap
1.6: would be great if
1.6: would be nice|it would be great|quote for|price list|pricing for|invoice|invoices
1.6: job application|my application
1.6: cv is enclosed|curriculum vitae|interview request|delete my account|erase my data|typo
1.6: newsletter|webinar
1.6: unsubscribe|questionnaire|vendor onboarding|procurement|meetup|partnership|discount for
1.6: sponsorship
1.6: angebot für|bewerbung|hiermit bewerbe|lebenslauf|rechnung nochmal|wunsch|devis|presupuesto
1.6: orçamento|preventivo
1.6: offerte|oferta|lieferadresse|billing address|expected behavior|expected behaviour|dark mode
1.6: memory leak*
1.0: how do i|how can i|how do we|how to|how should i|can i use|is it possible to configure
1.0: where can i find|what can i do
1.0: lost my second factor|new phone|reset my|unlock it|does not arrive|don t receive|please help
1.0: could you please help
1.0: thanks in advance|any help|any ideas|wie konfiguriere|wie richte|wie kann ich|kommt nicht an
1.0: bitte helfen
1.0: comment configurer|comment installer|merci d avance|cómo configur*|cómo instal*
1.0: me pueden ayudar|como configur*
1.0: come si installa|come configur*|hoe configureer|jak skonfigurować|proszę o pomoc|как настроить
1.0: як налаштувати
1.0: jak nastavit|nasıl kur*|install
1.0: installed
1.0: upgrade|upgrading|after upgrading|configure|unit test|unit tests|refactor*
1.0: deprecat*
1.0: performance improvement
1.0: add support for|should support|code cleanup
1.0: migrate to
0.6: tooltip|font
"""

# Ordinary subjects: they weigh little, but a mail that names none of these and nothing of a report was not understood,
# and what was not understood is "unsure".
ORDINARY_TERMS: Final = """
0.3: magazine|data processing
0.3: remember this
0.3: minimum|advice|faster
0.3: resync|renew|renewal
0.3: question|questions|thank you|let me know
0.3: cost|support|does not work
0.3: doesn t work
0.3: arrive
0.3: wish|plan|plans|planned|customize
0.3: customise|layout
0.3: study
0.3: logo
0.3: talk|talks|news
0.3: csv|excel
0.3: subject|forwarded by|fw|cc|wrote|confused
0.3: verlängern|verlängerung|schicken|rechtschreib*|handy|neues handy|umlaut*
0.3: frage|fragen|danke|vielen dank|hilfe|helfen|anhang
0.3: lieferung|benutzer
0.3: installiert|dokumentation|anleitung
0.3: entsperren|entwickler*|stelle|praktikum|geplant|schön|seit dem
0.3: renouvel*|utilisateurs|envoyer la|mettre à jour|double authentification
0.3: merci|question|aide|aider|réactiver
0.3: téléphone|reçois
0.3: correo|quiero|cómo lo|cambiar|restablecer*|usuarios|necesit*|estudiante
0.3: gracias|ayuda|ayudar|cuánto
0.3: olvidé|llega|prácticas
0.3: obrigado|obrigada|ajuda|ajudar|configuro
0.3: esqueci|grupos|serviço
0.3: vorremmo|utenti|ricevo|rinnov*|traduzione|curriculum
0.3: grazie|aiuto|aiutare|errore
0.3: dimenticato|avvio
0.3: bedankt|hulp|vergeten|sturen|opnieuw
0.3: dziękuję|pomoc|pomocy|cena|instrukcj*
0.3: zapomnia*|dostaję|serwer
0.3: не приходит|восстановлени*|письмо|папку|продлить|стоит
0.3: спасибо|помогите|помощь|подскажите|счёт|счет|цена|забыл
0.3: документаци*|подключен*
0.3: дякую|допоможіть|рахунок|ціна|коштує|помилка|забув|надішліть
0.3: děkuji|pomoc|pomoct|nabídk*|cena|zapomněl*|nepřišel
0.3: odkazem
0.3: teşekkür*|yardım*|kurabilir*|unuttum|sunucu*
"""

# Words of the trade: support mail is full of them and reports are, too (in the development corpora about as often), so
# they say next to nothing about which it is.
NEUTRAL_TERMS: Final = """
0.1: active directory|add|android|application|apply|article|attached|attachment|billing|blog
0.1: browser|build|button|błąd|chrome|chyba|color|column|company|compile|conditions
0.1: configuration|configured|container|contracts|costs|cpu|crash|debian|display|docker
0.1: docker compose|docs|documentation|editor|erreur|erro|error|event|exception|expected
0.1: expired|export|failed|failing|feature|fehler|firefox|firm|fout|freeze|function|gesperrt
0.1: group|groups|haproxy|hata|headers|import|installation|iphone|java|javascript|kerberos
0.1: kernel|kubernetes|language|ldap|linux|locked|log|logs|mac|memory|metadata|method
0.1: minutes|missing|module|nginx|oidc|option|order|package|payment|performance|photo|plot
0.1: plugin|policy text|position|possible to|press|problem|profile page|proxy|python|rate limit
0.1: redirect loop|register|regression|rename|request|reset|role|roles|saml|school|scim
0.1: screenshot|set up|setting|settings|setup|slow|smtp settings|stage|subscription|support for
0.1: supports|sync|table|test|tests|timeout|tried|trying|ubuntu|ui|unlock|update|upgrade to
0.1: users receive|variable|version|warning|welcome|windows|ошибка
"""

# What people ask for and talk about when it is not a report: the grammar of asking, business, work, private life. None
# of it speaks against a report beside it; it only shows that the mail was understood.
PURPOSE_TERMS: Final = """
0.6: training|programme|agreement|thanks for|many thanks|please find|meeting|schedule|agenda
0.6: conference call|shipped|payment due|license|licence|licenses|quote|price|prices|pricing|seats
0.6: works fine|monday|tuesday|wednesday|thursday|friday|tomorrow|weekend|translation|roadmap|job
0.6: internship|resume|cv|interview|award|partner|reseller|newsletter|anyone know|does anybody
0.6: does anyone|lizenz|lizenzen|schulung|rechnung|angebot|vertrag|bestellung|einrichten|einrichtung
0.6: installieren|passwort vergessen|faute|traduction|facture|commande|devis|configurer|currículum
0.6: factura|pedido|presupuesto|precio|licencia|instalar|configurar|fatura|orçamento|preço|licença
0.6: fattura|preventivo|prezzo|licenza|installare|configurare|factuur|offerte|prijs|licentie
0.6: installeren|instellen|faktur*|ofert*|licencj*|zainstalować|instalacj*|лицензи*|установ*|настро*
0.6: ліцензі*|встанов*|налаштув*|licenc*|instalac*|nastavit|teklif|fiyat*|lisans*|kurulum|ayar*
0.6: how do i|how do we|how can i|how can we|how could i|how should i|how should we|how would i|how to
0.6: is there a way|is there an option|is there any way|where do i|where do we|where can i|where can we
0.6: where could i|where are|which value|which version|which option|which one|what should
0.6: what am i doing|can i|can we|may i|may we|do you offer|do you have|do you support|do you recommend
0.6: do you know|are you free|would you be|would like to|we d like|i d like|would love|would be great
0.6: would be helpful|would be nice|looking for|interested in|any idea|any hints|any pointers|any chance
0.6: has anyone|am i missing|i want to|we want to|i need|we need|i am trying|i m trying|we are trying
0.6: does not start|doesn t start|not working|doesn t work|does not work|fails with|after upgrading
0.6: after the upgrade|after the update|since upgrading|since the update|since the upgrade
0.6: getting an error|no longer works|stopped working|in the docs|the manual|we are planning
0.6: we are evaluating|we are looking|we are comparing|we offer|we help|we organise|we organize
0.6: we provide|i am writing my|on behalf of our|our company|our services|our clients|a call|quick call
0.6: conference|workshop|sponsor*|donat*|podcast|magazine|journalist|survey|thesis|hiring|vacanc*
0.6: careers|recruit*|freelance*|developer position|my experience|years of experience|apply for|resell*
0.6: managed service|backlink*|rank better|marketing|seo|leads|budget|renew*|purchasing|procurement
0.6: supplier*|delivery|parcel|shipping|maintenance|outage|invoice*|overdue|unpaid|paid already
0.6: receipt|vat|tax|gdpr|article 15|article 17|data processing|delete my|close my|unsubscribe
0.6: mailing list|translat*|congratulations|best wishes|keep up|great work|great job|love your
0.6: hello all|hi all|dear all|wie stelle|wie kann|wie können|wie lässt|wie bekomme|wie richte
0.6: wie ändere|wie tausche|wo stelle|wo finde|wo kann|gibt es eine|gibt es die|ist es möglich
0.6: welche version|wird denn|was mache|können sie|könnten sie|ich möchte|wir möchten|wir suchen
0.6: wir würden|ich suche|ich hätte|wir hätten|zahlungserinnerung|mahnung|rechnung*|bewerb*|praktikum
0.6: lieferung|veranstaltung|messe|vielen dank im voraus|nach dem update|bricht ab|funktioniert nicht
0.6: comment faire|comment puis|comment remettre|comment changer|comment installer|que faire|où trouver
0.6: où se trouve|est il possible|je souhaite|je voudrais|j aimerais|nous aimerions|nous souhaitons
0.6: pourriez vous|pouvez vous|supprimer mon|ne plus recevoir|mise à jour|facture*|stage|candidature
0.6: formation|échoue|cómo puedo|cómo se|cómo hago|cómo config*|cómo cambi*|dónde puedo|dónde encuentro
0.6: es posible|quisiera|me gustaría|podrían|podría|necesito|necesitamos|estamos buscando|precio*
0.6: descuento*|factura*|prácticas|como posso|como faço|como mudo|como config*|como altero
0.6: onde encontro|onde posso|é possível|gostaria|gostaríamos|preciso|precisamos|poderiam|parabéns
0.6: satisfeitos|preços|desconto|fatura*|estágio|ao rodar|ao instalar|come posso|come si|come faccio
0.6: come config*|dove trovo|dove posso|è possibile|vorrei|vorremmo|potete|potreste|pagamento
0.6: tirocinio|sconto|hoe zet|hoe kan|hoe stel|hoe krijg|hoe verander|waar vind|waar kan
0.6: is het mogelijk|graag|ik wil|wij willen|wij zoeken|handleiding|korting|jak mogę|jak skonfig*
0.6: jak zainst*|jak zmienić|gdzie mogę|gdzie znajdę|czy można|czy jest możliw*|chciał*|prosimy o
0.6: proszę o|cennik*|po aktualizacji|praktyk*|rabat*|как установ*|как настро*|как измен*|как помен*
0.6: где найти|где скачать|можно ли|хотел бы|хотели бы|мы хотим|не запуска*|не работает|после обновлен*
0.6: счет на|скидк*|вакан*|як встанов*|як налаштув*|як змін*|де знайти|чи можна|хотів би|хотіли б
0.6: після оновлення|знижк*|jak nainstal*|jak nastav*|jak změn*|kde najdu|je možné|chtěl*|rádi bychom
0.6: po aktualizaci|sleva|slevu|nasıl yap*|nasıl kur*|nasıl ayar*|nasıl değiş*|nerede bul*|mümkün mü
0.6: istiyor*|gerekiyor|kurulum*|bağlanamıyor*|hatası|indirim|hur gör|hur kan|hur ställer|var hittar
0.6: det vore bra|önskemål|vi vill|jag vill|faktura*|hvordan|hvor finner|vi ønsker|miten|mistä löyd*
0.6: haluaisin|lasku|can you help|can you tell|can you please|can you send|could you send|could you tell
0.6: could you please|could the|please send|please complete|please fill|please arrange|kindly arrange
0.6: what can i do|which directory|which type|which file|which setting|can t find|cannot find
0.6: it d be nice|would like to invite|invite you|are you hiring|do we have to|has no such|no such option
0.6: happens in|since yesterday s update|leads to a 404|encoding|well done|lovely|delighted
0.6: in this issue|no action is needed|will be renewed|erase my|i no longer use|statement of account
0.6: self assessment|partner program*|partnerprogramm|wo lässt|wie lege|wie viele|gibt es ein|bieten sie
0.6: systemhaus|kooperation|abgeschnitten|tarif|tarifs|souhaitons|comment exporter|comment ajouter
0.6: comment modifier|dónde cambio|dónde está|cómo lo|existe alguna|onde está|dove si|non parte
0.6: prijsopgave|ontvangen wij|jak dodać|jak usunąć|jak przenieść|можно выгрузить|где лежат
0.6: где находится|hej hur|tack för|tak for|takk for|kiitos
0.3: please|regards|thanks|thank|cheers|week|month|year|call|team|manager|business|market|project
0.3: deal|attend|discuss|review|draft|proposal|report for|details below|fyi|wondering|wonder
0.3: suggestion*|maybe|perhaps|anyway|btw|archive|book|movie|music|game|story|article|how|wie|wo
0.3: comment|où|cómo|dónde|como|onde|come|dove|hoe|waar|jak|gdzie|как|где|як|де|kde|nasıl
0.3: nerede|hur|hvor|student|students|amount|discount*|install*|contract|client|university|list
0.3: today|forgot|forgotten|what is the|is it possible|i tried|trying to
"""

SPAM_TERMS: Final = """
4.0: dear beneficiary|next of kin|guest post|guest posts|do follow link|dofollow|backlink*
4.0: seo services|seo packages
4.0: search engine ranking*|google ranking|viagra|cialis|online casino|free spins|lottery|penis
4.0: erection|porn*|xxx
4.0: barrister|million dollars|inheritance fund|no prescription|weight loss|lose weight
4.0: work from home|mlm|double your
4.0: welcome bonus|verified email list|email list of|email lists|bulk email|million email*
4.0: email addresses for sale
4.0: keep same password|mailbox is full|mailbox storage|storage is full|quota exceeded|your mailbox
4.0: webcam
4.0: debt consolidation|mortgage rate*|refinance|lowest rates|toner|ink cartridge*|herbal|hgh
4.0: human growth
4.0: business opportunity|financial freedom|money back guarantee|risk free|act now|order now
4.0: limited time offer
4.0: unusual sign in|unusual activity|suspicious activity|account will be suspended
4.0: account has been suspended
4.0: account has been limited|account will be deactivated|verify your identity|verify your account
4.0: confirm your identity
4.0: password expires|claim your prize|claims agent|you have won|has won|you ve won|be removed from
4.0: to be removed
4.0: removed from our|remove yourself|opt out|sent in compliance|this is not spam|one time mailing
4.0: adult
4.0: konto wurde eingeschränkt|konto wurde vorübergehend|bestätigen sie ihre|ihr konto wird
4.0: kreditangebot|brauchen sie dringend
4.0: darlehen|ohne schufa|don de ma fortune|bien aimé|faire don|votre compte a été|votre compte sera
4.0: su cuenta será
4.0: actividad inusual|verificar sus datos|haga clic aquí|cuenta ha sido|clique aqui|seus pontos
4.0: atualizar seus dados
4.0: atualize seus dados|resgat*|sua conta será|sua conta foi|продвижение сайт*|базы email
4.0: для рассылки|cliquez ici
4.0: klicken sie hier|klik hier|clicca qui|ihr paket|votre colis|su paquete|kliknij tutaj|din konto
4.0: нажмите здесь
4.0: compensation fund|compensation payment|united nations|letzte mahnung|zollgebühr
4.0: boîte mail est pleine|link building|hot tip
4.0: payroll update|salary statement|dhl paket|zugestellt werden
4.0: white hat|visitors to your|more visitors|release them to|undelivered messages|freispiele
4.0: ohne einzahlung|donate|charity
4.0: this is an advertisement|refinanc*|debt free|out of debt|inkjet cartridge*|university diploma*
4.0: diplomas|hottest|babes
4.0: teens|horny|sexually|sexual|sexabenteuer|seitensprung|v agra|lbs in|slim down|burn fat
4.0: insurance quote*|health insurance
4.0: your home loan|loan is approved|excluded from further|no longer wish to receive
4.0: wish to be removed
4.0: receive future|not wish to receive|future mailings|mass mail*|email marketing|promote your
4.0: classified sites
4.0: forgive the intrusion|no investment|invest in|stock alert|stock pick*|penny stock|otc|nasdaq
4.0: hot stock*|copy dvd*
4.0: multi level|network marketing|chain letter|pyramid|get rich|grow rich|earning a living
4.0: free access|members area
2.4: adv|ad|debt|debts|insurance|mortgage|approved|ink|printers|no experience|no selling
2.4: limited time|special price*|best deal*
2.4: websites|web site design|hosting from|leasing|property in|restaurants|shopping|brand name
2.4: brand new|latest product*
2.4: attachment is protected|mailbox|upgrade now|sign in attempt|new sign in|blocked|your payment
2.4: payment was declined
2.4: failed payment|action required|immediately|your order|order confirmation|billing problem
2.4: dear sir|greetings to you
2.4: first page of google|web design company|website redesign|app development|affordable
2.4: high quality backlinks
2.4: professional manufacturer|factory|competitive price|free samples|wholesale|loan|loans
2.4: interest rate|collateral
2.4: guaranteed returns|guaranteed|bitcoin|btc|ethereum|crypto|wallet|investment|investors
2.4: trading platform|profit
2.4: click here|click below|click the link|click the button|clicking the button|click on the link
2.4: verify now|24 hours|48 hours
1.2: unsubscribe|unsubscribing|stop receiving
2.4: prize|winner|congratulations|gift card|giftcard|reward card|customs fee|your package
2.4: your parcel|could not be delivered|reschedule your delivery|million|usd|fund|funds|bank details
2.4: transferred
2.4: urgent response|confidential transaction|deceased|widow|lonely|handsome|meet singles|singles
2.4: dating|private photos
2.4: casino|slots|jackpot|bet|betting|cbd|pills|meds|medication|pharmacy|diet|miracle|nigeria
2.4: dear friend|dear sir madam
2.4: free trial|absolutely free|100 free|for free|toll free|credit card*|no obligation|satisfaction
2.4: save up to|special offer
2.4: offer expires|earn money|make money|extra income|income|per month|cash|save money|lowest price*
2.4: best price*|discount*
2.4: decision makers|sponsored article|portfolio|leads|marketing|advertis*|промо*
2.4: гарантия результата|недорого|скидк*
2.4: préstamos|interés|conteste con|pending|withdrawal|offer ends|packages|cancer|zinsen|kredit
2.4: fortune|veuve|héritage|préstamo|empréstimo|prêmio|ganhou|premio|dear customer|dear user
2.4: dear client
2.4: dear valued|valued customer|estimado cliente|prezado cliente|sehr geehrter kunde|cher client
2.4: gentile cliente
2.4: helpdesk|it helpdesk|mail administrator|webmail|deactivated|suspended|suspension|your account
2.4: ihr konto|votre compte
2.4: su cuenta|sua conta|twoje konto|uw account|re activate|reactivate|expire today|expires today
2.4: storage limit
2.4: update your|upgrade your|confirm your|verify your|billing information|payment method|netflix
2.4: paypal|docusign
2.4: antivirus|mcafee|norton|your subscription|renewal|auto renew*|refund|anti aging|sex|sexy|girls
2.4: hot|nude|viagr*
2.4: shipment|delivery|dhl|fedex|ups|usps|tracking number|voicemail|fax|shared document
2.4: invoice attached
2.4: reply for a free|free audit|low cost|price list|b2b|targeted|recorded you|send the video
2.4: all your contacts
1.2: free|offer|offers|money|dollars|price|prices|buy|order|sale|opportunity|amazing|instantly
1.2: subscribers|promotion
1.2: remove|removed|privacy policy|all rights reserved|copyright|reply to this|click|bonus|win
1.2: today only
"""

SPAM_UNSPACED: Final = """
4.0: 未承諾広告|広告|廣告|广告|email地址|營銷|营销|推广|企业网站|致富|創業|出会い|套餐
4.0: 代开|发票|開發票|代理记账|贷款|博彩|彩票|六合彩|优惠|微信同号|税点|成人|加微信|邮箱容量
4.0: 邮箱已满|账户异常|帳戶異常
4.0: 당첨|대출|카지노|바카라|無料プレゼント|出会い|副業|アカウントが制限|お支払い方法|本人確認
4.0: ご利用確認|異常ログイン|قرض|مليون دولار|الفائز
"""

NOT_UNSPACED: Final = """
0.3: お世話になって|お願いします|請問|请问|谢谢|謝謝|감사합니다|부탁드립니다|شكرا
0.6: 方法を|手順|料金|請求書|求人|採用|取材|翻訳|アップデート|怎么|怎麼|如何|安装|安裝|配置|价格|價格|发票|招聘|采访
0.6: 어떻게|가격|청구서|채용|인터뷰|업데이트 후|كيف|فاتورة|سعر|وظيفة|مقابلة
0.6: 見積|ライセンス|インストール|マニュアル|文字化け|届きません|忘れ|忘记|忘記|收不到|授权报价|文档
0.6: 문서|라이선스|설치|نسيت|تصلني|رخصة
1.0: 設定方法|教えてください|見積|请问怎么|如何配置|如何安装|報價|报价|견적|설치 방법|كيف أقوم
1.0: إعادة التعيين|أرجو المساعدة|عرض سعر
"""

# (literal in the case-folded text, weight, our words for it). Plain substring search: linear, nothing to blow up.
SIGNALS: Final[tuple[tuple[str, float, str], ...]] = (
    ("cvss:3", 3.0, "CVSS vector"),
    ("cvss:4", 3.0, "CVSS vector"),
    ("/ac:l/", 2.4, "CVSS vector"),
    ("/ac:h/", 2.4, "CVSS vector"),
    ("av:n/ac", 2.4, "CVSS vector"),
    ("<script>", 2.4, "script payload"),
    ("%3cscript", 3.0, "script payload"),
    ("alert(1", 3.0, "script payload"),
    ("alert(document", 3.0, "script payload"),
    ("onerror=", 2.0, "script payload"),
    ("onload=alert", 3.0, "script payload"),
    ("javascript:alert", 3.0, "script payload"),
    ("document.cookie", 1.8, "script payload"),
    ("' or 1=1", 3.4, "SQL payload"),
    ("' or '1'='1", 3.4, "SQL payload"),
    ('" or 1=1', 3.4, "SQL payload"),
    ("union select", 1.8, "SQL payload"),
    ("sleep(5", 1.2, "SQL payload"),
    ("../../", 1.2, "path traversal payload"),
    ("..\\..\\", 1.2, "path traversal payload"),
    ("..%2f", 3.0, "path traversal payload"),
    ("etc/passwd", 2.8, "path traversal payload"),
    ("${jndi:", 4.0, "JNDI payload"),
    ("169.254.169.254", 3.0, "metadata service address"),
    ("<!entity", 3.0, "XML entity payload"),
    ("addresssanitizer", 2.4, "sanitizer report"),
    ("heap-buffer-overflow", 2.4, "sanitizer report"),
    ("stack-buffer-overflow", 2.4, "sanitizer report"),
    ("heap-use-after-free", 2.4, "sanitizer report"),
    ("memorysanitizer", 2.0, "sanitizer report"),
    ("%0d%0a", 2.4, "CRLF payload"),
    ("x-forwarded-for:", 1.2, "request with a forged header"),
    ("x-forwarded-host", 1.8, "request with a forged header"),
    ("content-disposition: form-data", 1.0, "HTTP request"),
    ("http/1.1\nhost:", 1.8, "HTTP request"),
    (" http/1.1", 1.0, "HTTP request"),
    (" http/2\n", 1.2, "HTTP request"),
    ("burp", 1.2, "proxy tool"),
    ("steps to reproduce", 0.45, "steps to reproduce"),
    ("proof-of-concept", 2.4, "proof of concept"),
    ("begin pgp public key", 1.2, "OpenPGP key"),
    ("begin rsa private key", 3.0, "private key"),
    ("90 days", 0.8, "disclosure deadline"),
    ("hall of fame", 2.4, "asks for a reward"),
    ("do you pay", 1.8, "asks for a reward"),
    ("reward for", 1.8, "asks for a reward"),
    ("got a bounty", 1.8, "asks for a reward"),
    ("your positive reply", 0.8, "asks for a reward"),
    ("appreciation", 0.6, "asks for a reward"),
    ("security.txt", 2.4, "security.txt"),
    ("web.archive.org", 0.5, "archived page"),
    ("-----begin pgp message", 4.0, "encrypted text"),
)
