"""Understanding and composing in a process of its own: `services.processor.Processor`.

`parent` is the daemon's end, `__main__` the other one. Nothing is imported here: what the daemon needs is of no use to
the process, and would be half of its memory.
"""
