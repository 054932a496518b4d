"""Chats with what they count. `WRITTEN`, to which nothing was fitted: by the o200k vocabulary and
the chat format as documented. `RECORDED`: as providers' replies counted calls of such shapes."""

from typing import Any

REVIEW = """--- a/inventory/stock.py
+++ b/inventory/stock.py
@@ -41,9 +41,14 @@ class Stock:
     def reserve(self, sku: str, amount: int) -> bool:
-        if self._levels[sku] < amount:
-            return False
-        self._levels[sku] -= amount
+        with self._lock:
+            level = self._levels.get(sku, 0)
+            if level < amount:
+                log.info("short of %s: %d < %d", sku, level, amount)
+                return False
+            self._levels[sku] = level - amount
         return True
"""
RUST = """fn parse_header(line: &str) -> Result<(String, String), HeaderError> {
    let (name, value) = line.split_once(':').ok_or(HeaderError::NoColon)?;
    if name.is_empty() || name.bytes().any(|b| !b.is_ascii_graphic()) {
        return Err(HeaderError::BadName(name.to_owned()));
    }
    Ok((name.to_ascii_lowercase(), value.trim().to_owned()))
}
"""
REACT = """export function CartButton({ items, onCheckout }: CartButtonProps) {
  const total = useMemo(() => items.reduce((sum, i) => sum + i.price * i.count, 0), [items]);
  const [busy, setBusy] = useState(false);
  return (
    <button disabled={busy || items.length === 0} className="btn btn-primary"
      onClick={async () => { setBusy(true); await onCheckout(items); setBusy(false); }}>
      Check out ({formatMoney(total, "EUR")})
    </button>
  );
}
"""
INVOICE = """{"invoice": {"number": "R-2031-0087", "issued": "2031-03-14", "currency": "EUR",
  "lines": [
  {"text": "Hosting, March", "quantity": 1, "unit_price": "49.00", "vat": "19%"},
  {"text": "Support hours", "quantity": 3.5, "unit_price": "95.00", "vat": "19%"}],
  "paid": false, "customer": {"id": 40117, "name": "Nordwind GmbH", "city": "Kiel"}}}"""
TRACE = """Traceback (most recent call last):
  File "/srv/app/jobs/mailer.py", line 88, in deliver
    reply = session.send(message, timeout=limits.send_s)
  File "/srv/app/lib/smtp.py", line 214, in send
    raise DeliveryFailed(code, text) from error
lib.smtp.DeliveryFailed: 451 4.7.1 greylisted, try again in 300 seconds
"""
RAG = """Use only the passages below.

[1] Tenants may keep one cat or one small dog. Larger animals need the landlord's written consent.
[2] The heating season lasts from 1 October to 30 April; rooms must reach 20 degrees by day.
[3] Damage is to be reported within three working days, by mail or in the tenants' portal.

Question: May I keep two cats, and whom do I tell about the broken window handle?"""
ANSWER = (
    "According to passage [1] one cat is allowed without asking; a second one is not covered, so "
    "ask the landlord for consent in writing before you take it in. Report the window handle "
    "within three working days, by mail or in the portal [3]."
)
LIST = """Here is a plan for the three days:

1. **Day one** – arrive before noon, leave the bags at the station, walk along the river.
2. **Day two** – museum in the morning (closed on Mondays!), market hall for lunch, boat at 16:30.
3. **Day three** – early train to the coast; the last one back leaves at 21:05.

Tickets for the boat sell out, so book them a week ahead."""
ZH_SUPPORT = (
    "您好，我上周三在你们网站买了一台洗衣机，订单号是20310314-7782。今天送货的师傅说楼道太窄，没有办法搬上六楼，"
    "就把机器放在一楼大厅走了。我家里有老人和孩子，实在没有能力自己搬。请问可以安排专业的搬运人员吗？如果要加钱，大概是多少？"
)
ZH_ANSWER = (
    "非常抱歉给您带来不便。我已经为您登记了上门搬运服务，工作人员会在明天上午九点到十二点之间与您电话联系。"
    "六楼无电梯的搬运费是八十元，安装完成后再支付即可。如果明天时间不方便，您可以直接回复这条消息，我们另外安排。"
)
ZH_CODE = "这段代码在并发的时候会丢失更新，请解释原因，并且给出加锁后的版本：\n" + REVIEW
JA_MAIL = (
    "いつもお世話になっております。先日ご依頼いただいた見積書について、数量の変更があったため、添付のとおり修正いたしました。"
    "納期は従来どおり四月十日を予定しておりますが、部品の入荷状況によっては二、三日遅れる可能性がございます。"
    "ご確認のうえ、問題がなければ今週中にご返信いただけますと幸いです。"
)
KO_RECIPE = (
    "김치찌개를 처음 끓여 보려고 하는데 재료 손질부터 순서대로 알려 주세요. "
    "집에 묵은지와 돼지고기 앞다리살, 두부 한 모, 대파가 있습니다. "
    "아이가 매운 음식을 잘 못 먹어서 너무 맵지 않게 만드는 방법도 궁금해요."
)
ES = (
    "Necesito escribir una carta para reclamar la devolución de la fianza de mi piso. Entregué las "
    "llaves hace dos meses y el propietario no contesta ni al teléfono ni a los mensajes."
)


