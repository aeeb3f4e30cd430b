"""The words by which triage tells what a report has. Parts of words, in lower case; `_` stands for a blank and
`§` for an underscore.

One that is found where it means something else costs a hint that would have been right; one that is missing makes a
hint that is wrong. So these lists are wide.
"""

from __future__ import annotations

from typing import Final

# What a good report has, as hints call it.
ASPECTS: Final = {
    "version": "the affected version",
    "steps": "steps to reproduce",
    "impact": "the impact",
    "proof": "a proof of concept",
}


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.replace("_", " ").replace("§", "_") for word in text.split())


# The words of a language that stand in any text of it; none that is as usual in a language which is not among these.
COMMON: Final[dict[str, frozenset[str]]] = {
    language: frozenset(words.split())
    for language, words in {
        "en": "the of and to it that for on with this are was you be your as can have an by not from has which would",
        "de": "der das und ist nicht ein eine ich sie es mit auf für den dem zu von wie wird auch sich bei kann des haben",
        "fr": "le la les et est des une que pour dans je vous pas sur avec ce du par il au qui votre mais être c'est j'ai",
        "es": "el la los las y es que un una para con por no del lo su al como más pero puede está cuando muy",
        "pt": "os as e é que em um uma para com não por da no na dos ao como mais você está são seu pela quando",
        "it": "il di e è che un una per con non del della dei gli le nel come sono ho questo alla può anche più",
        "pl": "w na z się że nie jest to jak od dla po przez który jego tylko może przy ale są oraz czy mogę gdy już",
        "ru": "и в не на что с по как это для или при но если можно я вы из от так все уже был есть к мне у когда",
    }.items()
}

# Marks of any language: what is written the same everywhere.
EVERYWHERE: Final[dict[str, tuple[str, ...]]] = {
    "version": _words("version commit release nightly build_ tag: :latest @latest git_hash all_versions"),
    "steps": _words(
        "steps step_1 reproduc curl_ ``` wget_ docker_run npm_i git_clone http/1. http/2 get_/ post_/ put_/ payload $_"
    ),
    "impact": _words("impact rce xss csrf ssrf sqli idor ddos takeover remote_code account_take cvss: cwe-"),
    "proof": _words(
        "``` curl_ wget_ get_/ post_/ put_/ http/1. http/2 <script payload poc proof exploit ../ %2e%2e '_or_ \"_or_ $_ "
        "import_ def_ #!/ python screenshot video alert( onerror= <img <svg select_ union_ diff_--git traceback "
        "stack_trace screencast http:// https://"
    ),
}

