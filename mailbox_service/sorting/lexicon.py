"""Plain words for what happened, by idea and in many languages: the tables behind `LexicalSorter`.

Reporters without jargon say *what* happened: "I changed a number in the link and saw somebody else's page". The tables
name the ideas such sentences are made of; `RULES` says which ideas, met in one sentence, speak for a report. So one rule
covers all languages, and its label is our own text, never the mail's.

Notation: entries are separated by white space, `_` joins the words of an entry, `*` at a word's end stands for any
ending. All entries are normalised in the same way as the mail's text before they are used.
"""

from __future__ import annotations

from typing import Final

# Scripts with spaces between words: compared word by word.
IDEAS: Final[dict[str, str]] = {
    "other": """
        the_class everyone_s all_grades all_patients all_customers all_members all_employees all_accounts
        whole_class
        a_man_i_don_t a_woman_i_don_t a_man_i_do_not someone_i_don_t people_i_don_t a_lady other_families
        other_parents
        einer_frau eines_mannes aller_schüler* aller_kunden alle_kunden une_dame un_inconnu
        tous_les_utilisateurs
        tous_les_clients tous_les_élèves todos_los_usuarios todos_los_clientes todos_los_alumnos
        una_señora una_signora
        todos_os_usuários todos_os_clientes uma_senhora tutti_gli_utenti tutti_i_clienti di_una_signora
        alle_gebruikers
        alle_klanten een_mevrouw wszystkich_użytkowników wszystkich_klientów pewnej_pani
        всех_пользователей всех_клиентов
        не_в_своём не_в_своем не_свой всіх_користувачів всіх_клієнтів všech_uživatel* všech_zákazník*
        tüm_kullanıcı* kardeşimin bütün_kullanıcı* alla_användare alle_brugere en_annen kaikkien
        her_account his_account their_account her_inbox his_inbox her_mails his_mails my_ex* my_wife*
        my_husband*
        my_friend* my_sister* my_brother* my_flatmate* my_coworker* my_co_worker* my_teacher* my_patient*
        the_lady
        the_man_who whoever_sat ein*_anderen_famil* aller_ander* alle_ander* fremder mein*_nachbar*
        meiner_kolleg*
        meiner_frau meines_mannes meines_kollegen mes_anciens_collègues mes_collègues mon_voisin
        ma_voisine mon_collègue
        mi_amig* mi_compañer* mi_hermano mi_hermana meu_amigo minha_amiga meu_colega il_mio_collega
        mijn_collega mijn_buur*
        mojego_kolegi sąsiada моего_коллеги моего_друга соседа мого_друга mého_kolegy arkadaşımın komşu*
        min_nabo*
        min_granne* min_kollega*
        someones someone_else* somebody_else* anybody_else* anyone_else* another_user* another_person*
        another_customer*
        another_account* another_tenant* another_member* other_user* other_people* other_person*
        other_customer*
        other_account* other_member* other_subscriber* other_tenant* other_client* other_patient*
        other_student*
        stranger* different_user* different_account different_person different_customer wrong_account
        wrong_person
        wrong_user wrong_profile victim* all_users every_user any_user other_users_ arbitrary_user*
        arbitrary_account*
        my_colleague* previous_user* people_s others_ my_boss* not_mine is_not_my_name
        not_my_account not_my_name of_other_* cross_tenant
        fremd* ander*_kunde* ander*_benutzer* ander*_nutzer* ander*_person* ander*_leute* ander*_anwender*
        ander*_konto* ander*_mitglied* jemand*_ander* eines_anderen einer_anderen von_anderen andere_daten
        aller_mitarbeiter* aller_nutzer* aller_benutzer* aller_kunden falsches_konto falschen_konto
        autre_personne autres_personnes autre_utilisat* autres_utilisat* autre_client* autres_clients
        autre_compte
        quelqu_un_d_autre d_autrui d_un_autre d_une_autre des_autres inconnu* autre_abonn*
        otra_persona otras_personas otro_usuari* otros_usuari* otra_usuari* otro_client* otros_client* ajen*
        de_otro de_otra de_otros otra_cuenta desconocid*
        outra_pessoa outras_pessoas outro_usuári* outros_usuári* outro_utilizador* outros_utilizador*
        outro_client*
        outros_client* alhei* de_outro de_outra de_outros outra_conta de_terceiros
        altro_utente altri_utenti un_altro un_altra altra_persona altre_persone altrui di_altri
        altro_cliente
        altri_clienti qualcun_altro sconosciut* altro_account
        iemand_anders andere_gebruiker* andere_klant* ander_account andere_persoon andere_mensen andermans
        vorige_gebruiker* van_anderen vreemde_*
        innej_osoby innych_osób inną_osobę innego_użytkownik* innych_użytkownik* innego_klient*
        innych_klient*
        cudz* kogoś_innego obc*
        чуж* друг*_пользовател* друг*_человек* друг*_люд* друг*_клиент* посторон* другого_лица
        чужі чужий інш*_користувач* інш*_людин* інш*_люд* інш*_клієнт* сторонн*
        ciz* někoho_jin* jin*_uživatel* jin*_zákazník* jin*_člověk* jin*_osob*
        başkas* başka_bir* başka_kullanıcı* başkalar* diğer_kullanıcı* başka_müşteri*
        någon_annan* annan_användare andra_användare* andras annan_person en_anden* andre_brugere*
        noen_andre*
        annen_bruker* toisen_* muiden jonkun_toisen más_ember* másik_felhasználó* valaki_más* mások*
        más_felhasználó*
        altei_persoane alt_utilizator altui_utilizator altcuiva alte_persoane orang_lain pengguna_lain
        người_khác
        κάποιου_άλλου άλλου_χρήστη άλλων_χρηστών ξένο* άλλου
    """,
    "see": """
        see sees saw seen seeing view viewed views read reads shows showed shown showing displayed
        displays appear*
        access accessed accesses open opened opens download* found_myself landed got_in has_the_records
        retrieve*
        sehe sah sieht sehen gesehen gezeigt angezeigt zeigt erscheint erschien einsehen öffnen lesen
        zugreifen
        voi* voyais voyait vois vu afficher affiche* apparaît apparu tombé accéder accès ouvert lire
        veo vi vio ver visto aparec* mostr* acced* entré entrar leer
        vejo viu vendo aparece* apareceu mostrou acess* entrei
        vedo visto vedere appare appars* mostra mostrat* entrat* accedere acced* leggere
        zie zien zag gezien getoond toont verschijn* inzien geopend lezen
        widzę widzi widać zobaczył* widział* pokaz* wyświetl* odczyt* dostęp*
        вижу видит видно видел* увидел* показ* попал* открыл* открыва* доступ* отобра*
        бачу бачить видно побачив* показ* потрапи* відкри* доступ*
        vidím vidí vidět viděl* zobraz* ukáz* přístup* otevř*
        gördüm görüyorum görün* görebil* gösteri* gösterdi açıldı çıktı eriş*
        ser såg se sett visas visades näin näen näkyi näkyy näytt* látom láttam látható megjelen* lát*
        văd văzut apar* melihat muncul tampil thấy xem βλέπω είδα εμφανί*
    """,
    "data": """
        data page pages profile* account* name* address* phone* invoice* order* details message* record*
        information
        birthday* files documents emails inbox devices dashboard settings photos chats tokens mails
        subscriber*
        daten seite profil* konto* namen adresse* telefon* rechnung* bestellung* nachricht* angaben
        unterlagen dokument*
        données page profil compte* nom adresse* téléphone facture* commande* message* informations dossier*
        datos página perfil cuenta* nombre dirección teléfono factura* pedido* mensaje* información
        dados página perfil conta nome endereço telefone fatura* pedido* mensage* cadastro cpf informaç*
        dati pagina profilo conto account nome indirizzo telefono fattur* ordin* messagg* informazion*
        gegevens pagina profiel account naam adres telefoonnummer factu* bestelling* bericht*
        dane danych stron* profil* konto konta imię adres* telefon* faktur* zamówie* wiadomoś*
        данные данных страниц* профил* аккаунт* имя адрес* телефон* счёт* заказ* сообщени* учётн*
        дані даних сторінк* профіл* акаунт* ім'я адрес* телефон* рахунк* замовлен* повідомлен* обліков*
        údaj* stránk* profil* účet účtu jméno adres* telefon* faktur* objednáv* zpráv*
        bilgi* sayfa* profil* hesab* isim adını adres* telefon* fatura* sipariş* mesaj*
        sida uppgifter konto namn telefonnummer side oplysninger navn nimen tiedot osoitteen tilin sivun
        adat* oldal* fiók* név telefonszám* pagina datele contul numele telefonul akun halaman
        dữ_liệu tài_khoản thông_tin σελίδα στοιχεία λογαριασμ* τηλέφων* δεδομένα
    """,
    "change": """
        changed change changing edited editing modif* replac* increment* decrement* tamper* manipulat*
        count_it_up
        count_up altered guessing guessed swapped
        geändert änder* verändert ersetzt hochgezählt hochzähl* ausgetauscht erhöht manipulier*
        changé changeant modifié modifiant remplac* incrément*
        cambié cambiar cambiando cambiado modifiqué modificar modificando reemplaz*
        mudei mudar mudando troquei alterei alterar alterando modifiquei
        cambiato cambiando cambiare modificato modificando sostitu*
        verander* gewijzigd wijzig* aangepast vervang*
        zmieni* zmien* podmieni* изменил* измени* поменял* меня* подменя* подмени* замени*
        змінив* зміни* поміня* změni* změn* přepsal* değişti* ändra* ændre* endre* vaihdoin muuto* módosít*
        megváltozta* átír* schimb* modific* mengganti mengubah ganti đổi άλλαξ* αλλάζ*
    """,
    "number": """
        number* digit* id ids uuid identifier* parameter* param user_id userid
        zahl* ziffer* nummer* parameter* numéro* chiffre* paramètre* identifiant número* cifra* parámetro*
        dígito*
        parâmetro* numero nummer* getal numer* cyfr* liczb* номер* цифр* число параметр* id čísl* číslic*
        numara* rakam*
        sayı* siffra* tal numeroa számot szám* număr* angka nomor số αριθμό*
    """,
    "link": """
        link* url urls address_bar browser_bar uri adresszeile adressleiste lien* barre_d_adresse adresse
        enlace*
        vínculo endereço indirizzo adresbalk adresie adres* łącz* ссылк* адресной адресн* посилан* odkaz*
        adrese
        bağlantı* länk* linkki* osoitte* hivatkozás* címsor* tautan đường_dẫn σύνδεσμο διεύθυνση dirección
    """,
    "login": """
        opened_her opened_his opened_their opened_the_account new_password_form let_in
        log_in logs_in logged_in logging_in login logins sign_in signed_in signs_in let_me_in lets_me_in
        let_him_in
        let_her_in let_us_in let_you_in lets_you_in logs_you_in got_in get_in gets_in got_past get_past
        authenticat*
        anmelden angemeldet anmeldung einloggen eingeloggt hineingekommen reingekommen hereingelassen
        connecter connecté* connectant connexion entré iniciar_sesión inicié entré entrar acceder ingresar
        entrei logar login fazer_login entrar accedere entrato entrare accesso inloggen ingelogd inlog*
        aanmelden
        zalogowa* logowa* войти вошёл вошел зашёл зашел вход* зайти увійти увійшов зайшов вхід přihlás*
        přihlás*
        giriş* girdim girebil* logga_in loggade_in inloggad logge_ind kirjau* bejelentkez* belép*
        autentific*
        masuk đăng_nhập συνδέ* σύνδεση μπήκα
    """,
    "without": """
        by_accident accident* never_typed just_opened just_a_space with_a_space with_an_expired
        expired_key never_entered
        didn_t_enter did_not_enter no_code any_value anything_you_like random_code wrong_code
        jamais_demandé nunca_pid* ни_разу_не порожній
        without skip* bypass* circumvent* empty blank wrong_password any_password any_code no_password
        never_asked not_asked doesn_t_check does_not_check not_checked not_verified
        ohne umgeh* umgang* leer_* leeres leerem
        sans contourn* vide sin vacío* evit* burl* sem vazio* contorn* pul* senza vuot* aggir* zonder
        omzeil* leeg
        bez puste* pomin* обойти обход* без пуст* минуя обійти оминаючи порожн* prázdn* obej* obcház*
        boş olmadan atla* yazmadan girmeden utan förbi* uden uten ilman ohitt* nélkül megkerül* fără ocol*
        tanpa melewati không_cần χωρίς παρακάμ*
    """,
    "password": """
        password* passcode* pin second_factor two_factor 2fa mfa code otp second_step second_step
        credentials permission*
        passwort* passwört* kennwort* kennwört* zweiten_faktor zweiter_faktor code anmeldung berechtigung*
        mot_de_passe mots_de_passe
        second_facteur code contraseña* clave segundo_factor código senha* wachtwoord* tweede_factor hasł*
        пароль*
        парол* второ*_фактор* код_* пароля heslo hesla hesel şifre* parola* lösenord* adgangskode*
        passord* salasana*
        jelszó* parolă parolei kata_sandi mật_khẩu κωδικ* segundo_passo secondo_fattore
    """,
    "anyone": """
        anyone anybody everyone everybody any_visitor any_employee every_employee nobody_should_see
        public_internet
        whole_world unauthenticated unauthorised unauthorized not_logged_in
        jeder jede jeden jedermann alle_welt n_importe_qui tout_le_monde cualquiera cualquier_persona
        qualquer_pessoa
        qualquer_um chiunque iedereen elke każdy ktokolwiek любой каждый кто_угодно будь_хто кожен kdokoli
        každý
        herkes herhangi_biri vem_som_helst enhver hvem_som_helst kuka_tahansa bárki oricine siapa_saja
        siapapun
        bất_kỳ_ai οποιοσδήποτε
    """,
    "stale": """
        left_there signed_out sat_there back_arrow back_button change_my_password changed_my_password
        six_months_ago
        no_longer_work* no_longer_employed quit_the quitté_l_entreprise ancien_salarié anciens_collègues
        stare_nadal
        zmieniłam_hasło zmieniłem_hasło stare letzten_jahr_gekündigt gekündigt dejé_la_empresa
        saí_da_empresa
        lasciato_l_azienda ex_dipendente oud_medewerker uit_dienst ушёл_из уволился звільнився výpověď
        işten_ayrıldım
        old_password* old_login old_account* former former_employee* fired laid_off deleted_account*
        disabled_account*
        locked_account* logged_out log_out logging_out logout still_works still_work still_valid
        still_active revoked
        used_twice reused reuse* twice works_days_later left_the_company ex_employee* after_deletion
        removed_me
        alten_kennwort altem_kennwort alten_passwort altes_passwort gesperrt* gelöscht* ausgeloggt
        abgemeldet ausloggen
        abmelden entlassen ausgeschieden* ehemalig* ancien_* supprimé* déconnecté* déconnexion désactivé*
        licencié*
        antigu* despedid* borrad* cerrado_sesión cerrar_sesión eliminad* antig* demitid* saí_da_conta
        excluíd*
        vecchi* licenziat* cancellat* disattivat* uitloggen uitgelogd ontslagen verwijderd* oude_wachtwoord
        stare_hasło starym_hasłem wylogowa* zwolnion* usunięt* zablokowan* стар*_парол* удал*_аккаунт*
        уволен*
        заблокирован* вышел старий_пароль звільнен* видален* staré_heslo starým_heslem odhlás* zablokovan*
        eski_şifre* çıkış silinmiş işten_ayrıl* utloggad gammal*_lösenord
    """,
    "works": """
        mon_accès fonctionne nadal_działa fonctionne_toujours sigue_funcionando ainda_funciona
        works worked still valid accepted accepts possible can could lets let able back_button
        funktioniert geht kann konnte können noch möglich weiterhin immer_noch zurücksetzen
        fonctionne peut peux pouvais toujours encore puede pude funciona todavía sigue pode consegui
        funciona ainda
        può posso funziona ancora kan werkt nog steeds działa można nadal mogę работает можно могу всё_ещё
        может
        працює можна досі може funguje lze stále může çalışıyor hala yapabil* fungerar fortfarande toimii
        működik
    """,
    "gap": """
        security_problem* security_matter security_mistake* security_bug* ошибк*_в_безопасност*
        ошибк*_безопасност*
        проблем*_с_безопасност* ошибке_в_безопасности помилк*_безпек* помилк*_в_безпец*
        escalada_de_privilegios
        élévation_de_privilèges escalação_de_privilégios elevación_de_privilegios rechteausweitung
        eskalacj*_uprawnień
        повышени*_привилегий підвищення_привілеїв обход_авторизац* обход_аутентифик* обход_проверк*
        обхід_автентиф*
        обхід_двофактор* contournement_de eludir_la_autenticación omzeilen_van obejście_uwierzyt*
        obejście_logow*
        kimlik_doğrulama_atlat* yetki_yükselt* datenleck* datenpanne* datalek* data_leak* fuite_de_données
        fuga_de_datos vazamento_de_dados fuga_di_dati wyciek*_danych утечк*_данн* витік_даних únik_dat
        veri_sızıntı*
        vulnerab* weakness* loophole* security_hole* security_gap* security_flaw* security_bug*
        security_issue*
        security_problem* security_breach* security_weakness* security_concern* security_finding* hole_in
        sicherheitslück* schwachstell* sicherheitsproblem* sicherheitsleck* sicherheitsmang*
        sicherheitsmäng*
        lücke_in sicherheitsrelevant* sicherheitsfehler* sicherheitslöcher*
        faille* vulnérab* problème_de_sécurité brèche* fallo*_de_seguridad falla*_de_seguridad
        agujero*_de_seguridad
        brecha*_de_seguridad problema*_de_seguridad problema*_de_segurança falha*_de_segurança falha_grave
        brecha*_de_segurança falla*_di_sicurezza problema*_di_sicurezza kwetsbaarhe* beveiligingslek* lek_in
        beveiligingsprobleem* veiligheidslek* beveiligingsfout* podatnoś* luk*_w luk*_bezpieczeń*
        luk*_w_zabezpiecz*
        błąd_bezpieczeństwa dziur*_w уязвимост* дыр*_в брешь проблем*_безопасност* ошибк*_безопасност*
        вразливіст* вразливост* уразлив* проблем*_безпек* zranitelnos* bezpečnostní_chyb*
        bezpečnostní_problém*
        bezpečnostní_dír* bezpečnostní_slabin* güvenlik_açı* güvenlik_zafiyet* zafiyet* güvenlik_sorun*
        sårbarhet* sårbarhed* säkerhetshål* säkerhetsbrist* säkerhetslucka* sikkerhedshul* sikkerhedsbrist*
        sikkerhetshull* sikkerhetsfeil haavoittuv* tietoturva-aukko* tietoturvaongelma* tietoturva*
        sebezhetőség*
        sérülékenység* biztonsági_rés* biztonsági_hib* vulnerabil* breşă breșă problemă_de_securitate
        kerentanan
        celah_keamanan lỗ_hổng ευπάθει* κενό_ασφαλ* κενά_ασφαλ* уязвимос* ranjivost* zraniteľnos*
        ranljivost*
        pažeidžiamum* ievainojamīb* haavatavus* vulnerabilitat* gwendid
    """,
    "tell": """
        report* send disclose disclosing submit contact whom who_can tell tell_you whom_do
        responsible_disclosure
        found discovered notice* identified
        melden meldung gefunden entdeckt mitteilen wohin wem ansprechpartner* signaler signalement envoyer
        adresser
        trouvé découvert à_qui informar reportar encontr* descubr* a_quién enviar encontrei descobri
        relatar reportar
        quem a_quem segnalare segnalazione trovato scoperto a_chi inviare melden gevonden ontdekt waar
        doorgeven
        zgłosić zgłoszenie znalazłem znalazłam odkryłem gdzie komu сообщить нашёл нашел нашла обнаружил*
        куда кому
        отправить повідомити знайшов знайшла виявив* куди кому nahlásit našel našla objevil* komu kam
        bildir* buldum keşfettim kime nereye rapportera anmäla hittat vem rapportere ilmoitta* löysin
        kenelle
        jelent* találtam kinek raport* găsit cui melapor* menemukan báo_cáo gửi ai αναφέρω βρήκα σε_ποιον
    """,
    "secret": """
        private_key* secret_key* api_key* access_key* credential* passwords database_dump
        customer_database user_database
        password_hash* hashed_password* user_database backup.zip backup_zip id_rsa customer_data
        the_database bucket
        env_file .env backup* privaten_schlüssel zugangsdaten passwörter kundendaten datenbank* clé_privée
        identifiants
        mots_de_passe base_de_données base_de_datos claves credenciales contraseñas senhas banco_de_dados
        credenziali
        chiavi database wachtwoorden klantgegevens hasła bazę_danych пароли базу_данных паролі базу_даних
        hesla
        databáz* veritabanı* şifreler
    """,
    "exposed": """
        publicly public exposed leak* listed_openly reachable_from_the_internet accessible_without
        world_readable
        downloadable indexed_by_google pastebin dark_web darknet stolen breach* dumped for_sale
        sees_everything
        öffentlich* ungeschützt* veröffentlicht geleakt gestohlen* offen_im_netz publique* exposé* volé*
        fuité*
        público* expuest* filtrad* robad* vazad* vazou expost* roubad* pubblic* espost* rubat* openbaar
        gelekt
        gestolen publicznie wyciek* wykradz* открыт* доступе утек* утёк* слит* украден* витік* викраден*
        veřejn*
        unikl* ukraden* halka_açık sızdı* çalın*
    """,
    "hurt": """
        administrator_role role_admin admin_role rol_de_administrador rôle_d_administrateur adminrechte
        administratorrechte
        administrator_rights права_администратора права_адміністратора uprawnienia_administratora
        práva_správce
        yönetici_hak* droits_d_administrateur permisos_de_administrador permissões_de_administrador
        attacker* hijack* take_over takes_over takeover stole steal steals stolen_session impersonat*
        exploit*
        log_in_as logged_in_as logs_in_as login_as act_as pretend_to_be root_access as_admin become_admin
        become_administrator admin_rights admin_page escalat* weaponi* angreifer* übernehmen übernahme
        ausnutz*
        admin_rechte als_admin attaquant* pirat* usurp* prendre_le_contrôle atacante* suplant*
        tomar_el_control
        invasor* assumir_a_conta tomar_conta aggressor* attaccante* prendere_il_controllo aanvaller*
        misbruik* overnemen
        atakując* przejąć przejęci* napastnik* злоумышленник* взлом* захват* от_имени зловмисник* злам*
        від_імені
        útočník* zneuž* převz* saldırgan* ele_geçir* angripare* angriber* angriper* hyökkääj* támadó*
        atacator*
        penyerang kẻ_tấn_công επιτιθέμεν*
    """,
    "staff": """
        any_user every_user cualquier_usuario qualquer_usuário jeder_benutzer jeder_nutzer
        n_importe_quel_utilisateur
        qualsiasi_utente elke_gebruiker każdy_użytkownik любой_пользователь будь_який_користувач
        kterýkoli_uživatel
        intern praktikant* normal_user* regular_user* ordinary_user* non_admin* low_privilege*
        read_only_user*
        guest guests viewer_role normale_benutzer* normalen_benutzer* nur_normale praktikant* azubi*
        normaler_benutzer* normaler_nutzer* einfache_nutzer* gast*
        utilisateur_normal simple_utilisateur usuario_normal usuário_comum utente_normale gewone_gebruiker*
        zwykł*_użytkownik* обычн*_пользовател* звичайн*_користувач* běžn*_uživatel* normal_kullanıcı*
        my_son my_daughter my_kid my_child
    """,
    "odd": """
        bedenklich merkwürdig finde_ich_bedenklich not_cool maybe_i_am_wrong even_though_she
        even_though_he creepy scary
        scared worrying worried worries dangerous inquiet* inquiét* preocup* beunruhig* gefährlich
        dangereux pelig* perig*
        pericolos* gevaarlijk niebezpieczn* опасно небезпечно nebezpečn* tehlikeli farligt farlig
        is_that_right not_sure_that_is_right is_it_supposed is_this_supposed supposed_to_be can_t_be_right
        should_not_be_possible shouldn_t_be_possible should_not_happen thought_you_should_know
        probably_not_intended
        not_intended i_should_not_see shouldn_t_be_able should_not_be_able not_supposed_to isn_t_supposed
        gewollt so_gewollt nicht_sein soll_das_so nicht_gewollt ce_n_est_pas_normal est_ce_normal
        c_est_normal
        no_es_normal es_normal não_é_normal é_grave é_normal non_è_normale è_normale niet_de_bedoeling
        is_dat_normaal
        nie_powinno_być tak_nie_powinno to_normalne это_нормально так_и_должно це_нормально to_normální
        normal_mi
        inte_meningen ikke_meningen
    """,
    "cannot": """
        can_t cannot could_not couldn_t unable can_not do_not_receive don_t_receive forgot forgotten lost_my
        kann_nicht kann_mich_nicht nicht_mehr vergessen impossible ne_peux ne_reçois oublié no_puedo
        olvid* não_consigo
        esqueci non_riesco dimenticat* kan_niet vergeten nie_mogę zapomnia* не_могу забыл* не_можу забув*
        nemohu nemůžu
        zapomněl* unuttum giremiyorum kan_inte glömt en_pääse unohd*
    """,
}

