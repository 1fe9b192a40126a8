"""The contract of the two services: paths, messages and their schemas."""

from base64 import b64decode
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, Self

from marshmallow import EXCLUDE, ValidationError, fields, post_load, validate, validates_schema

from chassis.instants import read_instant
from chassis.schemas import AnswerSchema, CamelSchema, JsonBoolean, JsonNumber

FILTER_AUDIENCE_PATH: Final = "/filter-audience"
FORECAST_PUSHES_PATH: Final = "/forecast-pushes"
TRACK_NOTIFICATION_PATH: Final = "/track-notification"
OVER_CAP_PATH: Final = "/over-cap"
RESERVATIONS_PATH: Final = "/reservations"
EXTEND_RESERVATION_PATH: Final = "/extend-reservation"
RULES_PATH: Final = "/rules"
#: Of one user; `{}` stands for the id.
USER_HISTORY_PATH: Final = "/users/{}/history"
HEALTH_PATH: Final = "/health"
#: What HEALTH_PATH calls the `service`, to a caller with a token; a stranger gets only `status`.
SERVICE_NAME: Final = "push-cadence"

MAX_IDS: Final = 1_000_000
MAX_NOTIFICATIONS: Final = 10_000
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
#: How many pushes of one sequence one forecast may have.
MAX_PUSHES: Final = 100
#: How many entries one page of a user's history has at most.
MAX_HISTORY: Final = 1_000
#: What the cadence service knows of a user.
HISTORY_KINDS: Final = ("notification", "slot", "exclusion")
#: The longest key of a reservation, in characters.
MAX_KEY: Final = 500
#: The longest deep link, in characters.
MAX_DEEP_LINK: Final = 4_000
#: How many rules may be in force at once.
MAX_RULES: Final = 200
FIRST_LAYER: Final = 1
LAST_LAYER: Final = 5
#: The name under which the excluded count ids that are no UUIDs.
INVALID_UUID: Final = "invalidUuid"
#: Names that answers and routes use beside the names of rules.
RESERVED_RULE_NAMES: Final = frozenset({INVALID_UUID, "history"})


class InstantField(fields.AwareDateTime):
    """An instant with its offset, in the years for which windows can be computed."""

    def __init__(self, **options: Any) -> None:
        """Take marshmallow's usual options."""
        is_near = validate.Range(EARLIEST, LATEST, error="Instants lie between 1970 and 2200.")
        super().__init__(validate=is_near, **options)


