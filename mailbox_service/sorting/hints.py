"""Hints: what reports have and other mail seldom has. A hint proves nothing; it only stops a redirect.

A lexicon of flaws is never complete, so these tables do not name flaws. They name what is left of a report when its
flaw is not recognised: a check that is missing, a secret and a place where it does not belong, a thing that happens
twice or to somebody else, code, a request to talk in private, a question where to turn.

Notation as in `lexicon.py` (ideas, rules) and `terms.py` (terms).
"""

from __future__ import annotations

import re
from typing import Final

# Ideas of their own, beside those of `lexicon.py`; an idea there may be used in a rule here.
HINT_IDEAS: Final[dict[str, str]] = {
    "negation": """
        not never no without isn doesn aren wasn weren don didn won hasn haven missing lacks lack lacking absent
        instead ignore ignores ignored ignoring unlimited unrestricted bypass* skip* fails_to forgets_to forgot_to
        nicht nie niemals kein keine keinen keiner ohne fehlt fehlen fehlende* statt trotz
        pas jamais sans aucun aucune manque absent absence
        no nunca sin ningún ninguna falta não sem nenhum nenhuma non mai senza nessun nessuna manca mancante
        niet nooit zonder geen ontbreekt nie nigdy bez żadn* brak brakuje
        не никогда без нет отсутств* ніколи немає відсутн* není nikdy chybí žádn*
        değil hiç olmadan yok eksik inte aldrig utan ingen saknas ikke aldri uten uden mangler ei ilman puuttuu
        nem nincs nélkül nu fără tidak tanpa không δεν χωρίς
    """,
    "guard": """
        checks checked checking verifies verified verifying verification validat* escape* escaping
        sanitis* sanitiz* compared compares restricted restricts enforce* filtered revok* rotat* invalidat*
        authenticat* authoris* authoriz* throttl* encrypt* hashed salted
        honoured honored bounded locked_out expire expires stripped
        prüft geprüft überprüft prüfung validier* maskiert escap* verglichen vergleicht begrenz* beschränk*
        erneuert widerruf* ungültig verschlüsselt gefiltert geschützt schutz kontrolliert abgefragt
        vérifi* contrôl* valid* échapp* filtr* limit* compar* protég* chiffr* révoqu* expire*
        verific* comprob* compara* cifra* proteg* revoc* limita* caduca* controll* confront* scad* scap*
        gecontroleerd controleert gevalideerd vergeleken beperkt beveiligd versleuteld verloopt
        sprawdz* weryfik* walid* porównyw* ogranicz* szyfrow* zabezpiecz* unieważn* wygas* filtrow*
        провер* экранир* валид* фильтр* сравнива* огранич* шифр* отзыва* защищ*
        перевір* екран* порівню* обмеж* захищ* відклика* фільтр*
        ověř* kontrol* porovná* omezen* šifrov* chráně* zneplat*
        kontrol doğrul* denetle* sınırla* şifrele* filtrele*
        kontroller* verifier* begräns* krypter* skydd* begrens* beskytt* tarkist* rajoit* salat* suoja*
        ellenőriz* korlátoz* titkosít* szűr* verificat validat diperiksa kiểm_tra ελέγχ*
    """,
    "asset": """
        key keys secret secrets credential* token tokens cookie cookies hash hashes hashed passcode* passport*
        password passwords database databases backup* dump bucket admin administrator root console dashboard
        schlüssel geheimnis* kennwort* passwort* passwörter datenbank* zugangsdaten personalausweis administrator*
        clé clés jeton* identifiants base_de_données sauvegarde* administrateur administration
        clave claves contraseña* credencial* copia_de_seguridad base_de_datos administrador* administración
        chave chaves senha senhas credenciais segredo* administração
        chiave chiavi credenziali segreto segreti amministrator* sleutel* wachtwoord* beheerder*
        klucz* hasło hasła haseł administrator* sekret* ключ* парол* токен* паспорт* секрет* администратор*
        адміністратор* klíč* hesl* správc* anahtar* şifre* yönetici* nyckel* nycklar lösenord* personnummer
        nøgle* nøkkel* avain* avaimen kulcs* jelszó* jelszav* cheie cheia kunci khóa κλειδί*
    """,
    "place": """
        public publicly online internet repository repo history commit log logs layer image apk bundle source
        javascript html response reachable readable visible listable downloadable exposed leaked prints printed
        returns answers contains shown open found google index indexed archive pastebin plain clear cleartext
        öffentlich* erreichbar lesbar sichtbar verlauf einsehbar gefunden klartext zugänglich offen
        public publique accessible* lisible* visible* dépôt historique trouvé clair exposé* exposition
        público pública repositorio visible* historial encontré texto_plano accesible* expuest*
        pública repositório achei encontrei visível exposto exposta acessível
        pubblico pubblica visibile repository chiaro esposto esposta accessibile
        openbaar zichtbaar leesbaar bereikbaar publiczn* widoczn* dostępn* repozytori* historii
        публичн* открыт* доступ* видн* истори* репозитор* публічн* відкрит* видно
        veřejn* viditeln* repozitář* historii přístupn* herkese_açık görünü* erişilebilir
        offentlig* synlig* tillgänglig* åpen julkis* näkyvissä nyilvános* public*
    """,
    "again": """
        twice again_and_again in_parallel parallel simultaneous* same_time same_moment concurrent* race races
        reuse* reused repeat* replay* second_time any_number unlimited_times as_often
        zweimal gleichzeitig mehrfach wiederverwend* beliebig_oft deux_fois simultané* en_même_temps
        dos_veces simultáne* a_la_vez duas_vezes ao_mesmo_tempo due_volte contemporane* twee_keer tegelijk*
        dwa_razy dwukrotnie jednocześnie równocześnie дважды одновременно повторно двічі одночасно
        dvakrát současně iki_kez aynı_anda två_gånger samtidigt to_gange to_ganger kahdesti kétszer egyszerre
    """,
    "benefit": """
        code token coupon* voucher* paid free pay order payment balance refund invite link session login
        vote votes counter points credit gutschein* bezahlt kostenlos anmeldung sitzung code
        gratuit* payé* commande session cupón cupones pagado gratis pedido sesión cupom pago sessão
        buono pagato gratis sessione betaald bestelling sessie zapłac* darmow* sesj* kod
        бесплатн* оплат* сесси* код заказ* безкоштовн* сесі* zaplac* zdarma relac* ödeme ücretsiz oturum
    """,
    "strange": """
        strange weird odd alarming worrying nasty shocked shocking wrong bad serious severe critical urgent dangerous
        scary suspicious unexpected surprised surprise unsettling uncomfortable
        komisch* seltsam* merkwürdig* eigenartig* erschrocken beunruhig* ernst* schlimm* gravierend*
        étrange* bizarre* grave inquiét* sérieux rar* extrañ* grave preocup* estranh* grave preocup*
        stran* grave preoccup* vreemd* raar ernstig* dziwn* poważn* niepokoj* странн* серьёзн* серьезн*
        дивн* серйозн* zvláštn* vážn* divn* garip tuhaf ciddi konstig* allvarlig* underlig* merkelig*
        alvorlig* outo vakav* furcsa súlyos ciudat grav aneh parah lạ
    """,
    "notify": """
        report reports reporting reported notify tell told disclose disclosing contact handles responsible_for
        aware know proceed inform informed alert flag warn heads_up
        melden gemeldet meldung hinweisen bescheid wissen zuständig* ansprechpartner* aufmerksam
        signaler signalé signalement prévenir avertir responsable
        avisar avisarles reportar informar notificar deberían_saber comunicar responsable
        avisar reportar relatar comunicar responsável segnalare segnalo segnalazione avvisare avvertire
        melden doorgeven waarschuwen zgłosić zgłaszam poinformować ostrzec сообщить предупредить уведомить
        повідомити попередити nahlásit upozornit oznámit bildirmek haber_vermek anmäla meddela rapportera
        melde rapportere varsle ilmoittaa jelenteni szólni anunț raporta melaporkan báo
    """,
}

