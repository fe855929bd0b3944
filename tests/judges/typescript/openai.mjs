// The official OpenAI SDK, unmodified, against a gateway: node openai.mjs URL KEY
import OpenAI from "openai";

const [url, key] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });
const messages = [{ role: "user", content: "How far does a credit go?" }];
const call = { model: "sandbox-gpt", messages, max_completion_tokens: 60 };
const tool = {
  type: "function",
  function: { name: "get_weather", parameters: { type: "object", properties: { place: { type: "string" } } } },
};
const seen = { calls: 0 };

function counted(usage) {
  seen.calls += 1;
  return { prompt: usage.prompt_tokens, output: usage.completion_tokens };
}

const whole = await client.chat.completions.create(call);
seen.whole = { text: whole.choices[0].message.content.length, usage: counted(whole.usage) };

let text = "";
let usages = 0;
for await (const chunk of await client.chat.completions.create({ ...call, stream: true })) {
  text += chunk.choices[0].delta.content ?? "";
  usages += chunk.usage ? 1 : 0;
}
seen.calls += 1;
seen.plain = { text: text.length, usages };

const asked = client.chat.completions.stream({ ...call, stream_options: { include_usage: true } });
seen.asked = { text: (await asked.finalContent()).length, usage: counted(await asked.totalUsage()) };

const tools = await client.chat.completions
  .stream({ ...call, tools: [tool], tool_choice: "required" })
  .finalChatCompletion();
seen.calls += 1;
seen.tool = tools.choices[0].message.tool_calls[0].function.name;

const response = await client.responses.create({ model: "sandbox-gpt", input: "Say hello", max_output_tokens: 40 });
seen.calls += 1;
seen.response = response.output_text.length;

const embedding = await client.embeddings.create({ model: "sandbox-embedding", input: "hello" });
seen.calls += 1;
seen.embedding = embedding.data[0].embedding.length;

async function refusal(run) {
  try {
    await run();
    return null;
  } catch (error) {
    return { name: error.constructor.name, status: error.status, type: error.type, retried: error.headers?.get("x-should-retry") };
  }
}

seen.badKey = await refusal(() => new OpenAI({ baseURL: `${url}/v1`, apiKey: "fg_test_nonsense" }).chat.completions.create(call));
seen.noModel = await refusal(() => client.chat.completions.create({ ...call, model: "gpt-nobody-sells" }));
seen.dry = await refusal(() =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey: key }).chat.completions.create({ ...call, model: "claude-fable-5", max_completion_tokens: 120_000 }),
);
seen.broken = await refusal(() =>
  client.chat.completions.create(call, { headers: { "openai-sandbox-scenario": "500" } }),
);
seen.calls += 1;
seen.models = (await client.models.list()).data.map((model) => model.id);

console.log(JSON.stringify(seen));