class LayerField(fields.Integer):
    """A layer: a whole number from 1 to 5, and no text or boolean."""

    def __init__(self, **options: Any) -> None:
        """Take marshmallow's usual options."""
        is_layer = validate.Range(
            min=FIRST_LAYER, max=LAST_LAYER, error="Layers are 1 to 5; {input} is none."
        )
        super().__init__(strict=True, validate=is_layer, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        if isinstance(value, bool | str):
            raise ValidationError("Layers are whole numbers from 1 to 5.")
        return super()._deserialize(value, attr, data, **options)


class UserIdsField(fields.Field[list[str]]):
    """A list of at least `min_count` texts, checked without an object for each text."""

    def __init__(self, *, min_count: int = 0, **options: Any) -> None:
        """Take the minimum, and the usual options of marshmallow."""
        super().__init__(**options)
        self.min_count = min_count

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> list[str]:
        if not isinstance(value, list) or len(value) < self.min_count:
            raise ValidationError(
                "Send a list of at least one user id."
                if self.min_count
                else "Send a list of user ids."
            )
        if set(map(type, value)) - {str}:
            wrong = next(i for i, item in enumerate(value) if type(item) is not str)
            raise ValidationError({wrong: ["Not a text."]})
        return value


class UserBytesField(fields.Field[bytes]):
    """Ids of 16 bytes each, one after the other, in base64."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> bytes:
        try:
            octets = b64decode(value, validate=True)
        except (TypeError, ValueError) as error:
            raise ValidationError("Not a text in base64.") from error
        if len(octets) % 16 or len(octets) > 16 * MAX_IDS:
            raise ValidationError(f"Not 16 bytes an id, or more than {MAX_IDS} ids.")
        return octets


class ReservationRequestSchema(CamelSchema):
    """The key under which to reserve slots, and how long they stay reserved."""

    key = fields.String(required=True, validate=validate.Length(min=1, max=MAX_KEY))
    ttl_seconds = JsonNumber(load_default=900.0, validate=validate.Range(min=1, max=86_400))


class ReservedSlotsSchema(AnswerSchema):
    """Reserved slots, and the instant until which they stay reserved."""

    key = fields.String(required=True)
    expires_at = InstantField(required=True)


class FilterAudienceSchema(CamelSchema):
    """Body of POST FILTER_AUDIENCE_PATH."""

    user_ids = UserIdsField(min_count=1, required=True)
    layer_id = LayerField(required=True)
    scheduled_for = InstantField(load_default=None)
    explain = JsonBoolean(load_default=False)
    reservation = fields.Nested(ReservationRequestSchema, load_default=None)


class CompactFilterSchema(CamelSchema):
    """Query of POST FILTER_AUDIENCE_PATH where the body is ids of 16 bytes each."""

    layer_id = fields.Integer(
        required=True,
        validate=validate.Range(FIRST_LAYER, LAST_LAYER, error="Layers are 1 to 5."),
    )
    scheduled_for = InstantField(load_default=None)
    key = fields.String(
        load_default=None,
        data_key="reservationKey",
        validate=validate.Length(min=1, max=MAX_KEY),
    )
    ttl_seconds = fields.Float(load_default=900.0, validate=validate.Range(min=1, max=86_400))

    @post_load
    def _nest_reservation(self, data: dict[str, Any], **_: object) -> dict[str, Any]:
        key, ttl_seconds = data.pop("key"), data.pop("ttl_seconds")
        reservation = {"key": key, "ttl_seconds": ttl_seconds} if key else None
        return {**data, "reservation": reservation}


class ExcludedUserSchema(AnswerSchema):
    """Why a user is capped, and until when."""

    user_id = fields.String(required=True)
    rule = fields.String(required=True)
    counted_sends = fields.List(InstantField())
    next_eligible_at = InstantField(allow_none=True)


class FilteredAudienceSchema(AnswerSchema):
    """Answer of POST FILTER_AUDIENCE_PATH."""

    eligible_user_ids = fields.List(fields.String(), required=True)
    excluded_count = fields.Integer(required=True)
    exclusion_breakdown = fields.Dict(keys=fields.String(), values=fields.Integer())
    failed_open = fields.Boolean(required=True)
    fail_open_reason = fields.String()
    excluded = fields.List(fields.Nested(ExcludedUserSchema))
    reservation = fields.Nested(ReservedSlotsSchema)


class PlannedPushSchema(CamelSchema):
    """One push of a sequence, at its planned instant."""

    layer_id = LayerField(required=True)
    scheduled_for = InstantField(required=True)


class ForecastPushesSchema(CamelSchema):
    """Body of POST FORECAST_PUSHES_PATH."""

    user_ids = UserIdsField(min_count=1, required=True)
    pushes = fields.List(
        fields.Nested(PlannedPushSchema),
        required=True,
        validate=validate.Length(min=1, max=MAX_PUSHES),
    )


class PushForecastSchema(AnswerSchema):
    """The effect of one push."""

    eligible = fields.Integer(required=True)
    excluded_count = fields.Integer(required=True)
    exclusion_breakdown = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
    )
    failed_open = fields.Boolean(required=True)
    fail_open_reason = fields.String(allow_none=True)


class PushForecastsSchema(AnswerSchema):
    """Answer of POST FORECAST_PUSHES_PATH: one for each push, in the order of the question."""

    pushes = fields.List(fields.Nested(PushForecastSchema), required=True)


class OverCapQuestionSchema(CamelSchema):
    """Body of POST OVER_CAP_PATH: a recorded send, and the users to check."""

    user_ids = UserIdsField(min_count=1, required=True)
    layer_id = LayerField(required=True)
    sent_at = InstantField(required=True)


class OverCapSchema(AnswerSchema):
    """Answer of POST OVER_CAP_PATH: the users who got more than each rule allows."""

    rules_version = fields.Integer(allow_none=True)
    users = fields.Integer(required=True)
    by_rule = fields.Dict(keys=fields.String(), values=fields.List(fields.UUID()), required=True)
    fail_open_reason = fields.String(allow_none=True)


class PositionsField(fields.Field[list[int]]):
    """A list of whole numbers from 0 on, checked without an object for each number."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> list[int]:
        if (
            not isinstance(value, list)
            or set(map(type, value)) - {int}
            or min(value, default=0) < 0
        ):
            raise ValidationError("Not a list of positions.")
        return value


class CompactVerdictSchema(AnswerSchema):
    """Answer of POST FILTER_AUDIENCE_PATH where the body was ids of 16 bytes each."""

    eligible_count = fields.Integer(required=True, strict=True)
    excluded_positions = fields.Dict(keys=fields.String(), values=PositionsField(), required=True)
    failed_open = fields.Boolean(required=True)
    fail_open_reason = fields.String()
    reservation = fields.Nested(ReservedSlotsSchema)


class SentPushSchema(CamelSchema):
    """The texts and the instant of a send."""

    push_title = fields.String(required=True, validate=validate.Length(min=1, max=4_000))
    push_body = fields.String(required=True, validate=validate.Length(min=1, max=8_000))
    audience_description = fields.String(required=True, validate=validate.Length(min=1, max=2_000))
    deep_link = fields.String(
        load_default=None, allow_none=True, validate=validate.Length(max=MAX_DEEP_LINK)
    )
    sent_at = InstantField(load_default=None, allow_none=True)


class NotificationSchema(SentPushSchema):
    """One notification that was sent to one user."""

    user_id = fields.UUID(required=True)
    layer_id = LayerField(required=True)
    actually_sent_at = InstantField(load_default=None, allow_none=True)
    idempotency_key = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.Length(min=1, max=500),
    )


