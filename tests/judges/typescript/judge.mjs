// The official TypeScript SDK, unmodified, against a gateway: node judge.mjs URL KEY DRY_KEY
import Anthropic from "@anthropic-ai/sdk";

const [url, key, dryKey] = process.argv.slice(2);
const client = new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0 });
const call = { model: "claude-sonnet-5-5", max_tokens: 60, messages: [{ role: "user", content: "Say hello" }] };
const seen = {};

const whole = await client.messages.create(call);
seen.whole = { type: whole.type, output_tokens: whole.usage.output_tokens };

let text = "";
const stream = client.messages.stream(call).on("text", (delta) => (text += delta));
const final = await stream.finalMessage();
seen.stream = { text: text.length, stop_reason: final.stop_reason, output_tokens: final.usage.output_tokens };

async function refusal(run) {
  try {
    await run();
    return null;
  } catch (error) {
    return { name: error.constructor.name, status: error.status, type: error.error?.error?.type };
  }
}

seen.badKey = await refusal(() => new Anthropic({ baseURL: url, apiKey: "fg_test_nonsense", maxRetries: 2 }).messages.create(call));
seen.noModel = await refusal(() => client.messages.create({ ...call, model: "claude-fable-5-2" }));
seen.dry = await refusal(() =>
  new Anthropic({ baseURL: url, apiKey: dryKey, maxRetries: 2 }).messages.create({ ...call, max_tokens: 9_000_000, model: "claude-opus-5-5" }, { timeout: 60_000 }),
);
seen.models = (await client.models.list()).data.length;

console.log(JSON.stringify(seen));