# Scripts whose words run together or take prefixes: found anywhere in a sentence. Entries are separated by `|`.
IDEAS_UNSPACED: Final[dict[str, str]] = {
    "other": """
        全ユーザ|すべてのユーザ|全てのユーザ|所有用户|所有使用者|全部用户|任意用户|모든 사용자
        |모든 회원|أي مستخدم|جميع المستخدمين|他の人|他人|別の人|別人|他のユーザ|他ユーザ|別のユーザ
        |第三者|他のお客|知らない人|誰か別|别人|其他人|其他用户|别的用户|其他使用者|其他用戶
        |別的使用者|陌生人|其他客户|其他客戶|任意使用者|다른 사람|다른사람|타인|남의|다른 사용자
        |다른 고객|다른 회원|شخص آخر|مستخدم آخر|مستخدمين آخرين|أشخاص آخرين|الآخرين|شخص اخر
        |مستخدم اخر|عميل آخر|מישהו אחר|משתמש אחר|אחרים|אדם אחר|किसी और|दूसरे व्यक्ति|दूसरे यूज़र
        |คนอื่น|ผู้อื่น|شخص دیگر|کاربر دیگر
    """,
    "see": """
        見え|見れ|見る|表示され|閲覧|見られ|入れ|アクセス|看到|看见|看見|显示|顯示|出现|出現|访问
        |存取|查看|进入|登入|보입|보였|볼 수|봤|접근|나타|표시|조회|رأيت|ظهر|أرى|شاهدت|دخلت|الوصول
        |يظهر|ראיתי|רואה|גישה|दिख|देख|เห็น|دیدم
    """,
    "data": """
        名前|住所|情報|データ|電話|アカウント|ページ|画面|注文|個人情報|信息|资料|資料|订单|訂單
        |电话|账号|帳號|账户|帳戶|页面|頁面|姓名|地址|数据|이름|주소|정보|전화|계정|페이지|주문
        |데이터|بيانات|حساب|صفحة|اسم|عنوان|هاتف|معلومات|טלפון|חשבון|פרטים|דף|נתונים|जानकारी|खाता
        |डेटा|फ़ोन|ข้อมูล|บัญชี|اطلاعات
    """,
    "change": """
        変え|変更|書き換え|改了|改成|修改|更改|改一下|바꾸|바꿨|변경|수정|غيرت|تغيير|عدلت|تعديل
        |שיניתי|שינוי|बदल|เปลี่ยน
    """,
    "number": """
        番号|数字|ID|パラメータ|參數|参数|編號|编号|숫자|번호|아이디|파라미터|رقم|الرقم|מספר
        |संख्या|नंबर|ตัวเลข|เลข
    """,
    "link": """
        リンク|URL|アドレス|网址|網址|链接|連結|링크|주소창|الرابط|رابط|קישור|כתובת|लिंक|ลิงก์
    """,
    "login": """
        ログイン|サインイン|登录|登入|登陆|로그인|تسجيل الدخول|الدخول|دخلت|התחבר|כניסה|लॉगिन
        |เข้าสู่ระบบ
    """,
    "without": """
        なしで|無しで|入力せず|空の|回避|迂回|不用|无需|無需|绕过|繞過|不需要|없이|우회|بدون|دون
        |تجاوز|ללא|בלי|עקיפ|बिना|โดยไม่
    """,
    "password": """
        パスワード|暗証|二要素|認証コード|密码|密碼|验证码|驗證碼|口令|비밀번호|인증번호|패스워드
        |كلمة المرور|كلمة السر|סיסמ|पासवर्ड|รหัสผ่าน
    """,
    "anyone": """
        誰でも|任何人|谁都|誰都|누구나|아무나|أي شخص|כל אחד|कोई भी|ใครก็
    """,
    "stale": """
        退職|ログアウト|削除した|古いパスワード|离职|離職|注销|登出|旧密码|舊密碼|퇴사|로그아웃
        |예전 비밀번호|تسجيل الخروج|القديمة
    """,
    "works": """
        できます|できてしま|できる|まだ|可以|能够|能夠|仍然|还能|還能|수 있|가능|여전히|يمكن
        |ما زال|אפשר|ניתן
    """,
    "gap": """
        脆弱性|セキュリティホール|セキュリティ上の問題|セキュリティの問題|漏洞|资安问题|安全问题
        |安全問題|安全隐患|安全缺陷|資安問題|弱點|취약점|보안 문제|보안 결함|보안 허점|보안취약
        |ثغرة|ثغرات|مشكلة أمنية|خلل أمني|פרצת אבטחה|פירצת אבטחה|חולשת אבטחה|חולשה|פגיעות|פרצה
        |सुरक्षा खामी|सुरक्षा दोष|भेद्यता|कमज़ोरी|ช่องโหว่|آسیب‌پذیری|آسیب پذیری|নিরাপত্তা ত্রুটি
        |დაუცველობა|խոցելիություն
    """,
    "tell": """
        報告|連絡|発見|見つけ|窓口|通報|届け|回报|回報|报告|通报|提交|发现|發現|联系|聯絡|向谁
        |向誰|신고|제보|알려|보고|발견|찾았|أرسل|أبلغ|إبلاغ|وجدت|اكتشفت|لمن|מצאתי|לדווח|למי|मिली
        |भेज|रिपोर्ट|รายงาน|แจ้ง|พบ
    """,
    "secret": """
        秘密鍵|認証情報|データベース|顧客情報|私钥|私鑰|密钥|数据库|資料庫|客户信息|개인키
        |데이터베이스|고객 정보|قاعدة البيانات|المفتاح
    """,
    "exposed": """
        公開され|漏洩|漏えい|流出|丸見え|泄露|洩露|外洩|公开|暴露|유출|노출|공개되|مسرب|تسريب
        |مكشوف|דליפ|חשוף|लीक|รั่วไหล
    """,
    "hurt": """
        攻撃者|攻撃|乗っ取|なりすま|権限昇格|任意のコード|攻击者|攻擊者|攻击|攻擊|劫持|冒充|提权
        |提權|任意代码|공격자|공격|탈취|권한 상승|임의 코드|مهاجم|المهاجم|اختراق|תוקף|השתלט|हमलावर
        |ผู้โจมตี
    """,
    "staff": """
        一般ユーザ|普通用户|普通使用者|一般使用者|일반 사용자|مستخدم عادي
    """,
    "odd": """
        大丈夫でしょうか|正常ですか|おかしい|正常吗|正常嗎|不正常|이상합니다|정상인가|هل هذا طبيعي
    """,
    "cannot": """
        忘れ|できません|届きません|忘记|忘記|收不到|无法|無法|못하|안 됩|잊어|نسيت|لا أستطيع|שכחתי
        |भूल|ลืม
    """,
}

