"""Prompts of chosen length. Token ids above the special ones are all plain text pieces of the default model."""
import random

WORDS = ("river garden engine letter winter market paper doctor window music system history science story number "
         "light energy mountain water school house place night world money order power water level right").split()

QUESTIONS = (
    "Why is the sky blue?",
    "Name three rivers in Europe and say where each of them ends.",
    "Write one sentence about a cat that learned to open doors.",
    "What is 17 times 23? Show the steps.",
)


def words(count, seed):
    source = random.Random(seed)
    return " ".join(source.choice(WORDS) for _ in range(count))


def token_ids(count, seed):
    source = random.Random(seed)
    return [source.randrange(100, 40000) for _ in range(count)]
