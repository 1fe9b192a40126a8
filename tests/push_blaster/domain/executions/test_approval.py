"""An approval is bound to what is sent, and holds across an upgrade."""

from datetime import time, timedelta

from push_blaster.domain.automations.experiment import Experiment, Variant
from push_blaster.domain.executions.approval import hash_what_is_sent
from tests.builders import a_push

VARIANTS = (Variant(id="a"),)


def test_an_approval_that_an_older_version_wrote_holds_after_an_upgrade() -> None:
    pushes = [
        a_push(variants=VARIANTS, delay=timedelta(minutes=5)),
        a_push(absolute_time=time(12)),
    ]

    # The version before experiments made this hash of these pushes.
    older = "916dddb2a87083a976d48388f4ab9d04c8b7bd4fa0c8a8200a0bb575f6d84f81"
    assert hash_what_is_sent(pushes, []).content == older


def test_an_experiment_that_is_added_or_changed_is_another_content() -> None:
    experiments = [None, Experiment(test_percent=20), Experiment(test_percent=30)]

    hashes = {
        hash_what_is_sent([a_push(variants=VARIANTS, experiment=one)], []).content
        for one in experiments
    }

    assert len(hashes) == 3
