"""What every section of the configuration has in common."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict

from mailbox_service.config.document import Location


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, nothing changes after loading, no message holds a value."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    def sections(self, location: Location = ()) -> Iterator[tuple[Location, Section]]:
        """This section and all below it, each with where it stands in the file."""
        yield location, self
        for name in type(self).model_fields:
            value = getattr(self, name)
            for at, item in enumerate(value) if isinstance(value, tuple) else [(None, value)]:
                if isinstance(item, Section):
                    yield from item.sections((*location, name) if at is None else (*location, name, at))
