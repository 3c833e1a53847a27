"""Moving documents: the Django project and its app."""

from gateway.celery import app as celery_app

__all__ = ["celery_app"]
