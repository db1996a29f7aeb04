"""Options of a quick run of the tiny Llama, for tests that call the command line."""

QUICK_FIT = (
    "--learn 8 --max-steps 2 --rank 4 --batch-size 4 --answer-tokens 60 --max-length 400".split()
)
QUICK_SCORE = "--items 3 --shots 1".split()