DETAILS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "en": {
        "version": _words("latest newest upgrade updat master_branch main_branch as_of_today current_ since_"),
        "steps": _words(
            "first then_ click open_ go_to navigate log_in login sign_in visit send_ sent_ request when_i if_i if_you "
            "when_you i_chang i_replac i_enter i_type i_tried i_put press upload run_ create_ set_ by_changing "
            "by_setting by_sending copy paste submit"
        ),
        "impact": _words(
            "attack allow leak steal stole expos disclos execut bypass access compromis crash denial escalat "
            "impersonat log_in_as logged_in_as other_user another_user other_people someone_else somebody_else "
            "see_other read_ modif delet inject hijack take_over without_password without_auth without_log unauth "
            "anyone_can anybody_can everyone_can everybody_can full_control privileg personal_data other_customer any_user "
            "any_password in_as without_asking got_into gets_into shows_all shows_the whole_database could_see can_see"
        ),
        "proof": _words("attached attachment see_below example like_this sample code log_ output response returned"),
    },
    "de": {
        "version": _words("fassung ausgabe neueste aktuelle stand_vom seit_ branch"),
        "steps": _words(
            "schritt nachstell reproduz zuerst dann_ danach anschließend klick öffne geh gehe aufruf anmeld einlogg "
            "eingeb wenn_ich wenn_man sobald sende schick geändert ändere ersetz hochlad abschick anfrage aufgerufen"
        ),
        "impact": _words(
            "angreif auswirk ermöglich erlaub erlang ausles einseh lesen sehen_ zugriff zugang übernehm umgeh umgang "
            "ausführ absturz abstürz lahm fremde andere_nutzer anderer_nutzer andere_kund anderer_kund jemand_ander "
            "ohne_passwort ohne_anmeld ohne_auth jeder_kann löschen manipul stehlen abgreif preisgeb persönliche_daten"
        ),
        "proof": _words("anhang angehängt beigefügt beispiel siehe_unten nachweis beweis bildschirmfoto code ausgabe"),
    },
    "fr": {
        "version": _words("dernière actuelle à_jour depuis_ branche mise_à_jour"),
        "steps": _words(
            "étape reprodui d'abord ensuite puis_ cliqu ouvr allez aller connect saisi entr envoy quand_je _si_je _si_l "
            "lorsque modifi remplac requête soumet téléverse lanc changé"
        ),
        "impact": _words(
            "attaquant permet impact conséquence accéd accès lire voir_ vol_ voler fuite expos divulg exécut contourn "
            "usurp autre_utilisat autres_utilisat autre_client autres_client quelqu'un_d'autre sans_mot_de_passe "
            "sans_authent sans_connex supprim compromet prendre_le_contrôle n'importe_qui données_personnelles planter"
        ),
        "proof": _words("pièce_jointe ci-joint exemple preuve capture ci-dessous code réponse"),
    },
    "es": {
        "version": _words("versión última actual actualiz rama desde_la"),
        "steps": _words(
            "paso reproduc primero luego_ después hac pulsa abr ir_a entr inici envi cuando_ si_se si_yo cambi "
            "reemplaz solicitud petición subir ejecut ingres"
        ),
        "impact": _words(
            "atacante permit impacto consecuencia acced acceso leer ver_ robar fuga filtr expon exponer divulg ejecut "
            "evadir saltar suplant otro_usuario otros_usuarios otro_cliente otros_clientes otra_persona sin_contraseña "
            "sin_autentic sin_iniciar borrar eliminar compromet cualquiera datos_personales caída tomar_el_control"
        ),
        "proof": _words("adjunt ejemplo prueba captura a_continuación código respuesta"),
    },
    "pt": {
        "version": _words("versão última atual actual atualiz branch desde_a"),
        "steps": _words(
            "passo reproduz primeiro depois em_seguida então clic clique abr ir_para entr faz faça envi quando_ se_eu "
            "alter mud troqu substitu requisição pedido carreg execut acess"
        ),
        "impact": _words(
            "atacante invasor permit impacto consequência acess ler_ ver_ roub vaz expõe expor divulg execut contorn "
            "burlar outro_usuário outros_usuários outro_utilizador outros_utilizadores outro_cliente outros_clientes "
            "outra_pessoa outras_pessoas sem_senha sem_palavra sem_autentic apagar excluir compromet qualquer_pessoa "
            "qualquer_um dados_pessoais derrub assumir_o_controle"
        ),
        "proof": _words("anex exemplo prova captura abaixo código resposta"),
    },
    "it": {
        "version": _words("versione ultima attuale aggiorn ramo dalla_"),
        "steps": _words(
            "passo passi passagg riprodu prima_ poi_ dopo clic apr vai andare acced inser invi quando_ se_si se_io "
            "cambi modific sostitu richiesta caric esegu"
        ),
        "impact": _words(
            "attacc aggress malintenzionat consent permett impatto conseguenz acced accesso legg vede rubare fuga "
            "espo divulg esegu aggir imperson altro_utente altri_utenti altro_cliente altri_clienti altra_persona "
            "qualcun_altro senza_password senza_autentic senza_login cancell elimin compromet chiunque dati_personali "
            "blocc controllo_di"
        ),
        "proof": _words("allegat esempio prova schermata di_seguito codice risposta"),
    },
    "pl": {
        "version": _words("wersj wydani najnowsz aktualn gałąź gałęzi"),
        "steps": _words(
            "krok odtworz reproduk najpierw potem następnie klik otw przejd wejd zalog wpis wys gdy_ kiedy_ jeśli_ "
            "zmien podmien żądani zapytani prześl uruchom"
        ),
        "impact": _words(
            "atakując napastni atak umożliwi pozwala wpływ skutk dostęp odczyt czyta zobacz widzi ukra krad wyciek "
            "ujawni wykona obejś omin podszy inny_użytkownik innego_użytkownik innych_użytkownik innych_klient "
            "kogoś_innego bez_hasła bez_logowania bez_uwierzyt usun przejęc przejąć każdy_może dane_osobow danych_osobow"
        ),
        "proof": _words("załącz przykład dowód zrzut poniżej kod odpowied"),
    },
    "ru": {
        "version": _words("верси релиз последн сборк обнов ветк коммит"),
        "steps": _words(
            "шаг воспроизв сначала затем потом нажм нажать нажима откр перейд зайд зайти войд войти ввес введ отправ "
            "когда если_ измен поменя замен запрос загруз запуст выполн"
        ),
        "impact": _words(
            "злоумышленник атакующ атак позволя последстви доступ прочит чита увид видеть видно украсть краж утечк "
            "раскры выполн обойти обход от_имени друг чуж без_пароля без_авториз без_аутент удал захват взлом "
            "любой_может кто_угодно персональн уронить отказ"
        ),
        "proof": _words("вложен прилож прикреп пример доказ скриншот снимок ниже код_ ответ"),
    },
    "zh": {
        "version": _words("版本 最新 发行 發行 分支 升级 升級"),
        "steps": _words("步骤 步驟 复现 複現 重现 重現 首先 然后 然後 接着 接著 点击 點擊 打开 打開 访问 訪問 登录 登錄 登入 输入 輸入 发送 發送 请求 請求 修改 上传 上傳"),
        "impact": _words("攻击 攻擊 影响 影響 危害 导致 導致 允许 允許 可以 获取 獲取 读取 讀取 泄露 洩露 窃取 竊取 执行 執行 绕过 繞過 越权 越權 其他用户 其他用戶 他人 别人 別人 任意 无需 無需 删除 刪除 接管"),
        "proof": _words("附件 截图 截圖 示例 例如 证明 證明 代码 代碼 响应 響應 如下 返回"),
    },
    "ja": {
        "version": _words("バージョン ヴァージョン 最新 リリース ブランチ 版"),
        "steps": _words("手順 再現 まず 次に その後 クリック 開 アクセス ログイン 入力 送信 リクエスト 変更 アップロード すると 実行"),
        "impact": _words("攻撃 影響 可能 漏 盗 取得 閲覧 見え 見られ 読め 実行 回避 迂回 なりすま 他のユーザ 他人 別のユーザ 第三者 任意 パスワードなし 認証なし 削除 乗っ取 悪用"),
        "proof": _words("添付 スクリーンショット 例 証明 実証 コード レスポンス 応答 以下 動画"),
    },
}  # fmt: skip

