"""Didit's rule for numbers before a body is signed: a float without a fraction is an integer."""


def shorten_floats(value):
    if isinstance(value, dict):
        return {key: shorten_floats(member) for key, member in value.items()}
    if isinstance(value, list):
        return [shorten_floats(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
