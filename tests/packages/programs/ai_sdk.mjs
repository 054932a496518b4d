// @helicone/ai-sdk-provider under Vercel's SDK. Arguments: the base URL and a key.
import { createHelicone } from "@helicone/ai-sdk-provider";
import { generateText, streamText } from "ai";

const [baseURL, apiKey] = process.argv.slice(2);
const helicone = createHelicone({ apiKey, baseURL });
const settings = { extraBody: { helicone: {
  sessionId: "s-1", sessionPath: "/plan", sessionName: "agent", userId: "ada",
  properties: { tier: "gold" }, tags: ["night"],
} } };
const model = () => helicone("gpt-4o", settings);
const { text, usage } = await generateText({ model: model(), prompt: "Say hello.", maxRetries: 0 });
const stream = streamText({ model: model(), prompt: "Say hello.", maxRetries: 0 });
let streamed = "";
for await (const piece of stream.textStream) streamed += piece;
console.log(JSON.stringify({ text, streamed, usage }));
