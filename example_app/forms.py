"""Forms. Flask-WTF adds a token against forged requests to each."""

from __future__ import annotations

from flask_wtf import FlaskForm
from flask_wtf.file import MultipleFileField
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired, Length


class SignInForm(FlaskForm):
    """Name and password."""

    name = StringField("Name", [InputRequired("Type your name."), Length(max=50)])
    password = PasswordField(
        "Password", [InputRequired("Type your password."), Length(max=200)]
    )


class UploadForm(FlaskForm):
    """One or more photos. ``uploads.py`` checks each, and keeps the valid ones."""

    photos = MultipleFileField("Photos")


class DeleteForm(FlaskForm):
    """The confirmation to delete a photo."""
