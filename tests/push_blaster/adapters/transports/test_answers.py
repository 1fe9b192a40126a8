"""The rule for answers: whatever stands in them, it is read, in bounds, and costs one message."""

from uuid import UUID

from push_blaster.adapters.transports.answers import judge_each
from push_blaster.domain.delivery.message import Delivery, Outcome


def test_an_answer_that_breaks_its_judge_costs_its_own_message() -> None:
    def judge(number: int) -> Delivery:
        if number == 2:
            raise OverflowError("Python int too large to convert to C int")
        return Delivery(UUID(int=number), Outcome.SENT)

    deliveries = list(judge_each([1, 2, 3], judge, lambda number: UUID(int=number)))

    assert [d.outcome for d in deliveries if d] == [Outcome.SENT, Outcome.IN_DOUBT, Outcome.SENT]
    assert [d.user_id.int for d in deliveries if d] == [1, 2, 3]