class NotificationsSchema(CamelSchema):
    """Body of POST TRACK_NOTIFICATION_PATH in its bulk form."""

    notifications = fields.List(
        fields.Nested(NotificationSchema),
        required=True,
        validate=validate.Length(min=1, max=MAX_NOTIFICATIONS),
    )
    reservation_key = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.Length(min=1, max=MAX_KEY),
        metadata={"description": "Each takes the slot held for its user under this key."},
    )


class SettlementSchema(SentPushSchema):
    """Body of POST TRACK_NOTIFICATION_PATH that settles a reservation.

    With `sentUserIds` or `sentUserBytes` all other slots are released; with `failedUserIds` all
    other users were sent to.
    """

    reservation_key = fields.String(required=True, validate=validate.Length(min=1, max=MAX_KEY))
    sent_user_ids = UserIdsField(validate=validate.Length(max=MAX_IDS))
    sent_user_bytes = UserBytesField()
    failed_user_ids = UserIdsField(validate=validate.Length(max=MAX_IDS))

    @validates_schema
    def _has_one_list_of_users(self, data: dict[str, Any], **_: object) -> None:
        if len(data.keys() & {"sent_user_ids", "sent_user_bytes", "failed_user_ids"}) != 1:
            raise ValidationError(
                "Send sentUserIds, sentUserBytes or failedUserIds, one of them.", "sentUserIds"
            )


class TrackedSchema(AnswerSchema):
    """Answer of POST TRACK_NOTIFICATION_PATH."""

    success = fields.Boolean(required=True)
    message = fields.String(required=True)
    recorded = fields.Integer(required=True)
    duplicates = fields.Integer(required=True)
    released = fields.Integer(metadata={"description": "slots given back, where one was settled"})
    late = fields.Integer(metadata={"description": "sent, and the slot had run out before"})


class ReservationSchema(CamelSchema):
    """A reservation, as it was decided."""

    key = fields.String()
    layer_id = fields.Integer()
    scheduled_for = InstantField()
    rules_version = fields.Integer()
    state = fields.String()
    created_at = InstantField()
    expires_at = InstantField()
    eligible_count = fields.Integer()
    excluded = fields.List(fields.Nested(ExcludedUserSchema))