def function(name: str, about: str, /, **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(properties)[:1]}
    return {
        "type": "function",
        "function": {"name": name, "description": about, "parameters": parameters},
    }


def text(about: str, *choices: str) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "string", "description": about}
    return {**found, "enum": list(choices)} if choices else found


TICKETS = [
    function("find_ticket", "Look a support ticket up by its number", number=text("As TK-12345")),
    function(
        "update_ticket",
        "Change the state of a ticket and leave a note for the customer",
        number=text("As TK-12345"),
        state=text("New state", "open", "waiting", "solved", "closed"),
        note=text("Shown to the customer, plain text"),
    ),
    function("list_agents", "Who is on duty", team=text("Name of the team", "first", "second")),
]
FILES = [
    function(
        "read_file",
        "Read a text file of the repository",
        path=text("Relative path"),
        first_line={"type": "integer", "description": "Counted from one"},
        last_line={"type": "integer", "description": "Included"},
    ),
    function("run_tests", "Run the tests and return their output", pattern=text("Names to run")),
]


def chat(*messages: str, system: str = "", **more: Any) -> dict[str, Any]:
    """Turns of the user and the assistant in turn."""
    turns = [
        {"role": ("user", "assistant")[number % 2], "content": content}
        for number, content in enumerate(messages)
    ]
    first = [{"role": "system", "content": system}] if system else []
    return {"model": "gpt-4o", "messages": first + turns, **more}


AGENT = (
    "You are a coding agent. Work in small steps, run the tests after each change, and be brief."
)
# (name, request, answer, prompt tokens, completion tokens)
WRITTEN: list[tuple[str, dict[str, Any], str, int, int]] = [
    ("review", chat("Is this change safe?\n" + REVIEW, system=AGENT), REVIEW, 183, 145),
    ("rust", chat("Write tests for this function:\n\n" + RUST), RUST, 105, 92),
    ("react", chat("Why does the button stay disabled?\n" + REACT, system=AGENT), REACT, 162, 122),
    ("invoice", chat("Sum up what is owed, with VAT:\n" + INVOICE), INVOICE, 150, 134),
    ("trace", chat("What is wrong here?\n```\n" + TRACE + "```"), TRACE, 105, 90),
    ("retrieval", chat(RAG, system="Cite passages by number."), ANSWER, 112, 52),
    ("plan", chat("Plan three days in Lyon.", LIST, "Make it cheaper."), LIST, 123, 98),
    ("chinese", chat(ZH_SUPPORT, system="你是一家电器商店的客服。"), ZH_ANSWER, 109, 76),
    ("chinese and code", chat(ZH_CODE), ZH_ANSWER + "\n" + RUST, 176, 168),
    ("japanese", chat("次の文章をもっと丁寧にしてください。\n" + JA_MAIL), JA_MAIL, 123, 105),
    ("korean", chat(KO_RECIPE), KO_RECIPE, 81, 74),
    ("spanish", chat(ES), ES, 47, 40),
    ("tickets", chat("Please close TK-20418, the customer wrote that it works.", tools=TICKETS),
     '{"number":"TK-20418","state":"closed","note":"Closed at your request."}', 169, 20),
    ("agent", chat("The tests of stock fail since yesterday.", "I will look at the last change.",
                   "Here it is:\n" + REVIEW, system=AGENT, tools=FILES), ANSWER, 296, 52),
    ("chinese tickets", chat(ZH_SUPPORT, ZH_ANSWER, "好的，谢谢！", tools=TICKETS),
     ZH_ANSWER, 330, 76),
    ("long talk", chat(*[RAG, ANSWER, ES, LIST, ZH_SUPPORT, ZH_ANSWER] * 3, "Sum it all up."),
     LIST + "\n\n" + ANSWER, 1431, 150),
]  # fmt: skip

