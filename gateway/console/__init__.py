"""The staff pages inside the admin: what waits for a person, an order's timeline, what a document said.

They read rows and ask the pipeline to act; they never talk to a partner or an ERP. Everything works without JavaScript.
"""