# Scripts whose words run together; entries are separated by `|`.
HINT_IDEAS_UNSPACED: Final[dict[str, str]] = {
    "negation": """
        されず|ません|ない|なく|なし|無し|ずに|没有|沒有|未|不|无|無|않|없|안 |못|لا |لم |ليس|بدون|غير|לא |בלי|אין
    """,
    "guard": """
        検証|確認され|無効化|無効に|制限|チェック|暗号化|失効|有効期限|校验|校驗|验证|驗證|限制|检查|檢查|过期|過期|失效|加密
        검증|검사|제한|확인하|만료|암호화|무효|تحقق|التحقق|تشفير|صلاحي|בדיק|אימות|מוגבל
    """,
    "asset": """
        鍵|トークン|パスワード|認証|管理者|管理画面|密钥|密鑰|令牌|密码|密碼|管理员|管理員|数据库|토큰|비밀번호|관리자|인증
        كلمة المرور|كلمة السر|المدير|رمز|סיסמ|מפתח|מנהל
    """,
    "place": """
        公開|平文|見え|ログに|レポジトリ|リポジトリ|公开|明文|可见|日志|仓库|공개|평문|노출|보이|로그에|저장소|علن|ظاهر|גלוי|חשוף
    """,
    "again": """
        何度でも|二回|同時に|使い回|再利用|多次|两次|同时|重复|重放|여러 번|두 번|동시에|재사용|مرتين|עדיין|פעמיים
    """,
}

