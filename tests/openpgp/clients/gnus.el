;;; Gnus, driven by gnus.py: emacs -Q --batch -l gnus.el -f client-VERB, with what it needs in the environment.  -*- lexical-binding: t -*-

(require 'gnus)
(require 'gnus-msg)
(require 'message)
(require 'mml-sec)
(require 'nndoc)

(defun client-value (name) (getenv (concat "CLIENT_" name)))
(defun client-path (name) (expand-file-name name (client-value "FOLDER")))
(defun client-words (file)
  (with-temp-buffer
    (let ((coding-system-for-read 'utf-8-unix)) (insert-file-contents (client-path file)))
    (buffer-string)))

(setq user-full-name (client-value "NAME")
      user-mail-address (client-value "ADDRESS")
      message-user-fqdn (client-value "HOST")
      gnus-home-directory (client-path "")
      gnus-directory (client-path "News")
      message-directory (client-path "Mail")
      gnus-startup-file (client-path "newsrc")
      gnus-init-file nil
      gnus-use-dribble-file nil
      gnus-read-newsrc-file nil
      gnus-save-newsrc-file nil
      gnus-select-method '(nnnil "")
      gnus-secondary-select-methods nil
      gnus-message-archive-group nil
      message-auto-save-directory nil
      message-signature nil
      gnus-message-highlight-citation nil ; without a display it calls itself for ever
      message-interactive t
      message-confirm-send nil
      message-send-mail-function #'message-send-mail-with-sendmail
      sendmail-program (client-path "sendmail")
      mm-verify-option 'always
      mm-decrypt-option 'always
      gnus-buttonized-mime-types '("multipart/signed" "multipart/encrypted")
      mml-secure-openpgp-sign-with-sender t)

(defun client-open ()
  "The one mail of the mailbox, as it is shown."
  (gnus-no-server)
  (gnus-group-read-ephemeral-group
   "inbox" `(nndoc "inbox" (nndoc-address ,(client-path "inbox")) (nndoc-article-type mbox)))
  (gnus-summary-select-article nil t))

(defun client-show ()
  "Leaves the text of the screen, and each named part as a file."
  (client-open)
  (let ((coding-system-for-write 'utf-8-unix))
    (with-current-buffer gnus-article-buffer
      (write-region (buffer-substring-no-properties (point-min) (point-max)) nil (client-path "shown"))))
  (with-current-buffer gnus-article-buffer
    (pcase-dolist (`(,_ . ,handle) gnus-article-mime-handle-alist)
      (when (and (bufferp (car handle)) (mm-handle-filename handle))
        (mm-save-part-to-file handle (client-path (concat "saved/" (mm-handle-filename handle))))))))

(defun client-finish ()
  "Puts the text on top of what is there, and sends it."
  (message-goto-body)
  (insert (client-words "text"))
  (dolist (file (split-string (client-words "files") "\n" t))
    (goto-char (point-max))
    (mml-attach-file file (mm-default-file-type file) nil "attachment"))
  (mml-unsecure-message)
  (pcase (client-value "MODE")
    ("sign" (mml-secure-message-sign-pgpmime))
    ("encrypt" (mml-secure-message-encrypt-pgpmime t))
    ("signencrypt" (mml-secure-message-encrypt-pgpmime)))
  (message-send))

(defun client-write ()
  (message-mail (client-value "TO") (client-words "subject"))
  (client-finish))

(defun client-answer ()
  (client-open)
  (gnus-summary-reply-with-original 1)
  (client-finish))
