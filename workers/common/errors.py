"""The errors of the domain: one small tree, mapped to HTTP in one place (`serve_app.errors`).

Each error carries a stable `code` (one of `ErrorCode`) and a `detail`, one sentence for people. They cross process
borders by pickle, so a subclass adds no constructor arguments of its own.
"""

from enum import StrEnum
from typing import ClassVar


class ErrorCode(StrEnum):
    """The words that programs may read; they never change. Of the two lines of each, the first says what it means,
    the second what to do: docs/api.md has them as a table. Between processes and in answers it is a plain text."""

    # What a request says

    #: A value, or a combination of values, is not acceptable; the sentence names it.
    #: Correct the request.
    INVALID_INPUT = "invalid_input"
    #: A name has characters, a length or an ending that names of its kind may not have.
    #: Choose another name.
    INVALID_NAME = "invalid_name"
    #: The name belongs to the system or to MongoDB.
    #: Choose another name.
    RESERVED_NAME = "reserved_name"
    #: The text can't be a job's id.
    #: Give the `job_id` that the submission answered.
    INVALID_JOB_ID = "invalid_job_id"
    #: There is no such state of a job.
    #: Take one of those that the sentence lists.
    INVALID_STATUS = "invalid_status"
    #: The cursor is not one that this API gave out, or belongs to another query.
    #: Begin again without a cursor.
    INVALID_CURSOR = "invalid_cursor"
    #: The text is no time.
    #: Write ISO 8601, or what the route's description allows.
    INVALID_TIME = "invalid_time"
    #: There is no such time zone.
    #: Take one like `Europe/Lisbon`.
    INVALID_TIME_ZONE = "invalid_time_zone"
    #: The ends of a range of time are missing, double or in the wrong order.
    #: Give both ends, or `minutes`.
    INVALID_RANGE = "invalid_range"
    #: The body is no JSON, or no JSON object.
    #: Correct the body.
    INVALID_JSON = "invalid_json"
    #: A field is missing or of the wrong type; the sentence names each.
    #: Correct the fields.
    VALIDATION_ERROR = "validation_error"
    #: The request is well formed, what it carries is not.
    #: Correct what the sentence names.
    UNPROCESSABLE = "unprocessable"
    #: The body is over the limit.
    #: Send less, or have `OPEVA_MAX_BODY_BYTES` raised.
    TOO_LARGE = "too_large"
    #: The form can't be read.
    #: Send it as `multipart/form-data`.
    BAD_FORM = "bad_form"
    #: The form has no file.
    #: Send the archive as its field `file`.
    NO_FILE = "no_file"
    #: What the request names does not exist.
    #: Check the name.
    NOT_FOUND = "not_found"
    #: The request contradicts what exists.
    #: Look at what exists, then decide.
    CONFLICT = "conflict"

    # The HTTP surface

    #: Tokens are on, and the request has none that is known.
    #: Send `Authorization: Bearer <token>`.
    UNAUTHORIZED = "unauthorized"
    #: The token may only read.
    #: Use one that may change things.
    FORBIDDEN = "forbidden"
    #: There is no such path.
    #: Look at `/docs`.
    NO_SUCH_ROUTE = "no_such_route"
    #: The path has no such method.
    #: Take one of the header `Allow`.
    METHOD_NOT_ALLOWED = "method_not_allowed"
    #: HTTP itself was used wrongly; the status says how.
    #: Correct the request.
    HTTP_ERROR = "http_error"
    #: The server failed in a way that nobody foresaw.
    #: Tell who runs it; the log has the details.
    INTERNAL_ERROR = "internal_error"
    #: The file of tokens can't be read, so nobody gets in.
    #: Make the file readable for the server.
    TOKENS_UNAVAILABLE = "tokens_unavailable"
    #: This replica follows as many streams as it may.
    #: Try again later, or have `OPEVA_MAX_FOLLOWS` raised.
    TOO_MANY_FOLLOWERS = "too_many_followers"

    # Experiment configs

    #: The YAML text is refused; the sentence has line and column.
    #: Correct the text.
    INVALID_YAML = "invalid_yaml"
    #: The config holds what YAML or JSON can't.
    #: Correct the value that the sentence names.
    INVALID_CONFIG = "invalid_config"
    #: The config is over the limit, its aliases followed.
    #: Make it smaller, or have `OPEVA_MAX_CONFIG_BYTES` raised.
    CONFIG_TOO_LARGE = "config_too_large"
    #: There is no such config, or the job's snapshot is gone.
    #: Look at `/experiment-configs`.
    CONFIG_NOT_FOUND = "config_not_found"
    #: There is a config of that name already.
    #: Choose another name, or say `overwrite`.
    CONFIG_EXISTS = "config_exists"
    #: The config names its dataset by a relative path.
    #: Write `/data/datasets/<name>/schema.json`.
    DATASET_PATH_RELATIVE = "dataset_path_relative"
    #: The config's path of a dataset leads upwards (`..`).
    #: Write `/data/datasets/<name>/schema.json`.
    DATASET_PATH_INVALID = "dataset_path_invalid"

    # Jobs and hosts

    #: There is no such job, or its folder is gone.
    #: Look at `/jobs`.
    JOB_NOT_FOUND = "job_not_found"
    #: There is a folder of a job of that id already.
    #: Submit again.
    JOB_EXISTS = "job_exists"
    #: The job has not ended.
    #: Stop it first, or delete it with `force=true`.
    JOB_ACTIVE = "job_active"
    #: The job could not be stopped in time; the system goes on trying.
    #: Delete it later.
    STOP_FAILED = "stop_failed"
    #: The key was used for another request.
    #: Take another key for another request.
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    #: No host and no tag has that name.
    #: Take one of those that the sentence lists.
    HOST_NOT_FOUND = "host_not_found"
    #: No host that the job may run on can be reached.
    #: Try again when one is back; see `/hosts`.
    HOST_UNREACHABLE = "host_unreachable"
    #: No host that the job may run on has a Docker engine that answers.
    #: Start Docker there; see `/hosts`.
    DOCKER_UNAVAILABLE = "docker_unavailable"
    #: The job supervisor is starting, or makes way for a new one.
    #: Try again in a moment.
    SUPERVISOR_STARTING = "supervisor_starting"
    #: The job supervisor does not answer or can't be made.
    #: Try again; if it lasts, look at Ray's dashboard.
    SUPERVISOR_UNAVAILABLE = "supervisor_unavailable"
    #: The job has no simulation data of that session.
    #: Look at `/simulation-data/index`.
    SESSION_NOT_FOUND = "session_not_found"
    #: There is no such file, or no CSV file, in the folder.
    #: Look at the list of files.
    FILE_NOT_FOUND = "file_not_found"

    # The shared storage

    #: A part of the system does not answer; the sentence says which.
    #: Try again after `Retry-After`.
    UNAVAILABLE = "unavailable"
    #: The shared storage fails or does not answer in time.
    #: Try again; check the mount.
    STORAGE_UNAVAILABLE = "storage_unavailable"
    #: The shared storage has no room.
    #: Delete jobs or datasets, or grow it.
    STORAGE_FULL = "storage_full"
    #: The shared folder does not hold this installation: it may not be mounted.
    #: Mount it.
    SHARED_ROOT_MISSING = "shared_root_missing"
    #: The shared folder holds another installation.
    #: Mount this one's folder.
    SHARED_ROOT_OTHER = "shared_root_other"

    # Sites

    #: The deployment of sites does not answer.
    #: Try again; look at the Serve dashboard.
    SITES_UNAVAILABLE = "sites_unavailable"
    #: No MongoDB is configured, or its URI can't be understood.
    #: Set `OPEVA_MONGO_URI`.
    MONGO_NOT_CONFIGURED = "mongo_not_configured"
    #: MongoDB did not answer in time.
    #: Check that it runs and can be reached.
    MONGO_UNAVAILABLE = "mongo_unavailable"
    #: MongoDB refuses the user or the password, or does not let the user list databases.
    #: Correct `OPEVA_MONGO_URI` or the user's rights.
    MONGO_REFUSED = "mongo_refused"
    #: MongoDB failed at the request; the sentence has its words.
    #: Look at MongoDB's log.
    MONGO_ERROR = "mongo_error"
    #: The user of MongoDB may not read this.
    #: Give the user the right.
    NOT_READABLE = "not_readable"
    #: There is no such site.
    #: Look at `/sites`.
    SITE_NOT_FOUND = "site_not_found"
    #: There is a site whose name differs only in case.
    #: Use that one, or another name.
    SITE_NAME_TAKEN = "site_name_taken"
    #: The site has no such collection.
    #: Take one that `/real-time-data/{site}` shows.
    COLLECTION_NOT_FOUND = "collection_not_found"
    #: The site has no schema.
    #: Make one with `/schema/create`.
    SCHEMA_NOT_FOUND = "schema_not_found"
    #: The site has a schema already.
    #: Change it with `/schema/update/{site}`.
    SCHEMA_EXISTS = "schema_exists"
    #: MongoDB can't hold the schema.
    #: Correct what the sentence names.
    INVALID_SCHEMA = "invalid_schema"
    #: A stored document can't be read; the rest of the answer is whole.
    #: Correct the document.
    UNREADABLE_DOCUMENT = "unreadable_document"
    #: The stream of a site broke off or can't be fetched.
    #: Ask again.
    STREAM_LOST = "stream_lost"
    #: As many streams of sites are open as are served at once.
    #: Try again later, or have `OPEVA_SITE_MAX_STREAMS` raised.
    TOO_MANY_STREAMS = "too_many_streams"

    # Datasets

    #: The deployment of datasets does not answer.
    #: Try again; look at the Serve dashboard.
    DATASETS_UNAVAILABLE = "datasets_unavailable"
    #: There is no such dataset, or the one that a config names is not there.
    #: Look at `/datasets`.
    DATASET_NOT_FOUND = "dataset_not_found"
    #: There is a dataset of that name already.
    #: Choose another name, or say `overwrite`.
    DATASET_EXISTS = "dataset_exists"
    #: The dataset's manifest can't be read, so nothing can be added to it.
    #: Build it again.
    NO_MANIFEST = "no_manifest"
    #: The period does not divide a day.
    #: Take 15, 30 or 60 minutes, say.
    INVALID_PERIOD = "invalid_period"
    #: The time asked for ends before it begins.
    #: Correct `from_ts` or `until_ts`.
    INVALID_WINDOW = "invalid_window"
    #: Too few steps are left for CityLearn.
    #: Ask for more time or a shorter period.
    WINDOW_TOO_SHORT = "window_too_short"
    #: There are no readings in the time asked for, or none that all buildings share.
    #: Look at `/dataset/dates-available/{site}`.
    NO_DOCUMENTS = "no_documents"
    #: The site has no such building, or none at all.
    #: Correct `citylearn_configs`.
    BUILDING_NOT_FOUND = "building_not_found"
    #: Two parts of the dataset would have the same file.
    #: Rename a building or a charger.
    FILE_NAME_COLLISION = "file_name_collision"
    #: The dataset that values are to be taken from does not have them as numbers.
    #: Take another dataset.
    BAD_SOURCE = "bad_source"
    #: The file of the secret that hides the names of car users is damaged.
    #: Restore it, or remove it: names change then.
    SECRET_UNREADABLE = "secret_unreadable"  # noqa: S105 - a word about one
    #: No dataset of that name is being built.
    #: Look at `/dataset/{name}/status`.
    BUILD_NOT_FOUND = "build_not_found"
    #: The dataset is being built already.
    #: Wait for it, or cancel it.
    BUILD_RUNNING = "build_running"
    # Spelt with two l, unlike the state of such a build, `canceled`: neither word may change.
    #: The build was cancelled.
    #: Begin it again if it is wanted.
    BUILD_CANCELLED = "build_cancelled"
    #: A task of the build failed.
    #: Begin it again; the log has the details.
    BUILD_FAILED = "build_failed"
    #: The build took longer than it may.
    #: Ask for less time, or have `OPEVA_DATASET_BUILD_TIMEOUT_S` raised.
    BUILD_TIMEOUT = "build_timeout"
    #: The process that ran the build ended; told in the build's status.
    #: Begin it again.
    BUILD_INTERRUPTED = "build_interrupted"
    #: The archive can't be unpacked, or holds what it may not.
    #: Make a plain zip of the dataset's files.
    BAD_ARCHIVE = "bad_archive"
    #: The archive holds no `schema.json` that CityLearn could read, or not the files that it names.
    #: Pack the dataset's own folder; correct the schema where the sentence names a place of it.
    NOT_A_DATASET = "not_a_dataset"
    #: A file of the dataset lacks columns, values or rows that CityLearn needs; the sentence names file and column.
    #: Correct the file.
    BAD_DATASET_FILE = "bad_dataset_file"
    #: The archive holds more files than it may.
    #: Pack fewer, or have `OPEVA_DATASET_FILES` raised.
    TOO_MANY_FILES = "too_many_files"
    #: The archive unpacks to more than it may.
    #: Pack less, or have `OPEVA_DATASET_UNPACKED_BYTES` raised.
    DATASET_TOO_LARGE = "dataset_too_large"
    #: The file can't be shown as a table.
    #: Name a CSV file.
    NOT_A_TABLE = "not_a_table"
    #: The file has no such column.
    #: Take one of those that the sentence lists.
    UNKNOWN_COLUMN = "unknown_column"


