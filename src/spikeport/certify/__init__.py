"""Certificates: what is proved of a converted model, as data that a checker of three hundred lines proves again."""

from pathlib import Path

from spikeport.certify.certificate import certificate, read, write


def check(certificate_path: str | Path, model_path: str | Path) -> list[str]:
    """What is false in a certificate of a `.spk` model; an empty list means that it is proved."""
    from spikeport.certify import checker  # later, so that `python -m spikeport.certify.checker` imports it once

    return checker.check(certificate_path, model_path)


__all__ = ["certificate", "check", "read", "write"]
