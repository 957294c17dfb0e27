"""Lines that are taken of a large function are followed into helpers and variables; without that their lack proves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_judged import changed_file, diff
from test_trees import CDEV, CHECK, FORK, HEIRS, tree

from pasidlab.checking.api import check
from pasidlab.designs import Opening
from pasidlab.designs.intake.judged import Fate, Item

PATH = "drivers/dma/idxd/cdev.c"
MINE = "static bool is_mine(struct idxd_user_context *c)\n{\n\treturn current->mm == c->mm;\n}\n\n"
OWNER = "static int must_own(struct idxd_user_context *c)\n{\n\tif (c->mm != current->mm)\n\t\treturn -EPERM;\n\treturn 0;\n}\n\n"
BY_HELPER = "\tif (!is_mine(ctx))\n\t\treturn -EPERM;\n"
BY_RESULT = "\tint rc = must_own(ctx);\n\n\tif (rc)\n\t\treturn rc;\n\trc = other(ctx);\n"
BY_BLOCK = '\tif (current->mm != ctx->mm) {\n\t\tdev_dbg(dev, "no");\n\t\treturn -EPERM;\n\t}\n'
BY_VARIABLE = "\tstruct mm_struct *mm = current->mm;\n\tif (mm != ctx->mm)\n\t\treturn -EPERM;\n"
BY_ANSWER = "\tbool mine = current->mm == ctx->mm;\n\tif (!mine)\n\t\treturn -EPERM;\n"
BY_OWNER = "\tstruct mm_struct *owner = ctx->mm;\n\tif (owner != current->mm)\n\t\treturn -EPERM;\n"


def mapped(tmp_path: Path, helper: str, now: str) -> list[Item]:
    """What is said of a patch that puts other lines in the place of the comparison in idxd_cdev_mmap()."""
    kernel = tree(tmp_path, **{PATH: CDEV})
    return [item for item in changed_file(tmp_path, kernel, PATH, CDEV, helper + CDEV.replace(CHECK, now, 1)).items if item.changed]


@pytest.mark.parametrize(("helper", "now"), [
    (MINE, BY_HELPER), (OWNER, BY_RESULT.replace("\trc = other(ctx);\n", "")), ("", BY_ANSWER), ("", BY_OWNER),
])  # fmt: skip
def test_a_line_is_followed(helper: str, now: str, tmp_path: Path) -> None:
    """The function that is given a part of the lines is judged as well."""
    found = mapped(tmp_path, helper, now)
    assert [item.fate for item in found] == [Fate.JUDGED] * (2 if helper else 1)
    assert not any(item.unjudged for item in found)


def test_a_variable_for_a_condition_is_what_it_is_given(tmp_path: Path) -> None:
    (item,) = mapped(tmp_path, "", BY_VARIABLE)
    assert item.fate is Fate.EQUIVALENT


def test_a_condition_brings_its_block(tmp_path: Path) -> None:
    (item,) = mapped(tmp_path, "", BY_BLOCK)
    assert "compiles it to the same code" in item.why  # the message is nothing the model has


@pytest.mark.parametrize(("helper", "broken"), [(MINE, []), (MINE.replace("return", "return true ||"), ["isolated", "served"])])
def test_a_helper_counts_as_it_is(helper: str, broken: list[str], tmp_path: Path) -> None:
    kernel = tree(tmp_path, **{PATH: CDEV})
    (tmp_path / "fix.patch").write_text(diff(PATH, CDEV, helper + CDEV.replace(CHECK, BY_HELPER, 1)))
    design = Opening(str(tmp_path / "fix.patch"), kernel=kernel).design()
    assert [found.property for found in check(design, HEIRS).counterexamples] == broken


@pytest.mark.parametrize(("now", "what"), [
    ("\tif (!capable(CAP_SYS_ADMIN))\n\t\treturn -EPERM;\n", "adds 'if (!capable(CAP_SYS_ADMIN))', which is not taken"),
    ("\tif (!is_mine_elsewhere(ctx))\n\t\treturn -EPERM;\n", "adds 'if (!is_mine_elsewhere(ctx))', which is not taken"),
])  # fmt: skip
def test_the_lack_of_a_line_proves_nothing_where_another_comes(now: str, what: str, tmp_path: Path) -> None:
    """The model's own line stays, so nothing is called violated."""
    (item,) = mapped(tmp_path, "", now)
    assert item.fate is Fate.BUILT_IN and what in item.why
    design = Opening(str(tmp_path / "fix.patch"), kernel=str(tmp_path / "linux")).design()
    assert not check(design, HEIRS).counterexamples


def test_the_lack_of_a_line_counts_where_nothing_else_comes(tmp_path: Path) -> None:
    (item,) = mapped(tmp_path, "", '\tdev_dbg(dev, "mapped");\n\tint n;\n')
    assert item.fate is Fate.JUDGED or "only its lines" in item.why
    design = Opening(str(tmp_path / "fix.patch"), kernel=str(tmp_path / "linux")).design()
    assert [found.property for found in check(design, HEIRS).counterexamples] == ["isolated", "served"]


def test_a_pointer_that_a_helper_hands_on(tmp_path: Path) -> None:
    """What it leads to is not modelled. A helper that asks whether it is NULL is not taken."""
    release = "static void idxd_file_dev_release(struct device *dev)\n{\n\tstruct idxd_user_context *ctx = context_of(dev);\n"
    drain = "\tidxd_device_drain_pasid(idxd, ctx->pasid);\n"
    release += f"\tstruct idxd_device *idxd = ctx->wq->idxd;\n{drain}\tiommu_sva_unbind_device(ctx->sva);\n}}\n"
    helper = f"static void drain(struct idxd_device *idxd, struct idxd_user_context *ctx)\n{{\n{drain}}}\n\n"
    kernel = tree(tmp_path, **{PATH: release})
    moved = release.replace("idxd_device_drain_pasid(idxd, ctx->pasid)", "drain(idxd, ctx)")
    assert not [item for item in changed_file(tmp_path, kernel, PATH, release, helper + moved).items if item.changed and item.unjudged]
    asks = helper.replace("{\n", "{\n\tif (!idxd)\n\t\treturn;\n", 1)
    found = [item for item in changed_file(tmp_path, kernel, PATH, release, asks + moved).open if item.changed]
    assert "idxd_file_dev_release" in [item.name for item in found]


def test_a_helper_of_fork(tmp_path: Path) -> None:
    """Its name need not tell what it is about."""
    reset = "\ttsk->pasid_activated = 0;\n"
    before = FORK.replace(reset, f"\tarch_dup_task_struct(tsk, orig);\n{reset}")
    helper = "static void begin_task(struct task_struct *t)\n{\n\tt->pasid_activated = 0;\n}\n\n"
    after = helper + before.replace(reset, "\tbegin_task(tsk);\n")
    judged = changed_file(tmp_path, tree(tmp_path, fork=before), "kernel/fork.c", before, after)
    assert {item.name: item.fate for item in judged.items if item.changed} == {"begin_task": Fate.JUDGED, "dup_task_struct": Fate.JUDGED}


def test_a_helper_with_names_that_mean_nothing(tmp_path: Path) -> None:
    """The function that calls it stays built in; the patch is no bad input."""
    helper = MINE.replace("{\n", "{\n\tif (c->flags & STRANGE)\n\t\treturn false;\n", 1)
    (item,) = [item for item in mapped(tmp_path, helper, BY_HELPER) if item.function == "idxd_cdev_mmap"]
    assert item.fate is Fate.BUILT_IN and "it calls is_mine(): it uses" in item.why
