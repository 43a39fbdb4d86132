"""Commands of ``python -m poisonlib`` that have options of their own, a file a group; each file has ``add(verbs)``."""