# (ideas that meet in one sentence, our words for it)
HINT_RULES: Final[tuple[tuple[str, str], ...]] = (
    ("negation guard", "a check that is missing"),
    ("asset place", "a secret and a place"),
    ("asset without", "a secret without something"),
    ("again benefit", "something happens twice"),
    ("again asset", "a secret used again"),
    ("strange notify", "something bad to tell"),
    ("anyone see", "anyone sees it"),
    ("anyone asset", "anyone and a secret"),
    ("other see", "somebody else sees"),
    ("other login", "somebody else's login"),
    ("other asset", "somebody else's secret"),
    ("change link", "the link changed"),
    ("login without", "login without something"),
    ("see without", "seen without something"),
    ("stale see", "seen afterwards"),
    ("stale works", "works afterwards"),
    ("staff see", "an ordinary user sees"),
    ("staff login", "an ordinary user gets in"),
)

# A security term of this weight is a hint even where the paragraph about it was outweighed.
HINT_FROM: Final = 1.1

HINT_TERMS: Final = """
before i publish|before publishing|before we publish|i plan to publish|intend to publish
planned publication|publication date|go public|going public|made public|run the story|in private
privately|private channel|off the record|public tracker|public issue|publicly|psirt|csirt|csaf|openpgp
signal number|age key|security txt|who handles|who looks after|who is responsible|right address
right place|right person|right contact|right inbox|point of contact|contact person for|monitored by
acknowledge receipt|advisory|advisories|cve|credit me|acknowledg* in|hall of fame|bounty|disclos*
our audit|internal audit|internal review|red flag|data breach|regulator|how do we proceed
how should we proceed|how to proceed|something bad|something serious|something nasty|any password
any code|any user|any value|any token|any domain|any host|any origin|anyone could|everybody can
everyone can|nobody should|become admin|as admin|as the admin|as root|as the boss|whoever|victim*
thief|thieves|scam*|phish*|steal*|stole*|impersonat*|pretend*|abus*|misus*|exploit*|attack*|crafted
malformed|malicious*|arbitrary|inject*|bypass*|overwrit*|overflow*|travers*|spoof*|forg*ry|forged
smuggl*|brute|predictab*|guessable|deseriali*|unserializ*|concatenat*|unescaped|unfiltered|unsanit*
untrusted|hardcoded|hard coded|default password*|default credential*|leak*|dangling|freed|double free
use after|uninitiali*|out of bounds|null byte|nul byte|embedded nul|racy|toctou|same nonce|nonce
constant time|entropy|takes down|brings down|knocks|exhaust*|inflates|never expire*|still valid
still works|still has|still logged|still see|still opens|got in|gets in|let him in|let her in
let me in|let us in|lets you in|lets me in|lets anyone|straight into|goes straight|only by prefix
startswith|first match|whitelist|blocklist|denylist|trusts|trusted|trusting|permissions|privilege*
unprivileged|access control|authori*ation header|same origin|referer|redirect_uri|redirect uri
state parameter|csrf|in the name of|in your name|somebody else|someone else|other firms|other companies
strangers|my ex|our apprentice|my son|my daughter|sees everything|expose*|unauth*|unlocked|fremd*
rechte|unbefugt*|missbrauch*|angreif*|angriff*|lücke*|veröffentlich*|einfach so|als admin|von anderen
anderer firmen|anderer kunden|n importe qui|n importe quel*|avant de publier|pirat*|sans cookie
à la place de|d autres clients|cualquiera|antes de publicar|atacante*|qualquer um|qualquer pessoa
invasor*|chiunque|riservat*|prima di pubblicare|attaccant*|iedereen|vertrouwelijk|misbruik*|każdy
poufn*|atakuj*|przejąć|любой|кто угодно|конфиденциальн*|злоумышл*|уязвим*|взлом*|чуж*|будь хто
конфіденційн*|зловмисн*|зламати|чужи*|kdokoli|důvěrn*|útočn*|zneuž*|ciz*|herkes|gizli|saldır*
başkas*|vem som helst|konfidentiell*|andras|hvem som helst|fortrolig*|andres|kuka tahansa|luottamuksel*
toisten|by the way|ps|p s|on another note|one more thing|while at it|while debugging|we also noticed
i also noticed|nebenbei|übrigens|au fait|par ailleurs|por cierto|aliás|tra l altro|a proposito
overigens|trouwens|przy okazji|кстати|до речі|mimochodem|bu arada|förresten|för övrigt|forresten
i øvrigt|muuten|egyébként|log4j*|known cve*|known vulnerab*|eol|777|world writable|chmod|keystore*
shell|listens on|passphrase*|no proof|without proof|social engineering|on the spot|never asked
didn t ask|did not ask|asked nothing|no questions asked|prove it|guess the|guessed|default admin
admin admin|root password|master password|back door*|left over from|bárki|bizalmas*|másik|mások|támad*
oricine|siapa saja|rahasia|bất kỳ ai|to publish|will publish|going to publish|keep this confidential
keep it confidential|treat this|permission check*|without permission|no permission|permissions of
coordinate with|coordination cent*|align dates|embargo*|a race|race condition*|padding oracle
timing difference*
not me|isn t me|is not mine|innej firmy|innych firm|anderen firma|autre entreprise|autre société
otra empresa|outra empresa|altra azienda|ander bedrijf|другой компании|іншої компанії|jiné firmy|başka firma*
sha256|checksum*|tarball|pipes
"""

