// What the openai client for Node gets of SAM, as one JSON object on standard output.
import OpenAI from "openai";

const [address, apiKey, thinker, tool] = process.argv.slice(2);
const place = JSON.parse(tool);
const set_up = { baseURL: `${address}/v1`, maxRetries: 0 };
const client = new OpenAI({ ...set_up, apiKey });
const messages = [{ role: "user", content: "How will the weather be?" }];
const common = { model: "sam", messages, temperature: 0, max_tokens: 24 };
const tools = [{ type: "function", function: { name: "weather", parameters: place } }];

async function failed(promise) {
  try {
    await promise;
  } catch (error) {
    return [error.constructor.name, error.status, error.code];
  }
  return null;
}

const whole = await client.chat.completions.create(common);
let streamed = "";
for await (const chunk of await client.chat.completions.create({ ...common, stream: true })) {
  streamed += chunk.choices[0]?.delta?.content ?? "";
}
const called = await client.chat.completions.create({
  ...common,
  max_tokens: 300,
  tools,
  tool_choice: { type: "function", function: { name: "weather" } },
  parallel_tool_calls: false,
});
const call = called.choices[0].message.tool_calls[0];
const answered = await client.chat.completions.create({
  ...common,
  tools,
  messages: [
    ...messages,
    called.choices[0].message,
    { role: "tool", tool_call_id: call.id, content: "Rain." },
  ],
});
const held = await client.chat.completions.create({
  ...common,
  max_tokens: 300,
  response_format: { type: "json_schema", json_schema: { name: "place", schema: place } },
});
const thought = await client.chat.completions.create({ ...common, model: thinker });
const response = await client.responses.create({
  model: "sam",
  input: messages[0].content,
  temperature: 0,
  max_output_tokens: 24,
});
const vectors = await client.embeddings.create({ model: "sam", input: ["A bridge.", "A violin."] });
const left = await client.chat.completions.create({ ...common, max_tokens: 1000, stream: true });
for await (const _ of left) break;

console.log(
  JSON.stringify({
    whole: whole.choices[0].message.content,
    streamed,
    call: JSON.parse(call.function.arguments),
    answered: answered.choices[0].message.content,
    held: JSON.parse(held.choices[0].message.content),
    reasoning: thought.choices[0].message.reasoning_content,
    response: response.output_text,
    vectors: vectors.data.length,
    after: (await client.chat.completions.create(common)).usage.completion_tokens,
    unknown: await failed(client.chat.completions.create({ ...common, model: "nothing" })),
    stranger: await failed(new OpenAI({ ...set_up, apiKey: "wrong" }).models.list()),
  }),
);