# (ideas that meet in one sentence, ideas that must not be there, weight, our words for it)
RULES: Final[tuple[tuple[str, str, float, str], ...]] = (
    ("other see data", "", 3.2, "sees somebody else's data"),
    ("other login data", "", 2.2, "logged in to somebody else's account"),
    ("other login see", "", 1.8, "got into another account"),
    ("other data", "", 1.1, "somebody else's data"),
    ("other password works", "", 1.8, "somebody else's password"),
    ("other hurt", "", 2.4, "acting as somebody else"),
    ("change number see", "", 2.4, "changed a number and saw more"),
    ("change number link", "", 2.2, "changed a number in the link"),
    ("change link see", "", 1.5, "changed the link and saw more"),
    ("change number other", "", 2.4, "changed a number, somebody else's"),
    ("login without password", "cannot", 2.8, "logged in without the password"),
    ("see without password", "cannot", 1.8, "access without the password"),
    ("see without login", "cannot", 2.2, "access without logging in"),
    ("login without hurt", "", 2.0, "got around the login"),
    ("login without", "cannot", 0.9, "login without something"),
    ("anyone see data", "", 1.8, "anyone can see it"),
    ("anyone secret", "", 2.4, "secrets open to anyone"),
    ("anyone see", "", 0.9, "anyone can open it"),
    ("secret exposed", "", 2.8, "secrets exposed"),
    ("data exposed", "", 1.6, "data exposed"),
    ("login stale works", "cannot", 2.6, "old access still works"),
    ("stale works", "cannot", 1.3, "still works afterwards"),
    ("stale see data", "cannot", 1.8, "data still visible afterwards"),
    ("password stale works", "cannot", 1.6, "an old password still works"),
    ("staff works password", "", 2.2, "an ordinary user can set passwords"),
    ("staff see data", "", 1.2, "an ordinary user sees data"),
    ("staff without", "cannot", 1.8, "an ordinary user gets around it"),
    ("gap", "", 2.6, "vulnerability"),
    ("gap tell", "", 2.0, "reports a vulnerability"),
    ("hurt", "", 1.4, "attack"),
    ("hurt data", "", 0.9, "attack on data"),
    ("hurt login", "", 0.9, "attack on the login"),
    ("hurt without", "", 1.2, "attack without permission"),
    ("odd", "", 1.2, "not supposed to happen"),
    ("odd login", "", 0.8, "odd login"),
    ("anyone works data", "", 0.7, "anyone could do it"),
    ("other login", "", 1.2, "login of somebody else"),
    ("other change", "", 0.9, "changes something of somebody else"),
    ("stale see", "cannot", 1.0, "seen although signed out"),
    ("login stale", "cannot", 0.6, "old access"),
    ("odd other", "", 1.2, "odd, and somebody else's"),
    ("without password", "cannot", 0.7, "without the password"),
    ("wrong login", "", 0.0, ""),
)
RULES_IN_USE: Final = tuple(rule for rule in RULES if rule[2] and set((rule[0] + " " + rule[1]).split()) <= set(IDEAS))

