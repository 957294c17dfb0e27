"""Fields that a model of one's own declares to be two copies of one thing."""

from __future__ import annotations

import pytest

from harness import ROOT
from pasidlab.designs import Opening
from pasidlab.errors import PasidlabError
from pasidlab.lang.own import Copies, Part

TEXT = (ROOT / "examples" / "models" / "tls_register.py").read_text(encoding="utf-8")
DECLARED = 'copies={"owner": "owner", "last_cpu": "last_cpu", "value": "register = saved = expected"}'
WRONG = {
    'copies={"owner": "owner"}': "copies=... needs 'last_cpu'",
    'copies={"owner": "owner", "last_cpu": "last_cpu"}': "copies=... names no part of the copies",
    'copies={"owner": "owned", "last_cpu": "last_cpu", "value": "register = saved"}': "Cpu has no field 'owned'",
    'copies={"owner": "owner", "last_cpu": "last", "value": "register = saved"}': "Task has no field 'last'",
    'copies={"owner": "owner", "last_cpu": "last_cpu", "value": "register"}': "'value' is no two fields: 'register'",
    'copies={"owner": "owner", "last_cpu": "last_cpu", "value": "saved = register"}': "Cpu has no field 'saved'",
    'copies={"owner": "owner", "last_cpu": "last_cpu", "load": "flag", "value": "register = saved"}': "Task has no field 'flag'",
    'copies={"owner": "owner unless flag", "last_cpu": "last_cpu", "value": "register = saved"}': "Cpu has no field 'flag'",
    'copies={"owner": "owner", "last_cpu": "last_cpu", "value": "register = saved = wanted"}': "Task has no field 'wanted'",
    'copies={"owner": 1}': "'owner' needs the name of a field, or two",
    "copies=3": "write names, and for each the name of a field, or two: {'name': ...}",
}


def opened(folder, text):
    path = folder / "mine.py"
    path.write_text(text, encoding="utf-8")
    return Opening(str(path)).design()


def test_copies_are_read(tmp_path):
    own = opened(tmp_path, TEXT).own
    assert own and own.copies == Copies("owner", "last_cpu", "", (Part("value", "register", "saved", "0", "expected"),))
    unless = opened(tmp_path, TEXT.replace('"owner": "owner"', '"owner": "owner unless register"')).own
    assert unless and unless.copies and (unless.copies.owner, unless.copies.unless) == ("owner", "register")
    without = opened(tmp_path, TEXT.replace(f"    {DECLARED},\n", "")).own
    assert without and without.copies is None


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_in_them_has_a_place(tmp_path, wrong):
    assert TEXT.count(DECLARED) == 1
    with pytest.raises(PasidlabError) as caught:
        opened(tmp_path, TEXT.replace(DECLARED, wrong))
    assert caught.value.what == WRONG[wrong]
    assert caught.value.position and caught.value.position.line == 10
