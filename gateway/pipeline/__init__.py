"""The steps a document goes through, one transaction each; no Celery and no HTTP server in here.

receive        bytes of a partner          → a stored transmission, its answer and its work
translate      a stored transmission       → documents, and the functional acknowledgment for the partner
judge          documents as read           → their rows, their verdicts, and the work or the cases that follow
acknowledged   a partner's 997, 999 or TA1 → the documents of ours it speaks of
apply          a translated document       → the order book, and a delivery to the ERP
forward        what answers no order       → a delivery to the ERP
release        a change in the ERP         → the order book, and an order for the partner
issue          another document of the ERP → a document for the partner
dispatch       a document for a partner    → a prepared transmission and its delivery
relay          due deliveries              → done, tried again later, or given up
escalate       what nobody acted on        → exception cases
decide         a person's decision         → accept, replay, discard, retry, close
evidence       the rows of an exchange     → what they still prove
exhibits       a proof                     → files for somebody who has nothing of ours
"""