# The commonest short words. A text is in a language the tables know when enough of its words are here.
KNOWN_LANGUAGES: Final[dict[str, str]] = {
    "en": """the a an and of to in is it that for on with as this be are was not you your have from at by we i or if can
        my our do does will please there when which what how all but they any has more would could should
        also after
        into me so no just about than then these those he she his her its been were am us hi hello where
        who""",
    "de": """der die das und ist nicht ein eine einen einem einer ich sie wir zu mit auf für von dem den des im in es
        bitte haben habe kann auch bei aus wie wird sich oder nach hat man mich mir uns unser ihre ihr
        keine noch als an
        seit dass hallo guten tag""",
    "fr": """le la les des un une et est de du je vous nous pas que qui dans pour sur avec en ne ce il elle mon ma mes
        votre vos au aux ai avez être sont par plus bonjour merci si ou où été cette tout""",
    "es": """el la los las un una y de del que en es no con por para se su al lo me mi como más pero si hola gracias
        este esta está he ha son yo nos sus muy le tengo cuando desde puedo""",
    "pt": """o a os as um uma e de do da dos das que em é não com por para se seu sua no na ao me meu minha como mas
        mais olá obrigado foi está eu você são ou isso quando boa já""",
    "it": """il lo la i gli le un una e di del della che è non con per in su si al mi mio come ma più buongiorno grazie
        sono ho ha questo questa nel dei delle alla vi se anche da""",
    "nl": """de het een en van is niet ik u wij we op in voor met te dat die er aan als kan mijn ons uw naar ook nog
        heb heeft bij om maar zijn hallo beste kunt deze""",
    "pl": """i w na z do nie się to że jest jak za od po dla czy mi mam przez proszę dzień dobry przy ale lub oraz
        jestem był są mnie moje o co""",
    "ru": "и в на не что с по я как это для от но у из за мы вы при есть бы мне так же или если к здравствуйте до был то",
    "uk": "і в у на не що з як це для від але я ми ви та до є мені або якщо про при був добрий день за мій",
    "cs": """a v na se je že s z do to i ale pro jsem jsme jak po od za si mi by dobrý den prosím při nebo tak když
        mám nám můj o k""",
    "tr": "ve bir bu için ile de da ne mi çok ben biz sizin olarak gibi var daha ama merhaba nasıl olan sonra şu",
}

# Languages the tables know only a few words of: met in earnest, the answer is "unsure", never "not security".
OTHER_LANGUAGES: Final = """
    och att det som på är jag inte till av för med har om ett den vi du hej från eller kan när ska
    og er jeg ikke på til med som af har det vi dig fra eller når være
    ja on ei se että ovat oli hän minä olen mutta kun tai myös hei joka jos niin voi mitä
    az és hogy nem egy van ez is csak de meg már mint jó napot vagy kell lehet
    și este nu pe cu la în din că mai sunt pentru bună ziua care sau dacă
    yang dan di ini itu dengan untuk tidak dari saya anda ada akan pada bisa selamat atau ke
    và là của không có tôi cho được trong một này các anh chị những với
    και το να η ο τα την της του στο στη με για είναι από που δεν μου σας
    и в на се да не за от са ли на е със моля съм
    je su na da se u i za nije sam koji ako ili
    som je na sa že nie do pri alebo ak čo dobrý
    els amb per és que no una aquest però bon dia
    ir kad yra su bei tai ar kaip un ir ka ar no uz par es jūs
    ja on ei ma et see kui ka või
    ang ng mga sa ay hindi ako na po
    na ya wa kwa ni katika hii
"""
