import pytest

from appliance.core.price_rows import PriceRowError, parse_rows, spellings


@pytest.mark.parametrize(
    ("written", "also"),
    [
        ("GPT-4o", "gpt-4o"),
        ("models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("projects/x/locations/y/publishers/anthropic/models/claude-opus-4@1", "claude-opus-4@1"),
        ("openai/gpt-4o", "gpt-4o"),
        ("openai/gpt-4o:nitro", "gpt-4o"),
        ("us.anthropic.claude-3-haiku-v1:0", "anthropic.claude-3-haiku-v1:0"),
        ("eu.amazon.nova-pro-v1%3A0", "amazon.nova-pro-v1:0"),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/us.meta.llama3-v1:0", "meta.llama3-v1:0"),
        ("claude-4.5-sonnet", "claude-sonnet-4.5"),
        ("claude-opus-4%4020250514", "claude-opus-4@20250514"),
    ],
)
def test_one_model_goes_by_several_names(written, also):
    names = spellings(written)
    assert names[0] == written.lower()
    assert also in names


@pytest.mark.parametrize(
    ("written", "never"),
    [
        ("global.anthropic.claude-x-v1:0", "anthropic.claude-x-v1:0"),
        ("meta-llama/llama-3:free", "meta-llama/llama-3"),
        ("ft:gpt-4o-mini:org::id", "gpt-4o-mini"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("claude-3-5-sonnet-20241022", "claude-sonnet-3-5-20241022"),
        ("us.gpt", "gpt"),
    ],
)
def test_names_that_change_the_price_stay(written, never):
    assert never not in spellings(written)


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"input": 1}, r"prices\[1\].model is missing"),
        ({"model": "m"}, r"prices\[1\].input is missing, and the row amends nothing either"),
        ({"model": "m", "inputs": 1}, r"prices\[1\].inputs is no field of a price row"),
        ({"model": "m", "input": "cheap"}, r"prices\[1\].input 'cheap' is not a decimal number"),
        ({"model": "m", "input": True}, r"prices\[1\].input True is not a number"),
        ({"model": "m", "input": -1}, r"prices\[1\].input must not be negative"),
        ({"model": "m", "input": "1e-19"}, r"prices\[1\].input 1e-19 has more than 18 decimal"),
        ({"model": 5, "input": 1}, r"prices\[1\].model must be text"),
        ({"model": "m" * 257, "input": 1}, r"prices\[1\].model has more than 256 characters"),
        ({"model": "/(/", "input": 1}, r"prices\[1\].model is no regular expression"),
        ({"model": "m", "input": 1, "from": "soon"}, r"prices\[1\].from 'soon' is no ISO 8601"),
        ({"model": "m", "input": 1, "from": 5}, r"prices\[1\].from must be a date or a time"),
        (
            {"model": "m", "input": 1, "from": "2026-01-02", "until": "2026-01-02"},
            r"prices\[1\].until must be later than from",
        ),
        ({"model": "m", "discount": -1}, r"prices\[1\].discount is a factor between 0 and 100"),
        ({"model": "m", "discount": "half"}, r"prices\[1\].discount 'half' is not a decimal"),
        ({"model": "m", "compared": "output"}, r"prices\[1\].compared must be one of prompt, "),
        ({"model": "m", "inclusive": "maybe"}, r"prices\[1\].inclusive must be true or false"),
        ({"model": "m", "input": 1, "inclusive": True}, r"prices\[1\].inclusive amends another"),
        ({"model": "m", "input": 1, "tiers": 5}, r"prices\[1\].tiers must be a list of at most 16"),
        ({"model": "m", "input": 1, "tiers": [5]}, r"prices\[1\].tiers\[1\] must be a table"),
        (
            {"model": "m", "input": 1, "tiers": [{"from_tokens": 9, "inputt": 1}]},
            r"prices\[1\].tiers\[1\].inputt is no field of a tier",
        ),
        (
            {"model": "m", "input": 1, "tiers": [{"input": 1}]},
            r"prices\[1\].tiers\[1\].from_tokens must be a whole number from 1 on",
        ),
        (
            {"model": "m", "input": 1, "tiers": "5 input=1; 5 input=2"},
            r"prices\[1\].tiers\[2\].from_tokens must be greater than the tier before",
        ),
        (
            {"model": "m", "input": 1, "write_5m": 1, "cache_write": 1},
            r"prices\[1\].cache_write says write_5m a second time",
        ),
    ],
)
def test_a_bad_row_is_named_with_its_field(table, complaint):
    with pytest.raises(PriceRowError, match=complaint):
        parse_rows([table], where="prices")


def test_the_number_in_a_complaint_is_that_of_the_row():
    with pytest.raises(PriceRowError, match=r"prices\[2\]"):
        parse_rows([{"model": "m", "input": 1}, {"model": "m", "input": "x"}], where="prices")
