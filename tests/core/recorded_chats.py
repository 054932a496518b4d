"""Chats with the counts that their tokenizer (o200k) and the documented chat format give: tools,
code, JSON and Chinese, Japanese and Korean text. (name, request, answer, prompt, completion)."""

from typing import Any

SYSTEM = "You are a careful assistant. Answer briefly and say when you are not sure."
CODE = '''def merge(left: list[int], right: list[int]) -> list[int]:
    """Merge two sorted lists."""
    result = []
    i = j = 0
    while i < len(left) and j < len(right):
        if left[i] <= right[j]:
            result.append(left[i])
            i += 1
        else:
            result.append(right[j])
            j += 1
    return result + left[i:] + right[j:]
'''
SCRIPT = """export async function load(url, { retries = 3, signal } = {}) {
  for (let attempt = 0; attempt <= retries; attempt++) {
    const response = await fetch(url, { signal });
    if (response.ok) return response.json();
    if (response.status < 500) throw new Error(`HTTP ${response.status}`);
    await new Promise((done) => setTimeout(done, 2 ** attempt * 100));
  }
  throw new Error("gave up");
}
"""
QUERY = """SELECT model, count(*) AS calls, sum(cost_usd) AS cost
FROM requests WHERE request_created_at >= now() - INTERVAL 7 DAY
GROUP BY model HAVING count(*) > 10 ORDER BY cost DESC LIMIT 20;"""
LOG = """2026-09-14T08:21:07.112Z INFO  worker-3 started job=8841 queue=mail
2026-09-14T08:21:09.540Z WARN  worker-3 slow query took 2310 ms table=orders
2026-09-14T08:21:12.003Z ERROR worker-3 job=8841 failed: ConnectionResetError(104)
"""
PROSE = (
    "The harbour had been quiet since the ferry stopped coming. In the mornings a few old men sat "
    "on the wall and spoke about the weather, the price of diesel and the letters that their "
    "children sent from the city. Nobody believed that the company would return, although the "
    "mayor said so every spring, and the ticket office still opened at eight."
)
CHINESE = (
    "请帮我把下面的会议记录整理成三个要点。我们讨论了新产品的发布时间，市场部门认为九月比较合适，"
    "但是工程团队需要更多时间来完成测试。大家同意先发布一个小范围的试用版本，然后根据用户的反馈再决定正式发布的日期。"
)
JAPANESE = (
    "来週の出張について相談させてください。月曜日の朝に東京を出発して、大阪の支店で打ち合わせをします。"
    "火曜日は工場を見学する予定ですが、天気が悪い場合は資料の確認に変更できます。ホテルの予約もお願いします。"
)
KOREAN = (
    "이번 주말에 친구들과 함께 제주도로 여행을 가려고 합니다. 바다가 보이는 숙소를 추천해 주시고, "
    "아이들과 같이 갈 수 있는 식당도 알려 주세요. "
    "렌터카를 빌리는 방법과 대략적인 비용도 궁금합니다."
)
RUSSIAN = (
    "Подскажите, пожалуйста, как лучше подготовиться к собеседованию на должность аналитика "
    "данных. "
    "Я уже работал с таблицами и запросами, но плохо знаю статистику."
)
GERMAN = (
    "Könnten Sie mir bitte erklären, welche Unterlagen ich für die Anmeldung eines Gewerbes "
    "brauche? "
    "Ich möchte im Nebenerwerb Fahrräder reparieren und gebrauchte Ersatzteile verkaufen."
)
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_current_weather",
        "description": "Get the current weather in a given location",
        "parameters": {
            "type": "object",
            "properties": {
                "location": {
                    "type": "string",
                    "description": "The city and state, e.g. San Francisco, CA",
                },
                "unit": {
                    "type": "string",
                    "description": "The unit of temperature to return",
                    "enum": ["celsius", "fahrenheit"],
                },
            },
            "required": ["location"],
        },
    },
}
SEARCH = {
    "type": "function",
    "function": {
        "name": "search_orders",
        "description": "Find the orders of a customer. Returns at most fifty, newest first.",
        "parameters": {
            "type": "object",
            "properties": {
                "customer_id": {
                    "type": "string",
                    "description": "The id shown in the account page",
                },
                "status": {
                    "type": "string",
                    "description": "Only orders in this state",
                    "enum": ["open", "shipped", "returned", "cancelled"],
                },
                "since": {"type": "string", "description": "ISO date, inclusive"},
                "limit": {"type": "integer", "description": "How many to return"},
            },
        },
    },
}


def chat(*messages: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {
        "model": "gpt-4o",
        "messages": [{"role": role, "content": content} for role, content in messages],
        **more,
    }


CHATS: list[tuple[str, dict[str, Any], str, int, int]] = [
    ("prose", chat(("system", SYSTEM), ("user", "Translate to French: " + PROSE)), PROSE, 99, 68),
    ("short", chat(("user", "What is the capital of Australia?")), "Canberra.", 14, 3),
    ("python", chat(("system", SYSTEM), ("user", "Review this:\n" + CODE)), CODE, 125, 95),
    ("javascript", chat(("user", "Add a timeout to\n" + SCRIPT)), SCRIPT, 115, 103),
    ("sql", chat(("system", "You write SQL."), ("user", QUERY)), QUERY, 65, 50),
    ("log", chat(("user", "What failed?\n" + LOG)), "Job 8841: its connection was reset.", 101, 10),
    ("chinese", chat(("system", "你是一个认真的助手。"), ("user", CHINESE)), CHINESE, 82, 64),
    ("japanese", chat(("user", JAPANESE)), JAPANESE, 73, 66),
    ("korean", chat(("user", KOREAN)), KOREAN, 66, 59),
    ("russian", chat(("user", RUSSIAN)), RUSSIAN, 45, 38),
    ("german", chat(("user", GERMAN)), GERMAN, 45, 38),
    (
        "one tool",
        chat(
            (
                "system",
                "You are a helpful assistant that can answer to questions about the weather.",
            ),
            ("user", "What's the weather like in San Francisco?"),
            tools=[WEATHER],
        ),
        '{"location":"San Francisco, CA","unit":"celsius"}',
        101,
        13,
    ),
    (
        "two tools and a long talk",
        chat(
            ("system", SYSTEM),
            ("user", "Where is my order? My customer id is C-20418."),
            ("assistant", "I will look it up for you."),
            ("user", "Thanks. It should have been shipped on 3 September."),
            tools=[WEATHER, SEARCH],
        ),
        '{"customer_id":"C-20418","status":"shipped","since":"2026-09-03"}',
        224,
        23,
    ),
    (
        "many turns",
        chat(
            ("system", SYSTEM),
            *[("user", PROSE), ("assistant", CODE), ("user", CHINESE), ("assistant", QUERY)] * 3,
        ),
        PROSE + "\n\n" + CODE,
        902,
        163,
    ),
]
