"""What goes over the wire: the bodies that clients send and the answers they get."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tbgrid.serve.limits import AT_ONCE
from tbgrid.serve.options import NAME

Text = Annotated[str, Field(min_length=1, max_length=200)]
Value = Annotated[str, Field(max_length=1000)] | int | float | bool
Metadata = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=64)], Value], Field(max_length=32)
]
Id = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class Asks(BaseModel):
    """A body that a client sends."""

    model_config = ConfigDict(extra="forbid")


class NewImage(Asks):
    """Either the bytes, or where they are to be fetched from, if the server may."""

    base64: Annotated[str, Field(min_length=1)] | None = None
    url: Annotated[str, Field(min_length=1, max_length=2000)] | None = None

    @model_validator(mode="after")
    def _either(self) -> NewImage:
        if (self.base64 is None) == (self.url is None):
            raise ValueError("give base64 or url")
        return self


class NewData(Asks):
    """What an input is."""

    image: NewImage


class NewInput(Asks):
    """A picture, with what is known of it."""

    data: NewData
    name: Text | None = None
    label: Text | None = None
    metadata: Metadata = Field(default_factory=dict)


class NewInputs(Asks):
    """Pictures that are added together, all or none."""

    inputs: Annotated[list[NewInput], Field(min_length=1, max_length=AT_ONCE)]


class NewApplication(Asks):
    """A set of pictures apart from others."""

    name: Annotated[str, Field(pattern=NAME)]


class Status(BaseModel):
    """Where a visualization is, or why a request was refused (`code` is that of HTTP then)."""

    code: int
    description: str
    details: str | None = None


class Problem(BaseModel):
    """A request that was not granted."""

    status: Status


class Image(BaseModel):
    """A picture's address, relative to the server's own."""

    url: str


class InputData(BaseModel):
    """What an input is."""

    image: Image


class Input(BaseModel):
    """An accepted picture. `width` and `height` in pixels, upright."""

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


class InputAnswer(BaseModel):
    """One input."""

    input: Input


class InputsAnswer(BaseModel):
    """Inputs in the order in which they came. `next`: what `after` asks for the others by."""

    inputs: list[Input]
    next: Id | None = None


class Application(BaseModel):
    """A set of pictures. `inputs`: how many; `bytes`: of all of them."""

    name: str
    inputs: int
    bytes: int
    created_at: str


class ApplicationAnswer(BaseModel):
    """One application."""

    application: Application


class ApplicationsAnswer(BaseModel):
    """All applications that the client may use."""

    applications: list[Application]


class Mosaic(Image):
    """The finished picture: `rows` x `columns` photos of `tile` pixels each."""

    rows: int
    columns: int
    tile: int


class LeftOut(BaseModel):
    """An input that is not shown."""

    name: str
    reason: str


class OutputData(BaseModel):
    """A finished visualization. `run`: its name in TensorBoard over the server's root;
    `embedded`: how many photos the model was run on, those of the cache not counted."""

    image: Mosaic
    run: str
    photos: int
    left_out: list[LeftOut]
    embedded: int
    report: dict[str, Any] | None = None


class Output(BaseModel):
    """A visualization. While it runs it has a `stage`, and `progress` from 0 to 1 within it where
    that is known."""

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


class OutputAnswer(BaseModel):
    """One visualization."""

    output: Output


class OutputsAnswer(BaseModel):
    """Visualizations, the newest first, without their reports."""

    outputs: list[Output]
    next: Id | None = None


class ModelsAnswer(BaseModel):
    """The models that may be asked for."""

    models: list[str]