def _is_free_name(name: str) -> None:
    if name in RESERVED_RULE_NAMES:
        raise ValidationError(f"{name!r} has another meaning here; use another name.")
    if name.endswith("\n"):  # which $ lets through
        raise ValidationError("A name has no line break; leave it out.")


class RuleSchema(CamelSchema):
    """A cadence rule: at most `maxCount` notifications in any trailing `windowHours`."""

    name = fields.String(
        required=True,
        validate=[
            validate.Regexp(
                r"^[A-Za-z][A-Za-z0-9_.-]{0,99}$",
                error="A name begins with a letter and has at most 100 letters of English, digits, "
                "'_', '.' and '-'.",
            ),
            _is_free_name,
        ],
    )
    description = fields.String(load_default="", validate=validate.Length(max=1_000))
    applies_to_layers = fields.List(LayerField(), required=True, validate=validate.Length(min=1))
    counted_layers = fields.List(LayerField(), required=True, validate=validate.Length(min=1))
    window_hours = JsonNumber(
        required=True,
        validate=validate.Range(
            min=1 / 3_600, max=24 * 366, error="A window lasts from a second to a leap year."
        ),
    )
    max_count = fields.Integer(
        required=True, strict=True, validate=validate.Range(min=1, max=10_000)
    )
    is_active = JsonBoolean(load_default=True)


class HistoryPlace(NamedTuple):
    """The place of an entry in the history of a user: its instant and its id."""

    at: datetime
    id: str

    def __str__(self) -> str:
        """Return the cursor of the entries before this place."""
        return f"{self.at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}|{self.id}"

    @classmethod
    def read(cls, cursor: str) -> Self:
        """Return the place that a cursor stands for; ValueError."""
        at, _, id_ = cursor.partition("|")
        return cls(read_instant(at), id_)


class HistoryEntrySchema(AnswerSchema):
    """One notification, reserved slot or exclusion of a user, at its instant.

    A notification is at the instant that rules count, a slot at its planned send, and an exclusion
    at the decision.
    """

    kind = fields.String(required=True, validate=validate.OneOf(HISTORY_KINDS))
    at = InstantField(required=True)
    id = fields.String(required=True)
    layer_id = fields.Integer(required=True)
    reservation_key = fields.String(required=True, allow_none=True)
    actually_sent_at = InstantField(load_default=None, allow_none=True)
    push_title = fields.String(load_default=None, allow_none=True)
    push_body = fields.String(load_default=None, allow_none=True)
    audience_description = fields.String(load_default=None, allow_none=True)
    deep_link = fields.String(load_default=None, allow_none=True)
    import_id = fields.Integer(load_default=None, allow_none=True)
    key_digests = fields.List(
        fields.String(), metadata={"description": "SHA-256 of the keys of its callers"}
    )
    expires_at = InstantField(load_default=None, allow_none=True)
    rule = fields.String(load_default=None, allow_none=True)
    counted_sends = fields.List(InstantField())
    next_eligible_at = InstantField(load_default=None, allow_none=True)


class UserHistorySchema(AnswerSchema):
    """Answer of GET USER_HISTORY_PATH: entries of one user, newest first."""

    entries = fields.List(fields.Nested(HistoryEntrySchema), required=True)
    next_cursor = fields.String(load_default=None, allow_none=True)


class RulesSchema(CamelSchema):
    """Body of PUT /rules: the whole set, in order of precedence."""

    class Meta:
        unknown = EXCLUDE  # an answer of GET /rules may be sent back as it is

    rules = fields.List(
        fields.Nested(RuleSchema),
        required=True,
        validate=validate.Length(max=MAX_RULES, error="At most {max} rules may be in force."),
    )

    @validates_schema
    def _has_unique_names(self, data: dict[str, Any], **_: object) -> None:
        names = [rule["name"] for rule in data["rules"]]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValidationError(f"Named twice: {', '.join(twice)}.", "rules")


class RuleSetSchema(RulesSchema):
    """The rules in force, and the version of their set."""

    version = fields.Integer()
    created_at = InstantField()