# Rewards, in these languages and a few more.
MONEY: Final = _words(
    "bounty bounties reward_for_ reward_program any_reward monetary appreciation_token swag paypal_account "
    "pay_me payout get_paid financial_reward hall_of_fame belohnung prämie vergütung récompense rémunér recompensa "
    "remunera ricompensa compenso nagrod wynagrodz вознагражд награду 赏金 賞金 奖金 獎金 报酬 報酬 奖励 獎勵 報奨金 謝礼 "
    "ödül beloning"
)
# Who says so wants none.
NO_MONEY: Final = _words(
    "no_bounty not_asking_for_a_b not_looking_for_a_b do_not_want_a don't_want_a without_any_reward"
)

# How scanners are called; a hint names them by these words.
SCANNERS: Final = (
    "acunetix", "nessus", "openvas", "nuclei", "nikto", "wpscan", "netsparker", "invicti", "qualys", "burp scanner",
    "zap scan", "owasp zap", "trivy", "grype", "snyk", "sonarqube", "testssl", "sslscan", "nmap", "sqlmap", "arachni",
    "detectify", "securityheaders.com", "mozilla observatory", "ssl labs", "hardenize", "internet.nl", "checkmarx",
    "veracode", "semgrep", "codeql", "dependabot",
)  # fmt: skip
# Findings that scanners love: a report that has two of them and no proof reads like one's output.
SCANNER_FINDINGS: Final = _words(
    "x-frame-options missing_security_header missing_http_header strict-transport-security content-security-policy_head "
    "x-content-type-options spf_record dmarc_record no_dmarc dmarc_policy missing_spf cookie_without_secure "
    "without_httponly httponly_flag clickjacking autocomplete_enabled server_banner version_disclosure weak_cipher "
    "tls_1.0 options_method directory_listing risk_factor plugin_id cve_count confidence:_ solution:_ severity:_info"
)

AI_TOLD: Final = _words(
    "chatgpt gpt-4 gpt-5 openai claude gemini copilot _llm language_model ai-assist ai_assist assisted_by_ai ai_tools_ an_ai_tool "
    "ai-generated ai_generated generated_by_ai with_the_help_of_ai help_of_an_ai used_ai_ using_ai_ artificial_intel "
    "ki-gestützt ki_gestützt mit_ki_ hilfe_einer_ki hilfe_von_ki_ künstliche intelligence_artificielle inteligencia_artificial "
    "inteligência_artificial intelligenza_artificiale sztuczn нейросет искусственн 人工智能 大模型 生成ai 人工知能 deepseek"
)
AI_DENIED: Final = _words(
    "no_ai_was no_ai_used no_ai_tool did_not_use_ai didn't_use_ai without_ai without_the_use_of_ai no_use_of_ai "
    "without_using_ai ohne_ki keine_ki ki_wurde_nicht sans_ia aucune_ia sin_ia sem_ia senza_ia bez_ai без_ии "
    "未使用ai 没有使用ai aiは使 aiを使用して"
)
# What the products leave in the text that is copied out of them. Style alone marks nobody.
AI_MARKS: Final = _words(
    "utm§source=chatgpt oaicite contentreference[ turn0search as_an_ai_language as_a_large_language "
    "i'm_an_ai_ [insert_ [your_name] here's_a_polished here_is_a_polished grok_card"
)
