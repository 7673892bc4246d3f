"""Recipes from and for other engines: a file a format, found by being here.

A module of this folder that has a `FORMAT` is a format; `foreign.py` beside it is the face.
"""