PLACE = text("The city and state, e.g. San Francisco, CA")
WEATHER = function("get_current_weather", "Get the current weather", location=PLACE)
SCHEMA = {
    "properties": {
        "joke": {"title": "Joke", "type": "string"},
        "rating": {"title": "Rating", "type": "integer"},
    },
    "required": ["joke", "rating"],
    "title": "StructuredAnswer",
    "type": "object",
    "additionalProperties": False,
}
CLAUDE_TOOLS = [
    {
        "name": "get_weather",
        "description": "Get the current weather in a given location",
        "input_schema": {
            "type": "object",
            "properties": {
                "location": PLACE,
                "unit": text(
                    "The unit of temperature, either 'celsius' or 'fahrenheit'",
                    "celsius",
                    "fahrenheit",
                ),
            },
            "required": ["location"],
        },
    },
    {
        "name": "get_time",
        "description": "Get the current time in a given time zone",
        "input_schema": {
            "type": "object",
            "properties": {
                "timezone": text("The IANA time zone name, e.g. America/Los_Angeles"),
            },
            "required": ["timezone"],
        },
    },
]


def calls(*arguments: str) -> dict[str, Any]:
    """A reply or a message that calls the weather tool."""
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": f"call_{number}", "type": "function",
             "function": {"name": "get_current_weather", "arguments": text_of_json}}
            for number, text_of_json in enumerate(arguments)
        ],
    }  # fmt: skip


def use(name: str, **given: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": "toolu_1", "name": name, "input": given}


def ask(question: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}], **more}


SEATTLE = [
    {"role": "system", "content": "You're a helpful assistant."},
    {"role": "user", "content": "What's the weather in Seattle and San Francisco today?"},
    calls('{"location": "Seattle, WA"}', '{"location": "San Francisco, CA"}'),
    {"role": "tool", "content": "50 degrees and raining", "tool_call_id": "call_0"},
    {"role": "tool", "content": "70 degrees and sunny", "tool_call_id": "call_1"},
]
JOKE = "Tell me a joke about opentelemetry"
CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
# (name, dialect, path, request, reply or None, input tokens, output tokens)
RECORDED: list[tuple[str, str, str, dict[str, Any], dict[str, Any] | None, int, int]] = [
    ("one call", "openai", CHAT,
     ask("What's the weather like in San Francisco?", tools=[WEATHER]),
     {"choices": [{"message": calls('{"location":"San Francisco"}')}]}, 68, 16),
    ("two calls", "openai", CHAT,
     ask("What's the weather like in San Francisco and Boston?", tools=[WEATHER]),
     {"choices": [{"message": calls('{"location": "San Francisco"}', '{"location": "Boston"}')}]},
     70, 46),
    ("calls in the history", "openai", CHAT, {"messages": SEATTLE}, None, 99, 0),
    ("a schema", "openai", CHAT,
     ask(JOKE, response_format={"type": "json_schema",
                                "json_schema": {"name": "StructuredAnswer", "schema": SCHEMA}}),
     None, 68, 0),
    ("claude", "anthropic", MESSAGES, ask(JOKE), None, 17, 0),
    ("claude uses two tools", "anthropic", MESSAGES,
     ask("What is the weather like right now in New York? Also what time is it there now?",
         tools=CLAUDE_TOOLS),
     {"content": [
         {"type": "text", "text": "Certainly! I'd be happy to help you with both the current "
          "weather in New York and the current time there. Let's use the available tools to get "
          "this information for you."},
         use("get_weather", location="New York, NY", unit="fahrenheit"),
         use("get_time", timezone="America/New_York")]}, 514, 152),
    ("claude after a tool", "anthropic", MESSAGES,
     {"messages": [
         {"role": "user", "content": "What is the weather and current time in San Francisco?"},
         {"role": "assistant", "content": [
             {"type": "text",
              "text": "I'll help you get the weather and current time in San Francisco."},
             use("get_weather", location="San Francisco, CA")]},
         {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1",
                                       "content": "Sunny and 65 degrees Fahrenheit"}]}],
      "tools": CLAUDE_TOOLS},
     {"content": [use("get_time", timezone="America/Los_Angeles")]}, 568, 58),
    ("claude thinks", "anthropic", MESSAGES,
     ask("How many times does the letter 'r' appear in the word strawberry?",
         thinking={"type": "enabled", "budget_tokens": 1024}), None, 52, 0),
    ("claude by a schema", "anthropic", MESSAGES,
     ask("Tell me a joke about OpenTelemetry and rate it from 1 to 10",
         output_format={"type": "json_schema", "schema": {
             "type": "object",
             "properties": {
                 "joke": text("A joke about OpenTelemetry"),
                 "rating": {"type": "integer", "description": "Rating of the joke from 1 to 10"}},
             "required": ["joke", "rating"], "additionalProperties": False}}), None, 222, 0),
    ("gemini", "gemini", "/v1beta/models/gemini-2.5-flash:generateContent",
     {"contents": [{"role": "user", "parts": [{"text": "Create a poem about Open Telemetry."}]}]},
     None, 8, 0),
    ("responses", "openai", "/v1/responses",
     {"input": [{"role": "user", "content": "What is the capital of France?"}]}, None, 14, 0),
]  # fmt: skip