class OpevaError(Exception):
    """Something that the caller can be told about in a sentence."""

    default_code: ClassVar[ErrorCode] = ErrorCode.INTERNAL_ERROR

    def __init__(self, detail: str, code: str | None = None) -> None:
        #: A plain text, whatever it was given as: classes do not survive the way between processes of different code.
        self.code = str(code or self.default_code)
        super().__init__(detail, self.code)
        self.detail = detail

    def __str__(self) -> str:
        return self.detail


class InvalidInput(OpevaError):
    """The request can't be understood or is not allowed; nothing was changed."""

    default_code = ErrorCode.INVALID_INPUT


class NotFound(OpevaError):
    """What the request names does not exist."""

    default_code = ErrorCode.NOT_FOUND


class Conflict(OpevaError):
    """The request contradicts what exists."""

    default_code = ErrorCode.CONFLICT


class TooLarge(OpevaError):
    """The request is over a configured size."""

    default_code = ErrorCode.TOO_LARGE


class Unprocessable(OpevaError):
    """The request is well formed, what it carries is not (a YAML text, say)."""

    default_code = ErrorCode.UNPROCESSABLE


class Unavailable(OpevaError):
    """A host, a Docker engine, the storage or MongoDB does not answer; the detail says which."""

    default_code = ErrorCode.UNAVAILABLE


class StorageFull(OpevaError):
    """The shared storage has no room for what would be written."""

    default_code = ErrorCode.STORAGE_FULL
