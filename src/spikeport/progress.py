def track(items, description, *, total=None, enabled=True):
    yield from items
