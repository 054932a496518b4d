"""SigV4 against what AWS publishes: its test suite, and the worked examples of its guides."""

import hashlib
import hmac

import pytest

from appliance.providers.sigv4 import (
    AwsKey,
    Scope,
    amz_date,
    authorization,
    canonical_request,
    signed,
    string_to_sign,
)

EMPTY = hashlib.sha256(b"").hexdigest()
SUITE_KEY = AwsKey("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
SUITE = Scope("20150830T123600Z", "us-east-1", "service")
S3_KEY = AwsKey("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
S3 = Scope("20130524T000000Z", "us-east-1", "s3")
LETTERS = b"-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SESSION = (
    b"AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPf"
    b"IeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7W"
    b"Z0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8F"
    b"DrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
)
FORM = b"application/x-www-form-urlencoded"
VANILLA = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"

# name, method, path, further headers, body, signature
TEST_SUITE = [
    ("get-vanilla", b"GET", b"/", [], b"", VANILLA),
    ("get-header-key-duplicate", b"GET", b"/",
     [(b"My-Header1", b"value2"), (b"My-Header1", b"value2"), (b"My-Header1", b"value1")], b"",
     "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"),
    ("get-header-value-order", b"GET", b"/",
     [(b"My-Header1", b"value4"), (b"My-Header1", b"value1"), (b"My-Header1", b"value3"),
      (b"My-Header1", b"value2")], b"",
     "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"),
    ("get-header-value-trim", b"GET", b"/",
     [(b"My-Header1", b" value1"), (b"My-Header2", b' "a   b   c"')], b"",
     "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"),
    ("get-unreserved", b"GET", b"/" + LETTERS, [], b"",
     "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"),
    ("get-utf8", b"GET", "/ሴ".encode(), [], b"",
     "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
    ("get-vanilla-empty-query-key", b"GET", b"/?Param1=value1", [], b"",
     "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"),
    ("get-vanilla-query-order-key", b"GET", b"/?Param1=value2&Param1=Value1", [], b"",
     "eedbc4e291e521cf13422ffca22be7d2eb8146eecf653089df300a15b2382bd1"),
    ("get-vanilla-query-order-key-case", b"GET", b"/?Param2=value2&Param1=value1", [], b"",
     "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
    ("get-vanilla-query-order-value", b"GET", b"/?Param1=value2&Param1=value1", [], b"",
     "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694"),
    ("get-vanilla-query-unreserved", b"GET", b"/?%b=%b" % (LETTERS, LETTERS), [], b"",
     "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"),
    ("get-vanilla-utf8-query", b"GET", "/?ሴ=bar".encode(), [], b"",
     "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"),
    ("get-relative", b"GET", b"/example/..", [], b"", VANILLA),
    ("get-relative-relative", b"GET", b"/example1/example2/../..", [], b"", VANILLA),
    ("get-slash", b"GET", b"//", [], b"", VANILLA),
    ("get-slash-dot-slash", b"GET", b"/./", [], b"", VANILLA),
    ("get-slash-pointless-dot", b"GET", b"/./example", [], b"",
     "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5"),
    ("get-slashes", b"GET", b"//example//", [], b"",
     "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"),
    ("get-space", b"GET", b"/example space/", [], b"",
     "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"),
    ("post-vanilla", b"POST", b"/", [], b"",
     "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    ("post-header-key-sort", b"POST", b"/", [(b"My-Header1", b"value1")], b"",
     "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"),
    ("post-header-value-case", b"POST", b"/", [(b"My-Header1", b"VALUE1")], b"",
     "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"),
    ("post-vanilla-query", b"POST", b"/?Param1=value1", [], b"",
     "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"),
    ("post-x-www-form-urlencoded", b"POST", b"/", [(b"Content-Type", FORM)], b"Param1=value1",
     "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
    ("post-sts-header-before", b"POST", b"/", [(b"X-Amz-Security-Token", SESSION)], b"",
     "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"),
]  # fmt: skip
# The examples of the S3 guide: header lines and body digest, path, method, signature.
S3_GUIDE = [
    ("get object", b"GET", b"/test.txt", [(b"Range", b"bytes=0-9")], b"",
     "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
    ("lifecycle", b"GET", b"/?lifecycle", [], b"",
     "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
    ("list objects", b"GET", b"/?max-keys=2&prefix=J", [], b"",
     "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "more", "body", "signature"),
    [row[1:] for row in TEST_SUITE],
    ids=[row[0] for row in TEST_SUITE],
)
def test_the_suite_of_aws(method, path, more, body, signature):
    lines = [(b"Host", b"example.amazonaws.com"), (b"X-Amz-Date", b"20150830T123600Z"), *more]
    digest = hashlib.sha256(body).hexdigest()
    found = authorization(
        lines, method=method, path=path, body_sha256=digest, key=SUITE_KEY, scope=SUITE
    )
    names = ";".join(sorted({name.decode().lower() for name, _ in lines}))
    assert found == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={names}, Signature={signature}"
    )


@pytest.mark.parametrize(
    ("method", "path", "more", "body", "signature"),
    [row[1:] for row in S3_GUIDE],
    ids=[row[0] for row in S3_GUIDE],
)
def test_the_examples_of_the_s3_guide(method, path, more, body, signature):
    digest = hashlib.sha256(body).hexdigest()
    lines = [
        (b"Host", b"examplebucket.s3.amazonaws.com"), (b"X-Amz-Date", b"20130524T000000Z"),
        (b"X-Amz-Content-Sha256", digest.encode()), *more,
    ]  # fmt: skip
    found = authorization(lines, method=method, path=path, body_sha256=digest, key=S3_KEY, scope=S3)
    assert found.endswith(f"Signature={signature}")


def test_each_step_of_the_guide_s_example():
    """IAM's ListUsers: the canonical request, the text that is signed, the signature."""
    lines = [
        (b"host", b"iam.amazonaws.com"), (b"x-amz-date", b"20150830T123600Z"),
        (b"Content-Type", b"application/x-www-form-urlencoded; charset=utf-8"),
    ]  # fmt: skip
    scope = Scope("20150830T123600Z", "us-east-1", "iam")
    request = {
        "method": b"GET",
        "path": b"/?Action=ListUsers&Version=2010-05-08",
        "body_sha256": EMPTY,
    }
    canonical, names = canonical_request(lines, **request)
    assert canonical.decode().split("\n") == [
        "GET", "/", "Action=ListUsers&Version=2010-05-08",
        "content-type:application/x-www-form-urlencoded; charset=utf-8", "host:iam.amazonaws.com",
        "x-amz-date:20150830T123600Z", "", "content-type;host;x-amz-date", EMPTY,
    ]  # fmt: skip
    assert names == "content-type;host;x-amz-date"
    assert string_to_sign(canonical, scope).decode().split("\n") == [
        "AWS4-HMAC-SHA256", "20150830T123600Z", "20150830/us-east-1/iam/aws4_request",
        "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59",
    ]  # fmt: skip
    found = authorization(lines, **request, key=SUITE_KEY, scope=scope)
    assert found.endswith("5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7")


BODY = b'{"messages":[]}'
CLIENT = [
    (b"Content-Type", b"application/json"), (b"User-Agent", b"x"), (b"Accept", b"*/*"),
    (b"X-Amz-Date", b"19990101T000000Z"), (b"X-Amz-Security-Token", b"old"),
    (b"X-Amz-Content-Sha256", b"old"), (b"X-Amz-Target", b"T"), (b"Cookie", b"c"),
    (b"X-Amzn-Bedrock-GuardrailIdentifier", b"g"),
]  # fmt: skip
CALL = {
    "method": b"POST", "host": b"bedrock-runtime.us-east-1.amazonaws.com",
    "path": b"/model/anthropic.claude-sonnet-4-20250514-v1%3A0/invoke", "region": "us-east-1",
    "body_sha256": hashlib.sha256(BODY).hexdigest(), "now_s": 1440938160.9,
}  # fmt: skip


def test_what_goes_to_bedrock_is_signed_whole():
    lines = signed(CLIENT, **CALL, key=AwsKey("AKIDEXAMPLE", "s", "token"))
    assert lines[:-1] == [
        (b"Content-Type", b"application/json"), (b"Accept", b"*/*"), (b"X-Amz-Target", b"T"),
        (b"X-Amzn-Bedrock-GuardrailIdentifier", b"g"), (b"X-Amz-Date", b"20150830T123600Z"),
        (b"X-Amz-Security-Token", b"token"),
    ]  # fmt: skip
    name, value = lines[-1]
    assert name == b"Authorization"
    assert value.startswith(
        b"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/bedrock/aws4_request, "
        b"SignedHeaders=accept;content-type;host;x-amz-date;x-amz-security-token;x-amz-target;"
        b"x-amzn-bedrock-guardrailidentifier, Signature="
    )


def test_a_percent_sign_of_the_path_is_encoded_again():
    """An id with a colon is sent with %3A, and signed with %253A."""
    canonical, _ = canonical_request([(b"Host", b"h")], method=b"POST", path=CALL["path"],
                                     body_sha256=EMPTY)  # fmt: skip
    assert canonical.split(b"\n")[1].endswith(b"v1%253A0/invoke")


def test_the_same_signature_by_other_hands():
    """The whole of it for Bedrock, written out once more step by step."""
    lines = signed(CLIENT[:1], **CALL, key=SUITE_KEY)
    canonical = (
        "POST\n/model/anthropic.claude-sonnet-4-20250514-v1%253A0/invoke\n\n"
        "content-type:application/json\nhost:bedrock-runtime.us-east-1.amazonaws.com\n"
        "x-amz-date:20150830T123600Z\n\ncontent-type;host;x-amz-date\n" + CALL["body_sha256"]
    )
    scope = "20150830/us-east-1/bedrock/aws4_request"
    text = f"AWS4-HMAC-SHA256\n20150830T123600Z\n{scope}\n" + (
        hashlib.sha256(canonical.encode()).hexdigest()
    )
    key = ("AWS4" + SUITE_KEY.secret).encode()
    for part in ("20150830", "us-east-1", "bedrock", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    assert lines[-1][1].decode().endswith(hmac.new(key, text.encode(), "sha256").hexdigest())


def test_the_date_is_utc():
    assert amz_date(0) == "19700101T000000Z"
    assert amz_date(1440938160.9) == "20150830T123600Z"


def test_a_key_is_not_printed():
    assert "secret" not in repr(AwsKey("access", "secret", "session"))