HINT_UNSPACED: Final = """
ちなみに|追伸|顺便|順便|另外|참고로|그런데|بالمناسبة|他人|別の|知らない人|誰でも|不正|攻撃
脆弱|漏|悪用|公開前|権限|任意|绕过|繞過|越权|越權|权限|權限|漏洞|泄
洩|攻击|攻擊|校验|校驗|别人|別人|任何人|明文|暴露|其他用户|他人的|취약|유출
노출|권한|다른 사람|타인|우회|공격|누구나|임의|ثغرة|اختراق|شخص آخر|تسريب|أي شخص|بيانات شخص
פרצה|פריצה|אחרים|דליפ
"""

# A paragraph that changes the subject must be read, whatever the mail is about.
POSTSCRIPT: Final = re.compile(
    r"\n\s{0,5}\n\s{0,5}(?:"
    r"also|oh|and|ps|btw|besides|additionally|another|lastly|separately|unrelated|außerdem|"
    r"ausserdem|ach|noch|sonst|nebenbei|aussi|sinon|et|enfin|además|también|otra|"
    r"por otra|além|também|outra|inoltre|poi|ook|verder|en|też|poza|jeszcze|"
    r"ещё|еще|также|и|ще|також|ještě|také|a|ayrıca|bir de|dessutom|"
    r"också|også|lisäksi|továbbá|また|另外|还有|그리고"
    r")\b"
)

# Code and addresses. Each pattern has a bounded reach from every starting point, so the whole is linear.
_CODE: Final = (
    r"\w\(\)|\);\s|\w\.\w{1,4}:\d|\w\.\w{1,4} line \d|\b(?:get|post|put|patch|delete|head|options) /\w|[?&]\w{1,30}=|"
    r"/api/|/\.\w|\s/\w{2,20}/\w|^[-+] {0,3}\S|\b0x[0-9a-f]{2}|\\x[0-9a-f]{2}|%[0-9a-f]{2}%|"
    r"<\w{2,10} \w{2,10}=|\.\./|/etc/|"
    r"\w\[\w{1,30}\] ?=|\w->\w|\w::\w|!=|==|\|\||&&|\b\w{2,20}/\w{2,20}\.\w{1,4}\b"
)
CODE: Final = re.compile(_CODE, re.MULTILINE)
