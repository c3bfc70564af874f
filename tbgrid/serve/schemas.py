"""Bodies of requests and responses, as Pydantic models."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tbgrid.serve.limits import MAX_IMAGES_PER_REQUEST
from tbgrid.serve.options import NAME

Text = Annotated[str, Field(min_length=1, max_length=200)]
Value = Annotated[str, Field(max_length=1000)] | int | float | bool
Metadata = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=64)], Value], Field(max_length=32)
]
Id = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class RequestBody(BaseModel):
    """The body of a request. Unknown fields are errors."""

    model_config = ConfigDict(extra="forbid")


class NewImage(RequestBody):
    """An image: its bytes in Base64, or a URL to fetch it from, where the server allows that."""

    base64: Annotated[str, Field(min_length=1)] | None = None
    url: Annotated[str, Field(min_length=1, max_length=2000)] | None = None

    @model_validator(mode="after")
    def _require_one(self) -> NewImage:
        if (self.base64 is None) == (self.url is None):
            raise ValueError("give either base64 or url")
        return self


class NewData(RequestBody):
    """The content of an input."""

    image: NewImage


class NewInput(RequestBody):
    """An image to add, with its name, label and metadata."""

    data: NewData
    name: Text | None = None
    label: Text | None = None
    metadata: Metadata = Field(default_factory=dict)


class NewInputs(RequestBody):
    """Images to add in one request; all of them are added, or none."""

    inputs: Annotated[list[NewInput], Field(min_length=1, max_length=MAX_IMAGES_PER_REQUEST)]


class NewApplication(RequestBody):
    """An application to create."""

    name: Annotated[str, Field(pattern=NAME)]


class Status(BaseModel):
    """The status of a visualization, or the reason of an error.

    In an error response, `code` is the HTTP status code.
    """

    code: int
    description: str
    details: str | None = None


class ErrorResponse(BaseModel):
    """A request that was rejected."""

    status: Status


class ImageLink(BaseModel):
    """The URL of an image, relative to that of the server."""

    url: str


class InputData(BaseModel):
    """The content of an input."""

    image: ImageLink


class Input(BaseModel):
    """An accepted image. `width` and `height` are in pixels, upright."""

    id: Id
    application: str
    name: str
    label: str | None
    metadata: dict[str, str]
    content_type: str
    width: int
    height: int
    bytes: int
    sha256: str
    created_at: str
    data: InputData


class InputResponse(BaseModel):
    """One input."""

    input: Input


class InputsResponse(BaseModel):
    """Inputs, the oldest first. `next` is the value of `after` for the next page."""

    inputs: list[Input]
    next: Id | None = None


class Application(BaseModel):
    """A separate set of images: the number of its inputs, and their size in bytes."""

    name: str
    inputs: int
    bytes: int
    created_at: str


class ApplicationResponse(BaseModel):
    """One application."""

    application: Application


class ApplicationsResponse(BaseModel):
    """All applications that the client may use."""

    applications: list[Application]


class Mosaic(ImageLink):
    """The finished mosaic: `rows` x `columns` photos of `tile` pixels each."""

    rows: int
    columns: int
    tile: int


class SkippedInput(BaseModel):
    """An input that is not on the map, with the reason."""

    name: str
    reason: str


class OutputData(BaseModel):
    """The result of a visualization.

    `run` is the name of the run in a TensorBoard over the server's root, `embedded` the number of
    photos that the model was run on, without those found in the cache.
    """

    image: Mosaic
    run: str
    photos: int
    skipped: list[SkippedInput]
    embedded: int
    report: dict[str, Any] | None = None


class Output(BaseModel):
    """A visualization.

    While it is running it has a `stage` and, where known, the `progress` of that stage, from 0
    to 1.
    """

    id: Id
    application: str
    name: str
    status: Status
    options: dict[str, Any]
    created_at: str
    ended_at: str | None = None
    stage: str | None = None
    progress: float | None = None
    data: OutputData | None = None


class OutputResponse(BaseModel):
    """One visualization."""

    output: Output


class OutputsResponse(BaseModel):
    """Visualizations, the newest first, without their reports."""

    outputs: list[Output]
    next: Id | None = None


class ModelsResponse(BaseModel):
    """The names of the models that visualizations can use."""

    models: list[str]
